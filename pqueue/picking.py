"""What can be handed out next: read, decoded, and claimed or taken in a planned head (rules 15, 18)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from pqueue import transitions
from pqueue.abc import Serializer
from pqueue.alone import Alone
from pqueue.cursor import AHEAD, AHEAD_BYTES, Damage, weight
from pqueue.errors import BlobMissing, CorruptSegment, QueueError, SerializationError
from pqueue.head import Head, Range, Span
from pqueue.parts import Parts
from pqueue.reader import Chunk, Missing, Reader
from pqueue.request import ClaimIds, Lot, Outcome, Request, Unread
from pqueue.tail import OPEN

R = TypeVar("R")
I = TypeVar("I")  # noqa: E741

MAX_RANGES = 10_000
CROWDED = 0.75
"""Above so many ranges, or such a part of what a document may have, new claims wait until acknowledgements close gaps: the
head stays bounded."""

FULL = 0.95
"""The part of what a document may have that leaves room for a few changes."""

_FEW = 1000
"""Ranges whose bytes are not worth counting."""

_SOME = 100
"""Ranges that may lie lapsed in a head that is crowded."""


class Grave(NamedTuple):
    """Items to be set aside, as found while planning."""

    where: Range
    reason: str
    error: QueueError | None
    """What whoever would have got them is told; None: their attempts are used up, and that is only logged."""
    raw: bytes
    damaged: bool


class Picker:
    """Of one client, one call at a time."""

    def __init__(self, parts: Parts, serializer: Serializer, reader: Reader, behind: Reader, ids: ClaimIds) -> None:
        """`reader` reads on from `next`; `behind` what was given back."""
        self._view = parts.view
        self._serializer = serializer
        self._limit = parts.meta.max_attempts
        self._owners = parts.store.owners
        self._step_ms = parts.store.clock_step_ms
        self._most = parts.store.document_bytes
        self._reader = reader
        self._behind = behind
        self.alone = Alone(parts.runtime, ids, self._limit)
        self._owner = ""
        self._ordinal = -1
        self._from = 0
        self._items: Sequence[Any] = ()
        self.large = False
        """Whether what is decoded ahead is so large that a claim of many is content with `least`."""

    def own(self) -> str:
        """This client's name as an owner; empty where the store knows none."""
        if not self._owner and self._owners is not None:
            self._owner = self._owners.own()
        return self._owner

    # -- straight on --------------------------------------------------------------------------------------------------

    def ahead(self, ordinal: int, offset: int, count: int, least: int) -> Sequence[Any]:
        """So many items from `next` on, decoded ahead, or `least` of them if they are `large`.

        Fewer, or none, where anything else is to be heeded.
        """
        at = offset - self._from
        if ordinal != self._ordinal or not 0 <= at <= len(self._items) - (least if self.large else count):
            if not self._decode_ahead(ordinal, offset, count, least):
                return ()
            at = 0
        items = self._items
        if not at and len(items) <= count:  # given away as they are; a swap that is lost has them decoded again
            self._items = ()
            return items
        return items[at : at + count]

    def _decode_ahead(self, ordinal: int, offset: int, count: int, least: int) -> bool:
        """Decode what comes at `next`, all but a closed segment's last item: taking that one moves `next` on."""
        try:
            chunk = self._reader.chunk(ordinal, offset, max(AHEAD, count), least=least)
            if chunk is None or chunk.where.ordinal != ordinal or chunk.where.start != offset:
                return False
            entry = self._view.entry(ordinal)
            last = entry is None or (entry.count != OPEN and chunk.where.stop == entry.end)
            items = _loaded(self._serializer.loads_many, chunk.records[:-1] if last else chunk.records)
        except (Damage, BlobMissing, SerializationError):
            return False  # met again, and told, on the way that can do something about it
        self._ordinal, self._from, self._items = ordinal, offset, items
        # Where segments do not grow it is dearer to claim again than to have all of them in memory.
        bounded = self._view.tail.grows and least < count
        self.large = bounded and weight(chunk.records) >= AHEAD_BYTES // 2
        return bool(items)

    # -- whatever there is --------------------------------------------------------------------------------------------

    def pick(
        self, head: Head, request: Request, outcome: Outcome, now_ms: int, wanted: int
    ) -> tuple[Head, Grave | None]:
        """Claim or take up to `wanted` items, what was given back first; stops before what can't be read."""
        left = wanted
        for span in self._places(head, request, now_ms, wanted):
            attempts = 0 if span is None else span.attempts
            if self._limit is not None:
                if request.ride and attempts >= self._limit - 1:
                    return self.stepped(head), None
                if span is not None and attempts >= self._limit:
                    return self.stepped(head), Grave(Range(*span[:3]), "attempts", None, b"", damaged=False)
                if span is not None and self.alone.crowded_out(head, span, request):
                    return self.stepped(head), None
            if request.lend:
                # An item that was claimed before is claimed with fewer neighbours each time, at last alone (rule 18).
                most = transitions.allowance(wanted, attempts, self._limit)
                left = min(left, most - sum(len(lot.items) for lot in outcome.lots))
            head, left, grave = self._from_place(head, span, request, outcome, now_ms, left)
            if grave is not None:
                return head, None if request.ride else grave
        return self.stepped(head), None

    def _places(self, head: Head, request: Request, now_ms: int, wanted: int) -> Sequence[Span | None]:
        """What there is to claim, in order; None is what is new."""
        if self.alone.kept(head, request):
            return ()
        spans = list(islice(transitions.ready(head, now_ms), 64))
        if not request.take and _crowded(head, self._most):
            return spans  # what is new would add a range
        if not self._by_place(request):
            self._reader.read_ahead(head.ordinal, head.offset, wanted - sum(span.size for span in spans))
        return [*spans, None]

    def _by_place(self, request: Request) -> bool:
        """Whether what is new is claimed by its place alone: of a closed segment it is known how many items it has.

        Several consumers that read before they swap all read everything, and each hands out a part of it.
        """
        return not (request.take or self._view.tail.grows)

    def _from_place(
        self, head: Head, span: Span | None, request: Request, outcome: Outcome, now_ms: int, left: int
    ) -> tuple[Head, int, Grave | None]:
        """Up to `left` items of what was given back, or (None) from `next` on; how many are still wanted."""
        ordinal, offset = (head.ordinal, head.offset) if span is None else (span.ordinal, span.start)
        reach = self._reader.reach(ordinal)
        if span is None and self._by_place(request):
            return *self._placed(head, request, outcome, now_ms, left), None
        while left > 0 and (span is None or offset < span.stop):
            try:
                least = max(1, request.least - outcome.lent) if request.least else left
                chunk, grave = self._read(head, span, (ordinal, offset), left, least, reach if outcome.lots else None)
            except BlobMissing:
                if not outcome.lots:
                    raise
                # What lies before it is handed out first: it is met again, and set aside, by itself.
                return head, 0, None
            if grave is not None:
                return head, left, grave
            if chunk is None:
                break
            items, bad = self.decoded(chunk.where, chunk.records)
            if items:
                where = chunk.where._replace(stop=chunk.where.start + len(items))
                attempts = 1 if span is None else span.attempts + 1
                outcome.lots.append(Lot(where, items, attempts, chunk.times[: len(items)]))
                head = self._granted(head, where, request, now_ms)
                left -= len(items)
                ordinal, offset = where.ordinal, where.stop
                if request.least:
                    outcome.weight += weight(chunk.records)
                    left = 0 if outcome.weight >= AHEAD_BYTES and outcome.lent >= request.least else left
            if bad is not None:
                return self.stepped(head), left, bad
        return head, left, None

    def _placed(self, head: Head, request: Request, outcome: Outcome, now_ms: int, left: int) -> tuple[Head, int]:
        """Up to `left` items from `next` on, to be read once the swap is in place; how many are still wanted."""
        ordinal, offset = head.ordinal, head.offset
        reach = self._reader.reach(ordinal)
        while left > 0 and (reach is None or ordinal < reach):
            entry = self._view.entry(ordinal)
            if entry is None:
                if outcome.lots or not self._view.load():
                    break
                continue
            if offset < entry.end:
                start = max(offset, entry.base)
                where = Range(ordinal, start, min(entry.end, start + left))
                outcome.lots.append(Lot(where, Unread(where.stop - start)))
                head = self._granted(head, where, request, now_ms)
                left -= where.stop - start
                offset = where.stop
            ordinal += 1
        return head, left

    def _granted(self, head: Head, where: Range, request: Request, now_ms: int) -> Head:
        if not request.lend:
            return transitions.taken(head, where)
        until = transitions.rounded(now_ms + self._step_ms, request.lease_ms)
        return transitions.claimed(head, where, request.claim, self.own(), until)

    def _read(
        self, head: Head, span: Span | None, place: tuple[int, int], most: int, least: int, before: int | None
    ) -> tuple[Chunk | None, Grave | None]:
        """Records, or what is to be buried instead; neither: there is nothing there now; see `Reader.chunk`.

        Raises:
            Missing, BlobMissing: the segment is not there.
        """
        ordinal, offset = place
        if span is None:
            try:
                return self._reader.chunk(ordinal, offset, most, before, least), None
            except Damage as damage:
                return None, _damaged(damage, damage.where)
        try:
            chunk = self._behind.chunk(ordinal, offset, min(most, span.stop - offset), least=least)
        except Missing as missing:
            if missing.where is not None:
                missing.where = _within(missing.where, span, head)
            raise
        except Damage as damage:
            return None, _damaged(damage, _within(damage.where, span, head))
        if chunk is not None and chunk.where.ordinal != span.ordinal:
            gone = CorruptSegment(f"the items at offsets {offset} to {span.stop - 1} were lost in a power cut")
            return None, Grave(Range(span.ordinal, offset, span.stop), "lost", gone, b"", damaged=False)
        return chunk, None

    def stepped(self, head: Head) -> Head:
        """With `next` behind a closed segment moved to the next one, which is the same place (rule 24)."""
        entry = self._view.entry(head.ordinal) if head.ordinal < self._view.tail.next else None
        if entry is not None and entry.count != OPEN and head.offset == entry.end:
            return transitions.stepped(head, head.ordinal + 1, head.offset)
        return head

    def decoded(self, where: Range, records: Sequence[bytes]) -> tuple[Sequence[Any], Grave | None]:
        """The items, up to the first that can't be read."""
        try:
            if len(records) > 1:
                return _loaded(self._serializer.loads_many, records), None
        except SerializationError:
            pass  # found and told below, by its place
        items = []
        for offset, record in enumerate(records, where.start):
            try:
                items.append(_loaded(self._serializer.loads, record))
            except SerializationError as error:
                told = SerializationError(
                    f"the item at offset {offset} can't be read and was set aside as a dead letter: {error}"
                )
                told.__cause__ = error
                bad = Range(where.ordinal, offset, offset + 1)
                return items, Grave(bad, "unreadable", told, record, damaged=False)
        return items, None


def _within(trouble: Range, span: Span, head: Head) -> Range:
    """What of it is met in this span: with what is new right behind it, so that it is set aside, and told, once."""
    if (span.ordinal, span.stop) == (head.ordinal, head.offset):
        return trouble
    return trouble._replace(stop=min(trouble.stop, span.stop))


def _loaded(load: Callable[[R], I], what: R) -> I:
    """What a serializer makes of it.

    An error that does not come twice is not the record's: a signal's handler has raised it, say a time limit, and that
    is passed on.
    """
    try:
        return load(what)
    except SerializationError as error:
        once = error.__cause__ or error
    load(what)
    raise once


def _damaged(damage: Damage, where: Range) -> Grave:
    return Grave(where, "damaged", CorruptSegment(str(damage)), damage.raw, damaged=True)


def lapsing(head: Head, most: int) -> int | None:
    """How many ranges of claims that are over may lie there lapsed; None: any number. `most`: a document's bytes.

    Given back, a range takes more bytes than it did in its claim, and the swaps that take them are to have room.
    """
    size = len(head.rest.said[2]) if len(head.rest.spans) > _FEW else 0
    return None if size <= CROWDED * most else _SOME if size <= FULL * most else 1


def _crowded(head: Head, most: int) -> bool:
    ranges = len(head.rest.spans)
    return ranges >= MAX_RANGES or (ranges > _FEW and len(head.rest.said[2]) > CROWDED * most)
