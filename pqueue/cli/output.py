"""Standard output, and how much of what was written its reader has taken."""

from __future__ import annotations

import array
import fcntl
import os
import select
import stat
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pqueue.cli.stop import Stop
from pqueue.words import counted

_STEP = 4096
"""A pipe that is ready takes so much without blocking (PIPE_BUF), so that a signal is seen between two steps."""

_PATIENCE = 2.0
"""Seconds that a stopped command gives the reader to take the rest of a line, and what is in the pipe."""


class Unwritable(OSError):
    """The output can't be written, for another reason than that nobody reads it any more."""


@contextmanager
def writing(left: str = "") -> Iterator[None]:
    """Raise `Unwritable` for what the operating system raises inside, but for a reader that went away.

    Args:
        left: what became of that which is not written.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        raise Unwritable(f"the output can't be written: {why}{f'; {left}' if left else ''}") from error


class Output:
    """Writes bytes to a descriptor.

    What is in a pipe and was not read when the reader goes away is lost: only what was read counts as taken.
    """

    def __init__(self, fd: int, stop: Stop) -> None:
        self._fd = fd
        self._stop = stop
        mode = os.fstat(fd).st_mode
        self._pipe = stat.S_ISFIFO(mode)
        self._step = 1 << 20 if stat.S_ISREG(mode) else _STEP
        self.written = 0

    def write(self, data: bytes) -> None:
        """All of it, or up to where a signal comes.

        Raises:
            BrokenPipeError: nobody reads any more.
            Unwritable: the disk is full, or the like.
        """
        view = memoryview(data)
        while view and not self._stop.signum:
            if self._stop.wait(self._fd, select.POLLOUT):
                view = view[self._push(view) :]

    def finish(self, data: bytes) -> None:
        """The rest of a line that a signal has cut, if the reader takes it soon."""
        view = memoryview(data)
        until = time.monotonic() + _PATIENCE
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while view and poll.poll(max(0.0, until - time.monotonic()) * 1000):
            view = view[self._push(view) :]

    def _push(self, view: memoryview) -> int:
        with writing("what was not written whole is not acknowledged, and stays in the queue"):
            count = os.write(self._fd, view[: self._step])
        self.written += count
        return count

    @property
    def taken(self) -> int:
        """Bytes that were written and are not waiting in a pipe."""
        return self.written - self._unread()

    def drain(self) -> None:
        """Wait until the reader has taken everything, or has gone; after a signal not for long."""
        pause = 0.001
        until: float | None = None
        while self._unread() and not self._gone():
            if self._stop.signum:
                until = until or time.monotonic() + _PATIENCE
                if time.monotonic() >= until:
                    return
                time.sleep(pause)
            else:
                self._stop.wait(self._fd, 0, pause)
            pause = min(0.05, 1.5 * pause)

    def pause(self, seconds: float) -> bool:
        """Do nothing for so long, or until a signal comes, or until nobody reads any more; whether that is so."""
        return bool(self._stop.wait(self._fd, 0, seconds))

    def _gone(self) -> bool:
        poll = select.poll()
        poll.register(self._fd, 0)
        return bool(poll.poll(0))

    def _unread(self) -> int:
        if not self._pipe:
            return 0
        count = array.array("i", [0])
        try:
            fcntl.ioctl(self._fd, termios.FIONREAD, count)
        except OSError:  # a system whose pipes do not tell: what was written counts
            self._pipe = False
            return 0
        return count[0]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A table for a person."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def size_of(count: int) -> str:
    """Bytes, for a person."""
    size = float(count)
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:  # noqa: PLR2004  # what KiB means
            break
        size /= 1024
    return counted(count, "byte") if unit == "bytes" else f"{size:.1f} {unit}"
