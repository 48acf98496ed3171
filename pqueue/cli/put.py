"""`pqueue put`: lines of files or of standard input, an item each; or the files themselves."""

from __future__ import annotations

import errno
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pqueue.cli.filler import Filler
from pqueue.cli.formats import Format, values
from pqueue.cli.lines import Batch, batches
from pqueue.cli.progress import Progress
from pqueue.cli.stop import Stop
from pqueue.errors import PutUncertain, QueueError, SerializationError, TooLarge
from pqueue.queue import Queue
from pqueue.words import were

LINES = 1000
"""Items in a commit, if nobody says otherwise."""

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

    def __init__(
        self,
        queue: Queue[Any],
        stop: Stop,
        how: Format = Format.lines,
        batch: int = LINES,
        progress: Progress | None = None,
    ) -> None:
        self._queue = queue
        self._stop = stop
        self._how = how
        self._filler = Filler(queue, stop, batch, progress)
        self._line = 1
        self._text = not _takes(queue, b"")
        # Of the two types that keep bytes, one says that the line had no end.
        self._open: type[bytes | bytearray] = bytearray if _takes(queue, bytearray()) else bytes

    @property
    def count(self) -> int:
        """How many are in."""
        return self._filler.count

    def put_file(self, path: str) -> None:
        """Put the lines of one file, or its bytes as one item; `-` is standard input.

        Raises:
            PutFailed: it says what is in.
            Stopped: a signal came.
        """
        meta = self._queue.meta
        size = min(_BYTES, meta.max_commit_bytes)
        start = self.count
        self._line = 1
        try:
            with _opened(path) as fd:
                if self._how is Format.raw:
                    self._filler.put([self._whole(fd, meta.max_commit_bytes)])
                    return
                for batch in batches(
                    fd, self._stop, lines=self._filler.batch, size=size, longest=meta.max_commit_bytes
                ):
                    self._put(batch)
                    self._stop.check()
        except (QueueError, OSError) as error:
            name = "standard input" if path == "-" else path
            text = f"{were(self.count - start, self.word)} put before this" if self.count else "nothing was put"
            doubt = ", and perhaps some more" if isinstance(error, PutUncertain) else ""
            cause = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise PutFailed(error, f"{name}: {cause} ({text}{doubt})") from error

    @property
    def word(self) -> str:
        """What `count` counts."""
        return "line" if self._how is Format.lines else "item"

    def _whole(self, fd: int, most: int) -> Any:
        """All bytes up to the end."""
        pieces = []
        size = 0
        while True:
            if not self._stop.wait(fd, select.POLLIN):
                self._stop.check()
            piece = os.read(fd, 1 << 20)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise TooLarge(f"it has more than {most} bytes, which is what the queue's max_commit_bytes allows")
        data = b"".join(pieces)
        try:
            return data.decode() if self._text else data
        except UnicodeDecodeError as error:
            raise self._no_text("it", error) from error

    def _no_text(self, what: str, error: UnicodeDecodeError) -> SerializationError:
        return SerializationError(
            f"{what} is not UTF-8, and serializer {self._queue.meta.serializer!r} takes no bytes ({error}); "
            "the default, msgpack, does"
        )

    def _put(self, batch: Batch) -> None:
        if self._how is Format.jsonl:
            found, wrong = values(batch.lines, self._line)
            self._line += len(batch.lines)
            if found:
                self._filler.put(found)
            if wrong is not None:
                raise wrong
            self._flush(batch)
            return
        items: list[Any] = batch.lines
        bad: UnicodeDecodeError | None = None
        if self._text:
            items, bad = _decoded(batch.lines)
        elif not batch.ended:
            items = [self._open(line) for line in batch.lines]
        if items:
            self._filler.put(items)
        if bad is not None:
            raise self._no_text("the next line", bad) from bad
        self._flush(batch)

    def _flush(self, batch: Batch) -> None:
        if batch.pause and self._queue.meta.durability == "buffered":
            self._queue.sync()  # what a person types is not to wait for a full segment


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
