"""Hand-off between two idle processes of a machine: `python -m tests.benchmarks.handoff`.

A consumer waits in `get` while a producer puts an item now and then. Prints the time from the put's beginning to the get's return,
and the processor time that a consumer takes for waiting where nothing comes; beside sqlite3 looked at every millisecond.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pqueue
from tests.benchmarks.handmade import SqliteQueue
from tests.support.children import Child

POLL = 0.001
GOAL = 200e-6
IDLE_GOAL = 0.01

Open = Callable[[], Any]


class Polled:
    """The sqlite3 queue, waited for as people do."""

    def __init__(self, path: Path) -> None:
        self._queue = SqliteQueue(path)
        self.put = self._queue.put
        self.close = self._queue.close

    def get(self, timeout: float) -> Any:
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            try:
                return self._queue.get()
            except IndexError:  # nothing there
                time.sleep(POLL)
        raise pqueue.Empty


def handed(open_queue: Open, count: int, pause: float) -> list[float]:
    """Seconds of each hand-off."""
    open_queue().close()

    def consume(tell: Callable[[int], None]) -> None:
        queue = open_queue()
        tell(0)
        for _ in range(count):
            item = queue.get(timeout=30)
            tell(time.monotonic_ns() - int(item))
        queue.close()

    child = Child(consume)
    while not child.told:
        child.hear(0.05)
    queue = open_queue()
    for _ in range(count):
        time.sleep(pause * random.uniform(0.5, 1.5))
        queue.put(str(time.monotonic_ns()))
    child.join(60)
    queue.close()
    return sorted(ns / 1e9 for ns in child.told[1:])


def idle(open_queue: Open, seconds: float) -> float:
    """Processor seconds of a consumer for which nothing comes."""

    def consume(tell: Callable[[int], None]) -> None:
        queue = open_queue()
        before = time.process_time_ns()
        try:
            queue.get(timeout=seconds)
        except pqueue.Empty:
            tell((time.process_time_ns() - before) // 1000)
        queue.close()

    child = Child(consume)
    child.join(seconds + 30)
    return child.told[0] / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="items handed over")
    parser.add_argument("--pause", type=float, default=0.01, help="seconds between two, about")
    parser.add_argument("--seconds", type=float, default=10.0, help="of waiting for nothing")
    given = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory(prefix="pqueue-bench-") as folder:
        for name, open_queue, goals in (
            ("a folder", lambda: pqueue.open(Path(folder) / "queue"), True),
            ("sqlite3, looked at each ms", lambda: Polled(Path(folder) / "peer.db"), False),
        ):
            took = handed(open_queue, given.count, given.pause)
            used = idle(open_queue, given.seconds)
            p50, p99 = took[len(took) // 2], took[int(0.99 * len(took))]
            print(
                f"{name:<27} p50 {1e6 * p50:6.0f} us   p99 {1e6 * p99:6.0f} us   "
                f"idle for {given.seconds:g} s: {1000 * used:6.1f} ms of processor time, {used / given.seconds:.2%}"
            )
            if goals:
                reached = p50 <= GOAL, used / given.seconds <= IDLE_GOAL
                good = all(reached)
                print(f"  p50 at most 200 us: {mark(reached[0])}; at most 1 % idle: {mark(reached[1])}")
            sys.stdout.flush()
    return 0 if good else 1


def mark(reached: bool) -> str:
    return "reached" if reached else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
