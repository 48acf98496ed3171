"""Consuming: swaps of the head, each of which carries whatever the waiting threads ask for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from pqueue import transitions
from pqueue.abc import Serializer
from pqueue.burying import BURIAL_MS, Burier
from pqueue.combine import Combiner
from pqueue.errors import AnotherQueue, BlobMissing, CorruptSegment, Landed, QueueError, QueueGone
from pqueue.fetching import Fetcher
from pqueue.head import DYING, Head
from pqueue.owing import Owing
from pqueue.parts import Parts
from pqueue.picking import Grave, Picker, lapsing
from pqueue.reader import Missing, Reader
from pqueue.request import Answer, ClaimIds, Lot, Outcome, Request
from pqueue.spans import Change
from pqueue.straight import Straight
from pqueue.swaps import Swaps
from pqueue.sweep import Sweeper

log = logging.getLogger("pqueue")


class Consumer:
    """The consuming side of one queue object, for any number of threads."""

    def __init__(self, parts: Parts, serializer: Serializer, mend: Callable[[], None]) -> None:
        self._mend = mend
        self._parts = parts
        self._view = parts.view
        self._runtime = parts.runtime
        self._serializer = serializer
        owners = parts.store.owners
        self._alive: Callable[[str], bool] | None = owners.alive if owners else None
        self.remind: Callable[[], object] = lambda: None
        """Called when it is not known what became of a swap; `settle` is to follow, and not after minutes of silence."""
        self.forget()

    def forget(self) -> None:
        """In a forked child: a new client with nothing of the parent's (rule 31)."""
        parts = self._parts
        self._combiner: Combiner[Request] = Combiner(
            self._runtime, self._lead, orphaned=self._orphaned, brief=parts.brief, again=True
        )
        self._reader = Reader(parts.store, self._view, parts.codecs, self._runtime, self._mend)
        # What was given back, and dead letters: a reader that goes back would start its segment again.
        behind = Reader(parts.store, self._view, parts.codecs, self._runtime, self._mend)
        self._counting = self._runtime.lock()
        self._owing = Owing()
        self._ids = ClaimIds(self._runtime)
        self.draw_claim = self._ids.draw
        """An id for a claim."""
        self._sweeper = Sweeper(parts)
        self._swaps = Swaps(parts, self._sweeper, self._owing)
        self._picker = Picker(parts, self._serializer, self._reader, behind, self._ids)
        self._burier = Burier(parts, self._swaps, self._picker, behind, self._owing, self._sweeper, self._ids)
        placed = Reader(parts.store, self._view, parts.codecs, self._runtime, self._mend)
        self._fetcher = Fetcher(self._runtime, self._picker, placed)
        self._straight = Straight(parts, self._swaps, self._picker, self._owing)
        self._left = False
        """Whether the last call has left it unknown what became of its swap."""
        self.repeated = 0
        """Items handed out by this object that had been handed out before."""

    @property
    def lost(self) -> int:
        """Items that this object found to be damaged, or gone in a power cut."""
        return self._burier.lost

    # -- what callers use ---------------------------------------------------------------------------------------------

    def take(self, count: int) -> Sequence[Any]:
        """At most `count` items, claimed and acknowledged in one swap before they are returned (rule 19).

        Raises:
            StoreError: no answer; what was taken, if it was, is handed out by this object's next call.
            CorruptSegment, SerializationError: items that can't be read, set aside as dead letters; told once.
        """
        try:
            taken = self._combiner.alone(self._straight.take, count)
        except Landed as landed:
            if isinstance(landed.result, Lot):
                self._owing.owe(Request(take=count), Outcome([landed.result]))
            raise landed.__cause__ or landed from None
        if taken:
            return taken.items
        request = Request(take=count)
        outcome = self.ask(request)
        try:
            return [item for lot in outcome.lots for item in lot.items]
        except BaseException:  # interrupted
            self._owing.owe(request, outcome)
            raise

    def ask(self, request: Request) -> Outcome:
        """Have the request carried by a swap; raises as `take` does."""
        if _asks(request):
            # What it answers for, and what is lent to others of its kind, is not to run out meanwhile.
            self._swaps.wait(request.lease_ms / 10_000 if request.lend else 1.0)
        try:
            carried: Outcome | None = self._combiner.alone(self._straight.ask, request)
            if carried is not None:
                return carried
            outcome: Outcome = self._combiner.run(request)
        except Landed as landed:
            self._orphaned(request, landed.result)
            raise landed.__cause__ or landed from None
        if outcome.error is not None:
            self._owing.owe(request, outcome)
            raise outcome.error
        return outcome

    def read(self, lots: list[Lot]) -> None:
        """Read those that were claimed by their place.

        Raises:
            StoreError: no answer.
            Exception: something of them can't be read: `unseen` is to follow, and trouble is told to whoever asks then.
        """
        self._fetcher.fill(lots)

    def unseen(self, claim: str, lots: Sequence[Lot]) -> None:
        """Nobody was handed these: the next swap gives them back, uncounted, or the keeper's."""
        self._owing.again.extend([Answer(claim, lot.where, back=True, counted=False) for lot in lots])
        self.remind()

    @property
    def owes(self) -> bool:
        """Whether something is to be given back by the next swap."""
        return bool(self._owing.again)

    def acknowledge(self, answer: Answer) -> bool:
        """Whether the range, all of which its claim held, is acknowledged; if not, nothing was done, and `ask` does it.

        Raises: as `ask` does.
        """
        try:
            return bool(self._combiner.alone(self._straight.acknowledge, answer))
        except Landed as landed:
            if landed.result:
                self._owing.owe(Request(answers=(answer,)), Outcome(settled=[answer.where.stop - answer.where.start]))
            raise landed.__cause__ or landed from None

    def owe(self, request: Request, outcome: Outcome) -> None:
        """Its caller was interrupted before it could do anything with the answer: the next one that asks so has it."""
        self._owing.owe(request, outcome)

    def _orphaned(self, request: Request, result: object) -> None:
        if isinstance(result, Outcome):
            self._owing.owe(request, result)

    def waiting(self) -> int:
        """Items not acknowledged: head first, then the tail, so an upper bound while others act."""
        head, _ = self._swaps.look()
        claimed, back = head.rest.counts
        return max(0, self._end() - head.offset) + claimed + back + self._owing.items

    def available(self) -> int:
        """Items that could be handed out now: waiting, or given back and ready; what this object is owed, too."""
        head, now = self._swaps.look()
        head = transitions.expired(transitions.rebooted(head, now, self._runtime.wall_ms()), now.ms, self._alive)
        back = sum(span.size for span in transitions.ready(head, now.ms))
        return max(0, self._end() - head.offset) + back + self._owing.items

    def _end(self) -> int:
        with self._counting:
            self._view.load()
            return self._reader.end()

    def dying(self) -> set[int]:
        """Offsets that somebody is about to write the dead letter of, or has, and has not said so yet."""
        head, _ = self._swaps.look()
        marked = (span for span in head.rest.spans if span.state == DYING)
        return {offset for span in marked for offset in range(span.start, span.stop)}

    def clear(self) -> int:
        """Acknowledge whatever is neither claimed nor on its way to the dead letters; how many items that were."""
        count = self._owing.items
        self._owing.taken.clear()
        return count + self.ask(Request(clear=True)).settled[0]

    def restore(self) -> list[Sequence[Any]]:
        """Give back what calls that never returned had taken or were lent; what was taken and is freed is told, to be put again.

        Raises:
            StoreError: no answer; what is owed stays so.
        """
        owing = self._owing
        while owing.taken or owing.again or owing.lent or self._swaps.unsettled:
            request = Request()
            lent: dict[str, Outcome] = {}
            try:
                while owing.taken:
                    request.restore = [*request.restore, *owing.taken.popleft().lots]
                for claim in tuple(owing.lent):
                    owed = owing.lent.pop(claim, None)  # or another thread has it
                    if owed is not None:
                        lent[claim] = owed
                request.answers = [
                    Answer(claim, lot.where, back=True, counted=False)
                    for claim, one in lent.items()
                    for lot in one.lots
                ]
                owing.owe(request, self.ask(request))
            except (QueueGone, AnotherQueue) as error:
                log.warning("what an interrupted call had taken is gone with its queue: %s", error)
                break
            except BaseException:
                if not self._swaps.unheard(request):
                    owing.keep(request)
                    owing.lent.update(lent)
                raise
        late, owing.late = owing.late, []
        return late

    def close(self) -> None:
        """Wait for deletions under way."""
        self._sweeper.finish()

    # -- the group's work ---------------------------------------------------------------------------------------------

    def _lead(self, works: Sequence[Request]) -> Sequence[Outcome]:
        """Each one's outcome. Interrupted, what a swap did stands in `Swaps.unserved`, until the next call is paid by it."""
        owing = self._owing
        paid: dict[int, Outcome] = {}
        try:
            self._swaps.settle()
            rest = []
            for index, work in enumerate(works):
                owed = owing.paid(work)
                if owed is None:
                    rest.append(work)
                else:
                    paid[index] = owed
            outcomes = _merged(paid, self._carry(rest) if rest or owing.again else [])
        except Landed as landed:
            outcomes = _merged(paid, cast("Sequence[Outcome]", landed.result))
            self._swaps.unserved = None
            if isinstance(landed.__cause__, QueueError):
                log.warning("what a swap freed or marked is left to the next one: %s", landed.__cause__)
                return outcomes
            raise Landed(outcomes) from landed.__cause__
        except QueueError as error:
            return [paid[index] if index in paid else Outcome(error=error) for index in range(len(works))]
        except BaseException:
            for index in sorted(paid, reverse=True):
                owing.taken.appendleft(paid[index])
            raise
        finally:
            self._left = self._swaps.left_open
            if self._left:
                self.remind()
        self._swaps.unserved = None
        return outcomes

    def settle(self) -> None:
        """See what became of the last swap, if that is not known: whoever is silent for long is dropped, and never learns it.

        What is owed to others, since nobody was handed it, is given back.

        Raises:
            StoreError: still unknown.
        """
        if self._left or self._owing.again:  # not one that another thread's call is about
            self.ask(Request())

    def _carry(self, works: Sequence[Request]) -> Sequence[Outcome]:
        """Raises `Landed` with the outcomes where it is interrupted when they are there."""
        owing = self._owing
        # What an earlier call asked for and may have given up; what is asked for again is not settled twice.
        asked = {answer for work in works for answer in work.answers}
        known = len(owing.again)  # others may add some, and nobody else takes them
        again = Request(answers=[owing.again[index] for index in range(known)])
        again.answers = [*(answer for answer in again.answers if answer not in asked)]
        cause: BaseException | None = None
        try:
            outcomes = self._serve([*works, again])
        except Landed as landed:
            cause = landed.__cause__ or landed
            if not isinstance(landed.result, list) or not landed.result:
                raise cause from None  # what has landed was a burial's
            outcomes = landed.result
        except BaseException:
            if self._swaps.unheard(again):
                owing.carried(known)
            raise
        owing.carried(known)
        owing.owe(again, outcomes[-1])
        found = [owing.recalled(work, outcome) for work, outcome in zip(works, outcomes, strict=False)]
        if cause is not None:
            raise Landed(found) from cause
        return found

    def _serve(self, requests: list[Request]) -> list[Outcome]:  # noqa: C901  # rule 15's steps, in its order
        """Swap until the requests are carried, or there is nothing to carry."""
        swaps = self._swaps
        lost = fresh = False
        if swaps.outdated and swaps.head is not None and any(_asks(one) for one in requests):
            swaps.outdated = False
            swaps.load()
            fresh = True
        errors: dict[int, QueueError] = {}
        while True:
            if swaps.head is None:
                swaps.load()
                fresh = True
            head = swaps.head
            assert head is not None
            if self._burier.finish_overdue(head):
                continue
            version = swaps.version
            try:
                new, outcomes, grave = self._plan(head, requests)
            except BlobMissing as error:
                # Rule 12: what we know of the head is old, or the segment was lost.
                self._reader.forget()
                stale = swaps.load() is not head or not fresh
                if stale or _only_rides(requests):
                    requests = requests if stale else [replace(one, lend=0) for one in requests]
                    fresh = True
                    continue
                grave = _missing(error)
                # What the requests give back may be what is missing.
                new, outcomes, _ = self._plan(head, [replace(one, take=0, lend=0) for one in requests])
            if grave is not None:
                told = self._burier.set_aside(head, version, grave, new, outcomes, requests)
                if told is not None:
                    index, requests = _without_first(requests)
                    errors[index] = told
                fresh = False
                continue
            for index, told in errors.items():
                outcomes[index].error = told
            if new is head:
                if fresh or swaps.load() is head:
                    return outcomes
                fresh = True
                continue
            if swaps.swap(head, version, new, outcomes, requests):
                self.repeated += sum(outcome.repeats for outcome in outcomes)
                scarce = any(
                    one.lend > outcome.lent and not one.ride for one, outcome in zip(requests, outcomes, strict=True)
                )
                swaps.pause(lost=lost, scarce=scarce)
                self._after(head, new, outcomes, requests)
                return outcomes
            lost = fresh = True

    def _after(self, old: Head, new: Head, outcomes: list[Outcome], requests: list[Request]) -> None:
        """What a swap in place has freed is deleted, and what it has marked is buried."""
        try:
            self._sweeper.after(old, new, aside=self._swaps.dear)
            self._burier.bury_answered(new, requests)
        except BaseException as interrupt:  # noqa: BLE001  # passed on, as what interrupted it
            raise Landed(outcomes) from (interrupt.__cause__ if isinstance(interrupt, Landed) else interrupt)

    def _plan(self, head: Head, requests: list[Request]) -> tuple[Head, list[Outcome], Grave | None]:
        """The head with the requests carried out: expire, own answers, extend, then claims (rule 15)."""
        now = self._swaps.time()
        local = self._straight.looked = self._runtime.monotonic()
        new = self._expired(head, requests)
        outcomes = [Outcome() for _ in requests]
        for request, outcome in zip(requests, outcomes, strict=True):
            new = self._settled(new, request, outcome, now.ms, local)
        for request, outcome in zip(requests, outcomes, strict=True):
            if request.clear:
                with self._counting:
                    self._view.load()
                    last = self._view.tail.next - 1
                    new, count = transitions.cleared(new, max(last, new.ordinal), self._reader.end())
                outcome.settled.append(count)
                new = self._picker.stepped(new)
        grave = None
        for request, outcome in zip(requests, outcomes, strict=True):
            wanted = request.take or request.lend
            if wanted and grave is None:
                if request.lend:
                    outcome.deadline = self._swaps.deadline(local, request.lease_ms)
                try:
                    new, grave = self._picker.pick(new, request, outcome, now.ms, wanted)
                except BlobMissing:
                    if outcome.lots or not any(one.lots for one in outcomes):
                        raise  # and what it has picked is not in the head
                    break  # behind what a neighbour gets: met again by whoever asks next
        if grave is not None:
            return new, outcomes, grave if not any(outcome.lots for outcome in outcomes) else None
        return new, outcomes, None

    def _settled(self, new: Head, request: Request, outcome: Outcome, now_ms: int, local: float) -> Head:
        """With what the request says of claims that are there, and of what was taken."""
        changes = [(answer.claim, answer.where, self._change(answer, now_ms)) for answer in request.answers]
        new, outcome.settled = transitions.answered(new, changes)
        if request.extend:
            until = transitions.rounded(now_ms + self._parts.store.clock_step_ms, request.lease_ms)
            new, counts = transitions.extended(new, request.extend, until)
            outcome.settled += counts
            outcome.deadline = self._swaps.deadline(local, request.lease_ms)
        for lot in request.restore:
            new, count = transitions.restored(new, lot.where, lot.attempts - 1)
            outcome.settled.append(count)
        return new

    def _expired(self, head: Head, requests: Sequence[Request] = ()) -> Head:
        """With the claims given back that have run out by now, but for those that the requests give back uncounted."""
        now = self._swaps.time()
        unseen = {answer.claim for request in requests for answer in request.answers if not answer.counted}
        head = transitions.rebooted(head, now, self._runtime.wall_ms())
        return transitions.expired(head, now.ms, self._alive, unseen, lapsing(head, self._parts.store.document_bytes))

    def _change(self, answer: Answer, now_ms: int) -> Change:
        """What an answer makes of what its claim holds."""
        if answer.bury:
            return transitions.dies(transitions.rounded(now_ms, BURIAL_MS), answer.bury, answer.error)
        if not answer.back:
            return transitions.nothing
        until = wall = 0
        if answer.delay_ms:
            until = transitions.rounded(now_ms, answer.delay_ms)
            wall = self._runtime.wall_ms() + until - now_ms
        back = transitions.back(until, wall, counted=answer.counted)
        limit = self._parts.meta.max_attempts
        if limit is None or not answer.counted:
            return back
        dies = transitions.dies(transitions.rounded(now_ms, BURIAL_MS), "attempts", answer.error)
        return lambda span: dies(span) if span.attempts >= limit else back(span)


def _asks(request: Request) -> bool:
    """Whether it is items that it wants."""
    return bool(request.take or (request.lend and not request.ride))


def _only_rides(requests: Sequence[Request]) -> bool:
    """Whether some items are asked for, and none but to save the next swap."""
    return any(one.lend for one in requests) and not any(_asks(one) for one in requests)


def _without_first(requests: list[Request]) -> tuple[int, list[Request]]:
    """Which request would have got what can't be read and is told so, once; and them all, that one's wish taken out."""
    index = next(at for at, one in enumerate(requests) if _asks(one))
    return index, [replace(one, take=0, lend=0) if at == index else one for at, one in enumerate(requests)]


def _merged(paid: dict[int, Outcome], carried: Sequence[Outcome]) -> Sequence[Outcome]:
    """Each caller's: what it was paid, or had carried."""
    if not paid:
        return carried
    found = list(carried)
    for index in sorted(paid):
        found.insert(index, paid[index])
    return found


def _missing(error: BlobMissing) -> Grave:
    """To set aside what a segment held that is gone for good.

    Raises:
        CorruptSegment: it is not known what that was.
    """
    where = error.where if isinstance(error, Missing) else None
    if where is None:
        raise CorruptSegment(f"{error}, and it is needed: restore it from a backup, or start a new queue") from error
    missed = CorruptSegment(
        f"{error}, though its items at offsets {where.start} to {where.stop - 1} were not consumed; they were "
        f"set aside as lost, everything behind them is delivered"
    )
    return Grave(where, "missing", missed, b"", damaged=True)
