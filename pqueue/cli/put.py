"""`pqueue put`: lines of files or of standard input, an item each."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pqueue.cli.lines import Batch, batches
from pqueue.cli.stop import Stop
from pqueue.errors import PutUncertain, QueueError, SerializationError, TooLarge
from pqueue.queue import Queue

_LINES = 1000
_BYTES = 1 << 20


class PutFailed(Exception):  # carries an error
    """The text says what was put before `cause`."""

    def __init__(self, cause: QueueError | OSError, text: str) -> None:
        super().__init__(text)
        self.cause = cause


def check_readable(paths: Sequence[str]) -> None:
    """Find out what can't be read before anything is put.

    Raises:
        OSError: one of the files.
    """
    for path in paths:
        if path == "-":
            continue
        if Path(path).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not os.access(path, os.R_OK):
            # Only then: to open a named pipe and close it again would end it.
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))


@contextmanager
def _opened(path: str) -> Iterator[int]:
    if path == "-":
        if sys.stdin is None:
            raise OSError("standard input is closed")
        yield sys.stdin.fileno()
        return
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


class Putter:
    """Puts lines, and knows how many are in."""

    def __init__(self, queue: Queue[Any], stop: Stop) -> None:
        self._queue = queue
        self._stop = stop
        self._text = not _takes(queue, b"")
        # Of the two types that keep bytes, one says that the line had no end.
        self._open: type[bytes | bytearray] = bytearray if _takes(queue, bytearray()) else bytes
        self.count = 0

    def put_file(self, path: str) -> None:
        """Put the lines of one file, `-` being standard input.

        Raises:
            PutFailed: it says what is in.
            Stopped: a signal came.
        """
        meta = self._queue.meta
        most = min(_LINES, meta.maxsize or _LINES)
        size = min(_BYTES, meta.max_commit_bytes)
        start = self.count
        try:
            with _opened(path) as fd:
                for batch in batches(fd, self._stop, lines=most, size=size, longest=meta.max_commit_bytes):
                    self._put(batch)
                    self._stop.check()
        except (QueueError, OSError) as error:
            name = "standard input" if path == "-" else path
            text = f"{self.count - start} lines were put before this" if self.count else "nothing was put"
            doubt = ", and perhaps some more" if isinstance(error, PutUncertain) else ""
            cause = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise PutFailed(error, f"{name}: {cause} ({text}{doubt})") from error

    def _put(self, batch: Batch) -> None:
        items: list[Any] = batch.lines
        bad: UnicodeDecodeError | None = None
        if self._text:
            items, bad = _decoded(batch.lines)
        elif not batch.ended:
            items = [self._open(line) for line in batch.lines]
        if items:
            self._put_items(items)
        if bad is not None:
            raise SerializationError(
                f"the next line is not UTF-8, and serializer {self._queue.meta.serializer!r} takes no bytes ({bad}); "
                "the default, msgpack, does"
            ) from bad
        if batch.pause and self._queue.meta.durability == "buffered":
            self._queue.sync()  # what a person types is not to wait for a full segment

    def _put_items(self, items: Sequence[Any]) -> None:
        try:
            self._queue.put_many(items)
        except TooLarge:
            if len(items) == 1:
                raise
            half = len(items) // 2  # larger as records than as lines
            self._put_items(items[:half])
            self._put_items(items[half:])
        else:
            self.count += len(items)


def _decoded(lines: Sequence[bytes]) -> tuple[list[str], UnicodeDecodeError | None]:
    """The lines as text, up to the first that is none."""
    texts: list[str] = []
    try:
        for line in lines:
            texts.append(line.decode())  # noqa: PERF401  # those before a bad one are kept
    except UnicodeDecodeError as error:
        return texts, error
    return texts, None


def _takes(queue: Queue[Any], item: Any) -> bool:
    try:
        queue.serializer.dumps(item)
    except SerializationError:
        return False
    return True
