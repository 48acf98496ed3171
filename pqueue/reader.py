"""Offsets to records: follows the tail's entries, reads segments, keeps decoded records ahead."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from pqueue.abc import Codec, SegmentStore
from pqueue.errors import BlobMissing, CorruptSegment
from pqueue.frames import TORN_END, End, Frame, Records
from pqueue.head import Range
from pqueue.names import Name
from pqueue.runtime import Runtime, Task
from pqueue.scanner import CHUNK, Scanner
from pqueue.tail import OPEN, Entry
from pqueue.view import View

log = logging.getLogger("pqueue")

AHEAD = 1000
"""Records kept decoded ahead of what was asked for …"""

AHEAD_BYTES = CHUNK
"""… and their bytes: more are in no cache when it is their turn, and a few large ones would fill the memory."""

_new = tuple.__new__  # a NamedTuple's own takes twice as long

SEGMENTS = 16
"""That a reader is in the middle of, where it goes back and forth, or reads several at a time."""

_STALLS = 1.0
"""Seconds: a write that has not ended for so long did not end, most likely."""

_AHEAD_SEGMENTS = 2
"""… where it only goes on: the last one, since a swap that is lost may go back to it."""

_FAR = 1 << 63

PARALLEL = 8
"""Segments read at a time, where each is one request: 20, 75 and 150 a second with one, four and eight at 25 ms."""


class Chunk(NamedTuple):
    """Records of one segment, the first of which has the offset `where.start`."""

    where: Range
    records: Sequence[bytes]
    times: Sequence[int] = ()
    """When each was committed, in ms since the epoch, where the queue records it."""


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


class Missing(BlobMissing):
    """A listed segment is not there: consumed meanwhile, or lost (rule 12)."""

    def __init__(self, text: str, where: Range | None) -> None:
        super().__init__(text)
        self.where = where
        """What was asked for of it, up to its end; None of an open one."""


class _Cursor:
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


class Reader:
    """Reads a queue's records by place."""

    def __init__(
        self,
        store: SegmentStore,
        view: View,
        codecs: Sequence[Codec],
        runtime: Runtime,
        mend: Callable[[], None],
        segments: int = _AHEAD_SEGMENTS,
    ) -> None:
        """`segments` that grow: so many it is in the middle of, at most."""
        self._store = store
        self._segments = segments if view.tail.grows else SEGMENTS
        self._runtime = runtime
        self._mend = mend
        self._torn: tuple[Name | int | str, ...] | None = None
        self._tells = float("inf")
        """When that is to be told."""
        self._view = view
        self._codecs = codecs
        self._cursors: dict[int, _Cursor] = {}
        self._reads: dict[int, Task[bytes]] = {}
        self._ending: Scanner | None = None

    def chunk(
        self, ordinal: int, offset: int, wanted: int, before: int | None = None, least: int | None = None
    ) -> Chunk | None:
        """At most `wanted` records of one segment from this place on, at least one; None where the log ends for now.

        As many as `least` (None: all that are wanted), if the segment has them; more where that is worth while.

        The place may be a segment's end, which is the same as the next one's start (rule 24). `before`: as if the log
        ended with the segment before this one.

        Raises:
            Damage: the items there can't be read.
            Missing: the segment is not there.
            BlobMissing: the page that lists it is not.
        """
        while before is None or ordinal < before:
            entry = self._view.entry(ordinal)
            if entry is None:
                if self._view.load():
                    continue
                return None
            if entry.count != OPEN and offset >= entry.end:
                # Not more than a claim may go back to, when its swap is lost.
                self._cursors.pop(ordinal if self._view.tail.grows else ordinal - PARALLEL, None)
                ordinal += 1
                continue
            offset = max(offset, entry.base)
            # Whatever else lies behind the end that the tail tells is not in the log.
            most = wanted if entry.count == OPEN else min(wanted, entry.end - offset)
            cursor = self._cursor(entry)
            try:
                records = cursor.window(offset - entry.base, most, entry, min(most, least or most))
            except BlobMissing as error:
                where = None if entry.count == OPEN else Range(ordinal, offset, entry.end)
                raise Missing(f"{entry.name} is not there", where) from error
            if records:
                times = cursor.times(offset - entry.base, len(records))
                return _new(Chunk, (_new(Range, (ordinal, offset, offset + len(records))), records, times))
            if entry.count != OPEN:
                return None
            if not self._view.load() and not self._mended(entry):
                return None
        return None

    def reach(self, ordinal: int) -> int | None:
        """The segment before which one claim from this one on stops, so that all it needs is read at once; None: no bound.

        Read one behind another, many small ones take so long that others swap the head each time, and the claim never
        comes about (H2).
        """
        return None if self._view.tail.grows else ordinal + PARALLEL

    def _mended(self, entry: Entry) -> bool:
        """Whether an open segment with records behind damage was closed, so that they can be read; tried once for each."""
        scanner = self._cursor(entry).scanner
        if scanner.end is not End.TORN:
            return False
        data = self._store.read(str(entry.name), scanner.at)
        look = (entry.name, scanner.at, len(data))
        if self._torn == look:
            self._tell_torn()
            return False
        if scanner.shape.decode(data, scanner.at, scanner.count).frames:
            return True  # it is whole by now
        under_way = scanner.shape.wants(data, scanner.count) > len(data)
        if under_way and self._torn != (*look, "grows"):
            self._torn = (*look, "grows")  # a write, most likely: only if it is as it was at the next look
            return False
        self._torn = look
        # A torn end has nothing behind it; looked for once.
        if scanner.shape.beyond(data, scanner.count) > scanner.count:
            self._mend()
            return True
        self._tells = self._runtime.monotonic() + (_STALLS if under_way else 0)
        self._tell_torn()
        return False

    def _tell_torn(self) -> None:
        """Say what the open segment ends in: once, and not while it may be a write that is held up."""
        assert self._torn is not None
        if self._runtime.monotonic() >= self._tells:
            self._tells = float("inf")
            log.warning(TORN_END, self._torn[0], self._torn[2])

    def read_ahead(self, ordinal: int, offset: int, wanted: int) -> None:
        """Begin to read, in parallel, the segments that the next `wanted` items are in, where each is read whole."""
        if self._view.tail.grows:
            return
        for place in [place for place in self._reads if place < ordinal]:
            del self._reads[place]
        for place in [place for place in self._cursors if place < ordinal]:
            del self._cursors[place]
        entries: list[Entry] = []
        while wanted > 0 and len(entries) < PARALLEL and (entry := self._view.entry(ordinal)) is not None:
            if entry.end > offset:
                wanted -= entry.end - max(offset, entry.base)
                entries.append(entry)
            ordinal += 1
        if len(entries) > 1:
            for entry in entries:
                if entry.ordinal not in self._cursors and entry.ordinal not in self._reads:
                    self._reads[entry.ordinal] = self._runtime.start(partial(self._store.read, str(entry.name)))

    def end(self) -> int:
        """The offset behind the last whole frame, the tail having just been loaded: what `len` counts up to."""
        while True:
            last = self._view.tail.last
            if last is None or last.count != OPEN:
                return self._view.tail.end
            try:
                return last.base + self.counted(last)
            except BlobMissing:
                if not self._view.load():  # else it was consumed meanwhile, and is not the last one any more
                    raise

    def counted(self, entry: Entry) -> int:
        """Items of an open segment, up to its last whole frame; those in the middle that are damaged are some of them."""
        scanner = self._ending
        if scanner is None or scanner.name != entry.name:
            scanner = self._ending = self._scanner(entry)
        while scanner.end is not End.SEALED and (scanner.more() or (scanner.end is End.TORN and scanner.hop())):
            pass
        return scanner.count

    def forget(self) -> None:
        """Drop what was read ahead."""
        self._cursors.clear()
        self._reads.clear()

    def _cursor(self, entry: Entry) -> _Cursor:
        cursor = self._cursors.get(entry.ordinal)
        if cursor is None:
            while len(self._cursors) >= self._segments:
                self._cursors.pop(next(iter(self._cursors)))
            cursor = self._cursors[entry.ordinal] = _Cursor(self._scanner(entry))
        return cursor

    def _scanner(self, entry: Entry) -> Scanner:
        read = self._reads.pop(entry.ordinal, None)
        return Scanner(self._store, entry.name, self._codecs, grows=self._view.tail.grows, read=read)
