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
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


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


class Task(Generic[T]):
    """Work started in parallel."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it has ended, after waiting for that at most `timeout` seconds."""
        try:
            self._future.exception(timeout)
        except FutureTimeout:
            return self._future.done()
        return True

    def result(self) -> T:
        """What it returned, once it has ended; raises what it raised."""
        return self._future.result()


class Runtime:
    """The real one."""

    def __init__(self) -> None:
        # The system's: a generator of our own would draw one id twice after a fork, or in a copy of a machine (rule 1).
        self.random: random.Random = random.SystemRandom()
        self._pool: ThreadPoolExecutor | None = None
        self._guard = threading.Lock()

    def monotonic(self) -> float:
        """Seconds on a clock that only goes forward (and does not stop while the machine sleeps, where there is one)."""
        return time.clock_gettime(_CLOCK)

    def wall_ms(self) -> int:
        """Milliseconds since the epoch on this machine's clock: recorded for people, compared only after a reboot."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def lock(self) -> Lock:
        """A lock; any thread may release it."""
        return threading.Lock()

    def event(self) -> Event:
        """An event."""
        return threading.Event()

    def start(self, work: Callable[[], T]) -> Task[T]:
        """Run a short piece of work beside the caller, in a shared pool that grows as needed."""
        with self._guard:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(64, thread_name_prefix="pqueue")
            try:
                return Task(self._pool.submit(work))
            except RuntimeError:  # the interpreter ends: no thread starts any more, but what is open is still closed
                pass
        done: Future[T] = Future()
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001  # raised by `result`
            done.set_exception(error)
        return Task(done)

    def spawn(self, loop: Callable[[], Any], name: str) -> None:
        """Run a long-lived loop beside the caller; it must end by itself once its owner is closed."""
        threading.Thread(target=loop, name=f"pqueue-{name}", daemon=True).start()

    def forget(self) -> None:
        """In a forked child: the threads of the parent are not there."""
        self._guard = threading.Lock()
        self._pool = None


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

REAL = Runtime()
"""Shared by every queue of the process."""

os.register_at_fork(after_in_child=REAL.forget)
