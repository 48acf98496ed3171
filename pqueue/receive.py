"""Lending messages, and answering for them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

from pqueue.errors import ClaimLost, ShutDown, StoreError
from pqueue.head import Range
from pqueue.leases import Leases, Loan, Tab
from pqueue.message import ANSWERED, ANSWERING, UNSURE, Message
from pqueue.prefetched import Prefetched, Turn
from pqueue.request import Answer
from pqueue.retry import Retry, text_of
from pqueue.runtime import Runtime
from pqueue.share import Part, Share, first, size, unanswered
from pqueue.words import were

log = logging.getLogger("pqueue")

_SOON = 0.1
"""Seconds: who receives so soon after an answer is a loop, and its next answer claims ahead for the next call."""

_LINGER = 0.05
"""Seconds that an acknowledgement which nobody waits for may take at least, so that it meets others."""

_CALLS = 8
"""Calls that one claim serves, where the caller is quick or its acknowledgements need not wait."""

_MOST_CALLS = 64
_WORTH = 0.016
"""As many calls as so many seconds are worth, at most, where the caller has been quick for long."""

_MOST = 1000
"""Items that a quick caller's claims have at most, but for what one call asks for."""

_EAGER_MOST = 8000
"""The same where acknowledgements need not wait: in a bucket, that is eight segments a swap."""

_QUICK = 0.002
"""Seconds from one answer to the next."""

_TRIES = 3
"""Of a store that answers only after the lease has run out."""

_STALE = 0.5
"""Seconds after which what was claimed ahead and not asked for is given back, so that others get it."""


class Receiver:
    """The lending side of one queue object, for any number of threads.

    An acknowledgement is a swap, and carries the claim for the next call along, so that a loop needs one swap an item.
    More than that one call's worth is claimed ahead only by a loop that goes round within milliseconds, so that it holds
    back nothing for long, or whose acknowledgements need not wait: of its claims each serves some calls.
    """

    def __init__(self, runtime: Runtime, leases: Leases, retry: Retry, linger: float) -> None:
        """`linger`: seconds that an acknowledgement may wait which nobody waits for."""
        self._runtime = runtime
        self._monotonic = runtime.monotonic
        self._leases = leases
        self._retry = retry
        self._linger = max(linger, _LINGER)
        self.forget()

    def forget(self) -> None:
        """In a forked child: nothing of the parent's claims (rule 31)."""
        self._guard = self._runtime.lock()
        self._prefetched = Prefetched(self._runtime)
        self._answered = float("-inf")
        self._asked: tuple[int, int] | None = None
        """How the last call asked, if it came soon after an answer."""
        self._tab = Tab(self._runtime, self._leases)
        """Acknowledgements that nobody waits for, and what is given back unseen."""
        self._due = float("inf")
        """When what is on the tab is to be sent."""
        self.returns = False
        """Whether something on the tab may be given back unseen: whoever takes otherwise is to get it first."""
        self._closed = False
        self._eager = False
        """Whether nobody waited for the last acknowledgement."""
        self._quick = False
        """Whether the last answer came within `_QUICK` of the one before."""
        self._pace = _SOON
        """Seconds from one answer to the next, of late."""
        self.dropped: deque[tuple[Loan, int, int]] = deque()
        self._leases.chore(self._attend, lambda: bool(self._tab))

    @property
    def ahead(self) -> bool:
        """Whether something is claimed for the next call."""
        return bool(self._prefetched.shares)

    @property
    def unanswered(self) -> int:
        """Items whose acknowledgement nobody waits for, and which has not gone out."""
        return self._tab.acknowledged

    def take(self, count: int, lease_ms: int, renews: bool) -> list[Part]:
        """At most `count` items of one claim; none where nothing could be handed out now."""
        now = self._monotonic()
        soon = renews and now - self._answered < _SOON
        self._asked = (count, lease_ms) if soon else None
        if self._prefetched.shares:
            found = self._popped(count, lease_ms, renews, now)
            if found:
                return found
        turn = Turn()
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
            return self._claimed(turn, count, lease_ms, renews)
        finally:
            turn.over = True
            if self._prefetched.waiting:
                self._prefetched.wake()

    def _popped(self, count: int, lease_ms: int, renews: bool, now: float) -> list[Part]:
        found, unfit = self._prefetched.pop(count, lease_ms, renews, now)
        if unfit:
            self._unseen(unfit)
        return found

    def _claimed(self, turn: Turn, count: int, lease_ms: int, renews: bool) -> list[Part]:
        if len(self.dropped) > _MOST:  # where nothing is renewed, no keeper looks
            self._note_dropped()
        wanted = max(count, min(count * turn.calls, _MOST))
        if turn.alone and self._eager:
            wanted = _calls(wanted, _CALLS, _EAGER_MOST)
        lent: list[Loan] = []
        made: deque[Share] = deque()
        try:
            self._lend(wanted, lease_ms, renews=renews, into=lent)
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

    def _lend(self, count: int, lease_ms: int, *, renews: bool, into: list[Loan]) -> None:
        for _ in range(_TRIES):
            if self._tab:
                self._tab.send(count, lease_ms, into, renews=renews, patient=True)
            else:
                self._leases.borrow(count, lease_ms, into, renews=renews, patient=True)
            if not into or self._monotonic() < into[0].deadline:
                return
            # The store answered after the lease had run out: others may have them (rule 16). Else nobody has seen them.
            loan = into.pop()
            log.warning("%s lent too late, after the lease of %.1f s", were(loan.left, "item"), loan.lease_ms / 1000)
            self._unseen(self._made(loan))

    def acknowledge(self, messages: Sequence[Part], wait: bool = True, *, rest: bool = False) -> None:
        """See `Message.ack`. `rest`: those of them that no other thread answers meanwhile."""
        self._eager = not wait
        if not wait and messages and self._noted(messages, rest=rest):
            return
        asked = self._asked
        # Only with the last answer of what was lent together: before that the caller is busy, and others are to get it.
        if asked is None or self._prefetched.shares or not messages or messages[0]._loan.left != size(messages):  # noqa: SLF001
            self._answer(messages, _ACK, rest=rest)
            return
        turn = Turn()
        try:
            lend, lease_ms = asked
            if not self._prefetched.begin(turn):
                lend = 0
            elif turn.calls > 1:
                lend = max(lend, min(lend * turn.calls, _MOST))
            if self._quick:
                lend = _calls(lend, min(max(_CALLS, int(_WORTH / self._pace)), _MOST_CALLS), _MOST)
            self._answer(messages, _ACK, lend, lease_ms, rest=rest)
        finally:
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
            kind = Answer("", _NOWHERE, back=True, delay_ms=delay_ms, counted=counted, error=said)
            self._answer(group, kind, rest=rest)

    def reject(self, messages: Sequence[Part], reason: str) -> None:
        """See `Message.reject`."""
        self._answer(messages, Answer("", _NOWHERE, bury="rejected", error=text_of(reason)))

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
        except ClaimLost as lost:
            log.warning("%s", lost)  # the block's own error is what is raised

    def extend(self, message: Part, seconds: float) -> None:
        """See `Message.extend`."""
        if not 0 <= 1000 * seconds < inf:
            raise ValueError("'seconds' must be a non-negative number")
        loan = message._loan  # noqa: SLF001
        if message._state >= ANSWERING:  # noqa: SLF001
            raise _answered(message)
        try:
            held = self._monotonic() < loan.deadline and self._leases.hold(loan)
            held = held and self._leases.extend(loan, int(seconds * 1000))
        except StoreError as error:
            self._if_closed(error)
            raise
        if not held:
            raise _lost(1, [message])

    def release(self) -> None:
        """Give back what is claimed ahead, uncounted (rule 18), and send whatever is to be sent."""
        self._unseen(self._prefetched.drop())
        self.flush()

    def flush(self) -> None:
        """Send the acknowledgements that nobody waits for."""
        self._due = float("inf")
        try:
            self._tab.send()
        except BaseException:
            self._due = self._monotonic() + _LINGER
            raise
        self.returns = bool(self._tab)

    def close(self) -> None:
        """As `release`; nothing is kept for later from now on."""
        with self._guard:
            self._closed = True
        self._prefetched.close()
        self.release()

    def apart(self, parts: Sequence[Part]) -> tuple[Sequence[Message[Any]], bool]:
        """A message for each item of these; and whether these are to stay: another thread may be answering for a whole share."""
        made: list[Message[Any]] = []
        whole = True
        with self._guard:
            for part in parts:
                if isinstance(part, Message):
                    made.append(part)
                else:
                    made += part.messages()
                    whole = whole and part.told
        return made, whole

    # -- within -------------------------------------------------------------------------------------------------------

    def _keep(self, shares: deque[Share]) -> None:
        """For the next calls; closed meanwhile, nobody will ask for it. What is kept is taken from `shares`."""
        if self._prefetched.keep(shares):
            self._leases.within(_STALE)
        else:
            self._unseen(shares)

    def _interrupted(self, lent: Sequence[Loan], made: Iterable[Share]) -> None:
        """Have given back what was lent, and is on its way to nobody."""
        unseen = [*made, *(share for loan in lent for share in self._made(loan))]
        if unseen:
            self._unseen(unseen)

    def _unseen(self, messages: Sequence[Part]) -> None:
        """Have these, which nobody was handed, given back, with the next swap or soon."""
        self.returns = True
        for answer in _answers(messages, _BACK):
            self._tab.add(answer)
        with self._guard:
            self._ended(messages)
        self._due = min(self._due, self._monotonic() + _LINGER)
        self._leases.within(_LINGER)

    def _made(self, loan: Loan) -> deque[Share]:
        made = deque(Share.of(self, loan, lot) for lot in loan.lots)
        loan.lots = []  # each item goes with its share
        return made

    def _noted(self, messages: Sequence[Part], *, rest: bool) -> bool:
        """Acknowledge these with the next swap, or soon; False where the lease is nearly over, or nobody is left to send it."""
        now = self._answered = self._monotonic()
        loan = messages[0]._loan  # noqa: SLF001
        wait = min(self._linger, loan.lease_ms / 3000)
        if loan.deadline - now <= 2 * wait:
            return False
        with self._guard:
            if self._closed:
                return False
            if rest:
                messages = unanswered(messages)
            answers = self._begun(messages, _ACK)
            for answer in answers:
                self._tab.add(answer)
            self._ended(messages)
        self._due = min(self._due, now + wait)
        self._leases.within(wait)
        lost = size(messages) - sum(answer.where.stop - answer.where.start for answer in answers)
        if lost:
            raise _lost(lost, messages)
        return True

    def _answer(
        self, asked: Sequence[Part], kind: Answer, lend: int = 0, lease_ms: int = 0, *, rest: bool = False
    ) -> None:
        """Answer for these in one swap, which may lend what the next call will ask for."""
        if not asked:
            return
        lent: list[Loan] = []
        made: Sequence[Share] | deque[Share] = ()
        try:
            messages, lost = self._sent(asked, kind, lend, lease_ms, lent, rest=rest)
            now = self._monotonic()
            with self._guard:
                self._ended(messages)
                since = now - self._answered
                self._quick = since < _QUICK
                self._pace += (min(since, _SOON) - self._pace) / 8
                self._answered = now
            if lent:
                made = self._made(lent[0])
                self._keep(made)
        except BaseException:
            self._interrupted(lent, made)
            raise
        if lost:
            raise _lost(lost, messages)

    def _sent(
        self, asked: Sequence[Part], kind: Answer, lend: int, lease_ms: int, lent: list[Loan], *, rest: bool
    ) -> tuple[Sequence[Part], int]:
        """What was answered for, and how many items of it were not held any more."""
        messages: Sequence[Part] = () if rest else asked
        try:
            with self._guard:
                if rest:
                    messages = unanswered(asked)
                answers = self._begun(messages, kind)
            lost = size(messages)
            if answers:
                settled = (
                    self._leases.borrow(lend, lease_ms, lent, answers, ride=True) if lend else self._leases.ask(answers)
                )
                lost -= settled[0] if len(settled) == 1 else sum(settled)
        except ClaimLost:
            raise
        except BaseException as error:
            for message in messages:
                if message._state == ANSWERING:  # noqa: SLF001
                    message._state = UNSURE  # noqa: SLF001
            self._if_closed(error)
            raise
        return messages, lost

    def _if_closed(self, error: BaseException) -> None:
        """Say so of what was refused because this was closed.

        Raises:
            ShutDown: it was.
        """
        if self._closed and isinstance(error, StoreError):
            raise ShutDown(
                "the queue object that received this is closed; what it had not answered is handed out again"
            ) from error

    def _begun(self, messages: Sequence[Part], kind: Answer) -> list[Answer]:
        """Mark them as being answered; an answer for each run of neighbours, but for what is lost. Under the guard.

        Raises:
            ClaimLost: one was answered before.
        """
        for message in messages:
            if message._state >= ANSWERING:  # noqa: SLF001
                raise _answered(message)
        now = self._monotonic()
        held = []
        known: Loan | None = None
        holds = False
        for message in messages:
            loan = message._loan  # noqa: SLF001
            if loan is not known:
                known, holds = loan, now < loan.deadline and self._leases.hold(loan)
            # Too late by our own clock (rule 16); but what was sent before may have been in time (rule 14).
            if holds or message._state == UNSURE:  # noqa: SLF001
                held.append(message)
            message._state = ANSWERING  # noqa: SLF001
        return _answers(held, kind)

    def _ended(self, messages: Sequence[Part]) -> None:
        """Mark them as answered; under the guard."""
        for message in messages:
            message._state = ANSWERED  # noqa: SLF001
            loan = message._loan  # noqa: SLF001
            loan.left -= message._size  # noqa: SLF001
            if not loan.left:
                self._leases.done(loan)

    def _settled(self, loan: Loan, count: int) -> None:
        """So many more of its items are in nobody's hand; under the guard."""
        loan.left -= count
        if not loan.left:
            self._leases.done(loan)

    def _note_dropped(self) -> None:
        dropped = []
        total = 0
        while self.dropped:
            try:
                loan, offset, count = self.dropped.popleft()
            except IndexError:  # another thread's
                break
            if self._leases.hold(loan):  # not a parent's, not lost
                dropped.append(offset)
                total += count
                with self._guard:
                    self._settled(loan, count)
        if dropped:
            log.warning(
                "%s dropped without an answer, from offset %d on: the lease is left to end",
                were(total, "message"),
                min(dropped),
            )

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

    def _attend(self, now: float) -> float | None:
        """For the keeper: renew what was dropped no more, give back what nobody asks for, send what is due."""
        self._note_dropped()
        if self._prefetched.shares and now - self._prefetched.since >= _STALE:
            self._give_back_stale()
        elif self._tab and now >= self._due:
            self.flush()
        waits = [_STALE] if now - self._answered < _STALE else []
        if self._prefetched.shares:
            waits.append(max(_LINGER, self._prefetched.since + _STALE - now))
        if self._tab:
            waits.append(max(_LINGER, self._due - now))
        return min(waits) if waits else None


_new = tuple.__new__  # a NamedTuple's own takes twice as long
_NOWHERE = Range(0, 0, 0)
_ACK = Answer("", _NOWHERE)
_BACK = Answer("", _NOWHERE, back=True, counted=False)


def _calls(count: int, calls: int, most: int) -> int:
    """How many items to claim for so many calls for so many each, beyond what one asks for `most`."""
    return max(count, min(calls * count, most))


def _answers(parts: Sequence[Part], kind: Answer) -> list[Answer]:
    """An answer of this kind for each run of neighbours."""
    if len(parts) == 1 and (one := parts[0])._size:  # noqa: SLF001
        where = _new(Range, (one._ordinal, one.offset, one.offset + one._size))  # noqa: SLF001
        return [_new(Answer, (one._loan.claim, where, *kind[2:]))]  # noqa: SLF001
    answers: list[Answer] = []
    known: Loan | None = None
    ordinal = start = stop = -1
    for part in parts:
        loan, offset = part._loan, part.offset  # noqa: SLF001
        if offset == stop and loan is known and part._ordinal == ordinal:  # noqa: SLF001
            stop += part._size  # noqa: SLF001
            continue
        if start < stop and known is not None:
            answers.append(_new(Answer, (known.claim, _new(Range, (ordinal, start, stop)), *kind[2:])))
        known, ordinal, start, stop = loan, part._ordinal, offset, offset + part._size  # noqa: SLF001
    if start < stop and known is not None:
        answers.append(_new(Answer, (known.claim, _new(Range, (ordinal, start, stop)), *kind[2:])))
    return answers


def _answered(message: Part) -> ClaimLost:
    return ClaimLost(f"the message of offset {message.offset} was answered before; this answer changed nothing")


def _lost(count: int, messages: Sequence[Part]) -> ClaimLost:
    start, total = messages[0].offset, size(messages)
    if total == 1:
        return ClaimLost(f"too late for the item at offset {start}: its lease ran out, others may get it, or have")
    return ClaimLost(f"too late for {count} of {total} items from offset {start} on: their lease ran out")
