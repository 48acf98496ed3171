"""Carrying requests: whoever leads plans one swap of the head for all that wait, until it is in place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from pqueue import transitions
from pqueue.abc import Serializer
from pqueue.burying import BURIAL_MS, Burier
from pqueue.errors import BlobMissing, CorruptSegment, Landed, QueueError
from pqueue.head import Head
from pqueue.owing import Owing
from pqueue.parts import Parts
from pqueue.picking import Grave, Picker, lapsing
from pqueue.reader import SEGMENTS, Missing, Reader
from pqueue.request import Answer, ClaimIds, Outcome, Request
from pqueue.spans import Change
from pqueue.straight import Straight
from pqueue.swaps import Swaps
from pqueue.sweep import Sweeper

log = logging.getLogger("pqueue")


class Leader:
    """Of one client, one call at a time."""

    def __init__(
        self,
        parts: Parts,
        serializer: Serializer,
        reader: Callable[..., Reader],
        owing: Owing,
        remind: Callable[[], object],
    ) -> None:
        """`reader`: makes one; `remind` is called when it is not known what became of a swap."""
        self._view = parts.view
        self._runtime = parts.runtime
        self._meta = parts.meta
        self._store = parts.store
        owners = parts.store.owners
        self._alive: Callable[[str], bool] | None = owners.alive if owners else None
        self._reader = reader()
        self._owing = owing
        self._remind = remind
        self._counting = parts.runtime.lock()
        self.ids = ClaimIds(parts.runtime)
        self.sweeper = Sweeper(parts)
        self.swaps = Swaps(parts, self.sweeper, owing)
        # What was given back, and dead letters: a reader that goes back would start its segment again.
        self._behind = reader(SEGMENTS)
        self.picker = Picker(parts, serializer, self._reader, self._behind, self.ids)
        self.burier = Burier(parts, self.swaps, self.picker, self._behind, owing, self.sweeper, self.ids)
        self.straight = Straight(parts, self.swaps, self.picker, owing)
        self.left = False
        """Whether the last call has left it unknown what became of its swap."""
        self.repeated = 0
        """Items handed out that had been handed out before."""

    def end(self) -> int:
        """The offset behind the last item, as it is now; for any number of threads."""
        with self._counting:
            self._view.load()
            return self._reader.end()

    def close(self) -> None:
        """Wait for deletions under way, and say what was not told yet."""
        self.sweeper.finish()
        self._reader.close()
        self._behind.close()

    def lead(self, works: Sequence[Request]) -> Sequence[Outcome]:
        """Each one's outcome. Interrupted, what a swap did stands in `Swaps.unserved`, until the next call is paid by it."""
        owing = self._owing
        paid: dict[int, Outcome] = {}
        try:
            self.swaps.settle()
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
            self.swaps.unserved = None
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
            self.left = self.swaps.left_open
            if self.left:
                self._remind()
        self.swaps.unserved = None
        return outcomes

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
            if self.swaps.unheard(again):
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
        swaps = self.swaps
        lost = fresh = False
        if swaps.outdated and swaps.head is not None and any(asks(one) for one in requests):
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
            if self.burier.finish_overdue(head):
                continue
            version = swaps.version
            try:
                new, outcomes, grave = self._plan(head, requests)
            except BlobMissing as error:
                # Rule 12: what we know of the head is old, or the segment was lost.
                self._reader.forget()
                stale = swaps.load() is not head or not fresh
                if stale or _only_rides(requests):
                    requests = requests if stale else [replace(one, lend=0) if one.lend else one for one in requests]
                    fresh = True
                    continue
                grave = _missing(error)
                # What the requests give back may be what is missing.
                new, outcomes, _ = self._plan(head, [replace(one, take=0, lend=0) for one in requests])
            if grave is not None:
                told = self.burier.set_aside(head, version, grave, new, outcomes, requests)
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
            self.sweeper.after(old, new, aside=self.swaps.dear)
            self.burier.bury_answered(new, requests)
        except BaseException as interrupt:  # noqa: BLE001  # passed on, as what interrupted it
            raise Landed(outcomes) from (interrupt.__cause__ if isinstance(interrupt, Landed) else interrupt)

    def _plan(self, head: Head, requests: list[Request]) -> tuple[Head, list[Outcome], Grave | None]:
        """The head with the requests carried out: expire, own answers, extend, then claims (rule 15)."""
        now = self.swaps.time()
        local = self.straight.looked = self._runtime.monotonic()
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
                new = self.picker.stepped(new)
        grave = None
        for request, outcome in zip(requests, outcomes, strict=True):
            wanted = request.take or request.lend
            if wanted and grave is None:
                if request.lend:
                    outcome.deadline = self.swaps.deadline(local, request.lease_ms)
                try:
                    new, grave = self.picker.pick(new, request, outcome, now.ms, wanted)
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
            until = transitions.rounded(now_ms + self._store.clock_step_ms, request.lease_ms)
            new, counts = transitions.extended(new, request.extend, until)
            outcome.settled += counts
            outcome.deadline = self.swaps.deadline(local, request.lease_ms)
        for lot in request.restore:
            new, count = transitions.restored(new, lot.where, lot.attempts - 1)
            outcome.settled.append(count)
        return new

    def _expired(self, head: Head, requests: Sequence[Request] = ()) -> Head:
        """With the claims given back that have run out by now, but for those that the requests give back uncounted."""
        now = self.swaps.time()
        unseen = {answer.claim for request in requests for answer in request.answers if not answer.counted}
        head = transitions.rebooted(head, now, self._runtime.wall_ms())
        return transitions.expired(head, now.ms, self._alive, unseen, lapsing(head, self._store.document_bytes))

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
        limit = self._meta.max_attempts
        if limit is None or not answer.counted:
            return back
        dies = transitions.dies(transitions.rounded(now_ms, BURIAL_MS), "attempts", answer.error)
        return lambda span: dies(span) if span.attempts >= limit else back(span)


def asks(request: Request) -> bool:
    """Whether it is items that it wants."""
    return bool(request.take or (request.lend and not request.ride))


def _only_rides(requests: Sequence[Request]) -> bool:
    """Whether some items are asked for, and none but to save the next swap."""
    return any(one.lend for one in requests) and not any(asks(one) for one in requests)


def _without_first(requests: list[Request]) -> tuple[int, list[Request]]:
    """Which request would have got what can't be read and is told so, once; and them all, that one's wish taken out."""
    index = next(at for at, one in enumerate(requests) if asks(one))
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
