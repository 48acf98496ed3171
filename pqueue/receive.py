"""Lending messages: claiming what a call asks for, and for the next calls, and what the messages' users may do with them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

from pqueue.answering import ACK, LINGER, NOWHERE, Answering, answered, lost
from pqueue.errors import ClaimLost, StoreError
from pqueue.leases import Leases, Loan
from pqueue.message import ANSWERING, Message
from pqueue.pace import Pace
from pqueue.prefetched import Prefetched, Turn
from pqueue.request import Answer
from pqueue.retry import Retry, text_of
from pqueue.runtime import Runtime
from pqueue.share import Part, Share, first, size, unanswered
from pqueue.words import were

log = logging.getLogger("pqueue")

_MANY = 1000
"""Dropped messages that are left to the keeper, which does not look where nothing is renewed."""

_TRIES = 3
"""Of a store that answers only after the lease has run out."""

_STALE = 0.5
"""Seconds after which what was claimed ahead and not asked for is given back, so that others get it."""


class Receiver:
    """The lending side of one queue object, for any number of threads."""

    def __init__(self, runtime: Runtime, leases: Leases, retry: Retry, linger: float) -> None:
        """`linger`: seconds that an acknowledgement may wait which nobody waits for."""
        self._runtime = runtime
        self._monotonic = runtime.monotonic
        self._leases = leases
        self._retry = retry
        self._answering = Answering(runtime, leases, linger)
        self._begin()

    def _begin(self) -> None:
        self._prefetched = Prefetched(self._runtime)
        self._pace = Pace()
        self._busy = self._leases.busy
        self._tab = self._answering.tab
        self.dropped = self._answering.dropped
        """Where a message that nobody refers to any more notes itself, if it is unanswered."""
        self._leases.keeper.chore(self._attend)
        self._leases.keeper.stays(lambda: bool(self._tab))

    def forget(self) -> None:
        """In a forked child: nothing of the parent's claims (rule 31)."""
        self._answering.forget()
        self._begin()

    @property
    def ahead(self) -> bool:
        """Whether something is claimed for the next call."""
        return bool(self._prefetched.shares)

    @property
    def holds(self) -> bool:
        """Whether something is, or may be on its way back unseen: whoever takes otherwise is to get it first."""
        return bool(self._prefetched.shares or self._answering.returns)

    @property
    def unanswered(self) -> int:
        """Items whose acknowledgement nobody waits for, and which has not gone out."""
        return self._tab.acknowledged

    def take(self, count: int, lease_ms: int, renews: bool) -> list[Part]:
        """At most `count` items of one claim; none where nothing could be handed out now."""
        now = self._monotonic()
        soon = self._pace.asks(count, lease_ms, now, renews=renews)
        if self._prefetched.shares:
            found = self._popped(count, lease_ms, renews, now)
            if found:
                return found
        turn = Turn()
        busy, me = self._busy, self._runtime.ident()
        try:
            while not turn.begun:
                if not self._prefetched.turn(turn, alone=soon):
                    self._prefetched.wait()
                if turn.vain:
                    return []
                if not turn.begun:
                    found = self._popped(count, lease_ms, renews, self._monotonic())
                    if found:
                        return found
            busy[me] = True  # until what is not handed out is kept, so that a close gives it back
            return self._claimed(turn, count, lease_ms, renews)
        finally:
            busy[me] = False
            turn.over = True
            if self._prefetched.waiting:
                self._prefetched.wake()

    def _popped(self, count: int, lease_ms: int, renews: bool, now: float) -> list[Part]:
        found, unfit = self._prefetched.pop(count, lease_ms, renews, now)
        if unfit:
            self._answering.unseen(unfit)
        return found

    def _claimed(self, turn: Turn, count: int, lease_ms: int, renews: bool) -> list[Part]:
        if len(self.dropped) > _MANY:
            self._answering.note_dropped()
        lent: list[Loan] = []
        made: deque[Share] = deque()
        try:
            self._lend(self._pace.claim(count, turn), count, lease_ms, renews=renews, into=lent)
            if not lent:
                self._prefetched.nothing(turn)
                return []
            made = self._made(lent[0])
            found = first(made, count, lent[0])
            if made:
                self._keep(made)
        except BaseException:
            self._interrupted(lent, made)
            raise
        return found

    def _lend(self, count: int, least: int, lease_ms: int, *, renews: bool, into: list[Loan]) -> None:
        for _ in range(_TRIES):
            if self._tab:
                self._tab.send(count, lease_ms, into, renews=renews, least=least, patient=True)
            else:
                self._leases.borrow(count, lease_ms, into, renews=renews, least=least, patient=True)
            if not into or self._monotonic() < into[0].deadline:
                return
            # The store answered after the lease had run out: others may have them (rule 16). Else nobody has seen them.
            loan = into.pop()
            log.warning("%s lent too late, after the lease of %.1f s", were(loan.left, "item"), loan.lease_ms / 1000)
            self._answering.unseen(self._made(loan))

    def acknowledge(self, messages: Sequence[Part], wait: bool = True, *, rest: bool = False) -> None:
        """See `Message.ack`. `rest`: those of them that no other thread answers meanwhile."""
        pace = self._pace
        pace.eager = not wait
        if not wait and messages:
            pace.answered = self._monotonic()
            if self._answering.note(messages, pace.answered, rest=rest):
                return
        asked = pace.asked
        # Only with the last answer of what was lent together: before that the caller is busy, and others are to get it. And
        # with nothing on its way back: that comes first.
        if (
            asked is None
            or self._prefetched.shares
            or not messages
            or messages[0]._loan.left != size(messages)  # noqa: SLF001
            or self._tab
        ):
            late = self._answering.alone(messages[0]) if len(messages) == 1 else None
            if late is None:
                self._answer(messages, ACK, rest=rest)
                return
            pace.answers(self._monotonic())
            if late:
                raise lost(late, messages)
            return
        turn = Turn()
        busy, me = self._busy, self._runtime.ident()
        try:
            busy[me] = True
            lend, lease_ms = asked
            most = pace.ahead(lend, turn) if self._prefetched.begin(turn) else 0
            self._answer(messages, ACK, most, lease_ms, least=lend, rest=rest)
        finally:
            busy[me] = False
            turn.over = True
            if self._prefetched.waiting:
                self._prefetched.wake()

    def give_back(
        self,
        messages: Sequence[Part],
        delay: float | None,
        error: str,
        *,
        counted: bool = True,
        rest: bool = False,
    ) -> None:
        """See `Message.nack`. `rest`: those of them that no other thread answers meanwhile."""
        if delay is not None and not 0 <= 1000 * delay < inf:
            raise ValueError("'delay' must be a non-negative number")
        said = text_of(error)
        groups: dict[int, list[Part]] = {}
        for message in messages:
            groups.setdefault(message.attempt if delay is None else 0, []).append(message)
        for attempt, group in groups.items():
            delay_ms = self._retry.ms(attempt) if delay is None else int(delay * 1000)
            kind = Answer("", NOWHERE, back=True, delay_ms=delay_ms, counted=counted, error=said)
            self._answer(group, kind, rest=rest)

    def reject(self, messages: Sequence[Part], reason: str) -> None:
        """See `Message.reject`."""
        self._answer(messages, Answer("", NOWHERE, bury="rejected", error=text_of(reason)))

    def leave(self, messages: Sequence[Part], error: BaseException | None) -> None:
        """At the end of a `with` block."""
        held = unanswered(messages)
        if not held:
            return
        if error is None:
            self.acknowledge(held, rest=True)
            return
        try:
            self.give_back(held, None, f"{type(error).__name__}: {text_of(error)}", rest=True)
        except ClaimLost as late:
            log.warning("%s", late)  # the block's own error is what is raised

    def extend(self, message: Part, seconds: float) -> None:
        """See `Message.extend`."""
        if not 0 <= 1000 * seconds < inf:
            raise ValueError("'seconds' must be a non-negative number")
        loan = message._loan  # noqa: SLF001
        if message._state >= ANSWERING:  # noqa: SLF001
            raise answered(message)
        try:
            held = self._monotonic() < loan.deadline and self._leases.hold(loan)
            held = held and self._leases.extend(loan, int(seconds * 1000))
        except StoreError as error:
            self._answering.if_closed(error)
            raise
        if not held:
            raise lost(1, [message])

    def apart(self, parts: Sequence[Part]) -> tuple[Sequence[Message[Any]], bool]:
        """A message for each item of these; and whether these are to stay: another thread may be answering for a whole share."""
        return self._answering.apart(parts)

    def release(self) -> None:
        """Give back what is claimed ahead, uncounted (rule 18), and send whatever is to be sent."""
        shares: deque[Share] = deque()
        try:
            self._prefetched.drop(shares)
            self._answering.unseen(shares)
        except BaseException:
            self._answering.unseen(shares)
            raise
        self.flush()

    def flush(self) -> None:
        """Send the acknowledgements that nobody waits for."""
        self._answering.flush()

    def close(self) -> None:
        """As `release`; nothing is kept for later from now on."""
        self._answering.close()
        self._prefetched.close()
        self.release()

    # -- within -------------------------------------------------------------------------------------------------------

    def _answer(
        self,
        messages: Sequence[Part],
        kind: Answer,
        lend: int = 0,
        lease_ms: int = 0,
        *,
        least: int = 0,
        rest: bool = False,
    ) -> None:
        """Answer for these in one swap, which may lend what the next calls will ask for, or the `least` of it."""
        if not messages:
            return
        lent: list[Loan] = []
        made: Sequence[Share] | deque[Share] = ()
        try:
            late = self._answering.send(messages, kind, lend, lease_ms, lent, least=least, rest=rest)
            self._pace.answers(self._monotonic())
            if lent:
                made = self._made(lent[0])
                self._keep(made)
        except BaseException:
            self._interrupted(lent, made)
            raise
        if late:
            raise lost(late, messages)

    def _made(self, loan: Loan) -> deque[Share]:
        made = deque(Share.of(self, loan, lot) for lot in loan.lots)
        loan.lots = []  # each item goes with its share
        return made

    def _keep(self, shares: deque[Share]) -> None:
        """For the next calls; closed meanwhile, nobody will ask for it. What is kept is taken from `shares`."""
        if self._prefetched.keep(shares):
            self._leases.keeper.within(_STALE)
        else:
            self._answering.unseen(shares)

    def _interrupted(self, lent: Sequence[Loan], made: Iterable[Share]) -> None:
        """Have given back what was lent, and is on its way to nobody."""
        unseen = [*made, *(share for loan in lent for share in self._made(loan))]
        if unseen:
            self._answering.unseen(unseen)

    # -- for the keeper -----------------------------------------------------------------------------------------------

    def _attend(self, now: float) -> float | None:
        """Renew what was dropped no more, give back what nobody asks for, send what is due."""
        answering = self._answering
        answering.note_dropped()
        if self._prefetched.shares and now - self._prefetched.since >= _STALE:
            self._give_back_stale()
        elif self._tab and now >= answering.due:
            self.flush()
        waits = [_STALE] if now - self._pace.answered < _STALE else []
        if self._prefetched.shares:
            waits.append(max(LINGER, self._prefetched.since + _STALE - now))
        if self._tab:
            waits.append(max(LINGER, answering.due - now))
        return min(waits) if waits else None

    def _give_back_stale(self) -> None:
        """Give back what nobody has asked for; while nobody claims, so that it is not handed out behind what is."""
        turn = Turn()
        try:
            if self._prefetched.begin(turn, drops=True):
                self.release()
        finally:
            turn.over = True
            if self._prefetched.waiting:
                self._prefetched.wake()
