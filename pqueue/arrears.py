"""Items that calls of one object had taken when they were interrupted: due to its next call, or else to others."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Generic, TypeVar

from pqueue.errors import Landed
from pqueue.runtime import Runtime

log = logging.getLogger("pqueue")

T = TypeVar("T")


class Arrears(Generic[T]):
    """For any number of threads, each of which may be interrupted again."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.owed: deque[Sequence[T]] = deque()
        """What each of those calls had taken."""
        self.forget()

    def forget(self) -> None:
        """In a forked child: what is owed is the parent's."""
        self.owed.clear()
        self.paying = self._runtime.lock()

    @property
    def items(self) -> list[T]:
        """All of them."""
        return [*chain.from_iterable(tuple(self.owed))]

    def owe(self, items: Sequence[T]) -> None:
        """They are taken, and the call was interrupted."""
        with self.paying:
            self.owed.appendleft(items)

    def pay(self, n: int) -> Sequence[T]:
        """At most `n` of them, to be handed out now."""
        items: Sequence[T] = ()
        try:
            with self.paying:
                if self.owed:
                    items = self.owed[0]
                    self.owed[0] = items[n:]
                    if not self.owed[0]:
                        del self.owed[0]
        except BaseException:
            if items:
                self.owe(items[:n])
            raise
        return items[:n]

    def drop(self) -> int:
        """Owe nobody anything; how many items that were."""
        count = 0
        while self.owed:
            count += len(self.owed.popleft())
        return count

    def settle(self, restored: Callable[[], Sequence[Sequence[T]]], put: Callable[[Sequence[T]], None]) -> None:
        """See to it that others get them.

        Args:
            restored: gives back what can be, and returns what is left of it, to be put again.
            put: does that; raises `Landed` where it was interrupted and they are in.
        """
        with self.paying:
            self.owed.extend(restored())
            while self.owed:
                log.warning("an interrupted call had taken items that are put again, at the end: %d", len(self.owed[0]))
                try:
                    put(self.owed[0])
                except Landed as landed:
                    del self.owed[0]
                    raise landed.__cause__ or landed from None
                del self.owed[0]
