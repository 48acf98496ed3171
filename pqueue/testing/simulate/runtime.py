"""`pqueue.runtime.Runtime` on the scheduler: virtual time, and locks at which others may run."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from pqueue.runtime import Lock, Runtime, Task
from pqueue.testing.simulate.world import Died, Fiber, Member, World

T = TypeVar("T")

EPOCH_MS = 1_000_000
"""The wall clock when a run begins."""


class SimLock:
    """A lock; who waits for it may be overtaken."""

    __slots__ = ("_held", "_queue", "_world")

    def __init__(self, world: World) -> None:
        self._world = world
        self._held = False
        self._queue: list[Fiber] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `threading.Lock.acquire`."""
        while self._held:
            fiber = self._world.current
            if fiber is None or fiber.client.dead:
                raise Died
            if not blocking:
                return False
            self._queue.append(fiber)
            try:
                woken = self._world.park(None if timeout < 0 else timeout)
            except BaseException:
                self._leave(fiber)
                raise
            if not woken:
                self._leave(fiber)
                if timeout >= 0:
                    return False
        self._held = True
        return True

    def _leave(self, fiber: Fiber) -> None:
        if fiber in self._queue:
            self._queue.remove(fiber)
        elif self._queue and not self._held:
            self._world.wake(self._queue.pop(0))  # it was woken for nothing: hand that on

    def release(self) -> None:
        """As `threading.Lock.release`."""
        self._held = False
        if self._queue:
            self._world.wake(self._queue.pop(0))

    def locked(self) -> bool:
        """As `threading.Lock.locked`."""
        return self._held

    def __enter__(self) -> bool:
        if self._held:
            return self.acquire()
        self._held = True
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held = False
        if self._queue:
            self._world.wake(self._queue.pop(0))


class SimEvent:
    """An event."""

    __slots__ = ("_queue", "_set", "_world")

    def __init__(self, world: World) -> None:
        self._world = world
        self._set = False
        self._queue: list[Fiber] = []

    def set(self) -> None:
        """As `threading.Event.set`."""
        self._set = True
        queue, self._queue = self._queue, []
        for fiber in queue:
            self._world.wake(fiber)

    def clear(self) -> None:
        """As `threading.Event.clear`."""
        self._set = False

    def is_set(self) -> bool:
        """As `threading.Event.is_set`."""
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Event.wait`."""
        if not self._set:
            fiber = self._world.current
            if fiber is None or fiber.client.dead:
                raise Died
            self._queue.append(fiber)
            try:
                self._world.park(timeout)
            finally:
                if fiber in self._queue:
                    self._queue.remove(fiber)
        return self._set


class SimTask(Generic[T]):
    """Work in a fiber of its own."""

    __slots__ = ("_ended", "_error", "_result")

    def __init__(self, runtime: SimRuntime, work: Callable[[], T]) -> None:
        self._ended = SimEvent(runtime.world)
        self._error: BaseException | None = None
        self._result: Any = None

        def run() -> None:
            try:
                self._result = work()
            except Died:
                raise
            except BaseException as error:  # noqa: BLE001  # as a future does
                self._error = error
            self._ended.set()

        runtime.world.spawn(runtime.client, f"{runtime.client.name}/task", run)

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it has ended."""
        return self._ended.wait(timeout)

    def result(self) -> T:
        """What it returned or raised."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return cast("T", self._result)


class SimRuntime(Runtime):
    """One client's time and chance."""

    def __init__(self, world: World, client: Member, seed: object) -> None:
        self.random = random.Random(f"{seed} {client.name}")
        self.world = world
        self.client = client
        self.lag = 0.0
        """Seconds that this client slept through without its clock's noticing."""

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self.world.now - self.lag

    def wall_ms(self) -> int:
        """Virtual milliseconds."""
        return EPOCH_MS + int(self.world.now * 1000)

    def sleep(self, seconds: float) -> None:
        """Let the others run meanwhile."""
        self.world.park(seconds)

    def lock(self) -> Lock:
        """A lock on the scheduler."""
        return SimLock(self.world)

    def event(self) -> SimEvent:
        """An event on the scheduler."""
        return SimEvent(self.world)

    def ident(self) -> int:
        """Who runs: the fiber."""
        return id(self.world.current)

    def start(self, work: Callable[[], T]) -> Task[T]:
        """Run it in a fiber that dies with the client."""
        return cast("Task[T]", SimTask(self, work))

    def spawn(self, loop: Callable[[], Any], name: str) -> None:
        """Run it in a fiber that dies with the client."""
        self.world.spawn(self.client, f"{self.client.name}/{name}", loop)

    def forget(self) -> None:
        """In a forked child: chance of its own."""
        self.random = random.Random(self.random.random())
