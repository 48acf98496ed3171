"""Items lent to one loop, each acknowledged once that loop is done with it: what `get` of the command line rests on."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from pqueue.head import Range
from pqueue.leases import Leases, Loan
from pqueue.request import Answer
from pqueue.runtime import Runtime
from pqueue.tab import Tab


@dataclass(slots=True)
class _Lent:
    """What is left of a range that a claim holds."""

    loan: Loan
    where: Range


class Lending:
    """Claims of one loop, renewed while it works; a kill repeats what it had not yet called `done`.

    All but the renewal is for one thread.
    """

    def __init__(self, runtime: Runtime, leases: Leases, lease: float) -> None:
        self._runtime = runtime
        self._leases = leases
        self._lease_ms = int(lease * 1000)
        self._tab = Tab(runtime, leases)
        self._lent: deque[_Lent] = deque()

    def take(self, count: int, least: int = 0) -> Sequence[Any]:
        """Acknowledge what is done, and borrow at most `count` more items, in one swap; none: there is nothing now.

        `least`: how many suffice where they are large; 0: no fewer than there are.

        Raises:
            CorruptSegment, SerializationError: an item can't be read and was set aside; told once.
            StoreError: no answer; try again, or what was lent comes back after its lease.
        """
        loans: list[Loan] = []
        self._tab.send(count, self._lease_ms, loans, least=least)
        self._lent.extend(_Lent(loan, lot.where) for loan in loans for lot in loan.lots)
        return [item for loan in loans for lot in loan.lots for item in lot.items]

    def current(self) -> bool:
        """Whether everything lent is still this loop's; else nothing of it may be handed out any more (rule 16)."""
        now = self._runtime.monotonic()
        return all(now < lent.loan.deadline for lent in self._lent)

    def drop(self) -> int:
        """Forget what is lent and not done, which others may get now; how many items that are."""
        count = 0
        while self._lent:
            lent = self._lent.popleft()
            count += lent.where.stop - lent.where.start
            self._leases.done(lent.loan)
        return count

    def done(self, count: int) -> None:
        """The `count` oldest items lent are out: the next swap acknowledges them."""
        while count:
            lent = self._lent[0]
            where = lent.where
            stop = min(where.stop, where.start + count)
            self._tab.add(Answer(lent.loan.claim, where._replace(stop=stop)))
            count -= stop - where.start
            lent.loan.left -= stop - where.start
            if stop < where.stop:
                lent.where = where._replace(start=stop)
            else:
                self._lent.popleft()
                if not lent.loan.left:
                    self._leases.done(lent.loan)

    def close(self) -> None:
        """Acknowledge what is done, give back the rest as if it had never been lent (rule 18)."""
        loans = {lent.loan for lent in self._lent}
        while self._lent:
            lent = self._lent.popleft()
            self._tab.add(Answer(lent.loan.claim, lent.where, back=True, counted=False))
        for loan in loans:
            self._leases.done(loan)
        self._tab.send()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
