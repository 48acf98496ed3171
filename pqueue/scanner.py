"""The frames of one segment, read from its start on."""

from __future__ import annotations

from collections.abc import Sequence

from pqueue.abc import Codec, SegmentStore
from pqueue.errors import CorruptSegment
from pqueue.frames import FRAME, Decoded, End, Frame, Shape
from pqueue.names import Name
from pqueue.runtime import Task

CHUNK = 1 << 18
"""Bytes read at once, at most, of a segment that grows: so many stay in a processor's cache until they are unpacked. Any other
segment is read whole."""

_FIRST = 1 << 16
"""… and of the first read."""

_MANY = 500
"""Items in frames of their own that are enough for one read: they are what takes long to decode."""

_GLANCE = 64
"""Items decoded at once behind what others have consumed: of many most would be theirs, too."""

_GLANCES = 8
"""How often so few, while nothing more is seen of others."""


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
        self._glances = 0
        self._store = store
        self._text = str(name)
        self._codecs = codecs
        self._grows = grows
        self._chunk = _FIRST
        self._few = _FIRST
        """Bytes of a few items, as they have been so far."""
        self._vain = -1, -1
        """From where to where there is no frame that checks out."""

    def again(self) -> Scanner:
        """From the start."""
        return Scanner(self._store, self.name, self._codecs, grows=self._grows)

    def more(self, item: int = 0) -> list[Frame]:
        """The next whole frames; none at the end of what is there, or before bytes that do not check out (`end`).

        Args:
            item: what comes before it is not wanted: of that some is left out, most of the time.

        Raises:
            BlobMissing: the segment is not there.
            NewerFormat: a newer version wrote it.
            CorruptSegment: its header is another's, where segments do not grow.
        """
        behind = item > self.count and self._grows
        if self.at:
            data = self._read(self.at, behind=behind)
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
        if behind:
            data = self._leapt(data, item)
        found = self.shape.decode(data, self.at, self.count)
        if found.end is End.TORN and not found.frames:
            # Perhaps not torn but larger than what was read.
            wants = self.shape.wants(data, self.count)
            if self._grows and wants > len(data):
                found = self.shape.decode(self._store.read(self._text, self.at, self.at + wants), self.at, self.count)
        if not self.drained:
            self._pace(found)
        self.at, self.count, self.end = found.at, found.count, found.end
        return found.frames

    def _read(self, start: int, *, behind: bool = False) -> bytes:
        if not self._grows:
            ahead, self._ahead = self._ahead, None
            return self._store.read(self._text, start) if ahead is None else ahead.result()[start:]
        if self._glances:
            self._glances -= 1
        chunk = self._few if self.shared and not behind else self._chunk
        data = self._store.read(self._text, start, start + chunk)
        self.drained = len(data) < chunk
        return data

    def _pace(self, found: Decoded) -> None:
        """Learn from these how much to read."""
        items, size = found.count - self.count, found.at - self.at
        singles = sum(len(frame.run) for frame in found.frames)
        if items:
            a_frame = size // items if singles else size // len(found.frames)
            self._few = max(min(_FIRST, _GLANCE * size // items), FRAME + 2 * a_frame)
        if not self.shared and singles < _MANY:
            self._chunk = min(CHUNK, 2 * self._chunk)

    def _leapt(self, data: bytes, item: int) -> bytes:
        """Go on at the frame that holds the item, or as near as one comes in this data; a little from there on."""
        skipped, count = self.shape.leap(data, self.count, item)
        if not skipped:
            return data
        self.at, self.count = self.at + skipped, count
        rest = data[skipped:]
        little = max(self._few, self.shape.wants(rest, count))
        if len(rest) > little:
            self.drained = False
        self.share()
        return rest[:little]

    @property
    def shared(self) -> bool:
        """Whether others consume from it, as far as can be seen: little is worth decoding ahead."""
        return self._glances > 0

    def share(self) -> None:
        """Others were seen to consume from it, too."""
        self._glances = _GLANCES

    def hop(self) -> bool:
        """Go on at the next frame that checks out behind bytes that do not (rule 27); False where there is none.

        For whoever counts, again and again: the same bytes are searched once, and those of a write under way not at all.
        """
        if self._vain[0] == self.at and not self._reaches_beyond(self._vain[1]):
            return False
        data = self._store.read(self._text, self.at)
        end = self.at + len(data)
        if self.shape.wants(data, self.count) > len(data) and self._reaches_beyond(end):
            return False
        if self._hopped(data):
            return True
        self._vain = self.at, end
        return False

    def _reaches_beyond(self, end: int) -> bool:
        return bool(self._store.read(self._text, end, end + 1))

    def _hopped(self, data: bytes) -> bool:
        found = self.shape.search(data[1:], self.count)
        if found is None:
            return False
        self.at += 1 + found[0]
        self.count = found[1]
        self.end = End.OPEN
        return True

    def skip(self, count: int) -> tuple[int, bytes, str]:
        """Go on behind bytes that do not check out, in a closed segment of `count` items.

        Returns the position where they begin, those bytes, and why they do not check out (rule 27).
        """
        start = self.at
        data = self._store.read(self._text, start)
        if not self._hopped(data):
            self.count = count
            self.at = start + len(data)
            self.end = End.OPEN
        raw = data[: self.at - start]
        return start, raw, "a frame does not check out" if raw else "the segment ends too early"
