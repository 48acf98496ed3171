"""Producing where the store appends: frames go to the open segment, a roll closes it and opens the next."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import copy
from typing import Literal

from pqueue.abc import Appends, Document, Version
from pqueue.errors import (
    BlobMissing,
    CorruptSegment,
    DocumentChanged,
    Landed,
    PutUncertain,
    SegmentChanged,
    StoreError,
    StoreFull,
    StoreRefused,
    SyncFailed,
)
from pqueue.frames import TORN_END, End, Shape
from pqueue.head import Head
from pqueue.names import HEAD, TAIL, Name, draw_id
from pqueue.parts import Parts
from pqueue.scanner import Scanner
from pqueue.tail import OPEN, Entry, Tail

log = logging.getLogger("pqueue")

_TRIES = 5
"""Of an unanswered swap, beside those of the store's own library."""

_PATIENCE = 4
"""Appends in a row that came too late; the next one is made ready while nobody else can append."""


class _Known:
    """What is known of the segment that is open, or was."""

    __slots__ = ("at", "count", "end", "entry", "floor", "proven", "sealed", "shape", "text", "version")

    def __init__(self, version: Version, entry: Entry | None, shape: Shape | None, floor: int) -> None:
        self.version = version
        """The tail's that lists it."""
        self.entry = entry
        self.shape = shape
        """None where nothing can be appended."""
        self.text = str(entry.name) if entry else ""
        self.at = 0
        """Where the next append goes, in bytes: the end of whole frames (rule 22)."""
        self.count = max(entry.count, 0) if entry else 0
        self.sealed = shape is None
        """Nothing is appended any more: a seal, or torn bytes seen under the lock (rule 23)."""
        self.end = 0
        """Where damage was seen: how long the segment is. A writer that knows that end sees no damage, only a seal."""
        self.floor = floor
        """No new offset may lie below it: the head as it was before the segment was read (rule 26)."""
        self.proven = False
        """Whether this object has appended to it and seen nothing that speaks against doing so again, but for its size."""

    @property
    def behind(self) -> bool:
        """Whether the head is ahead of it: its end was lost in a power cut, so it is never appended to (rule 26)."""
        return self.entry is not None and self.floor > self.entry.base + self.count


class _Insisting:
    """A commit that came too late again and again: what it appends is made while nobody else can append.

    Else those with little to write would keep one with much from ever writing it.
    """

    def __init__(self, growing: Growing, known: _Known, records: Sequence[bytes]) -> None:
        self.known = copy(known)
        self.end = self.count = 0
        """Of what was appended instead, if it was."""
        self._growing = growing
        self._records = records

    def __call__(self, behind: bytes) -> tuple[bytes, bytes] | None:
        made = self._growing.made_behind(self.known, behind, self._records)
        if made is not None:
            self.count = self.known.count + len(self._records)
            self.end = self.known.at + len(made[0])
        return made


class _Closing:
    """A seal that comes too late goes behind what came before it: else a segment would stay open as long as others append."""

    def __init__(self, shape: Shape, end: int, count: int) -> None:
        self.count = count
        """Items that it closes."""
        self._shape = shape
        self._end = end

    def __call__(self, behind: bytes) -> tuple[bytes, bytes] | None:
        found = self._shape.decode(behind, self._end, self.count)
        if found.end is not End.OPEN:
            return None
        self.count = found.count
        return self._shape.seal(found.count), b""


class Growing:
    """One writer of a queue whose segments grow. Not thread-safe: one commit at a time."""

    parallel = waves = 1

    def __init__(self, parts: Parts, appends: Appends) -> None:
        self._parts = parts
        self._store = parts.store
        self._appends = appends
        self._view = parts.view
        self._known: _Known | None = None
        self._writer = ""
        meta = parts.meta
        self._items = meta.segment_items
        self._bytes = meta.segment_bytes
        self._synced = meta.durability == "synced"
        self._timed = meta.record_times

    def forget(self) -> None:
        """In a forked child: a new writer that knows nothing (rule 31)."""
        self._known = None
        self._writer = ""

    def commit(self, records: Sequence[bytes]) -> Literal[True]:
        """Make the records the log's next items, all or none, as durable as the queue promises; True once they are.

        Raises:
            StoreFull, StoreError: they are not in the log, and never will be.
            PutUncertain: they may be.
            Landed: interrupted, but they are.
        """
        lost = 0
        while True:
            known = self._known
            if known is None or not known.proven or known.count >= self._items or known.at >= self._bytes:
                known = self._fitting()
            if self._append(known, records, lost):
                return True
            lost += 1

    def _fitting(self) -> _Known:
        """The open segment, once something can be appended to it."""
        while True:
            known = self._known or self._learn()
            if known.shape is not None and not known.at:
                self._known = None
                self._judge(known)
                if not known.sealed:
                    continue
            if self._fits(known):
                return known
            self._roll(known)

    def _fits(self, known: _Known) -> bool:
        return not (
            known.shape is None
            or known.sealed
            or known.count >= self._items
            or known.at >= self._bytes
            or (known.floor and known.behind)
        )

    def _append(self, known: _Known, records: Sequence[bytes], lost: int) -> bool:
        """Whether they are in; False where the segment has another end, or is not there, which is known now."""
        shape = known.shape
        assert shape is not None
        count = known.count
        frame = shape.frame(records, count, self._parts.runtime.wall_ms() if self._timed else None)
        count += len(records)
        end = known.at + len(frame)
        seal = shape.seal(count) if self._synced else b""
        insists = None if lost < _PATIENCE else _Insisting(self, known, records)
        self._known = None  # forgotten unless the append is answered (rule 32)
        try:
            self._appends.append(known.text, known.at, frame, self._synced, seal, insists)
        except SegmentChanged as changed:
            self._absorb(known, changed.behind)
        except BlobMissing:
            self._missing(known)
        except (StoreFull, StoreRefused):
            raise
        except SyncFailed as error:
            raise PutUncertain(
                "the disk did not confirm the write: the items can be read now and may be gone after a power cut"
            ) from error
        except StoreError as error:
            if self._store.always_answers:
                raise
            # Equal bytes found later would prove nothing (rule 32).
            raise PutUncertain("the store did not answer: the items may be in the queue, or not") from error
        else:
            if insists is not None and insists.end:  # no call from here on, so no interrupt
                known, end, count = insists.known, insists.end, insists.count
            known.at = end
            known.count = count
            known.proven = True
            self._known = known
            return True
        return False

    def made_behind(self, known: _Known, behind: bytes, records: Sequence[bytes]) -> tuple[bytes, bytes] | None:
        """The records' frame for behind these bytes, which `known` learns, and the seal behind that; None where it does not fit."""
        self._absorb(known, behind)
        self._known = None
        if not self._fits(known):
            return None
        shape, count = known.shape, known.count
        assert shape is not None
        frame = shape.frame(records, count, self._parts.runtime.wall_ms() if self._timed else None)
        return frame, shape.seal(count + len(records)) if self._synced else b""

    def mend(self) -> None:
        """Close the open segment if it ends in bytes that do not check out, so that readers get what is behind them."""
        known = self._learn()
        if known.shape is None or known.sealed:
            return
        self._judge(known)
        if known.sealed:
            self._roll(known)

    def _judge(self, known: _Known) -> None:
        """Learn, under its lock, what the open segment ends in, or begins with where its header is damaged."""
        try:
            self._appends.append(known.text, known.at, b"", sync=False, seal=b"")
        except SegmentChanged as changed:
            self._absorb(known, changed.behind)
        except BlobMissing:
            self._missing(known)
        else:
            known.sealed = not known.at  # not even a header is left

    def _absorb(self, known: _Known, behind: bytes) -> None:
        """Learn from the bytes behind `at`, which were read under the segment's lock (rule 22)."""
        assert known.shape is not None
        if not behind:
            return  # shorter than known: learn it anew
        end = known.at + len(behind)
        found = known.shape.decode(behind, known.at, known.count)
        known.at, known.count = found.at, found.count
        if found.end is End.TORN:
            # What checks out behind the damage counts, and with it what the damage took: readers report that and go on.
            # So does a frame whose sync failed, which the kernel has dropped since, but the seal behind it tells (rule 25).
            known.count = known.shape.beyond(behind, known.count)
            known.end = end
            if known.count == found.count:
                log.warning(TORN_END, known.text, end - found.at)
        # Torn bytes seen under the lock are no write under way: they close the segment as a seal does (rule 23).
        known.sealed = found.end is not End.OPEN
        known.proven = known.proven and not known.sealed
        self._known = known

    def _learn(self) -> _Known:
        """Find the end of the log."""
        while True:
            floor = 0
            if self._store.cut_loses_end:
                # The head first: what it has passed is in a segment that is read later, unless a power cut took it.
                document = self._store.load(HEAD)
                if isinstance(document, Document):
                    floor = Head.parse(document.data).floor
            self._view.load()
            state = self._view.state
            entry = state.tail.last
            if entry is None or entry.count != OPEN:
                self._known = _Known(state.version, entry, None, floor)
                return self._known
            scanner = Scanner(self._store, entry.name, self._parts.codecs, grows=True)
            known = _Known(state.version, entry, scanner.shape, floor)
            try:
                while scanner.end is not End.SEALED and scanner.more():
                    pass
            except BlobMissing:
                self._missing(known)
                continue
            except CorruptSegment as error:
                raise CorruptSegment(f"the open segment {entry.name} can't be read: {error}") from error
            # Torn bytes may be a write under way here; the next append learns what they are, under the lock (rule 23).
            known.at, known.count, known.sealed = scanner.at, scanner.count, scanner.end is End.SEALED
            self._known = known
            return known

    def _missing(self, known: _Known) -> None:
        """The open segment is not there: rolled and consumed meanwhile, or lost (rule 29)."""
        self._view.load()
        if self._view.state.version == known.version:
            raise CorruptSegment(
                f"the open segment {known.text} is missing from the store: restore it, or start a new queue"
            )

    def _roll(self, known: _Known) -> None:
        """Close the open segment and list a new one behind it; on return, learn again."""
        self._known = None
        self._view.load()
        state = self._view.state
        if state.version != known.version:
            return  # somebody else did
        if known.shape is not None and (not known.sealed or known.end):
            end = known.end or known.at
            closes = _Closing(known.shape, end, known.count)
            try:
                self._appends.append(known.text, end, known.shape.seal(known.count), False, b"", closes)
                known.count = closes.count
            except Landed as landed:
                raise landed.__cause__ or landed from None  # the seal has landed, not the records
            except SegmentChanged as changed:
                if not known.end:
                    self._absorb(known, changed.behind)
                return  # learned anew
            except BlobMissing:
                self._missing(known)
                return
        tail = state.tail
        if not self._writer or tail.writers.next(self._writer) is None:
            self._writer = draw_id(self._parts.runtime, state.now.ms, tail.barred_up_to(state.now.boot))
        number = tail.writers.next(self._writer)
        assert number is not None, "a new id is born after the horizon"
        name = Name(tail.next, tail.queue, self._writer, number, 0)
        self._store.write(str(name), Shape(name, self._parts.codecs).header)
        page = tail.cut()
        if page is not None:
            self._store.write(page[0], page[1])  # before the swap that drops its entries (rule 8)
            tail = page[2]
        new = tail.rolled(known.count, name, known.floor, state.now.boot, state.now.ms)
        if not self._swap(new, state.version, name):
            self._store.delete([str(name)])  # rule 24: append to the winner's instead

    def _swap(self, new: Tail, version: Version, name: Name) -> bool:
        """Whether the new tail is in place; False where somebody else's is."""
        data = new.dump()
        for _ in range(_TRIES):
            try:
                document = self._store.swap(TAIL, data, version, sync=True)
            except Landed as landed:
                assert isinstance(landed.result, Document)
                self._view.take(new, landed.result)
                raise landed.__cause__ or landed from None
            except DocumentChanged:
                self._view.load()
                if self._view.state.version != version:
                    return self._view.tail.writers.applied(name.writer, name.number)  # rule 4
                # Refused for another write under way, which may be this very one, and land yet (H9).
                self._parts.runtime.sleep(self._parts.runtime.random.uniform(0.01, 0.05))
                continue
            except SyncFailed:
                raise  # it is in place: what it lists stays
            except StoreError:
                if self._store.always_answers:
                    self._store.delete([str(name)])
                    raise
                self._parts.runtime.sleep(self._parts.runtime.random.uniform(0.01, 0.05))
                self._view.load()
                if self._view.state.version != version:
                    return self._view.tail.writers.applied(name.writer, name.number)  # rule 4
                continue  # the same bytes on the same version: it may be in yet
            self._view.take(new, document)
            return True
        # Nothing of a put was sent. Should the swap land later, it lists an empty segment, which serves anybody.
        raise StoreError("the store did not answer, the items were not put: try again")
