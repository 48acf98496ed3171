"""`put_stream`: many items in order, in commits that are under way at once where the store's way is parallel."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from pqueue.errors import Landed, PutUncertain, QueueError, StoreError
from pqueue.listing import Commit
from pqueue.log import Log
from pqueue.packing import measured, parted
from pqueue.runtime import Event, Runtime
from pqueue.words import counted

Room = Callable[[int], AbstractContextManager[None]]
"""A context in which so many items may be put."""

BATCH = 1000
"""Items of a commit."""
BYTES = 8 << 20
"""… and bytes of records, at most."""
IN_FLIGHT = 64 << 20
"""Bytes of all commits under way, at most."""


class _Flight:
    """One commit, under way once it has been started."""

    def __init__(self, count: int, size: int, commit: Commit, sent: Event, runtime: Runtime) -> None:
        self.count = count
        self.size = size
        self.commit = commit
        self.room = ExitStack()
        self.sending = True
        """Whether its upload has not ended."""
        self._sent = sent
        self._runtime = runtime
        self._claim = runtime.lock()
        """Taken by who flies it, or by who makes sure that nobody will."""
        self._started = False
        self._over = runtime.event()
        self._error: BaseException | None = None

    def start(self) -> None:
        """Send it."""
        self._runtime.start(self._fly)
        self._started = True

    def _fly(self) -> None:
        if not self._claim.acquire(blocking=False):
            return
        try:
            with self.room:  # given back once it is in, since the next commit may be waiting for room
                try:
                    self.commit.finish(self._ended)
                finally:
                    self.commit.end()
        except BaseException as error:  # noqa: BLE001  # raised by `land`
            self._error = error
        finally:
            self._ended()
            self._over.set()

    def _ended(self) -> None:
        self.sending = False
        self._sent.set()

    def land(self) -> None:
        """Wait for it, and raise what it raised."""
        self._over.wait()
        if self._error is not None:
            raise self._error

    def settle(self) -> None:
        """As `land`; but if an interrupt came before it was sent, it won't be."""
        if not self._started and self._claim.acquire(blocking=False):
            self.room.close()
            self.commit.end()
            raise StoreError("this commit was not begun")
        self.land()


class Stream:
    """One `put_stream`."""

    def __init__(self, log: Log, runtime: Runtime, room: Room, told: Callable[[int], Any]) -> None:
        """For one queue object.

        Args:
            log: where the records go.
            runtime: runs what is in flight.
            room: makes room for a commit's items.
            told: called with the number of items that are in, after each commit.
        """
        self._log = log
        self._runtime = runtime
        self._room = room
        self._told = told
        self._flights: deque[_Flight] = deque()
        self._sent = runtime.event()
        """Set whenever an upload ends."""
        self.count = 0
        """Items that are in the queue: the first so many, in order."""

    def run(self, records: Iterable[bytes], batch: int) -> None:
        """Put all of them; whatever is raised, `count` is right then."""
        try:
            for part in parted(records, batch, min(BYTES, self._log.max_bytes)):
                self._put(part)
            while self._flights:
                self._land()
        except BaseException as error:
            uncertain = self._settle(error)
            if uncertain and isinstance(error, QueueError) and not isinstance(error, PutUncertain):
                told = PutUncertain(f"{error}; and it is not known of some items whether they are in the queue")
                _note(told, self.count, uncertain)
                raise told from error
            raise

    def _put(self, records: Sequence[bytes]) -> None:
        if self._log.parallel == 1:
            count = len(records)
            with self._room(count):
                try:
                    self._log.land(records)
                    self.count += count
                except Landed as landed:
                    self.count += count
                    raise landed.__cause__ or landed from None
            self._told(self.count)
            return
        # While one swap lists what is uploaded, and the next waits for it, more is on its way.
        size = measured(records)
        while len(self._flights) >= self._log.waves * self._log.parallel or (
            self._flights and size + sum(flight.size for flight in self._flights) > IN_FLIGHT
        ):
            self._land()
        while True:
            self._sent.clear()
            if sum(flight.sending for flight in self._flights) < self._log.parallel:
                break
            self._sent.wait()
        before = self._flights[-1].commit if self._flights else None
        flight = _Flight(len(records), size, self._log.commit(), self._sent, self._runtime)
        self._flights.append(flight)  # first of all, so that whatever comes finds it there
        flight.room.enter_context(self._room(len(records)))
        while not self._log.begin(flight.commit, records, before):
            while self._flights[0] is not flight:
                self._land()  # raises why, unless another producer had it listed in the end
            before = None
        flight.start()

    def _land(self) -> None:
        """Wait for the oldest."""
        flight = self._flights[0]
        flight.land()
        self.count, flight.count = self.count + flight.count, 0  # nothing interrupts this
        self._flights.popleft()
        self._told(self.count)

    def _settle(self, error: BaseException) -> int:
        """After an error or an interrupt: learn how far it came; of how many items behind that it is not known whether they are in.

        What follows a commit that is not in is not, either; what follows one that may be, may be, too.
        """
        failed: QueueError | None = None
        uncertain = 0
        while self._flights:
            flight = self._flights.popleft()
            try:
                flight.settle()
            except QueueError as why:
                failed = failed or why
            else:
                self.count += 0 if failed else flight.count
            uncertain += flight.count if isinstance(failed, PutUncertain) else 0
        _note(error, self.count, uncertain)
        return uncertain


def _note(error: BaseException, count: int, uncertain: int) -> None:
    """Say what is in the queue."""
    if isinstance(error, QueueError):
        error.put_so_far = count
    perhaps = (
        f", and perhaps some of the {counted(uncertain, 'item')} behind them, or they come in later"
        if uncertain
        else ""
    )
    error.add_note(f"put_stream: in the queue are the first {counted(count, 'item')}{perhaps}")
