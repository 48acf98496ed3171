"""Answering for what was lent: at once, with the next swap, or as something that nobody was handed."""
# ruff: noqa: SLF001  # what a message and a share have in common is none of their user's concern

from __future__ import annotations

import logging
from collections import deque
from collections.abc import MutableSequence, Sequence
from itertools import repeat
from typing import Any

from pqueue.errors import ClaimLost, ShutDown, StoreError
from pqueue.head import Range
from pqueue.leases import Leases, Loan
from pqueue.message import ANSWERED, ANSWERING, HELD, UNSURE, Message
from pqueue.request import Answer
from pqueue.runtime import Runtime
from pqueue.share import Part, size, unanswered
from pqueue.tab import Tab
from pqueue.words import were

log = logging.getLogger("pqueue")

LINGER = 0.05
"""Seconds that an acknowledgement which nobody waits for may take at least, so that it meets others."""

_new = tuple.__new__  # a NamedTuple's own takes twice as long
NOWHERE = Range(0, 0, 0)
ACK = Answer("", NOWHERE)
_ACKED = ACK[2:]
_BACK = Answer("", NOWHERE, back=True, counted=False)


class Answering:
    """What becomes of the messages of one queue object, for any number of threads."""

    def __init__(self, runtime: Runtime, leases: Leases, linger: float) -> None:
        """`linger`: seconds that an acknowledgement may wait which nobody waits for."""
        self._runtime = runtime
        self._monotonic = runtime.monotonic
        self._leases = leases
        self._linger = max(linger, LINGER)
        self.forget()

    def forget(self) -> None:
        """In a forked child: nothing of the parent's claims (rule 31)."""
        self._guard = self._runtime.lock()
        self.tab = Tab(self._runtime, self._leases)
        """Acknowledgements that nobody waits for, and what is given back unseen."""
        self.due = float("inf")
        """When what is on the tab is to be sent."""
        self.returns = False
        """Whether something on the tab may be given back unseen: whoever takes otherwise is to get it first."""
        self.dropped: deque[tuple[Loan, int, int]] = deque()
        """Messages that nobody refers to any more, unanswered: their loan, first offset and number."""
        self._closed = False

    def close(self) -> None:
        """No acknowledgement is kept for later from now on."""
        with self._guard:
            self._closed = True

    def send(
        self,
        asked: Sequence[Part],
        kind: Answer,
        lend: int,
        lease_ms: int,
        into: MutableSequence[Loan],
        *,
        least: int,
        rest: bool,
    ) -> int:
        """Answer for these in one swap, which may lend; how many items were not held any more.

        `least`: see `Request`.

        Raises:
            ClaimLost: one was answered before.
            StoreError: no answer; asked again, it tells.
        """
        messages: Sequence[Part] = () if rest else asked
        answers: Sequence[Answer] = ()
        settled: Sequence[int] = ()
        marked: list[Part] = []
        unsure = map(setattr, marked, repeat("_state"), repeat(UNSURE))
        try:
            with self._guard:
                if rest:
                    messages = unanswered(asked)
                answers = self._begun(messages, kind, marked)
            late = size(messages)
            if answers:
                settled = (
                    self._leases.borrow(lend, lease_ms, into, answers, least=least, ride=True)
                    if lend
                    else self._leases.ask(answers)
                )
                late -= settled[0] if len(settled) == 1 else sum(settled)
            with self._guard:
                self._ended(messages)
        except ClaimLost:
            raise
        except BaseException as error:
            if settled:  # only the last steps are missing
                with self._guard:
                    self._ended([*(message for message in marked if message._state == ANSWERING)])
            else:
                list(unsure)  # in one step for a signal: what stays marked could never be asked for again
            self.if_closed(error)
            raise
        return late

    def alone(self, message: Part) -> int | None:
        """As `send`, for an acknowledgement that nothing rides with; None where there is more to heed: nothing was done."""
        settled: Sequence[int] = ()
        marked = False
        try:
            with self._guard:
                loan, count = message._loan, message._size
                if message._state != HELD or message._apart is not None:
                    return None
                if self._monotonic() >= loan.deadline or not self._leases.hold(loan):
                    return None
                message._state, marked = ANSWERING, True
            start = message.offset
            where = _new(Range, (message._ordinal, start, start + count))
            settled = self._leases.ask((_new(Answer, (loan.claim, where, *_ACKED)),))
            with self._guard:
                message._state = ANSWERED
                self._settled(loan, count)
        except BaseException as error:
            if marked and message._state == ANSWERING:
                if settled:  # only the last steps are missing
                    with self._guard:
                        self._ended((message,))
                else:
                    message._state = UNSURE
            self.if_closed(error)
            raise
        return count - settled[0]

    def note(self, messages: Sequence[Part], now: float, *, rest: bool) -> bool:
        """Acknowledge these with the next swap, or soon; False where the lease is nearly over, or nobody is left to send it."""
        loan = messages[0]._loan
        wait = min(self._linger, loan.lease_ms / 3000)
        if loan.deadline - now <= 2 * wait:
            return False
        try:
            with self._guard:
                if self._closed:
                    return False
                if rest:
                    messages = unanswered(messages)
                late = self._note(messages)
        finally:
            self.due = min(self.due, now + wait)
            self._leases.keeper.within(wait)
        if late:
            raise lost(late, messages)
        return True

    def unseen(self, messages: Sequence[Part]) -> None:
        """Have these, which nobody was handed, given back, with the next swap or soon; once more where that is interrupted."""
        self.returns = True
        for answer in _answers(messages, _BACK):
            self.tab.add(answer)
        with self._guard:
            self._ended([*(message for message in messages if message._state < ANSWERED)])
        self.due = min(self.due, self._monotonic() + LINGER)
        self._leases.keeper.within(LINGER)

    def flush(self) -> None:
        """Send what is on the tab."""
        self.due = float("inf")
        try:
            self.tab.send()
        except BaseException:
            self.due = self._monotonic() + LINGER
            raise
        self.returns = bool(self.tab)

    def note_dropped(self) -> None:
        """What was dropped is renewed no more."""
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

    def if_closed(self, error: BaseException) -> None:
        """Say so of what was refused because this was closed.

        Raises:
            ShutDown: it was.
        """
        if self._closed and isinstance(error, StoreError):
            raise ShutDown(
                "the queue object that received this is closed; what it had not answered is handed out again"
            ) from error

    # -- under the guard ----------------------------------------------------------------------------------------------

    def _note(self, messages: Sequence[Part]) -> int:
        """Put their acknowledgement on the tab; how many items are not held any more."""
        before = [message._state for message in messages]
        try:
            answers = self._begun(messages, ACK, [])
            for answer in answers:
                self.tab.add(answer)
            self._ended(messages)
        except ClaimLost:
            raise
        except BaseException:  # interrupted: those that are not on the tab are as they were
            for message, state in zip(messages, before, strict=True):
                if message._state == ANSWERING:
                    if all(self.tab.holds(answer) for answer in _answers([message], ACK)):
                        self._ended([message])
                    else:
                        message._state = state
            raise
        return size(messages) - sum(answer.where.stop - answer.where.start for answer in answers)

    def _begun(self, messages: Sequence[Part], kind: Answer, marked: list[Part]) -> list[Answer]:
        """Mark them as being answered; an answer for each run of neighbours, but for what is lost.

        Whatever interrupts this, `marked` are those that this call marked, and not another thread.

        Raises:
            ClaimLost: one was answered before.
        """
        for message in messages:
            if message._state >= ANSWERING:
                raise answered(message)
        now = self._monotonic()
        held = []
        known: Loan | None = None
        holds = False
        for message in messages:
            loan = message._loan
            if loan is not known:
                known, holds = loan, now < loan.deadline and self._leases.hold(loan)
            # Too late by our own clock (rule 16); but what was sent before may have been in time (rule 14).
            if holds or message._state == UNSURE:
                held.append(message)
            message._state = ANSWERING
            marked.append(message)
        return _answers(held, kind)

    def _ended(self, messages: Sequence[Part]) -> None:
        """Mark them as answered."""
        for message in messages:
            message._state = ANSWERED
            self._settled(message._loan, message._size)

    def _settled(self, loan: Loan, count: int) -> None:
        """So many more of its items are in nobody's hand."""
        loan.left -= count
        if not loan.left:
            self._leases.done(loan)


def answered(message: Part) -> ClaimLost:
    """What to raise for a second answer."""
    return ClaimLost(f"the message of offset {message.offset} was answered before; this answer changed nothing")


def lost(count: int, messages: Sequence[Part]) -> ClaimLost:
    """What to raise where so many items of these were not held any more."""
    start, total = messages[0].offset, size(messages)
    if total == 1:
        return ClaimLost(f"too late for the item at offset {start}: its lease ran out, others may get it, or have")
    return ClaimLost(f"too late for {count} of {total} items from offset {start} on: their lease ran out")


def _answers(parts: Sequence[Part], kind: Answer) -> list[Answer]:
    """An answer of this kind for each run of neighbours."""
    if len(parts) == 1 and (one := parts[0])._size:
        where = _new(Range, (one._ordinal, one.offset, one.offset + one._size))
        return [_new(Answer, (one._loan.claim, where, *kind[2:]))]
    answers: list[Answer] = []
    known: Loan | None = None
    ordinal = start = stop = -1
    for part in parts:
        loan, offset = part._loan, part.offset
        if offset == stop and loan is known and part._ordinal == ordinal:
            stop += part._size
            continue
        if start < stop and known is not None:
            answers.append(_new(Answer, (known.claim, _new(Range, (ordinal, start, stop)), *kind[2:])))
        known, ordinal, start, stop = loan, part._ordinal, offset, offset + part._size
    if start < stop and known is not None:
        answers.append(_new(Answer, (known.claim, _new(Range, (ordinal, start, stop)), *kind[2:])))
    return answers
