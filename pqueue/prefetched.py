"""What one queue object has claimed for its next calls, in their order, for any number of threads."""

from __future__ import annotations

from collections import deque

from pqueue.runtime import Runtime
from pqueue.share import Part, Share, first

_LATELY = 0.1
"""Seconds: a thread that asked so long ago may well not ask again."""

_LOOK = 0.05
"""Seconds after which a thread that waits for another's claims looks by itself."""

_NONE: list[Share] = []


class Turn:
    """One call's claiming, from before its swap until what it does not hand out is kept.

    It is over by a plain assignment in a `finally`, between which and the `try` no interrupt comes.
    """

    begun = False
    alone = False
    """Nobody else of this object claims meanwhile: it may claim more than it hands out."""
    calls = 1
    """How many calls it is to claim for."""
    over = False
    vain = False
    """Another turn, begun after this call, has found nothing to claim."""
    since: int | None = None
    """The last turn's number when this call began."""
    number = 0


class Prefetched:
    """What is claimed and not handed out.

    Whoever claims more than it hands out does so while no other thread of this object claims: else a thread could be
    handed one item, and afterwards one from before it, which another had claimed for it.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._monotonic = runtime.monotonic
        self._ident = runtime.ident
        self._guard = runtime.lock()
        self.shares: deque[Share] = deque()
        """Looked at without the guard to see whether something is there; changed under it."""
        self._turns: list[Turn] = []
        self._over = runtime.event()
        self.waiting: list[None] = []
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

    def pop(self, count: int, lease_ms: int, renews: bool, now: float) -> tuple[list[Part], list[Share]]:
        """At most `count` items, and what was claimed in another way than is asked for now, or whose lease is over."""
        with self._guard:
            self._askers[self._ident()] = now
            shares = self.shares
            unfit = _NONE
            while shares:
                share = shares[0]
                loan = share._loan  # noqa: SLF001
                if now < loan.deadline and loan.asked_ms == lease_ms and loan.renews == renews:
                    if count == 1 and len(share._items) > 1:  # noqa: SLF001  # as below, in one piece
                        return [share.first(1)], unfit
                    found = first(shares, count, loan)
                    if found:
                        return found, unfit
                else:  # slept past its lease (rule 16), or lent for another time
                    unfit = [*unfit, shares.popleft()]
            return [], unfit

    def turn(self, turn: Turn, *, alone: bool) -> bool:
        """Whether the call may go on: something is there, or the turn is begun, or it is `vain`; else another thread claims.

        It is begun alone where more is to be claimed than is handed out.
        """
        with self._guard:
            if turn.since is None:
                self._askers[self._ident()] = self._monotonic()
                turn.since = self._number
            turn.vain = self._vain > turn.since
            return bool(self.shares) or turn.vain or self._begin(turn, alone=alone)

    def begin(self, turn: Turn, *, drops: bool = False) -> bool:
        """Whether the turn is begun, alone; not where another thread claims, or unless it `drops` that, something is there."""
        with self._guard:
            return (drops or not (self.shares or self.closed)) and self._begin(turn, alone=True)

    def _begin(self, turn: Turn, *, alone: bool) -> bool:
        turns = self._turns
        if len(turns) == 1 and turns[0].over:
            turns.clear()
        elif turns:
            turns[:] = [one for one in turns if not one.over]
        if not turns:
            if alone:
                turn.alone = True
                turn.calls = self._lately()
        elif alone or turns[0].alone or self.waiting:
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
        self.waiting.append(None)
        try:
            if self._over.wait(_LOOK):
                self._over.clear()
        finally:
            self.waiting.pop()

    def wake(self) -> None:
        """A turn is over: those that wait look."""
        self._over.set()

    def keep(self, shares: deque[Share]) -> bool:
        """Whether they are kept for the next calls: then they are taken from `shares`, both in one step for an interrupt."""
        with self._guard:
            if not self.closed:
                self.since = self._monotonic()
                self.shares += shares
                shares.clear()
            return not self.closed

    def drop(self, into: deque[Share]) -> None:
        """All of it, not to be handed out, is put `into`: both in one step for an interrupt."""
        with self._guard:
            shares, self.shares = self.shares, deque()
            into += shares

    def close(self) -> None:
        """Keep nothing any more."""
        with self._guard:
            self.closed = True
