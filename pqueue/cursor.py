"""A window of records in one segment, moving forward: what is kept decoded ahead of who reads."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

from pqueue.errors import CorruptSegment
from pqueue.frames import Frame, Records
from pqueue.head import Range
from pqueue.names import Name
from pqueue.scanner import CHUNK, Scanner
from pqueue.tail import OPEN, Entry

AHEAD = 1000
"""Records kept decoded ahead of what was asked for …"""

AHEAD_BYTES = CHUNK
"""… and their bytes: more are in no cache when it is their turn, and a few large ones would fill the memory."""

_FAR = 1 << 63


class Damage(Exception):  # a finding of the reader's, told to users as CorruptSegment
    """Items of a closed segment that can't be read."""

    def __init__(self, where: Range, segment: Name, position: int, raw: bytes, why: str) -> None:
        super().__init__(
            f"segment {segment}, position {position}: {why}; the items at offsets {where.start} to {where.stop - 1} "
            f"can't be read and were set aside as dead letters; everything behind them is delivered"
        )
        self.where = where
        self.segment = segment
        self.raw = raw


class Cursor:
    """A window of records in one segment, moving forward; asked for something behind it, it starts again."""

    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self._first = 0
        """The item of the segment that `_records[0]` is."""
        self._records: Sequence[bytes] = ()
        self._passed: tuple[int, Sequence[bytes]] = (0, ())
        """What was in the window before, and its first item: a swap that was lost may go back there."""
        self._frames: deque[Frame] = deque()
        self._marks: list[tuple[int, int]] = []
        """First item and time of the frames that have one."""
        self._gathered = 0
        """Bytes that this window has brought: as they were read, and once more as codecs made them."""
        self._whole = True
        """Whether what is above belongs together: not if an interrupt came between two steps, such as to know a frame's
        records and to be done with the frame; they would be there twice, and all others under wrong offsets."""

    def times(self, item: int, count: int) -> Sequence[int]:
        """When these items were committed; empty where the queue does not record it."""
        marks = self._marks
        if not marks:
            return ()
        first, passed = self._passed
        del marks[: max(0, bisect_right(marks, (first if passed else self._first, _FAR)) - 1)]
        places = (bisect_right(marks, (one, _FAR)) - 1 for one in range(item, item + count))
        return [marks[max(0, place)][1] for place in places]

    def window(self, item: int, wanted: int, entry: Entry, least: int) -> Sequence[bytes]:
        """Records from this item on, at most `wanted`; none where the segment ends for now.

        As many as `least`, if the segment has them; more where that is worth while.

        Raises:
            Damage: the segment is closed, and this item can't be read.
        """
        first, passed = self._passed
        if first <= item < first + len(passed) and item < self._first and self._whole:
            return passed[item - first : item - first + wanted]
        whole, self._whole = self._whole, False
        if item < self._first or not whole:
            self.scanner = self.scanner.again()
            self._first = 0
            self._records, self._passed = (), (0, ())
            self._frames.clear()
            self._marks.clear()
        elif self._records and item >= self._first + len(self._records):
            self._passed = self._first, self._records
            self._first += len(self._records)
            self._records = ()
            if item > self._first:
                self.scanner.share()
        self._gathered = 0
        try:
            while self._first + len(self._records) - item < wanted and self._advance(item, wanted, least, entry):
                if self._suffices(item, least):
                    break
        except Damage:  # and nothing that a signal's handler may raise
            self._whole = True
            raise
        start = item - self._first
        if start and 2 * start >= len(self._records):
            self._passed = self._first, self._records[:start]
            self._records = self._records[start:]
            self._first += start
            start = 0
        self._whole = True
        records = self._records
        if start or len(records) > wanted or isinstance(records, list):
            records = records[start : start + wanted]
        return records if wanted == least else _light(records, least)

    def _suffices(self, item: int, least: int) -> bool:
        """Whether another look is not worth while."""
        there = self._first + len(self._records) - item
        much = self._gathered >= AHEAD_BYTES
        if self._frames:
            return much and there >= least
        scanner = self.scanner
        return (scanner.drained and there > 0) or ((much or scanner.shared) and there >= least)

    def _advance(self, item: int, wanted: int, least: int, entry: Entry) -> bool:
        """Decode more; whether there was more that is worth joining to what is there."""
        if not self._frames:
            more = self._fetch(item, entry)
            if not self._frames:
                return more
        frame = self._frames[0]
        there = self._first + len(self._records) - item
        if there > 0 and not (frame.run and isinstance(self._records, list)):
            large = 2 * frame.count >= wanted > 1 or (there >= least and len(frame.body) >= AHEAD_BYTES)
            if large:
                return False  # it is dearer to cut up than what is left of the last one is to hand out alone
        decoded = 0
        while self._frames and (not decoded or (decoded < AHEAD and self._gathered < AHEAD_BYTES)):
            frame = self._frames[0]
            stop = frame.first + frame.count
            if stop > item:
                try:
                    records, at_ms = self.scanner.shape.opened(frame)
                except CorruptSegment as error:
                    if self._holds(item):
                        return bool(decoded)
                    self._frames.popleft()
                    items = Range(entry.ordinal, frame.first, stop)
                    return self._pass(item, entry, items, (self.scanner.at, bytes(frame.body), str(error)))
                self._gather(records)
                if at_ms is not None:
                    self._marks.append((frame.first, at_ms))
            else:
                self._records = ()
                self._first = stop
            self._frames.popleft()
            decoded += frame.count
        return True

    def _fetch(self, item: int, entry: Entry) -> bool:
        """Scan on; where that brings no frames: whether damage was passed."""
        scanner = self.scanner
        if entry.count != OPEN and scanner.count >= entry.count:
            return False
        at = scanner.at
        try:
            self._frames.extend(scanner.more(item))
        except CorruptSegment as error:
            return self._damaged(item, entry, str(error))
        self._gathered += scanner.at - at
        if self._frames:
            if not self._records:
                self._first = self._frames[0].first  # some may have been left out
            return True
        return entry.count != OPEN and scanner.count < entry.count and self._damaged(item, entry)

    def _gather(self, records: Sequence[bytes]) -> None:
        """Behind what there is: a frame alone stays in one piece."""
        if self.scanner.shape.encodes:
            self._gathered += weight(records)
        if not self._records:
            self._records = records
        elif isinstance(self._records, list):
            self._records.extend(records)
        else:
            self._records = [*self._records, *records]

    def _damaged(self, item: int, entry: Entry, why: str = "") -> bool:
        """Go on behind bytes that do not check out."""
        if entry.count == OPEN:
            raise CorruptSegment(f"segment {entry.name}: {why}")
        if self._holds(item):
            return False
        first = self.scanner.count
        position, raw, reason = self.scanner.skip(entry.count)
        return self._pass(item, entry, Range(entry.ordinal, first, self.scanner.count), (position, raw, why or reason))

    def _holds(self, item: int) -> bool:
        """Whether there are records to hand out first; damage behind them is met again, and told then."""
        return self._first + len(self._records) > item

    def _pass(self, item: int, entry: Entry, items: Range, what: tuple[int, bytes, str]) -> bool:
        self._records = ()
        self._first = items.stop
        if items.stop <= item:
            return True
        position, raw, why = what
        where = Range(entry.ordinal, entry.base + max(items.start, item), entry.base + items.stop)
        raise Damage(where, entry.name, position, raw, why)


def weight(records: Sequence[bytes]) -> int:
    """Bytes of all of them, about."""
    return records.share if isinstance(records, Records) else sum(map(len, records))


def _light(records: Sequence[bytes], least: int) -> Sequence[bytes]:
    """As many of them as it is well to decode at once, `least` or more: some, where they are large."""
    size = weight(records)
    return records if size <= AHEAD_BYTES else records[: max(least, len(records) * AHEAD_BYTES // size)]
