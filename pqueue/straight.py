"""The commonest transitions, on the head as last known and nothing else: one swap, and no look at anything first.

Each gives up, having done nothing, where anything else is to be heeded; `claims` then goes the whole way.
"""

from __future__ import annotations

from pqueue import transitions
from pqueue.errors import DocumentChanged, Landed, SyncFailed
from pqueue.head import CLAIMED, Head, Range, Span
from pqueue.names import HEAD
from pqueue.owing import Owing
from pqueue.parts import Parts
from pqueue.picking import Picker
from pqueue.request import Answer, Lot, Outcome, Request
from pqueue.spans import without
from pqueue.swaps import Swaps

_LOOK = 0.1
"""Seconds for which this way may be gone until others' claims are looked at again, a dead process's say."""

_FEW = 64
"""Ranges with which this way is the shorter one."""

_new = tuple.__new__  # a NamedTuple's own takes twice as long


class Straight:
    """Of one client, one call at a time."""

    def __init__(self, parts: Parts, swaps: Swaps, picker: Picker, owing: Owing) -> None:
        self._store = parts.store
        self._monotonic = parts.runtime.monotonic
        self._winding = swaps.numbered or parts.meta.record_times
        """Whether every request has to go the whole way."""
        self._lends = parts.meta.max_attempts != 1
        self._swaps = swaps
        self._picker = picker
        self._owing = owing
        self.looked = float("-inf")
        """When others' claims were looked at."""

    def take(self, count: int) -> Lot | None:
        """The next items, where nothing is claimed."""
        swaps = self._swaps
        while True:
            head = swaps.head
            if head is None or head.rest.spans or self._owing.taken or swaps.unserved or swaps.numbered:
                return None
            ordinal, offset, rest = head
            items = self._picker.ahead(ordinal, offset, count, count)
            if not items:
                return None
            end = offset + len(items)
            lot = _new(Lot, (_new(Range, (ordinal, offset, end)), items, 1, ()))
            try:
                if self._in_place(_new(Head, (ordinal, end, rest))):
                    return lot
            except (Landed, SyncFailed) as error:
                self._owing.taken.append(Outcome([lot]))
                raise _told(error) from None

    def ask(self, request: Request) -> Outcome | None:
        """Answers for what its claims hold, and lends what is next."""
        if self._winding or request.take or request.extend or request.clear or request.restore:
            return None
        while True:
            planned = self._planned(request)
            if planned is None:
                return None
            new, outcome = planned
            try:
                if self._in_place(new):
                    return outcome
            except (Landed, SyncFailed) as error:
                self._owing.owe(request, outcome)
                raise _told(error) from None

    def acknowledge(self, answer: Answer) -> bool:
        """Whether the range, all of which its claim held, is acknowledged: what `ask` does, for the commonest request."""
        if self._winding or answer.back or answer.bury:
            return False
        while True:
            local = self._monotonic()
            head = self._usable(local)
            if head is None:
                return False
            ordinal, offset, rest = head
            spans = without(rest.spans, answer.claim, answer.where, self._now(local))
            if spans is None or _frees(rest.spans, spans, ordinal):
                return False
            try:
                if self._in_place(_new(Head, (ordinal, offset, rest.having(spans)))):
                    return True
            except (Landed, SyncFailed) as error:
                settled = answer.where.stop - answer.where.start
                self._owing.owe(Request(answers=(answer,)), Outcome(settled=[settled]))
                raise _told(error) from None

    def _in_place(self, new: Head) -> bool:
        """Swap; False where somebody else has.

        Raises:
            Landed, SyncFailed: it is in place, and what it did is owed.
        """
        swaps = self._swaps
        try:
            document = self._store.swap(HEAD, new.dump(), swaps.version, swaps.synced)
        except DocumentChanged:
            swaps.load()
            return False
        except BaseException:
            swaps.head = None
            raise
        swaps.head = new
        swaps.version = document.version
        return True

    def _planned(self, request: Request) -> tuple[Head, Outcome] | None:
        local = self._monotonic()
        head = self._usable(local)
        if head is None:
            return None
        ordinal, offset, rest = head
        now = self._now(local)
        known = spans = rest.spans
        settled = []
        for answer in request.answers:
            left = None if answer.back or answer.bury else without(spans, answer.claim, answer.where, now)
            if left is None:
                return None
            spans = left
            settled.append(answer.where.stop - answer.where.start)
        lots, deadline, wanted = [], 0.0, request.lend
        if wanted:
            if not self._may_lend(spans, now):
                return None
            least = request.least or wanted
            items = self._picker.ahead(ordinal, offset, wanted, least)
            content = len(items) >= least if self._picker.large else len(items) == wanted
            if content or (items and request.ride):
                start, offset = offset, offset + len(items)
                until = transitions.rounded(now, request.lease_ms)
                owner = self._picker.own()
                lent = (ordinal, start, offset, 1, CLAIMED, until, request.claim, owner, 0, "", "")
                spans += (_new(Span, lent),)
                lots.append(_new(Lot, (_new(Range, (ordinal, start, offset)), items, 1, ())))
                deadline = self._swaps.deadline(local, request.lease_ms)
            elif not request.ride:
                return None
        if _frees(known, spans, ordinal):
            return None
        return _new(Head, (ordinal, offset, rest.having(spans))), Outcome(lots, deadline, settled)

    def _usable(self, local: float) -> Head | None:
        """The head as last known, if nothing but it is to be heeded."""
        swaps = self._swaps
        head = swaps.head
        owing = self._owing
        if (
            head is None
            or local - self.looked > _LOOK
            or owing.taken
            or owing.again
            or owing.lent
            or owing.told
            or swaps.unserved
        ):
            return None
        rest = head.rest
        return None if len(rest.spans) > _FEW or rest.boot != swaps.now.boot else head

    def _now(self, local: float) -> int:
        """The store's ms, by what it last told."""
        swaps = self._swaps
        return swaps.now.ms + int((local - swaps.heard) * 1000)

    def _may_lend(self, spans: tuple[Span, ...], now: int) -> bool:
        """Whether nothing comes before what is next."""
        if not self._lends or self._picker.alone.claim:
            return False
        for span in spans:  # noqa: SIM110  # `all` takes three times as long
            if span.state != CLAIMED and span.until <= now:
                return False
        return True


def _frees(old: tuple[Span, ...], new: tuple[Span, ...], ordinal: int) -> bool:
    """Whether segments become free, so that the swap is to be durable."""
    return (new[0].ordinal if new else ordinal) != (old[0].ordinal if old else ordinal)


def _told(error: Landed | SyncFailed) -> BaseException:
    """What the caller is to see: of an interrupt after the effect, the interrupt."""
    return error.__cause__ or error if isinstance(error, Landed) else error
