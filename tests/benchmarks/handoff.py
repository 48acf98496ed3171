"""Hand-off between two idle processes of a machine: `python -m tests.benchmarks.handoff`.

A consumer waits in `get` while a producer puts an item now and then. Measures the time from the put's beginning to the get's
return, and the processor time that a consumer takes for waiting where nothing comes; beside sqlite3 looked at every millisecond,
and a bare pipe.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pqueue
from tests.benchmarks.handmade import BarePipe, SqliteQueue
from tests.benchmarks.harness import Beside, Figure, Row, options, run
from tests.benchmarks.peers import Polled
from tests.support.children import Child

PAUSE = 0.01
"""Seconds between two items, about."""

Open = Callable[[], Any]


def handed(open_queue: Open, count: int) -> list[float]:
    """Microseconds of each hand-off, the least first."""
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
        time.sleep(PAUSE * random.uniform(0.5, 1.5))
        queue.put(str(time.monotonic_ns()))
    child.join(60)
    queue.close()
    return sorted(ns / 1000 for ns in child.told[1:])


def idle(open_queue: Open, seconds: float) -> float:
    """Processor time of a consumer for which nothing comes, in percent."""

    def consume(tell: Callable[[int], None]) -> None:
        queue = open_queue()
        before = time.process_time_ns()
        try:
            queue.get(timeout=seconds)
        except pqueue.Empty:
            tell(time.process_time_ns() - before)
        queue.close()

    child = Child(consume)
    child.join(seconds + 30)
    return child.told[0] / 1e7 / seconds


def both(folder: Path, make: Callable[[Path], Any], count: int, seconds: float) -> dict[str, float]:
    path = folder / uuid.uuid4().hex
    path.mkdir()
    took = handed(lambda: make(path), count)
    return {"p50": took[len(took) // 2], "p99": took[int(0.99 * len(took))], "idle": idle(lambda: make(path), seconds)}


def rows(folder: Path, scale: float) -> Iterator[Row]:
    count, seconds = max(5, int(200 * scale)), max(0.1, 3 * scale)
    yield Row(
        "hand-off between two idle processes",
        "one item",
        lambda: both(folder, lambda path: pqueue.open(path / "queue"), count, seconds),
        [
            Beside(
                "sqlite3, looked at each ms",
                lambda: both(folder, lambda path: Polled(SqliteQueue(path)), count, seconds),
            ),
            Beside(BarePipe.name, lambda: both(folder, BarePipe, count, seconds), BarePipe.settings),
        ],
        figures=(
            Figure("p50", "us", 200, at_most=True),
            Figure("p99", "us", at_most=True),
            Figure("idle", "%", 1, at_most=True),
        ),
        warm=False,
    )


def main() -> int:
    given = options(__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="pqueue-bench-") as folder:
        return run(rows(Path(folder), given.scale), given)


if __name__ == "__main__":
    sys.exit(main())
