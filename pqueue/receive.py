"""Lending messages, and answering for them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

from pqueue.errors import ClaimLost
from pqueue.head import Range
from pqueue.leases import Leases, Loan, Tab
from pqueue.message import ANSWERED, ANSWERING, UNSURE, Message
from pqueue.request import Answer, Lot
from pqueue.retry import Retry, text_of
from pqueue.runtime import Runtime
from pqueue.words import were

log = logging.getLogger("pqueue")

_SOON = 0.1
"""Seconds: who receives so soon after an answer is a loop, and its next answer claims ahead for the next call."""

_LINGER = 0.05
"""Seconds that an acknowledgement which nobody waits for may take at least, so that it meets others."""

_CALLS = 8
"""Calls that one claim serves, where acknowledgements need not wait."""

_TRIES = 3
"""Of a store that answers only after the lease has run out."""

_STALE = 0.5
"""Seconds after which what was claimed ahead and not asked for is given back, so that others get it."""


class Receiver:
    """The lending side of one queue object, for any number of threads.

    An acknowledgement is a swap, and carries the claim for the next call along, so that a loop needs one swap an item.
    More than that one call's worth is never claimed ahead, but by a loop whose acknowledgements need not wait: of its
    claims each serves some calls, and carries the acknowledgements of those before.
    """

    def __init__(self, runtime: Runtime, leases: Leases, retry: Retry, linger: float) -> None:
        """`linger`: seconds that an acknowledgement may wait which nobody waits for."""
        self._runtime = runtime
        self._leases = leases
        self._retry = retry
        self._linger = max(linger, _LINGER)
        self.forget()

    def forget(self) -> None:
        """In a forked child: nothing of the parent's claims (rule 31)."""
        self._guard = self._runtime.lock()
        self._ahead: deque[tuple[Loan, Lot]] = deque()
        self._since = 0.0
        self._answered = float("-inf")
        self._asked: tuple[int, int] | None = None
        """How the last call asked, if it came soon after an answer."""
        self._tab = Tab(self._runtime, self._leases)
        """Acknowledgements that nobody waits for, and what is given back unseen."""
        self._due = float("inf")
        """When what is on the tab is to be sent."""
        self._closed = False
        self._eager = False
        """Whether nobody waited for the last acknowledgement."""
        self.dropped: deque[tuple[Loan, int]] = deque()
        self._leases.chore(self._attend)

    @property
    def ahead(self) -> bool:
        """Whether something is claimed for the next call."""
        return bool(self._ahead)

    @property
    def unanswered(self) -> int:
        """Items whose acknowledgement nobody waits for, and which has not gone out."""
        return self._tab.acknowledged

    def take(self, count: int, lease_ms: int, renews: bool) -> list[Message[Any]]:
        """At most `count` messages of one claim; none where nothing could be handed out now."""
        soon = renews and self._runtime.monotonic() - self._answered < _SOON
        self._asked = (count, lease_ms) if soon else None
        if self._ahead:
            found = self._from_ahead(count, lease_ms, renews)
            if found:
                return found
        loan = self._lent(_CALLS * count if soon and self._eager else count, lease_ms, renews=renews)
        if loan is None:
            return []
        if loan.left == 1:
            return [self._one(loan, loan.lots[0])]
        if loan.left <= count:
            return self._made(loan, loan.lots)
        self._keep(loan)
        return self._from_ahead(count, lease_ms, renews)

    def _lent(self, count: int, lease_ms: int, *, renews: bool) -> Loan | None:
        for _ in range(_TRIES):
            if self._tab:
                loan = self._tab.send(count, lease_ms, renews=renews)
            else:
                loan = self._leases.ask(lend=count, lease_ms=lease_ms, renews=renews)[1]
            if loan is None or self._runtime.monotonic() < loan.deadline:
                return loan
            # The store answered after the lease had run out: others may have them (rule 16). Else nobody has seen them.
            log.warning("%s lent too late, after the lease of %.1f s", were(loan.left, "item"), lease_ms / 1000)
            self._unseen([(loan, lot) for lot in loan.lots])
        return None

    def acknowledge(self, messages: Sequence[Message[Any]], wait: bool = True) -> None:
        """See `Message.ack`."""
        self._eager = not wait
        if not wait and messages and self._noted(messages):
            return
        asked = self._asked
        # Only with the last answer of what was lent together: before that the caller is busy, and others are to get it.
        if asked is None or self._ahead or not messages or messages[0]._loan.left != len(messages):  # noqa: SLF001
            self._answer(messages, _ACK)
            return
        self._answer(messages, _ACK, *asked)

    def give_back(
        self, messages: Sequence[Message[Any]], delay: float | None, error: str, *, counted: bool = True
    ) -> None:
        """See `Message.nack`."""
        if delay is not None and delay < 0:
            raise ValueError("'delay' must be a non-negative number")
        said = text_of(error)
        groups: dict[int, list[Message[Any]]] = {}
        for message in messages:
            groups.setdefault(message.attempt if delay is None else 0, []).append(message)
        for attempt, group in groups.items():
            delay_ms = self._retry.ms(attempt) if delay is None else int(delay * 1000)
            self._answer(group, Answer("", _NOWHERE, back=True, delay_ms=delay_ms, counted=counted, error=said))

    def reject(self, messages: Sequence[Message[Any]], reason: str) -> None:
        """See `Message.reject`."""
        self._answer(messages, Answer("", _NOWHERE, bury="rejected", error=text_of(reason)))

    def leave(self, messages: Sequence[Message[Any]], error: BaseException | None) -> None:
        """At the end of a `with` block."""
        held = [message for message in messages if message._state < ANSWERING]  # noqa: SLF001  # made for each other
        if not held:
            return
        if error is None:
            self.acknowledge(held)
            return
        try:
            self.give_back(held, None, f"{type(error).__name__}: {text_of(error)}")
        except ClaimLost as lost:
            log.warning("%s", lost)  # the block's own error is what is raised

    def extend(self, message: Message[Any], seconds: float) -> None:
        """See `Message.extend`."""
        loan = message._loan  # noqa: SLF001
        if message._state >= ANSWERING:  # noqa: SLF001
            raise _answered(message)
        if self._runtime.monotonic() >= loan.deadline or not self._leases.extend(loan, int(seconds * 1000)):
            raise _lost(1, [message])

    def release(self) -> None:
        """Give back what is claimed ahead, uncounted (rule 18), and send whatever is to be sent."""
        with self._guard:
            ahead, self._ahead = self._ahead, deque()
        self._unseen(ahead)
        self.flush()

    def flush(self) -> None:
        """Send the acknowledgements that nobody waits for."""
        self._due = float("inf")
        try:
            self._tab.send()
        except BaseException:
            self._due = self._runtime.monotonic() + _LINGER
            raise

    def close(self) -> None:
        """As `release`; what is answered from now on is answered at once."""
        with self._guard:
            self._closed = True
        self.release()

    # -- within -------------------------------------------------------------------------------------------------------

    def _keep(self, loan: Loan) -> None:
        """For the next calls."""
        with self._guard:
            self._since = self._runtime.monotonic()
            self._ahead.extend((loan, lot) for lot in loan.lots)
        self._leases.within(_STALE)

    def _unseen(self, lots: Iterable[tuple[Loan, Lot]]) -> None:
        """Have these given back, with the next swap or soon."""
        for loan, lot in lots:
            self._tab.add(Answer(loan.claim, lot.where, back=True, counted=False))
            self._done(loan, len(lot.items))
        self._due = min(self._due, self._runtime.monotonic() + _LINGER)
        self._leases.within(_LINGER)

    def _done(self, loan: Loan, count: int) -> None:
        """So many of its items are in nobody's hand any more."""
        with self._guard:
            loan.left -= count
            if loan.left <= 0:
                self._leases.done(loan)

    def _from_ahead(self, count: int, lease_ms: int, renews: bool) -> list[Message[Any]]:
        """Of what was claimed ahead in the way that is asked for now; anything else is given back."""
        unfit: list[tuple[Loan, Lot]] = []
        try:
            with self._guard:
                now = self._runtime.monotonic()
                while self._ahead:
                    loan, lot = self._ahead.popleft()
                    # Slept past its lease (rule 16), or lent for another time.
                    if now >= loan.deadline or loan.lease_ms != lease_ms or loan.renews != renews:
                        unfit.append((loan, lot))
                        continue
                    if len(lot.items) > count:
                        self._ahead.appendleft((loan, lot.behind(count)))
                        lot = lot.before(count)  # the rest stays
                    return self._made(loan, (lot,)) if len(lot.items) > 1 else [self._one(loan, lot)]
        finally:
            if unfit:
                self._unseen(unfit)
        return []

    def _one(self, loan: Loan, lot: Lot) -> Message[Any]:
        at_ms = lot.times[0] if lot.times else None
        return Message(self, loan, lot.where.ordinal, lot.where.start, lot.items[0], lot.attempts, at_ms)

    def _made(self, loan: Loan, lots: Sequence[Lot]) -> list[Message[Any]]:
        made: list[Message[Any]] = []
        for lot in lots:
            ordinal, start, _ = lot.where
            attempts = lot.attempts
            times = lot.times or repeat(None)
            made += [
                Message(self, loan, ordinal, offset, item, attempts, at_ms)
                for offset, item, at_ms in zip(range(start, lot.where.stop), lot.items, times, strict=False)
            ]
        return made

    def _noted(self, messages: Sequence[Message[Any]]) -> bool:
        """Acknowledge these with the next swap, or soon; False where the lease is nearly over, or nobody is left to send it."""
        now = self._answered = self._runtime.monotonic()
        loan = messages[0]._loan  # noqa: SLF001
        wait = min(self._linger, loan.lease_ms / 3000)
        if loan.deadline - now <= 2 * wait:
            return False
        with self._guard:
            if self._closed:
                return False
            answers = self._begun(messages, _ACK)
            for answer in answers:
                self._tab.add(answer)
            self._ended(messages)
        self._due = min(self._due, now + wait)
        self._leases.within(wait)
        lost = len(messages) - sum(answer.where.stop - answer.where.start for answer in answers)
        if lost:
            raise _lost(lost, messages)
        return True

    def _answer(self, messages: Sequence[Message[Any]], kind: Answer, lend: int = 0, lease_ms: int = 0) -> None:
        """Answer for these in one swap, which may lend what the next call will ask for."""
        if not messages:
            return
        loan: Loan | None = None
        try:
            with self._guard:
                answers = self._begun(messages, kind)
            lost = len(messages)
            if answers:
                settled, loan = self._leases.ask(answers, lend=lend, lease_ms=lease_ms, ride=True)
                lost -= sum(settled)
        except ClaimLost:
            raise
        except BaseException:
            for message in messages:
                if message._state == ANSWERING:  # noqa: SLF001
                    message._state = UNSURE  # noqa: SLF001
            raise
        with self._guard:
            self._ended(messages)
        self._answered = self._runtime.monotonic()
        if loan is not None:
            self._keep(loan)
        if lost:
            raise _lost(lost, messages)

    def _begun(self, messages: Sequence[Message[Any]], kind: Answer) -> list[Answer]:
        """Mark them as being answered; the answers. Under the guard.

        Raises:
            ClaimLost: one was answered before.
        """
        for message in messages:
            if message._state >= ANSWERING:  # noqa: SLF001
                raise _answered(message)
        answers = self._ranges(messages, kind)
        for message in messages:
            message._state = ANSWERING  # noqa: SLF001
        return answers

    def _ended(self, messages: Sequence[Message[Any]]) -> None:
        """Mark them as answered; under the guard."""
        for message in messages:
            message._state = ANSWERED  # noqa: SLF001
            held = message._loan  # noqa: SLF001
            held.left -= 1
            if not held.left:
                self._leases.done(held)

    def _ranges(self, messages: Sequence[Message[Any]], kind: Answer) -> list[Answer]:
        """An answer for each run of neighbours, but for those whose lease has run out by our own clock (rule 16)."""
        now = self._runtime.monotonic()
        answers: list[Answer] = []
        for message in messages:
            loan = message._loan  # noqa: SLF001
            if (now >= loan.deadline or not self._leases.hold(loan)) and message._state != UNSURE:  # noqa: SLF001
                continue  # one that was sent before is asked for again: it may have been in time (rule 14)
            offset, ordinal = message.offset, message._ordinal  # noqa: SLF001
            if answers:
                last = answers[-1]
                if last.where.stop == offset and last.where.ordinal == ordinal and last.claim == loan.claim:
                    answers[-1] = last._replace(where=Range(ordinal, last.where.start, offset + 1))
                    continue
            where = Range(ordinal, offset, offset + 1)
            answers.append(Answer(loan.claim, where) if kind is _ACK else kind._replace(claim=loan.claim, where=where))
        return answers

    def _attend(self, now: float) -> float | None:
        """For the keeper: renew what was dropped no more, give back what nobody asks for, send what is due."""
        dropped = []
        while self.dropped:
            loan, offset = self.dropped.popleft()
            if self._leases.hold(loan):  # not a parent's, not lost
                dropped.append(offset)
                self._done(loan, 1)
        if dropped:
            log.warning(
                "%s dropped without an answer, from offset %d on: the lease is left to end",
                were(len(dropped), "message"),
                min(dropped),
            )
        if self._ahead and now - self._since >= _STALE:
            self.release()
        elif self._tab and now >= self._due:
            self.flush()
        waits = [_STALE] if now - self._answered < _STALE else []
        if self._ahead:
            waits.append(self._since + _STALE - now)
        if self._tab:
            waits.append(max(_LINGER, self._due - now))
        return min(waits) if waits else None


_NOWHERE = Range(0, 0, 0)
_ACK = Answer("", _NOWHERE)


def _answered(message: Message[Any]) -> ClaimLost:
    return ClaimLost(f"the message of offset {message.offset} was answered before; this answer changed nothing")


def _lost(count: int, messages: Sequence[Message[Any]]) -> ClaimLost:
    first = messages[0].offset
    if len(messages) == 1:
        return ClaimLost(f"too late for the item at offset {first}: its lease ran out, others may get it, or have")
    return ClaimLost(f"too late for {count} of {len(messages)} items from offset {first} on: their lease ran out")
