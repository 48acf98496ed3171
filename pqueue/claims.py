"""Consuming: swaps of the head, each of which carries whatever the waiting threads ask for."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count as numbers
from itertools import islice
from typing import Any, NamedTuple

from pqueue import head as transitions
from pqueue.abc import SAME, Document, Serializer, StoreTime, Version
from pqueue.combine import Combiner, Job
from pqueue.errors import (
    AnotherQueue,
    BlobMissing,
    CorruptSegment,
    DocumentChanged,
    Landed,
    NotAQueue,
    QueueError,
    QueueGone,
    SerializationError,
    StoreError,
    SyncFailed,
)
from pqueue.head import Head, Range, Span
from pqueue.letters import written
from pqueue.names import HEAD, dead_name, draw_id
from pqueue.parts import Parts
from pqueue.reader import AHEAD, Damage, Missing, Reader
from pqueue.sweep import Sweeper
from pqueue.tail import OPEN

log = logging.getLogger("pqueue")

MAX_RANGES = 10_000
"""Above so many ranges new claims wait until acknowledgements close gaps: the head stays bounded."""

_TRIES = 4
"""Of an unanswered swap, beside those of the store's own library."""

_LOOK = 0.1
"""Seconds that requests may go the short way until others' claims are looked at again, a dead process's say."""

_FEW = 64
"""Ranges with which the short way is one."""

_BURIAL_MS = 30_000
"""How long a burier has (rule 17)."""

_DEAR = 0.001
"""Seconds above which a swap is worth a pause for the sake of other consumers (H2)."""


class Answer(NamedTuple):
    """What is to become of a range that a claim holds."""

    claim: str
    where: Range
    back: bool = False
    """Given back, instead of acknowledged."""
    delay_ms: int = 0
    counted: bool = True
    bury: str = ""
    """The reason, if it is to become a dead letter (rule 17)."""
    error: str = ""
    """What to say in its dead letter, also of one that is given back after its last attempt."""


@dataclass(slots=True)
class Request:
    """What one caller wants of the next swap."""

    take: int = 0
    """Items to claim and acknowledge at once."""
    lend: int = 0
    """Items to claim."""
    claim: str = ""
    """The id of that claim, drawn once: the same however often the swap is tried (rule 14)."""
    lease_ms: int = 0
    answers: Sequence[Answer] = ()
    extend: Sequence[tuple[str, int]] = ()
    """Claims to be renewed, each for so many ms."""
    clear: bool = False
    """Whether to acknowledge whatever nobody has claimed."""
    ride: bool = False
    """Whether what is lent is only meant to save the next swap: then nothing that is trouble is touched."""


class Lot(NamedTuple):
    """Items of one range, handed out."""

    where: Range
    items: Sequence[Any]
    attempts: int = 1
    """How often they have been claimed, this time included."""
    times: Sequence[int] = ()
    """When each was committed, in ms since the epoch, where the queue records it."""


@dataclass(slots=True)
class Outcome:
    """What a swap did for a request."""

    lots: list[Lot] = field(default_factory=list)
    deadline: float = 0.0
    """On the runtime's clock: nothing lent is to be handed out from then on (rule 16)."""
    settled: list[int] = field(default_factory=list)
    """For each answer, then each extension: how many items the claim still held; then what `clear` acknowledged."""
    error: QueueError | None = None

    @property
    def repeats(self) -> int:
        """Items handed out that had been handed out before."""
        return sum(len(lot.items) for lot in self.lots if lot.attempts > 1)


class _Grave(NamedTuple):
    """Items to be set aside, as found while planning."""

    where: Range
    reason: str
    error: QueueError | None
    """What whoever would have got them is told; None: their attempts are used up, and that is only logged."""
    raw: bytes
    damaged: bool


@dataclass(slots=True)
class _Attempt:
    """A swap, which may have happened unheard."""

    number: int
    version: Version
    data: bytes
    head: Head
    outcomes: list[Outcome]
    requests: list[Request]


def _headless() -> NotAQueue:
    return NotAQueue("the document `head.default` is gone: restore it from a backup; it is never made anew by itself")


class Consumer:
    """The consuming side of one queue object, for any number of threads."""

    def __init__(self, parts: Parts, serializer: Serializer, mend: Callable[[], None]) -> None:
        self._mend = mend
        self._parts = parts
        self._store = parts.store
        self._view = parts.view
        self._runtime = parts.runtime
        self._serializer = serializer
        # Where a swap is always answered nobody need number them (rule 14).
        self._numbered = not parts.store.always_answers
        # Whoever has just heard the next second must not take a lease for shorter than it is (rule 16).
        self._step_ms = parts.store.clock_step_ms
        owners = parts.store.owners
        self._alive: Callable[[str], bool] | None = owners.alive if owners else None
        self._synced = parts.meta.durability == "synced"
        self.forget()

    def forget(self) -> None:
        """In a forked child: a new client with nothing of the parent's (rule 31)."""
        self._combiner: Combiner[Request] = Combiner(self._runtime, self._lead, orphaned=self._owe)
        self._reader = Reader(self._store, self._view, self._parts.codecs, self._runtime, self._mend)
        self._behind = Reader(self._store, self._view, self._parts.codecs, self._runtime, self._mend)
        """Reads what was given back, and dead letters: one that goes back would start its segment again."""
        self._head: Head | None = None
        self._version: Version = 0
        self._now = StoreTime("", 0)
        self._asked = 0.0
        self._heard = 0.0
        self._client = ""
        self._number = -1
        self._open: _Attempt | None = None
        self._looked = float("-inf")
        self._claims = ""
        """What the ids of its claims begin with: chance costs more than all the rest of an id."""
        self._drawn = numbers(1)
        self._owed: deque[Outcome] = deque()
        self._lent: dict[str, Outcome] = {}
        self._decoded_ordinal = -1
        self._decoded_from = 0
        self._decoded: Sequence[Any] = ()
        self._counting = self._runtime.lock()
        self._again: list[Answer] = []
        self._told: dict[Answer, int] = {}
        self._owner = ""
        self.repeated = 0
        """Items handed out by this object that had been handed out before."""
        self.lost = 0
        """Items that this object found to be damaged, or gone in a power cut."""
        self._sweeper = Sweeper(self._parts)
        self._swap_seconds = 0.0
        self._met = False
        self._pause_until = 0.0

    # -- what callers use ---------------------------------------------------------------------------------------------

    def take(self, count: int) -> Sequence[Any]:
        """At most `count` items, claimed and acknowledged in one swap before they are returned (rule 19).

        Raises:
            StoreError: no answer; what was taken, if it was, is handed out by this object's next call.
            CorruptSegment, SerializationError: items that can't be read, set aside as dead letters; told once.
        """
        token = [0]
        try:
            if self._combiner.enter(token):
                items = self._straight(count)
                if items:
                    return items
        finally:
            try:
                self._combiner.leave(token)
            finally:
                if token[0]:  # interrupted
                    self._combiner.leave(token)
        return [item for lot in self.ask(Request(take=count)).lots for item in lot.items]

    def _straight(self, count: int) -> Sequence[Any]:
        """The commonest transition, on the head's binary part alone: take the next items with nothing claimed.

        None where anything else is to be done first, which `ask` does.
        """
        while True:
            head = self._head
            if head is None or head.rest.spans or self._owed or self._numbered:
                return ()
            ordinal, offset, rest = head
            at = offset - self._decoded_from
            if ordinal != self._decoded_ordinal or not 0 <= at <= len(self._decoded) - count:
                if not self._decode_ahead(ordinal, offset, count):
                    return ()
                at = 0
            items = self._decoded[at : at + count]
            new = Head(ordinal, offset + len(items), rest)
            try:
                document = self._store.swap(HEAD, new.dump(), self._version, self._synced)
            except DocumentChanged:
                self._load()
                continue
            except (Landed, SyncFailed) as error:
                self._head = None
                self._owed.append(Outcome([Lot(Range(ordinal, offset, new.offset), items)]))
                raise (error.__cause__ or error if isinstance(error, Landed) else error) from None
            except BaseException:
                self._head = None
                raise
            self._head = new
            self._version = document.version
            return items

    def _decode_ahead(self, ordinal: int, offset: int, count: int) -> bool:
        """Decode what comes at `next`, all but a closed segment's last item: taking that one moves `next` on."""
        try:
            chunk = self._reader.chunk(ordinal, offset, max(AHEAD, count))
            if chunk is None or chunk.where.ordinal != ordinal or chunk.where.start != offset:
                return False
            entry = self._view.entry(ordinal)
            last = entry is None or (entry.count != OPEN and chunk.where.stop == entry.end)
            items = self._serializer.loads_many(chunk.records[:-1] if last else chunk.records)
        except (Damage, BlobMissing, SerializationError):
            return False  # met again, and told, on the way that can do something about it
        self._decoded_ordinal, self._decoded_from, self._decoded = ordinal, offset, items
        return bool(items)

    def ask(self, request: Request) -> Outcome:
        """Have the request carried by a swap."""
        brisk = self._brisk(request)
        if brisk is not None:
            return brisk
        try:
            outcome: Outcome = self._combiner.run(request)
        except Landed as landed:
            if isinstance(landed.result, Outcome):
                self._owe(request, landed.result)
            raise landed.__cause__ or landed from None
        if outcome.error is not None:
            self._owe(request, outcome)
            raise outcome.error
        return outcome

    def _brisk(self, request: Request) -> Outcome | None:
        """The commonest requests with claims, on the head as last known: answer for what holds, lend what is next.

        None where anything else is to be done first, or others' claims were not looked at for a while.
        """
        if self._numbered or request.take or request.extend or request.clear or self._parts.meta.record_times:
            return None
        token = [0]
        try:
            if not self._combiner.enter(token):
                return None
            while True:
                planned = self._planned_briskly(request)
                if planned is None:
                    return None
                new, outcome = planned
                try:
                    document = self._store.swap(HEAD, new.dump(), self._version, self._synced)
                except DocumentChanged:
                    self._load()
                    continue
                except (Landed, SyncFailed) as error:
                    self._head = None
                    self._owe(request, outcome)
                    raise (error.__cause__ or error if isinstance(error, Landed) else error) from None
                except BaseException:
                    self._head = None
                    raise
                self._head = new
                self._version = document.version
                return outcome
        finally:
            try:
                self._combiner.leave(token)
            finally:
                if token[0]:  # interrupted
                    self._combiner.leave(token)

    def _planned_briskly(self, request: Request) -> tuple[Head, Outcome] | None:
        head = self._head
        local = self._runtime.monotonic()
        if head is None or local - self._looked > _LOOK or self._again or self._told or self._lent or self._owed:
            return None
        ordinal, offset, rest = head
        spans = rest.spans
        if len(spans) > _FEW or rest.boot != self._now.boot:
            return None
        now = self._now.ms + int((local - self._heard) * 1000)
        outcome = Outcome()
        for answer in request.answers:
            if answer.back or answer.bury:
                return None
            left = transitions.without(spans, answer.claim, answer.where, now)
            if left is None:
                return None
            spans = left
            outcome.settled.append(answer.where.stop - answer.where.start)
        if request.lend:
            if self._parts.meta.max_attempts == 1:
                return None
            for span in spans:
                if span.state != transitions.CLAIMED and span.until <= now:
                    return None
            at = offset - self._decoded_from
            if ordinal != self._decoded_ordinal or not 0 <= at <= len(self._decoded) - request.lend:
                at = 0 if self._decode_ahead(ordinal, offset, request.lend) else len(self._decoded)
            items = self._decoded[at : at + request.lend]
            if len(items) == request.lend:
                where = Range(ordinal, offset, offset + len(items))
                until = transitions.rounded(now, request.lease_ms)
                lent = Span(*where, 1, transitions.CLAIMED, until, request.claim, self._own())
                spans = (*spans, lent)
                outcome.lots.append(Lot(where, items))
                outcome.deadline = self._deadline(local, request.lease_ms)
                offset = where.stop
            elif not request.ride:
                return None
        if (spans[0].ordinal if spans else ordinal) != head.lowest[0]:
            return None  # it frees segments, and is to be durable
        return Head(ordinal, offset, rest.having(spans)), outcome

    def _owe(self, request: Request, outcome: Outcome) -> None:
        """Carried, and the caller never heard: its next call hands out what was taken or lent, tells what was settled."""
        if len(self._told) > MAX_RANGES:
            self._told.clear()
        # What was settled stays so: a later swap for the same request finds nothing left to settle.
        self._told.update(
            (answer, count) for answer, count in zip(request.answers, outcome.settled, strict=False) if count
        )
        if outcome.lots and request.take:
            self._owed.append(outcome)
        elif outcome.lots:
            self._lent[request.claim] = outcome

    def look(self) -> Head:
        """The head as it is now; nothing is remembered of it, since another thread may be swapping."""
        document = self._store.load(HEAD)
        if not isinstance(document, Document):
            raise _headless()
        return Head.parse(document.data)

    def waiting(self) -> int:
        """Items not acknowledged: head first, then the tail, so an upper bound while others act."""
        head = self.look()
        with self._counting:
            self._view.load()
            end = self._reader.end()
        claimed, back = head.rest.counts
        return max(0, end - head.offset) + claimed + back + self._owing()

    def available(self) -> int:
        """Items that could be handed out now: waiting, or given back and ready; what this object is owed, too."""
        document = self._store.load(HEAD)
        if not isinstance(document, Document):
            raise _headless()
        head = transitions.rebooted(Head.parse(document.data), document.now, self._runtime.wall_ms())
        head = transitions.expired(head, document.now.ms, self._alive)
        back = sum(span.size for span in transitions.ready(head, document.now.ms))
        with self._counting:
            self._view.load()
            end = self._reader.end()
        return max(0, end - head.offset) + back + self._owing()

    def clear(self) -> int:
        """Acknowledge whatever is neither claimed nor on its way to the dead letters; how many items that were."""
        count = self._owing()
        self._owed.clear()
        return count + self.ask(Request(clear=True)).settled[0]

    def _owing(self) -> int:
        return sum(len(lot.items) for outcome in tuple(self._owed) for lot in outcome.lots)

    def close(self) -> None:
        """Wait for deletions under way."""
        self._sweeper.finish()

    def draw_claim(self) -> str:
        """An id for a claim."""
        if not self._claims:
            self._claims = f"{self._runtime.random.getrandbits(64):016x}"
        return f"{self._claims}-{next(self._drawn):x}"

    # -- the group's work ---------------------------------------------------------------------------------------------

    def _lead(self, jobs: list[Job[Request]]) -> None:
        try:
            self._settle()
            rest = [job for job in jobs if not self._pay(job)]
            if not rest and not self._again:
                return
            # What an earlier call asked for and may have given up; what is asked for again is not settled twice.
            asked = {answer for job in rest for answer in job.work.answers}
            again = Request(answers=[answer for answer in self._again if answer not in asked])
            self._again = []
            try:
                outcomes = self._serve([*(job.work for job in rest), again])
            except Landed as landed:
                assert isinstance(landed.result, list)
                if landed.result:
                    self._owe(again, landed.result[-1])
                else:
                    self._again += again.answers  # what has landed was a burial's
                for job, outcome in zip(rest, landed.result, strict=False):
                    job.answer(self._recalled(job.work, outcome))
                raise landed.__cause__ or landed from None
            except BaseException:
                if self._open is None or all(request is not again for request in self._open.requests):
                    self._again += again.answers
                raise
            self._owe(again, outcomes[-1])
            for job, outcome in zip(rest, outcomes, strict=False):
                job.answer(self._recalled(job.work, outcome))
        except QueueError as error:
            for job in jobs:
                if not job.answered:
                    job.answer(Outcome(error=error))

    def _recalled(self, request: Request, outcome: Outcome) -> Outcome:
        """With what an earlier swap did unheard for the same request (rule 14)."""
        if request.lend and request.claim in self._lent:
            earlier = self._lent.pop(request.claim)
            outcome.lots[:0] = earlier.lots
            outcome.deadline = min(earlier.deadline, outcome.deadline or earlier.deadline)
        if self._told:
            for index, answer in enumerate(request.answers[: len(outcome.settled)]):
                outcome.settled[index] = self._told.pop(answer, 0) or outcome.settled[index]
        return outcome

    def _pay(self, job: Job[Request]) -> bool:
        """Hand out what an earlier swap took unheard, instead of taking more."""
        wanted = job.work.take
        if not wanted or not self._owed or job.work.answers:
            return False
        outcome = self._owed.popleft()
        lots: list[Lot] = []
        while outcome.lots and wanted:
            lot = outcome.lots.pop(0)
            lots.append(Lot(lot.where, lot.items[:wanted]))
            if len(lot.items) > wanted:
                outcome.lots.insert(0, Lot(lot.where, lot.items[wanted:]))
            wanted -= len(lots[-1].items)
        if outcome.lots:
            self._owed.appendleft(outcome)
        job.answer(Outcome(lots=lots))
        return True

    def _serve(self, requests: list[Request]) -> list[Outcome]:
        """Swap until the requests are carried, or there is nothing to carry."""
        lost = fresh = False
        errors: dict[int, QueueError] = {}
        while True:
            if self._head is None:
                self._load()
                fresh = True
            head = self._head
            assert head is not None
            if any(transitions.overdue(head, self._time().ms)):
                self._bury_overdue(head)
                continue
            version = self._version
            try:
                new, outcomes, grave = self._plan(head, requests)
            except BlobMissing as error:
                # Rule 12: what we know of the head is old, or the segment was lost.
                self._reader.forget()
                if self._load() is not head or not fresh:
                    fresh = True
                    continue
                where = error.where if isinstance(error, Missing) else None
                if where is None:
                    raise CorruptSegment(
                        f"{error}, and it is needed: restore it from a backup, or start a new queue"
                    ) from error
                missed = CorruptSegment(
                    f"{error}, though its items at offsets {where.start} to {where.stop - 1} were not consumed; they were "
                    f"set aside as lost, everything behind them is delivered"
                )
                new, outcomes, grave = self._expired(head), [], _Grave(where, "missing", missed, b"", damaged=True)
            if grave is not None:
                told = self._set_aside(head, version, grave, new, outcomes, requests)
                if told is not None:
                    # Told once, to the first that would have got the item; the others' wishes are carried still.
                    index = next(
                        index
                        for index, request in enumerate(requests)
                        if request.take or (request.lend and not request.ride)
                    )
                    errors[index] = told
                    requests = [replace(one, take=0, lend=0) if at == index else one for at, one in enumerate(requests)]
                fresh = False
                continue
            for index, told in errors.items():
                outcomes[index].error = told
            if new is head:
                if fresh or self._load() is head:
                    return outcomes
                fresh = True
                continue
            if self._swap(head, version, new, outcomes, requests):
                self.repeated += sum(outcome.repeats for outcome in outcomes)
                self._met = lost
                if lost and self._swap_seconds > _DEAR:
                    # Let others have their turn before the next one (H2).
                    pause = self._swap_seconds * self._runtime.random.uniform(0.5, 1.5)
                    self._pause_until = self._runtime.monotonic() + pause
                try:
                    self._sweeper.after(head, new, aside=self._swap_seconds > _DEAR)
                    self._bury_answered(new, requests)
                except Landed as landed:
                    raise Landed(outcomes) from landed.__cause__
                except BaseException as interrupt:
                    raise Landed(outcomes) from interrupt
                return outcomes
            lost = fresh = True

    def _plan(self, head: Head, requests: list[Request]) -> tuple[Head, list[Outcome], _Grave | None]:
        """The head with the requests carried out: expire, own answers, extend, then claims (rule 15)."""
        now = self._time()
        local = self._looked = self._runtime.monotonic()
        new = self._expired(head)
        outcomes = [Outcome() for _ in requests]
        for request, outcome in zip(requests, outcomes, strict=True):
            for answer in request.answers:
                new, count = self._answered(new, answer, now.ms)
                outcome.settled.append(count)
            for claim, lease in request.extend:
                new, count = transitions.extended(new, claim, transitions.rounded(now.ms + self._step_ms, lease))
                outcome.settled.append(count)
                outcome.deadline = self._deadline(local, lease)
        for request, outcome in zip(requests, outcomes, strict=True):
            if request.clear:
                with self._counting:
                    self._view.load()
                    last = self._view.tail.next - 1
                    new, count = transitions.cleared(new, max(last, new.ordinal), self._reader.end())
                outcome.settled.append(count)
                new = self._step(new)
        grave = None
        for request, outcome in zip(requests, outcomes, strict=True):
            wanted = request.take or request.lend
            if wanted and grave is None:
                if request.lend:
                    outcome.deadline = self._deadline(local, request.lease_ms)
                new, grave = self._pick(new, request, outcome, now.ms, wanted)
        if grave is not None:
            return new, outcomes, grave if not any(outcome.lots for outcome in outcomes) else None
        return new, outcomes, None

    def _expired(self, head: Head) -> Head:
        """With the claims given back that have run out by now."""
        now = self._time()
        return transitions.expired(transitions.rebooted(head, now, self._runtime.wall_ms()), now.ms, self._alive)

    def _answered(self, head: Head, answer: Answer, now_ms: int) -> tuple[Head, int]:
        if answer.bury:
            until = transitions.rounded(now_ms, _BURIAL_MS)
            return transitions.dying(head, answer.claim, answer.where, until, answer.bury, answer.error)
        if not answer.back:
            return transitions.acknowledged(head, answer.claim, answer.where)
        condemned = 0
        limit = self._parts.meta.max_attempts
        if limit is not None and answer.counted:
            until = transitions.rounded(now_ms, _BURIAL_MS)
            for span in transitions.held(head, answer.claim):
                start, stop = max(span.start, answer.where.start), min(span.stop, answer.where.stop)
                if start < stop and span.attempts >= limit:
                    where = Range(span.ordinal, start, stop)
                    head, count = transitions.dying(head, answer.claim, where, until, "attempts", answer.error)
                    condemned += count
        until = wall = 0
        if answer.delay_ms:
            until = transitions.rounded(now_ms, answer.delay_ms)
            wall = self._runtime.wall_ms() + until - now_ms
        head, count = transitions.given_back(
            head, answer.claim, answer.where, until=until, wall=wall, counted=answer.counted
        )
        return head, count + condemned

    def _pick(
        self, head: Head, request: Request, outcome: Outcome, now_ms: int, wanted: int
    ) -> tuple[Head, _Grave | None]:
        """Claim or take up to `wanted` items, what was given back first; stops before what can't be read."""
        until = transitions.rounded(now_ms + self._step_ms, request.lease_ms)
        limit = self._parts.meta.max_attempts
        spans = list(islice(transitions.ready(head, now_ms), 64))
        if len(head.rest.spans) < MAX_RANGES or request.take:
            self._reader.read_ahead(head.ordinal, head.offset, wanted - sum(span.size for span in spans))
            places = [*((span.ordinal, span.start, span) for span in spans), (head.ordinal, head.offset, None)]
        else:
            places = [(span.ordinal, span.start, span) for span in spans]  # what is new would add a range
        left = wanted
        for place in places:
            ordinal, offset, span = place
            attempts = 0 if span is None else span.attempts
            if limit is not None and attempts >= limit and span is not None:
                if request.ride:
                    return self._step(head), None
                return self._step(head), _Grave(Range(*span[:3]), "attempts", None, b"", damaged=False)
            if request.lend:
                # An item that was claimed before is claimed with fewer neighbours each time, at last alone (rule 18).
                most = transitions.allowance(wanted, attempts, limit)
                if request.ride and limit is not None and attempts >= limit - 1:
                    return self._step(head), None
                left = min(left, most - sum(len(lot.items) for lot in outcome.lots))
            while left > 0:
                allowed = left if span is None else min(left, span.stop - offset)
                reader = self._reader if span is None else self._behind
                try:
                    chunk = reader.chunk(ordinal, offset, allowed)
                except Missing as missing:
                    if span is not None and missing.where is not None:
                        missing.where = missing.where._replace(stop=min(missing.where.stop, span.stop))
                    raise
                except Damage as damage:
                    where = (
                        damage.where if span is None else damage.where._replace(stop=min(damage.where.stop, span.stop))
                    )
                    grave = _Grave(where, "damaged", CorruptSegment(str(damage)), damage.raw, damaged=True)
                    return head, None if request.ride else grave
                if chunk is None:
                    break
                if span is not None and chunk.where.ordinal != span.ordinal:
                    gone = CorruptSegment(f"the items at offsets {offset} to {span.stop - 1} were lost in a power cut")
                    where = Range(span.ordinal, offset, span.stop)
                    return head, None if request.ride else _Grave(where, "lost", gone, b"", damaged=False)
                items, bad = self._decode(chunk.where, chunk.records)
                if items:
                    where = chunk.where._replace(stop=chunk.where.start + len(items))
                    outcome.lots.append(Lot(where, items, attempts + 1, chunk.times[: len(items)]))
                    head = (
                        transitions.claimed(head, where, request.claim, self._own(), until)
                        if request.lend
                        else transitions.taken(head, where)
                    )
                    left -= len(items)
                    ordinal, offset = where.ordinal, where.stop
                if bad is not None:
                    return self._step(head), None if request.ride else bad
                if span is not None and offset >= span.stop:
                    break
        return self._step(head), None

    def _step(self, head: Head) -> Head:
        """With `next` behind a closed segment moved to the next one, which is the same place (rule 24)."""
        entry = self._view.entry(head.ordinal) if head.ordinal < self._view.tail.next else None
        if entry is not None and entry.count != OPEN and head.offset == entry.end:
            return transitions.stepped(head, head.ordinal + 1, head.offset)
        return head

    def _decode(self, where: Range, records: Sequence[bytes]) -> tuple[Sequence[Any], _Grave | None]:
        """The items, up to the first that can't be read."""
        try:
            if len(records) > 1:
                return self._serializer.loads_many(records), None
        except SerializationError:
            pass  # found and told below, by its place
        items = []
        for offset, record in enumerate(records, where.start):
            try:
                items.append(self._serializer.loads(record))
            except SerializationError as error:
                told = SerializationError(
                    f"the item at offset {offset} can't be read by {self._serializer.name!r} and was set aside as a dead "
                    f"letter: {error}"
                )
                told.__cause__ = error
                bad = Range(where.ordinal, offset, offset + 1)
                return items, _Grave(bad, "unreadable", told, record, damaged=False)
        return items, None

    # -- time ---------------------------------------------------------------------------------------------------------

    def _time(self) -> StoreTime:
        """The store's time: as it last told it, and what has passed since it was heard; never ahead of it."""
        return self._now._replace(ms=self._now.ms + int((self._runtime.monotonic() - self._heard) * 1000))

    def _deadline(self, local: float, lease_ms: int) -> float:
        """Counted from the sending of the call that told the time, less a margin (rule 16)."""
        return local - (self._heard - self._asked) + 0.9 * lease_ms / 1000

    def _own(self) -> str:
        if not self._owner and self._store.owners is not None:
            self._owner = self._store.owners.own()
        return self._owner

    # -- the document -------------------------------------------------------------------------------------------------

    def _load(self) -> Head:
        """The head as it is now; the very same object where nobody has swapped it."""
        asked = self._runtime.monotonic()
        document = self._store.load(HEAD, self._version if self._head is not None else None)
        if document is SAME:
            assert self._head is not None
            return self._head
        if document is None:
            raise _headless()
        assert isinstance(document, Document)
        return self._know(Head.parse(document.data), document, asked)

    def _know(self, head: Head, document: Document, asked: float) -> Head:
        rest = head.rest
        if rest.queue != self._parts.meta.queue:
            raise AnotherQueue("the queue was deleted and made anew while this object was open: open it again")
        if rest.gone:
            raise QueueGone("the queue was removed while it was open")
        self._head, self._version, self._now = head, document.version, document.now
        self._asked, self._heard = asked, self._runtime.monotonic()
        if self._sweeper.swept < 0:
            self._sweeper.swept = rest.swept
        return head

    def _numbered_head(self, new: Head) -> Head:
        """With this swap's number, and what has been deleted, in it."""
        rest = new.rest
        if self._numbered:
            if not self._client or rest.clients.next(self._client) != self._number + 1:
                # Dropped for its silence, with no swap open: a new id (rules 5, 14).
                self._client = draw_id(self._runtime, self._now.ms, rest.clients.horizon)
                self._number = -1
            rest = replace(
                rest, clients=rest.clients.advanced(self._client, self._number + 1, self._now.ms).pruned(self._now.ms)
            )
        if self._sweeper.swept > rest.swept:
            rest = replace(rest, swept=self._sweeper.swept)
        return new if rest is new.rest else new._replace(rest=rest)

    def _swap(self, old: Head, version: Version, new: Head, outcomes: list[Outcome], requests: list[Request]) -> bool:
        """Whether the new head is in place; False where somebody else's is, and is now known.

        Raises:
            StoreError: unknown; the attempt stays open, and the next call settles it first.
            Landed: interrupted, but it is.
        """
        wait = self._pause_until - self._runtime.monotonic()
        if wait > 0:
            self._runtime.sleep(min(wait, 1.0))
        new = self._numbered_head(new)
        # What it frees is deleted, so it must survive what deletes (rule 29).
        sync = self._synced or (self._store.cut_loses_end and new.lowest[0] > old.lowest[0])
        data = new.dump()
        self._open = _Attempt(self._number + 1, version, data, new, outcomes, requests) if self._numbered else None
        asked = self._runtime.monotonic()
        try:
            document = self._store.swap(HEAD, data, version, sync)
        except Landed as landed:
            assert isinstance(landed.result, Document)
            self._applied(new, landed.result, asked)
            raise Landed(outcomes) from (landed.__cause__ or landed)
        except DocumentChanged:
            if self._numbered:
                return self._ours()
            self._load()
            return False
        except SyncFailed:
            # In place, and perhaps undone by a power cut: what was taken is handed out by the next call.
            self._head = None
            for request, outcome in zip(requests, outcomes, strict=False):
                self._owe(request, outcome)
            raise
        except StoreError:
            if not self._numbered:
                self._head = None
                raise
            return self._resolve()
        self._applied(new, document, asked)
        self._swap_seconds += (self._heard - asked - self._swap_seconds) / 8
        return True

    def _applied(self, new: Head, document: Document, asked: float) -> None:
        self._number += self._numbered
        self._open = None
        self._know(new, document, asked)

    def _ours(self) -> bool:
        """After a swap that was lost or not answered: load; whether it was applied (rule 14)."""
        attempt = self._open
        assert attempt is not None
        clients = self._load().rest.clients
        if clients.applied(self._client, attempt.number):
            self._number += 1
            self._open = None
            return True
        if clients.next(self._client) is None:
            self._open = None
            self._client = ""
            raise StoreError(
                "this client was silent for so long that it was dropped while a swap was not answered: whether it took "
                "items is unknown; claims come back after their lease"
            )
        if self._version != attempt.version:
            self._open = None  # that version is gone for ever, so it can't be applied any more
        return False

    def _resolve(self) -> bool:
        """Learn what became of an open attempt: applied, or never to be.

        Raises:
            StoreError: still unknown; it stays open.
        """
        for attempt in range(_TRIES):
            opened = self._open
            if opened is None:
                return False
            self._runtime.sleep(self._runtime.random.uniform(0.01, 0.05) * (attempt + 1))
            try:
                if self._ours():
                    return True
                if self._open is None:
                    return False
                # Still that version: the same bytes again, since the first may be on their way.
                asked = self._runtime.monotonic()
                document = self._store.swap(HEAD, opened.data, opened.version, self._synced)
            except DocumentChanged:
                continue
            except Landed as landed:
                assert isinstance(landed.result, Document)
                self._applied(opened.head, landed.result, asked)
                raise Landed(opened.outcomes) from (landed.__cause__ or landed)
            except StoreError:
                if self._client == "":
                    raise
                continue
            self._applied(opened.head, document, asked)
            return True
        raise StoreError("the store did not answer; what this call took, if it did, the next one hands out: try again")

    def _settle(self) -> None:
        """First of all, an attempt that an earlier call left open (rule 14)."""
        opened = self._open
        if opened is None:
            return
        try:
            applied = self._resolve()
        except Landed as landed:
            for request, outcome in zip(opened.requests, opened.outcomes, strict=False):
                self._owe(request, outcome)
            raise landed.__cause__ or landed from None
        if applied:
            for request, outcome in zip(opened.requests, opened.outcomes, strict=False):
                self._owe(request, outcome)
        else:
            self._again += [answer for request in opened.requests for answer in request.answers]

    # -- dead letters and deletion ------------------------------------------------------------------------------------

    def _set_aside(
        self,
        head: Head,
        version: Version,
        grave: _Grave,
        new: Head,
        outcomes: list[Outcome],
        requests: list[Request],
    ) -> QueueError | None:
        """Bury what can't be read: mark, write, acknowledge (rule 17). None: nothing to tell, plan again.

        `new` is the head as planned: a claim that ran out, or an answer, may be what makes the item free to be marked.
        """
        claim = self.draw_claim()
        until = transitions.rounded(self._time().ms, _BURIAL_MS)
        if grave.error is None:
            error = "whoever claimed it last died, or let the lease run out"
            new, count = transitions.condemned(new, grave.where, claim, until, grave.reason, error)
        else:
            new = transitions.claimed(new, grave.where, claim, self._own(), until)
            new, count = transitions.dying(new, claim, grave.where, until, grave.reason, str(grave.error))
        try:
            if not count or not self._swap(head, version, self._step(new), outcomes, requests):
                return None
        except Landed as landed:
            self._carried(requests, outcomes)
            raise Landed([]) from landed.__cause__
        self._carried(requests, outcomes)
        self.lost += count if grave.reason in ("damaged", "lost") else 0
        assert self._head is not None
        for span in self._head.rest.spans:
            if span.claim == claim:
                if grave.error is not None:
                    log.warning("set aside %s", grave.error)
                    self._bury(span, grave.raw, damaged=grave.damaged)
                else:
                    self._bury_each(span)
        return grave.error

    def _carried(self, requests: list[Request], outcomes: list[Outcome]) -> None:
        """The answers are in place; the requests that they came with are planned once more."""
        for request, outcome in zip(requests, outcomes, strict=False):
            self._owe(request, outcome)

    def _bury_overdue(self, head: Head) -> None:
        """Finish what a burier that died has begun (rule 17)."""
        for span in transitions.overdue(head, self._time().ms):
            claim = self.draw_claim()
            where = Range(span.ordinal, span.start, span.stop)
            new = transitions.rebooted(head, self._time(), self._runtime.wall_ms())
            new = transitions.taken_over(new, where, claim, transitions.rounded(self._time().ms, _BURIAL_MS))
            if not self._swap(head, self._version, new, [], []):
                return
            if span.reason not in ("damaged", "lost", "missing"):
                self._bury_each(span._replace(claim=claim))
                return
            raw = b""
            try:
                self._behind.chunk(span.ordinal, span.start, 1)
            except Damage as damage:
                raw = damage.raw
            except BlobMissing:
                log.warning("the segment of a dead letter at offset %d is gone", span.start)
            self._bury(span._replace(claim=claim), raw, damaged=span.reason != "lost")
            return

    def _bury_answered(self, head: Head, requests: Sequence[Request]) -> None:
        """Write the dead letters that a swap in place has marked; what fails is done again by whoever finds it late."""
        claims = {answer.claim for request in requests for answer in request.answers if answer.bury or answer.back}
        for span in head.rest.spans if claims else ():
            if span.state == transitions.DYING and span.claim in claims:
                try:
                    self._bury_each(span)
                except StoreError as error:
                    log.warning("the dead letter of offset %d could not be written yet: %s", span.start, error)

    def _bury_each(self, span: Span) -> None:
        """Bury items that can be read as records: neighbours may have been marked as one, each has its own letter."""
        for offset in range(span.start, span.stop):
            one = span._replace(start=offset, stop=offset + 1)
            raw = b""
            damaged = False
            try:
                chunk = self._behind.chunk(span.ordinal, offset, 1)
                raw = chunk.records[0] if chunk else b""
            except Damage as damage:
                raw, damaged = damage.raw, True
            except BlobMissing:
                log.warning("the segment of a dead letter at offset %d is gone", offset)
            if span.reason == "attempts":
                log.warning("set aside the item at offset %d after %d attempts: %s", offset, span.attempts, span.error)
            else:
                log.info("set aside the item at offset %d (%s): %s", offset, span.reason, span.error)
            self._bury(one, raw, damaged=damaged)

    def _bury(self, span: Span, raw: bytes, *, damaged: bool) -> None:
        self._store.write(dead_name(span.start), written(span, self._parts.meta.queue, raw))
        while True:
            head = self._head if self._head is not None else self._load()
            new, count = transitions.buried(head, span.claim, Range(span.ordinal, span.start, span.stop))
            if not count:
                return  # somebody else finished it
            if damaged and span.ordinal not in new.rest.damaged:
                new = new._replace(rest=replace(new.rest, damaged=(*new.rest.damaged, span.ordinal)))
            if self._swap(head, self._version, new, [], []):
                self._sweeper.after(head, new, aside=self._swap_seconds > _DEAR)
                return
