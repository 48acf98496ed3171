"""Borrowed work in a folder, beside other queues' acknowledgements: `python -m tests.benchmarks.work`.

Receive and acknowledge one by one and by 100; the same once a million have been acknowledged; items given back with a delay each.
"""

from __future__ import annotations

import functools
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pqueue
from pqueue.head import Head
from pqueue.names import HEAD
from tests.benchmarks.harness import Beside, Figure, Row, Run, options, rate, run, timed
from tests.benchmarks.peers import AckQueue, Huey, Lite
from tests.benchmarks.rounds import ITEMS, Bench, Make, beside, fill, ours, paced

BEHIND = 2000
"""Items that wait behind those that are received."""


def one_by_one(queue: Any, count: int) -> None:
    receive = queue.receive
    for _ in range(count):
        receive().ack()


def by_hundreds(queue: Any, count: int) -> None:
    left = count
    while left:
        batch = queue.receive_many(min(100, left))
        batch.ack()
        left -= len(batch.items)


def theirs(queue: Any, count: int) -> None:
    receive, ack = queue.receive, queue.ack
    for _ in range(count):
        ack(receive())


def round_of(bench: Bench, make: Make, count: int, take: Callable[[Any, int], None], behind: int) -> Run:
    def once() -> dict[str, float]:
        with bench.fresh(make, count + behind) as queue:
            return rate(count, lambda: take(queue, count))

    return once


class Worn:
    """A queue of which very many items have been acknowledged, once it is needed."""

    def __init__(self, bench: Bench, total: int) -> None:
        self._bench = bench
        self._total = total

    @functools.cached_property
    def queue(self) -> Any:
        queue = pqueue.open(self._bench.folder / f"worn-{uuid.uuid4().hex}")
        for start in range(0, self._total, 100_000):
            some = min(100_000, self._total - start)
            fill(queue, self._bench.item, some)
            by_hundreds(queue, some)
        return queue

    def round(self, count: int, take: Callable[[Any, int], None]) -> dict[str, float]:
        fill(self.queue, self._bench.item, count)
        return rate(count, lambda: take(self.queue, count))


def delayed(bench: Bench, total: int) -> dict[str, float]:
    """So many items given back with a delay each, one by one."""

    def work() -> None:
        for _ in range(total):
            queue.receive().nack(delay=60)

    with bench.fresh(lambda path: pqueue.open(path / "queue", retry_delay={"first": 2, "jitter": 0.1}), total) as queue:
        seconds = timed(work)
        data = queue._store.load(HEAD).data
        return {"rate": total / seconds, "ranges": len(Head.parse(data).rest.spans), "bytes": len(data)}


def rows(bench: Bench, name: str, scale: float) -> Iterator[Row]:
    group = "receive and acknowledge"
    behind, total = int(BEHIND * scale), int(1_000_000 * scale)
    worn = Worn(bench, total)
    for what, count, take, goal in (
        ("one by one", max(1, int(10_000 * scale)), one_by_one, 20.0),
        ("by 100", max(1, int(100_000 * scale)), by_hundreds, 100.0),
    ):
        mine = round_of(bench, ours(), count, take, behind)
        others = []
        for kind in (AckQueue, Lite, Huey):
            few = paced(kind, max(20, int(10_000 * scale)))
            run_of = functools.partial(round_of, bench, count=few, take=theirs, behind=behind)
            others.append(beside(kind, run_of, goal if kind is AckQueue else None))
        yield Row(group, f"{what}, {name}", mine, others)
        at_first = Beside("none acknowledged before", round_of(bench, ours(), count, take, 0), goal=0.9)
        after = functools.partial(worn.round, count, take)
        yield Row(group, f"{what}, {name}, {total:,} acknowledged before", after, [at_first])
    if name == "text":
        yield Row(
            group,
            "given back with a delay each",
            functools.partial(delayed, bench, max(1, int(100_000 * scale))),
            figures=(Figure("rate", "/s"), Figure("ranges", "", 10_000, at_most=True), Figure("bytes", "")),
            rounds=1,
            warm=False,
        )


def main() -> int:
    given = options(__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="pqueue-bench-") as folder:
        return run(rows(Bench(Path(folder), ITEMS["text"]), "text", given.scale), given)


if __name__ == "__main__":
    sys.exit(main())
