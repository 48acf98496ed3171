"""`get` where a swap is dear, or the queue is buffered: items are claimed ahead and acknowledged together, later."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from pqueue.head import Range
from pqueue.leases import Leases, Loan
from pqueue.request import Answer, Lot
from pqueue.runtime import Runtime
from pqueue.tab import Tab
from pqueue.words import were

log = logging.getLogger("pqueue")

_SOON = 0.1
"""Seconds: whoever has used up what was claimed ahead so soon claims more at once."""

_TIMES = 8
_MOST = 8000
"""How much more, and how many at most."""


class Ahead:
    """Claims held by one queue object for its own `get`, for any number of threads.

    A crash repeats what was handed out and not yet acknowledged: at most `linger` seconds' worth, and never more than
    a third of the lease.
    """

    def __init__(
        self,
        runtime: Runtime,
        leases: Leases,
        user: Callable[[], object],
        *,
        prefetch: int,
        lease: float,
        linger: float,
    ) -> None:
        """`user`: a weak reference to whoever gets from it; dead, what is held is given back."""
        self._user = user
        self._runtime = runtime
        self._monotonic = runtime.monotonic
        self._leases = leases
        self._prefetch = prefetch
        self._lease_ms = int(lease * 1000)
        self._linger = min(linger, lease / 3)
        self.forget()

    def forget(self) -> None:
        """In a forked child: nothing of the parent's claims (rule 31)."""
        self.guard = self._runtime.lock()
        """Under it, and until the loan's deadline, the last of what is `ready` may be popped: slept past that, somebody else
        may own it (rule 16). `Queue.get` does so by itself, since a call more is a seventh of its time."""
        self._fetching = self._runtime.lock()
        self._tab = Tab(self._runtime, self._leases)
        self._held: deque[Loan] = deque()
        """What their lots still have is not handed out."""
        self._spent: list[Loan] = []
        """All of these is handed out, and the acknowledgement has not gone yet: so they are still renewed."""
        self.loan: Loan | None = None
        """That `ready` is of."""
        self._lot = Lot(Range(0, 0, 0), ())
        self.ready: list[Any] = []
        """What is left of the first lot held, the next item last."""
        self.returns = False
        """Whether something on the tab may be given back unseen: whoever takes otherwise is to get it first."""
        self._noted = 0
        """Items of that lot whose hand-out is on the tab."""
        self._sent = 0.0
        self._closed = False
        """Nothing is claimed any more."""
        self._fetched = float("-inf")
        # What is held may be handed out without a word to the keeper.
        self._leases.keeper.chore(self._attend)
        self._leases.keeper.stays(lambda: self.holds or self.unanswered)

    @property
    def holds(self) -> bool:
        """Whether something is claimed ahead and not handed out."""
        return bool(self.ready) or any(loan.lots for loan in tuple(self._held))

    @property
    def unanswered(self) -> int:
        """Items handed out whose acknowledgement has not gone out."""
        with self.guard:
            self._note()
            return self._tab.acknowledged

    def take(self, count: int) -> list[Any]:
        """At most `count` items; none where nothing is stored that could be handed out now."""
        items = self._slice(count)
        if items:
            return items
        with self._fetching:
            items = self._slice(count)  # another thread may have fetched meanwhile
            if items or self._closed:
                return items
            wanted = max(count, self._prefetch)
            if self._monotonic() - self._fetched < _SOON:
                wanted = max(wanted, min(_TIMES * wanted, _MOST))
            self._send(wanted, count)
            self._fetched = self._sent
            self._leases.keeper.within(self._linger)
            return self._slice(count)

    def held(self) -> list[Any]:
        """What is claimed ahead and not handed out, in order."""
        with self.guard:
            held = tuple(self._held)  # another thread's swap may add to it without the guard
            return [*reversed(self.ready), *(item for loan in held for lot in loan.lots for item in lot.items)]

    def drain(self) -> int:
        """Treat what is claimed ahead as handed out; how many items that were."""
        count = 0
        while items := self._slice(self._prefetch):
            count += len(items)
        return count

    def flush(self) -> None:
        """Send the acknowledgements of what was handed out."""
        with self.guard:
            self._note()
        self._send()

    def release(self) -> None:
        """Acknowledge what was handed out, give back the rest, uncounted (rule 18)."""
        with self._fetching:
            self._give_back()

    def close(self) -> None:
        """As `release`; nothing is claimed from now on."""
        with self._fetching:
            self._closed = True
            self._give_back()

    def _give_back(self) -> None:
        with self.guard:
            self._note()
            unseen = []
            if self.loan is not None and self.ready:
                where = self._lot.where
                unseen.append(_unseen(self.loan, where._replace(start=where.start + self._noted)))
            unseen += [_unseen(loan, lot.where) for loan in self._held for lot in loan.lots]
            self.returns = True
            try:
                self._return(unseen)
            except BaseException:
                self._return(unseen)
                raise
        self._send()

    def _return(self, unseen: Sequence[Answer]) -> None:
        """Put these, all that is held, on the tab, and hand out nothing of it; once more where that is interrupted."""
        self.loan, self.ready = None, []  # at once: else an interrupt leaves these to be taken for handed out
        for loan in self._held:
            loan.lots = []
        while self._held:
            self._spent.append(self._held.popleft())
        for answer in unseen:
            self._tab.add(answer)

    def _send(self, wanted: int = 0, least: int = 0) -> None:
        """Have what is on the tab carried by a swap, which claims so many items, or `least` and some where they are large."""
        with self.guard:
            spent = tuple(self._spent)
        if wanted:
            self._tab.send(wanted, self._lease_ms, self._held, least=least)
        else:
            self._tab.send()
        self.returns = bool(self._tab)
        for loan in spent:
            self._leases.done(loan)
            with self.guard:
                if loan in self._spent:
                    self._spent.remove(loan)
        self._sent = self._monotonic()

    def _slice(self, count: int) -> list[Any]:
        with self.guard:
            while self.ready or self._next():
                loan = self.loan
                assert loan is not None
                if self._monotonic() >= loan.deadline:
                    log.warning("%s claimed ahead and not asked for within the lease", were(len(self.ready), "item"))
                    self._note()
                    self.returns = True
                    start = self._lot.where.start + self._noted
                    self._tab.add(_unseen(loan, self._lot.where._replace(start=start)))
                    self._noted += len(self.ready)
                    self.ready = []
                    continue
                items = self.ready[: -count - 1 : -1]
                del self.ready[-count:]
                return items
            return []

    def _next(self) -> bool:
        """Go on to the next lot held; under the guard."""
        self._note()
        while self._held and not self._held[0].lots:
            self._spent.append(self._held.popleft())
        if not self._held:
            self.loan = None
            return False
        loan = self._held[0]
        lot = loan.lots[0]
        items = list(lot.items)
        items.reverse()
        # No interrupt comes between these.
        self.loan, self._lot, self._noted, self.ready = loan, lot, 0, items
        del loan.lots[0]
        return True

    def _note(self) -> None:
        """Put what was handed out since on the tab; under the guard."""
        loan = self.loan
        if loan is None:
            return
        handed = len(self._lot.items) - len(self.ready)
        if handed > self._noted:
            start = self._lot.where.start
            where = self._lot.where._replace(start=start + self._noted, stop=start + handed)
            self._tab.add(Answer(loan.claim, where))
            self._noted = handed

    def _attend(self, now: float) -> float | None:
        """Send acknowledgements every `linger` seconds, for the keeper."""
        with self.guard:
            self._note()
            idle = not self._tab and self.loan is None and not self._held
        if idle:
            return None
        if self._user() is None:
            self.release()
            return None
        left = self._sent + self._linger - now
        if left > 0:
            return left
        self.flush()
        return self._linger


def _unseen(loan: Loan, where: Range) -> Answer:
    """These nobody was handed."""
    return Answer(loan.claim, where, back=True, counted=False)
