"""The frames of one segment, read from its start on."""

from __future__ import annotations

from collections.abc import Sequence

from pqueue.abc import Codec, SegmentStore
from pqueue.errors import CorruptSegment
from pqueue.frames import End, Frame, Shape
from pqueue.names import Name
from pqueue.runtime import Task

CHUNK = 1 << 20
"""Bytes read at once, at most, of a segment that grows; any other is read whole."""


class Scanner:
    """Reads the whole frames of one segment from its start on."""

    def __init__(
        self, store: SegmentStore, name: Name, codecs: Sequence[Codec], *, grows: bool, read: Task[bytes] | None = None
    ) -> None:
        self._ahead = read
        self.name = name
        self.shape = Shape(name, codecs)
        self.at = 0
        """The position behind the last whole frame, in bytes."""
        self.count = 0
        """Items up to there."""
        self.end = End.OPEN
        self.drained = False
        """Whether the last look met the end of a segment that grows: another finds only what has come since."""
        self._store = store
        self._text = str(name)
        self._codecs = codecs
        self._grows = grows
        self._chunk = CHUNK >> 4

    def again(self) -> Scanner:
        """From the start."""
        return Scanner(self._store, self.name, self._codecs, grows=self._grows)

    def more(self) -> list[Frame]:
        """The next whole frames; none at the end of what is there, or before bytes that do not check out (`end`).

        Raises:
            BlobMissing: the segment is not there.
            NewerFormat: a newer version wrote it.
            CorruptSegment: its header is another's, where segments do not grow.
        """
        if self.at:
            data = self._read(self.at)
        else:
            data = self._read(0)
            try:
                self.shape.check_header(data)
            except CorruptSegment:
                if not self._grows:
                    raise
                self.end = End.TORN  # its frames check out by themselves, like those behind any damage
                return []
            self.at = len(self.shape.header)
            data = data[self.at :]
        found = self.shape.decode(data, self.at, self.count)
        if found.end is End.TORN and not found.frames:
            # Perhaps not torn but larger than what was read.
            wants = self.shape.wants(data, self.count)
            if self._grows and wants > len(data):
                found = self.shape.decode(self._store.read(self._text, self.at, self.at + wants), self.at, self.count)
        self.at, self.count, self.end = found.at, found.count, found.end
        return found.frames

    def _read(self, start: int) -> bytes:
        if not self._grows:
            ahead, self._ahead = self._ahead, None
            return self._store.read(self._text, start) if ahead is None else ahead.result()[start:]
        data = self._store.read(self._text, start, start + self._chunk)
        self.drained = len(data) < self._chunk
        if not self.drained:
            self._chunk = min(CHUNK, 2 * self._chunk)
        return data

    def skip(self, count: int) -> tuple[int, bytes, str]:
        """Go on behind bytes that do not check out, in a closed segment of `count` items.

        Returns the position where they begin, those bytes, and why they do not check out (rule 27).
        """
        start = self.at
        data = self._store.read(self._text, start)
        found = self.shape.search(data[1:], self.count)
        if found is None:
            self.count = count
            self.at = start + len(data)
            raw = data
        else:
            self.at = start + 1 + found[0]
            self.count = found[1]
            raw = data[: 1 + found[0]]
        self.end = End.OPEN
        return start, raw, "a frame does not check out" if raw else "the segment ends too early"
