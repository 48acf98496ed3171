"""Signals that end a command between two items, and waiting that they cut short."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


_ended = False
"""Whether a command has come to its end, and only the process has not."""


def end_in_peace() -> None:
    """From now on a signal that comes after the end of a command changes nothing: what was done has been done."""
    for signum in _SIGNALS:
        if signal.getsignal(signum) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(signum, _outside)


def ended() -> None:
    """The command is done: no signal shall make its exit code say otherwise while the interpreter is taken down."""
    for signum in _SIGNALS:
        if signal.getsignal(signum) is _outside:
            signal.signal(signum, signal.SIG_IGN)


def _outside(signum: int, frame: FrameType | None) -> None:
    if _ended:
        return
    if signum == signal.SIGINT:
        signal.default_int_handler(signum, frame)
    signal.signal(signum, signal.SIG_DFL)
    signal.raise_signal(signum)


class Stopped(Exception):  # not an error, but a wish
    """The first signal came; the command is to end in good order."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.code = 128 + signum


class Stop:
    """While entered, the first signal is noted and wakes `wait`; the second one interrupts at once."""

    def __init__(self) -> None:
        self.signum = 0
        self._before: dict[int, Any] = {}
        self._pipe = (-1, -1)
        self._wakeup = -1

    def __enter__(self) -> Self:
        self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        self._wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        for signum in _SIGNALS:
            if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup
                self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        global _ended  # noqa: PLW0603  # of the process, as signals are
        _ended = True
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._wakeup)
        for end in self._pipe:
            os.close(end)

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        if self.signum:
            raise KeyboardInterrupt
        self.signum = signum

    def check(self) -> None:
        """Raise `Stopped`, if a signal came."""
        if self.signum:
            raise Stopped(self.signum)

    def pause(self, seconds: float) -> None:
        """Sleep, but no longer than until a signal comes."""
        if not self.signum:
            select.select([self._pipe[0]], [], [], seconds)

    def wait(self, fd: int, events: int, seconds: float | None = None) -> int:
        """The events of `fd` that have come; 0 after so many seconds, or at a signal.

        A regular file is always ready.
        """
        if self.signum:
            return 0
        poll = select.poll()
        poll.register(fd, events)
        poll.register(self._pipe[0], select.POLLIN)
        ready = dict(poll.poll(None if seconds is None else seconds * 1000))
        return ready.get(fd, 0)
