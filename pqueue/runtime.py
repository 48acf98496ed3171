"""Time, chance, locks and parallel work, passed in so that a test can own them.

The core sleeps, waits, locks and draws numbers through one `Runtime` only. The simulator's runs many clients in one
thread, under a clock and a scheduler of its own.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

_IDLE = 30.0
"""Seconds after which a thread of the shared pool that has nothing to do ends."""
_LONGEST = 1e6
"""Seconds: more than a lock can count would be an error."""


class Lock(Protocol):
    """The part of `threading.Lock` that the core uses."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...
    def locked(self) -> bool: ...
    def __enter__(self) -> bool: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Event(Protocol):
    """The part of `threading.Event` that the core uses."""

    def set(self) -> None: ...
    def clear(self) -> None: ...
    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class Gates:
    """An event made of plain locks, whose waiting no interrupt leaves half done.

    The standard library's tells of an interrupt, now and then, as of a lock that could not be released.
    """

    def __init__(self) -> None:
        self._flag = False
        self._gates: list[threading.Lock] = []

    def set(self) -> None:
        """As `threading.Event.set`."""
        self._flag = True
        while self._gates:
            with suppress(IndexError):
                self._gates.pop().release()

    def clear(self) -> None:
        """As `threading.Event.clear`."""
        self._flag = False

    def is_set(self) -> bool:
        """As `threading.Event.is_set`."""
        return self._flag

    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Event.wait`."""
        if self._flag:
            return True
        gate = threading.Lock()
        gate.acquire()
        self._gates.append(gate)
        try:
            # Not the flag alone decides: it may be cleared again by the time that this thread runs.
            return self._flag or gate.acquire(timeout=-1 if timeout is None else max(0, min(timeout, _LONGEST)))
        finally:
            with suppress(ValueError):
                self._gates.remove(gate)


class Task(Generic[T]):
    """Work started in parallel."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._ended = Gates()
        self._result: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Do it; for the thread that it was started in."""
        try:
            self._result.append(self._work())
        except BaseException as error:  # noqa: BLE001  # raised by `result`
            self._error = error
        self._ended.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it has ended, after waiting for that at most `timeout` seconds."""
        return self._ended.wait(timeout)

    def result(self) -> T:
        """What it returned, once it has ended; raises what it raised."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._result[0]


class _Pool:
    """Daemon threads that run what they are given, as many as there are tasks: a task may wait for another one.

    Not the standard library's: that one, interrupted just as it starts a thread, never lets the process end, and it
    takes nothing more once the interpreter has begun to end, when queues that were left open are still to be closed.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Task[Any]] = SimpleQueue()
        self._idle: list[None] = []
        """One entry for each thread that waits for work and for which none is there."""

    def start(self, task: Task[Any]) -> None:
        """Run it."""
        try:
            self._idle.pop()
        except IndexError:
            try:
                threading.Thread(target=self._loop, name="pqueue-worker", daemon=True).start()
            except RuntimeError:  # no more threads, or the interpreter ends
                task.run()
                return
        self._tasks.put(task)

    def _loop(self) -> None:
        while True:
            try:
                self._tasks.get(timeout=_IDLE).run()
            except Empty:
                with suppress(IndexError):
                    self._idle.pop()
                    return  # else a task is on its way
            else:
                self._idle.append(None)


class Runtime:
    """The real one."""

    def __init__(self) -> None:
        # The system's: a generator of our own would draw one id twice after a fork, or in a copy of a machine (rule 1).
        self.random: random.Random = random.SystemRandom()
        self._pool = _Pool()
        # Not a method: it is asked some times an item.
        self.monotonic: Callable[[], float] = partial(time.clock_gettime, _CLOCK)
        """Seconds on a clock that only goes forward (and does not stop while the machine sleeps, where there is one)."""
        self.ident: Callable[[], int] = threading.get_ident
        """Who runs: the thread."""
        self.lock: Callable[[], Lock] = threading.Lock
        """Makes a lock; any thread may release it."""

    def wall_ms(self) -> int:
        """Milliseconds since the epoch on this machine's clock: recorded for people, compared only after a reboot."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def event(self) -> Event:
        """An event."""
        return Gates()

    def start(self, work: Callable[[], T]) -> Task[T]:
        """Run a short piece of work beside the caller, in a shared pool that grows as needed."""
        task = Task(work)
        self._pool.start(task)
        return task

    def spawn(self, loop: Callable[[], Any], name: str) -> None:
        """Run a long-lived loop beside the caller; it must end by itself once its owner is closed."""
        threading.Thread(target=loop, name=f"pqueue-{name}", daemon=True).start()

    def forget(self) -> None:
        """In a forked child: the threads of the parent are not there."""
        self._pool = _Pool()


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

REAL = Runtime()
"""Shared by every queue of the process."""

os.register_at_fork(after_in_child=REAL.forget)
