"""Messages that one queue object has claimed for its next calls, in their order, for any number of threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from pqueue.message import Message
from pqueue.runtime import Runtime

_LATELY = 0.1
"""Seconds: a thread that asked so long ago may well not ask again."""

_LOOK = 0.05
"""Seconds after which a thread that waits for another's claims looks by itself."""


class Turn:
    """One call's claiming, from before its swap until what it does not hand out is kept.

    It is over by a plain assignment in a `finally`, between which and the `try` no interrupt comes.
    """

    __slots__ = ("alone", "begun", "calls", "number", "over", "since", "vain")

    def __init__(self) -> None:
        self.begun = False
        self.alone = False
        """Nobody else of this object claims meanwhile: it may claim more than it hands out."""
        self.calls = 1
        """How many calls it is to claim for."""
        self.over = False
        self.vain = False
        """Another turn, begun after this call, has found nothing to claim."""
        self.since: int | None = None
        """The last turn's number when this call began."""
        self.number = 0


class Prefetched:
    """What is claimed and not handed out.

    Whoever claims more than it hands out does so while no other thread of this object claims: else a thread could be
    handed one item, and afterwards one from before it, which another had claimed for it.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._monotonic = runtime.monotonic
        self._ident = runtime.ident
        self._guard = runtime.lock()
        self._messages: deque[Message[Any]] = deque()
        self._turns: list[Turn] = []
        self._over = runtime.event()
        self._waiting: list[None] = []
        """One entry for each thread that waits."""
        self._askers: dict[int, float] = {}
        """The threads that asked since somebody claimed alone, and when."""
        self._number = 0
        """Of the last turn that was begun."""
        self._vain = 0
        """Of the last one that found nothing."""
        self.since = 0.0
        """When something was last kept."""
        self.closed = False
        """Nothing is kept any more."""

    def __bool__(self) -> bool:
        return bool(self._messages)

    def next(
        self, count: int, lease_ms: int, renews: bool, turn: Turn, *, more: bool
    ) -> tuple[list[Message[Any]], list[Message[Any]]]:
        """At most `count` messages, and what was claimed in another way than is asked for now, or whose lease is over.

        Where there is none, the turn is begun, alone if `more` is to be claimed than is handed out. If it is not, it is
        `vain`, or another thread claims for everybody: wait for it.
        """
        now = self._monotonic()
        found: list[Message[Any]] = []
        unfit: list[Message[Any]] = []
        with self._guard:
            self._askers[self._ident()] = now
            if turn.since is None:
                turn.since = self._number
            messages = self._messages
            while messages and len(found) < count:
                loan = messages[0]._loan  # noqa: SLF001
                # Slept past its lease (rule 16), or lent for another time.
                if now >= loan.deadline or loan.asked_ms != lease_ms or loan.renews != renews:
                    unfit.append(messages.popleft())
                elif not found or found[0]._loan is loan:  # noqa: SLF001
                    found.append(messages.popleft())
                else:
                    break
            if not found:
                turn.vain = self._vain > turn.since
                if not turn.vain:
                    self._begin(turn, alone=more)
        return found, unfit

    def begin(self, turn: Turn, *, drops: bool = False) -> bool:
        """Whether the turn is begun, alone; not where another thread claims, or unless it `drops` that, something is there."""
        with self._guard:
            return (drops or not (self._messages or self.closed)) and self._begin(turn, alone=True)

    def _begin(self, turn: Turn, *, alone: bool) -> bool:
        turns = self._turns
        if turns:
            turns[:] = [one for one in turns if not one.over]
        if not turns:
            if alone:
                turn.alone = True
                turn.calls = self._lately()
        elif alone or turns[0].alone or self._waiting:
            return False
        turn.begun = True
        self._number += 1
        turn.number = self._number
        turns.append(turn)
        return True

    def _lately(self) -> int:
        """How many threads have just asked: a claim is for so many calls."""
        askers, calls = self._askers, 1
        if len(askers) > 1:
            now = self._monotonic()
            calls = sum(now - asked < _LATELY for asked in askers.values()) or 1
        askers.clear()
        return calls

    def nothing(self, turn: Turn) -> None:
        """The turn found nothing: nor would those that have waited for it since before it was begun."""
        with self._guard:
            self._vain = max(self._vain, turn.number)

    def wait(self) -> None:
        """Until a turn is over, say."""
        self._waiting.append(None)
        try:
            if self._over.wait(_LOOK):
                self._over.clear()
        finally:
            self._waiting.pop()

    def woken(self) -> None:
        """A turn is over: those that wait look."""
        if self._waiting:
            self._over.set()

    def keep(self, messages: Sequence[Message[Any]]) -> bool:
        """Whether they are kept for the next calls."""
        with self._guard:
            if not self.closed:
                self.since = self._monotonic()
                self._messages.extend(messages)
            return not self.closed

    def drop(self) -> Sequence[Message[Any]]:
        """All of it, not to be handed out."""
        with self._guard:
            messages, self._messages = self._messages, deque()
            return messages

    def close(self) -> None:
        """Keep nothing any more."""
        with self._guard:
            self.closed = True
