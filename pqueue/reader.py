"""Offsets to records: follows the tail's entries, a cursor in each segment that it is in the middle of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from pqueue.abc import Codec, SegmentStore
from pqueue.cursor import Cursor
from pqueue.errors import BlobMissing, StoreError
from pqueue.frames import TORN_END, End
from pqueue.head import Range
from pqueue.names import Name
from pqueue.runtime import Runtime, Task
from pqueue.scanner import Scanner
from pqueue.tail import OPEN, Entry
from pqueue.view import View

log = logging.getLogger("pqueue")

_new = tuple.__new__  # a NamedTuple's own takes twice as long

SEGMENTS = 16
"""That a reader is in the middle of, where it goes back and forth, or reads several at a time."""

_AHEAD_SEGMENTS = 2
"""… where it only goes on: the last one, since a swap that is lost may go back to it."""

_STALLS = 1.0
"""Seconds: a write that has not ended for so long did not end, most likely."""

PARALLEL = 8
"""Segments read at a time, where each is one request: 20, 75 and 150 a second with one, four and eight at 25 ms."""


class Chunk(NamedTuple):
    """Records of one segment, the first of which has the offset `where.start`."""

    where: Range
    records: Sequence[bytes]
    times: Sequence[int] = ()
    """When each was committed, in ms since the epoch, where the queue records it."""


class _Look(NamedTuple):
    """Bytes that do not check out, from `at` to the end of an open segment."""

    name: Name
    at: int
    size: int
    grows: bool = False
    """Whether they may be a write under way."""


class Missing(BlobMissing):
    """A listed segment is not there: consumed meanwhile, or lost (rule 12)."""

    def __init__(self, text: str, where: Range | None) -> None:
        super().__init__(text)
        self.where = where
        """What was asked for of it, up to its end; None of an open one."""


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
        self._torn: _Look | None = None
        self._tells = float("inf")
        """When that is to be told."""
        self._view = view
        self._codecs = codecs
        self._cursors: dict[int, Cursor] = {}
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
        look = _Look(entry.name, scanner.at, len(data))
        if self._torn == look:
            self._tell(look)
            return False
        if scanner.shape.decode(data, scanner.at, scanner.count).frames:
            return True  # it is whole by now
        under_way = scanner.shape.wants(data, scanner.count) > len(data)
        if under_way and self._torn != look._replace(grows=True):
            self._torn = look._replace(grows=True)  # a write, most likely: only if it is as it was at the next look
            return False
        self._torn, self._tells = look, float("inf")
        # A torn end has nothing behind it; looked for once.
        if scanner.shape.beyond(data, scanner.count) > scanner.count:
            self._mend()
            return True
        self._tells = self._runtime.monotonic() + (_STALLS if under_way else 0)
        self._tell(look)
        return False

    def _tell(self, look: _Look) -> None:
        """Say what the open segment ends in: once, and not while it may be a write that is held up."""
        if self._runtime.monotonic() >= self._tells:
            self._tells = float("inf")
            log.warning(TORN_END, look.name, look.size)

    def close(self) -> None:
        """Say what waits to be told, if it is as it was: nobody looks again."""
        look = self._torn
        if look is None or self._tells == float("inf"):
            return
        try:
            size = len(self._store.read(str(look.name), look.at))
        except BlobMissing:  # consumed since
            return
        except StoreError as error:
            log.debug("%s could not be looked at once more: %s", look.name, error)
            size = look.size
        if size == look.size:
            self._tells = 0.0
            self._tell(look)

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

    def _cursor(self, entry: Entry) -> Cursor:
        cursor = self._cursors.get(entry.ordinal)
        if cursor is None:
            while len(self._cursors) >= self._segments:
                self._cursors.pop(next(iter(self._cursors)))
            cursor = self._cursors[entry.ordinal] = Cursor(self._scanner(entry))
        return cursor

    def _scanner(self, entry: Entry) -> Scanner:
        read = self._reads.pop(entry.ordinal, None)
        return Scanner(self._store, entry.name, self._codecs, grows=self._view.tail.grows, read=read)
