"""Claims that one queue object holds: when they end, who renews them, what is answered for them.

Whatever lends items rests on this: `ahead` (for `get`), `lending` (for a loop), `receive` (for messages).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableSequence, Sequence
from weakref import ref

from pqueue.claims import Consumer
from pqueue.cursor import Damage
from pqueue.errors import AnotherQueue, BlobMissing, QueueError, QueueGone, SerializationError
from pqueue.keeper import Keeper
from pqueue.request import Answer, Lot, Outcome, Request
from pqueue.runtime import Runtime

log = logging.getLogger("pqueue")

_SWAPS = 4
"""A lease is to outlast so many swaps like the one that it was too short for."""

_LEAST_MOST = 60_000
"""Milliseconds that a lease is lengthened to for that, at most."""

_SETTLE = 0.05
_AGAIN = 1.0
"""Seconds after which it is asked for what became of a swap that a call has left unanswered, and then again."""

LOST = float("-inf")
"""The deadline of a claim that is somebody else's by now."""


class Loan:
    """What one swap lent, under one claim."""

    __slots__ = ("__weakref__", "asked_ms", "claim", "deadline", "lease_ms", "left", "lots", "renewed", "renews")

    def __init__(self, claim: str, outcome: Outcome, asked_ms: int, lease_ms: int, now: float, *, renews: bool) -> None:
        self.claim = claim
        self.lots: list[Lot] = outcome.lots
        """For who asked; emptied once each item is somebody's, since a loan outlives them."""
        self.deadline = outcome.deadline
        """On the runtime's clock: nothing of it is handed out, or acknowledged, from then on (rule 16)."""
        self.asked_ms = asked_ms
        """The lease that was asked for."""
        self.lease_ms = lease_ms
        self.renewed = now
        self.renews = renews
        self.left = outcome.lent
        """Items not done with."""


class Leases:
    """The claims of one queue object, for any number of threads."""

    def __init__(
        self, runtime: Runtime, consumer: Consumer, answered: Callable[[Sequence[Answer]], object] = lambda _: None
    ) -> None:
        """For one queue object; `answered` is called with answers that were carried."""
        self._answered = answered
        self._runtime = runtime
        self._monotonic = runtime.monotonic
        self._consumer = consumer
        self.keeper = Keeper(runtime, self._attend)
        """The thread that renews, and does what others ask of it."""
        self.forget()
        consumer.remind = self._remind

    def forget(self) -> None:
        """In a forked child: nothing of the parent's claims (rule 31)."""
        self.keeper.forget()
        self.keeper.stays(self._owed)
        self._loans: dict[str, ref[Loan]] = {}
        """Whoever may still answer for a loan refers to it: of one that an interrupt lost on its way nothing is renewed."""
        self._unheard: list[str] = []
        self._settling = False
        self._underway = self._consumer.underway
        self.busy = self._underway.busy
        """By thread, whether it is claiming something, for those who have more to do with it; see `Underway`."""
        self._until = LOST
        """When nothing is to be given back any more that could not be read: its lease is over."""
        self._least_ms = 0
        """No lease is shorter: a swap took too long for one, and what it lent had run out before it was here."""

    def ask(self, answers: Sequence[Answer]) -> Sequence[int]:
        """Have these carried by a swap: for each answer how many items its claim still held.

        Raises:
            StoreError: no answer; asked again, it tells.
        """
        if not answers:
            return ()
        settled: Sequence[int]
        if len(answers) == 1 and self._consumer.acknowledge(answers[0]):
            where = answers[0].where
            settled = (where.stop - where.start,)
        else:
            settled = self._consumer.ask(Request(answers=answers)).settled
        try:
            self._answered(answers)
        except BaseException:
            self.owe(answers, settled)
            raise
        return settled

    def owe(self, answers: Sequence[Answer], settled: Sequence[int]) -> None:
        """Their caller was interrupted before it could do anything with what they settled: asked again, it is told that."""
        self._consumer.owe(Request(answers=answers), Outcome(settled=[*settled]))

    def carry(self, request: Request) -> Outcome:
        """Have a request carried by a swap, and its answers made known.

        Raises:
            StoreError: no answer; asked again, it tells.
        """
        if not request.lend:
            return Outcome(settled=[*self.ask(request.answers)])
        outcome = self._consumer.ask(request)
        try:
            if request.answers:
                self._answered(request.answers)
        except BaseException:
            self._consumer.owe(request, outcome)
            raise
        return outcome

    def carried(self, request: Request, outcome: Outcome) -> None:
        """Its caller was interrupted before it could do anything with the outcome: the next one that asks so has it."""
        self._consumer.owe(request, outcome)

    def borrow(
        self,
        lend: int,
        lease_ms: int,
        into: MutableSequence[Loan],
        answers: Sequence[Answer] = (),
        carry: Callable[[Request], Outcome] | None = None,
        *,
        renews: bool = True,
        least: int = 0,
        ride: bool = False,
        patient: bool = False,
    ) -> Sequence[int]:
        """As `ask`, and what the same swap lent is put `into`: whatever interrupts this, or the next to borrow has it lent.

        `carry`, if given, has the request carried; answers that it adds are its own concern. Once all is to end nothing
        is lent.

        Raises:
            StoreError: no answer; what was lent unheard is lent by the next call.
            CorruptSegment, SerializationError: an item can't be read; told once, never to a `ride`.
        """
        carry = carry or self.carry
        busy, me = self._underway.busy, self._runtime.ident()
        before = busy.get(me, False)
        try:
            busy[me] = True
            if self._underway.ending:
                return carry(Request(answers=answers)).settled
            return self._borrow(
                lend, lease_ms, into, answers, carry, renews=renews, least=least, ride=ride, patient=patient
            )
        finally:
            busy[me] = before

    def _borrow(
        self,
        lend: int,
        asked_ms: int,
        into: MutableSequence[Loan],
        answers: Sequence[Answer],
        carry: Callable[[Request], Outcome],
        *,
        renews: bool,
        least: int,
        ride: bool,
        patient: bool,
    ) -> Sequence[int]:
        # An id stays until its swap is answered, so that what was lent unheard is found again (rule 14).
        try:
            claim = self._unheard.pop() if self._unheard else self._consumer.draw_claim()
        except IndexError:  # another thread's
            claim = self._consumer.draw_claim()
        outcome: Outcome | None = None
        loan: Loan | None = None
        try:
            if not ride:
                self._consumer.wait(asked_ms)
            asked, lease_ms = self._monotonic(), max(asked_ms, self._least_ms)
            request = Request(0, lend, least, claim, lease_ms, answers, patient=patient, ride=ride)
            outcome = carry(request)
            if outcome.lots:
                unread = outcome.unread
                loan = self._lent(request, outcome, asked, asked_ms, renews=renews or unread)
                if not unread or self._read(loan, ride=ride):
                    loan.renews = renews and loan.renews  # what came too late is not: it is given back
                    into.append(loan)
                elif not (ride or self._underway.ending):  # trouble is met, and told, by whoever can set it aside
                    again = self.carry
                    self._borrow(
                        lend, asked_ms, into, (), again, renews=renews, least=least, ride=False, patient=patient
                    )
        except BaseException:
            if loan is not None and loan in into:
                self.owe(answers, outcome.settled if outcome else ())
            else:
                if outcome is not None:
                    self._consumer.owe(request, outcome)
                if outcome is None or outcome.lots:
                    self._unheard.append(claim)
            raise
        return outcome.settled

    def _lent(self, request: Request, outcome: Outcome, asked: float, asked_ms: int, *, renews: bool) -> Loan:
        """What the swap for it lent, renewed from now on where that is wanted."""
        now = self._monotonic()
        if now >= outcome.deadline:
            self._least_ms = min(_LEAST_MOST, 1 + int(_SWAPS * 1000 * (now - asked)))
        elif self._least_ms:
            self._least_ms //= 2
        # Some of it may have been lent unheard before.
        begun = min(asked, outcome.deadline - 0.9 * request.lease_ms / 1000)
        renews = renews and now < outcome.deadline
        loan = Loan(request.claim, outcome, asked_ms, request.lease_ms, begun, renews=renews)
        self._loans[loan.claim] = ref(loan)
        soon = 0.001 if now - begun >= request.lease_ms / 3000 else request.lease_ms / 6000
        if renews and soon < self.keeper.pause:
            self.keeper.within(soon)
        return loan

    def _read(self, loan: Loan, *, ride: bool) -> bool:
        """Read what was lent by its place, renewed meanwhile like any other; whether it is lent.

        What can't be read is given back, uncounted, and then read before it is claimed; so is what nobody waits for any more.

        Raises:
            Exception: no answer, or something that nobody can set aside; never to a `ride`.
        """
        try:
            self._consumer.read(loan.lots)
            if not self._underway.ending:
                if self._monotonic() >= loan.deadline and loan.renews:  # it took long, and a renewal may be on its way
                    self.extend(loan, loan.lease_ms)
                return True
        except BaseException as error:
            self._unseen(loan)
            if isinstance(error, (Damage, BlobMissing, SerializationError)) or (ride and isinstance(error, Exception)):
                log.debug("what was claimed and could not be read is given back: %s", error)
                return False
            raise
        self._unseen(loan)
        return False

    def _unseen(self, loan: Loan) -> None:
        """Give back what nobody was handed; its lots are gone once that is noted, and it is noted anew where that is interrupted.

        Twice is once, since no claim has its id again.
        """
        try:
            self._consumer.unseen(loan.claim, loan.lots)
        except BaseException:
            self._consumer.unseen(loan.claim, loan.lots)
            raise
        finally:
            self._until = max(self._until, loan.deadline)
            loan.lots.clear()
            self.done(loan)

    def extend(self, loan: Loan, lease_ms: int) -> bool:
        """Hold a claim for so long, never for less than it has; whether it still held anything.

        It is renewed no later for that: this may be for less than its lease.
        """
        now = self._monotonic()
        outcome = self._consumer.ask(Request(extend=[loan.claim], lease_ms=lease_ms))
        held = _holds(loan, outcome.settled[-1], now)
        loan.deadline = max(loan.deadline, outcome.deadline) if held else LOST
        return held

    def hold(self, loan: Loan) -> bool:
        """Whether this object holds the claim, as far as it knows."""
        return loan.claim in self._loans

    def done(self, loan: Loan) -> None:
        """Nothing of it is to be renewed any more."""
        self._loans.pop(loan.claim, None)

    def close(self) -> None:
        """Renew nothing any more; what is held comes back when its lease ends, unless it is answered for."""
        self.keeper.close()

    # -- from time to time --------------------------------------------------------------------------------------------

    def _attend(self) -> list[float]:
        """See to what was left unanswered, and renew what is older than a third of its lease; seconds until each is due again."""
        return [*self._settled(), *self._renewed()]

    def _owed(self) -> bool:
        return self._consumer.owes and self._monotonic() < self._until

    def _settled(self) -> list[float]:
        """See what became of a swap that a call has left unanswered; seconds until that is to be tried again."""
        self._settling = True
        try:
            self._consumer.settle()
        except QueueError as error:
            if self.keeper.closed or isinstance(error, (QueueGone, AnotherQueue)):
                return []
            log.warning("it is not known yet what became of a swap, this is asked again: %s", error)
            return [_AGAIN]
        except Exception:
            log.exception("it is not known yet what became of a swap, this is asked again")
            return [_AGAIN]
        finally:
            self._settling = False
        return [_SETTLE] if self._consumer.owes else []

    def _remind(self) -> None:
        """A call has left a swap unanswered; where that is the keeper's own asking, it has its pause."""
        if not self._settling:
            self.keeper.within(_SETTLE)

    def _renewed(self) -> list[float]:
        """Renew what is to be; for each that is to be renewed again the seconds until then. Keeps hold of none of them."""
        loans = []
        for claim, known in tuple(self._loans.items()):
            loan = known()
            if loan is None:
                self._loans.pop(claim, None)
            elif loan.renews:
                loans.append(loan)
        try:
            self._renew(loans)
        except Exception:
            log.exception("claims could not be renewed, this is tried again")
        return [loan.lease_ms / 6000 for loan in loans]

    def _renew(self, loans: Sequence[Loan]) -> None:
        now = self._monotonic()
        old = [loan for loan in loans if now - loan.renewed > loan.lease_ms / 3000 and loan.deadline != LOST]
        for lease_ms in sorted({loan.lease_ms for loan in old}):  # each lease by itself: their deadlines differ
            alike = [loan for loan in old if loan.lease_ms == lease_ms]
            try:
                outcome = self._consumer.ask(Request(extend=[loan.claim for loan in alike], lease_ms=lease_ms))
            except QueueError as error:
                log.warning("claims could not be renewed, this is tried again: %s", error)
                continue
            for loan, count in zip(alike, outcome.settled, strict=True):
                held = _holds(loan, count, now)
                # A claim that was lost meanwhile is not renewed, and nothing of it is handed out any more.
                loan.deadline = max(loan.deadline, outcome.deadline) if held else LOST
                loan.renewed = now
                if not held:
                    self.done(loan)


def _holds(loan: Loan, count: int, asked: float) -> bool:
    """Whether a claim that holds so many items holds what is left of the loan.

    Of one that was over when that was asked it may hold a part that was lent later, under the same id (rule 14).
    """
    return count >= (1 if asked < loan.deadline else loan.left)
