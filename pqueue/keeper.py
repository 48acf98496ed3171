"""The keeper: one thread of a queue object, for what is to be done from time to time as long as anybody needs it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from weakref import ref

from pqueue.errors import QueueError
from pqueue.runtime import Event, Runtime

log = logging.getLogger("pqueue")

_IDLE = float("inf")

_AGAIN = 1.0
"""Seconds after which an attempt that has failed is made anew."""

Chore = Callable[[float], float | None]
"""What is to be done from time to time: given the time, does what is due; seconds until it wants to be asked again."""


class Keeper:
    """For any number of threads; its own is started once there is something to do."""

    def __init__(self, runtime: Runtime, claims: Callable[[], Sequence[float]]) -> None:
        """`claims`: sees to what is claimed, once the chores are done; seconds until each wants to be seen to again."""
        self._runtime = runtime
        self._claims = claims
        self.forget()

    def forget(self) -> None:
        """In a forked child: nothing of the parent's (rule 31)."""
        self._guard = self._runtime.lock()
        self._chores: list[Chore] = []
        self._owes: list[Callable[[], object]] = []
        self._tick = self._runtime.event()
        self._held: list[Keeper] = []
        """This, while the thread is to look whether something is owed, or something is."""
        self.pause = _IDLE
        """How long it sleeps."""
        self._keeping = False
        self._closed = False

    def chore(self, chore: Chore) -> None:
        """Do something from time to time."""
        self._chores.append(chore)

    def stays(self, owes: Callable[[], object]) -> None:
        """While `owes`, go on for a queue object that nobody refers to, too."""
        self._owes.append(owes)

    def within(self, seconds: float) -> None:
        """Look at everything within so many seconds."""
        if not self._held and not self._closed:
            self._held.append(self)
        if seconds < self.pause:
            if not self._keeping:
                self._start()
            self._tick.set()

    def _start(self) -> None:
        """Start the thread; where that is interrupted, or none can be started, the next call tries again."""
        with self._guard:
            if self._keeping or self._closed:
                return
            tick = self._tick
            # By a weak reference, but for what is owed: an object that is neither closed nor used any more goes.
            keep = partial(_keep, ref(self, lambda _: tick.set()), self._held, tick)
            try:
                self._runtime.spawn(keep, "keeper")
            except RuntimeError as error:
                log.warning("nothing is renewed or sent in the background until a thread can be started: %s", error)
                return
            self._keeping = True

    def close(self) -> None:
        """Do nothing any more."""
        self._closed = True
        self._tick.set()

    @property
    def closed(self) -> bool:
        """Whether nothing is done any more."""
        return self._closed

    def attend(self) -> tuple[float | None, bool]:
        """Do the chores, see to what is claimed; how long to sleep then, and whether more is owed."""
        self.pause = _IDLE  # before looking: what is begun meanwhile wakes this
        pauses = [left for chore in self._chores if (left := self._attended(chore)) is not None]
        pauses += self._claims()
        self.pause = max(0.001, min(pauses)) if pauses else _IDLE
        return self.pause if pauses else None, any(owes() for owes in self._owes)

    def _attended(self, chore: Chore) -> float | None:
        try:
            return chore(self._runtime.monotonic())
        except QueueError as error:
            log.warning("acknowledgements could not be sent, they will be again: %s", error)
        except Exception:
            log.exception("acknowledgements could not be sent, they will be again")
        return 0.1


def _keep(known: ref[Keeper], held: list[Keeper], tick: Event) -> None:
    """Attend until it is closed, or gone; that it is not is up to `held`."""
    while True:
        tick.clear()
        keeper = known()
        held.clear()  # before looking: what is owed from now on adds it again
        if keeper is None or keeper.closed:
            return
        try:
            pause, owes = keeper.attend()
        except Exception:
            log.exception("what this queue object holds could not be attended to, this is tried again")
            pause, owes = _AGAIN, True
        if owes:
            held.append(keeper)
        keeper = None
        tick.wait(pause)
