"""Processes on one folder that never pause, and how long the slowest call takes: `python -m tests.benchmarks.turns`.

One, two and four that put, get, or receive and acknowledge, one by one; and one that puts much at once beside others.
"""

from __future__ import annotations

import functools
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pqueue
from tests.benchmarks.crowd import Start, Tell
from tests.benchmarks.harness import Figure, Row, options, run
from tests.benchmarks.rounds import ITEMS
from tests.support.children import Child

Act = Callable[[Any], object]

ACTS: dict[str, Act] = {
    "put": lambda queue: queue.put(ITEMS["text"]),
    "get": lambda queue: queue.get(block=False),
    "receive and acknowledge": lambda queue: queue.receive(block=False).ack(),
}
ENOUGH = 300_000
"""Items for all that may be got in a second."""

LARGE = ["x" * 1000] * 10_000

FIGURES = (
    Figure("rate", "/s"),
    Figure("least share", "% of an even one"),
    Figure("p50", "us", at_most=True),
    Figure("p99", "us", at_most=True),
    Figure("slowest", "ms", at_most=True),
    Figure("processor", "us", at_most=True),
)


class Turns:
    """So many processes, for so long.

    A child tells how often it has acted, and in nanoseconds how long one took, at the median, at p99 and at most, what all took
    of a processor, and from the first to the last.
    """

    def __init__(
        self, folder: Path, seconds: float, acts: list[Act], *, filled: int = 0, judged: int | None = None
    ) -> None:
        """`judged`: so many of them, the first ones, are what is told about."""
        self._folder = folder
        self._seconds = seconds
        self._acts = acts
        self._filled = filled
        self._judged = judged

    def _child(self, path: Path, act: Act, start: Start, tell: Tell) -> None:
        took = []
        with pqueue.open(path) as queue:
            start.wait(tell)
            busy, first = time.process_time_ns(), time.monotonic_ns()
            ended = first
            while ended < first + 1e9 * self._seconds:
                began = ended
                try:
                    act(queue)
                except pqueue.Empty:  # a fast machine: it ends earlier, and its rate is that of the time it had
                    break
                ended = time.monotonic_ns()
                took.append(ended - began)
            busy = time.process_time_ns() - busy
        took.sort()
        for number in (len(took), took[len(took) // 2], took[int(0.99 * len(took))], took[-1], busy, ended - first):
            tell(number)

    def run(self) -> dict[str, float]:
        path = self._folder / uuid.uuid4().hex
        with pqueue.open(path) as queue:
            for _ in range(0, self._filled, 1000):
                queue.put_many([ITEMS["text"]] * 1000)
        with tempfile.TemporaryDirectory(prefix="pqueue-bench-") as folder:
            start = Start(folder)
            children = [Child(functools.partial(self._child, path, act, start)) for act in self._acts]
            start.go(children)
            for child in children:
                child.join(self._seconds + 120)
        told = [child.told[1:] for child in children][: self._judged]
        done = sum(one[0] for one in told)
        return {
            "rate": sum(1e9 * one[0] / one[5] for one in told),
            "least share": 100 * min(one[0] for one in told) * len(told) / done,
            "p50": max(one[1] for one in told) / 1e3,
            "p99": max(one[2] for one in told) / 1e3,
            "slowest": max(one[3] for one in told) / 1e6,
            "processor": sum(one[4] for one in told) / done / 1e3,
        }


def rows(folder: Path, scale: float) -> Iterator[Row]:
    seconds = max(0.1, 1.5 * scale)
    for name, act in ACTS.items():
        for number in (1, 2, 4):
            filled = 0 if name == "put" else max(1000, int(ENOUGH * scale))
            turns = Turns(folder, seconds, [act] * number, filled=filled)
            yield Row(
                "processes that never pause, one by one",
                f"{number} that {name}",
                turns.run,
                figures=FIGURES,
                warm=False,
            )
    for number in (1, 3):
        acts = [lambda queue: queue.put_many(LARGE), *[ACTS["put"]] * number]
        yield Row(
            "one process that puts 10,000 items of 1 kB at once",
            f"beside {number} that put one by one",
            Turns(folder, seconds, acts, judged=1).run,
            figures=FIGURES,
            warm=False,
        )


def main() -> int:
    given = options(__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="pqueue-bench-") as folder:
        return run([*rows(Path(folder), given.scale)], given)


if __name__ == "__main__":
    sys.exit(main())
