"""Waiting until another thread or process has acted: woken where the store can, by a poll elsewhere."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from pqueue.abc import SegmentStore
from pqueue.errors import StoreError
from pqueue.runtime import Event, Runtime

R = TypeVar("R")


class Pace(NamedTuple):
    """How often to look where nothing wakes: a pause that grows by half each time, jittered by half."""

    first: float
    """Seconds."""
    most: float


CHEAP = Pace(0.001, 0.05)
"""Where a look reads memory."""
DEAR = Pace(0.04, 2.0)
"""Where it is a request."""
FULL = Pace(0.05, 2.0)
"""For room in a full queue where a look is a request."""
NET = Pace(0.25, 0.5)
"""Under a store that wakes: for what nobody tells, such as a claim whose lease runs out, and a waker that was killed."""


def _never() -> float:
    return float("inf")


class Bell:
    """The waiters of one queue in this process, whichever of its objects they use."""

    def __init__(self) -> None:
        self._sleepers: list[Event] = []

    def ring(self) -> None:
        """Wake them."""
        if self._sleepers:
            for event in tuple(self._sleepers):
                event.set()

    def add(self, event: Event) -> None:
        """Wake this one, too."""
        self._sleepers.append(event)

    def remove(self, event: Event) -> None:
        """Not any more."""
        self._sleepers.remove(event)


_BELLS: weakref.WeakValueDictionary[tuple[int, str], Bell] = weakref.WeakValueDictionary()
"""By runtime, since the simulator's are processes of their own, and queue."""


class Waiting:
    """What one queue object's blocked calls sleep on, and what wakes others'."""

    def __init__(self, store: SegmentStore, queue: str, runtime: Runtime) -> None:
        self._wakes = store.wakes
        self._runtime = runtime
        self._pace = CHEAP if store.always_answers else DEAR
        self.full = CHEAP if store.always_answers else FULL
        """How often a put looks for room where nothing wakes it."""
        self._place = (id(runtime), queue)
        self.forget()

    def forget(self) -> None:
        """In a forked child: the parent's threads do not wait here."""
        self.sleepers: list[None] = []
        """One entry for each call of this object that waits."""
        if self._wakes is None:
            self._bell = _BELLS.setdefault(self._place, Bell())
            self.notify: Callable[[], None] = self._bell.ring
            """As `tell`, but raises `StoreError` where the store was closed meanwhile."""
        else:
            self.notify = self._wakes.notify

    def tell(self) -> None:
        """Something has happened that others may wait for: wake them. Costs next to nothing where nobody waits.

        Never raises but what interrupts it: what has happened stands, and who is not woken polls.
        """
        with suppress(StoreError):  # the store was closed meanwhile
            self.notify()

    def until(
        self,
        look: Callable[[], R],
        timeout: float | None,
        *,
        undo: Callable[[R], object],
        pace: Pace | None = None,
        due: Callable[[], float] = _never,
    ) -> R | None:
        """What `look` returns, once that is true; None after `timeout` seconds (None: never), with one last look.

        Args:
            look: called now, whenever somebody acts, and now and then; may act itself, and raise.
            timeout: seconds.
            undo: called with what `look` had found when the waiter is interrupted before that could be returned.
            pace: how often to look where the store does not wake.
            due: seconds until there is something to see, as far as is known after a look.
        """
        until = None if timeout is None else self._runtime.monotonic() + timeout
        found: list[R] = []

        def ready() -> bool:
            one = look()
            if one:
                found.append(one)
            return bool(one)

        self.sleepers.append(None)
        try:
            sleep = self._polled if self._wakes is None else self._woken
            return found[0] if sleep(ready, until, pace or self._pace, due) else None
        except BaseException:
            if found:
                undo(found[0])
            raise
        finally:
            self.sleepers.pop()

    def _woken(self, ready: Callable[[], bool], until: float | None, _: Pace, due: Callable[[], float]) -> bool:
        assert self._wakes is not None
        found = False

        def noted() -> bool:
            nonlocal found
            found = ready()
            return found

        pause = NET.first
        while True:
            left = self._left(until)
            if left <= 0:
                return ready()
            woken = self._wakes.wait(noted, min(left, due(), pause * self._runtime.random.uniform(0.5, 1.5)))
            if found or (woken and ready()):
                return True
            pause = min(NET.most, 1.5 * pause)

    def _polled(self, ready: Callable[[], bool], until: float | None, pace: Pace, due: Callable[[], float]) -> bool:
        pause = pace.first
        event = self._runtime.event()
        self._bell.add(event)
        try:
            while not ready():
                left = self._left(until)
                if left <= 0:
                    return False
                if event.wait(min(left, due(), pause * self._runtime.random.uniform(0.5, 1.5))):
                    event.clear()
                pause = min(pace.most, 1.5 * pause)
            return True
        finally:
            self._bell.remove(event)

    def _left(self, until: float | None) -> float:
        return float("inf") if until is None else until - self._runtime.monotonic()


def check_timeout(timeout: float | None) -> None:
    """Refuse a negative one, as the standard library's queue does, and what is no number."""
    try:
        fine = timeout is None or timeout >= 0
    except TypeError:
        raise TypeError(f"'timeout' must be a number of seconds, or None, not {type(timeout).__name__}") from None
    if not fine:
        raise ValueError("'timeout' must be a non-negative number")


def nothing(_: Any) -> None:
    """For `undo`: what was found needs none."""
