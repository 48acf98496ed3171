"""Producers and consumers in processes of their own, on one queue: how fast, and whether each item came once and in order."""

from __future__ import annotations

import functools
import itertools
import time
import uuid
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pqueue
from tests.benchmarks.handmade import BareFiles, SqliteQueue
from tests.benchmarks.harness import Figure, Row, Run
from tests.benchmarks.peers import DiskCache, Polled
from tests.benchmarks.rounds import ITEMS, beside, paced
from tests.support.children import Child

Open = Callable[[], Any]
Tell = Callable[[int], None]
Put = Callable[[Any, Sequence[Any]], None]
Kind = tuple[Callable[[int], Any], Callable[[Any], int]]
"""How an item is made of a number, and the number found in it."""

KINDS: dict[str, Kind] = {
    "text": ("{:0100d}".format, int),
    "dict": (lambda number: {**ITEMS["dict"], "id": number}, lambda item: int(item["id"])),
}
FIGURES = (
    Figure("rate", "/s"),
    Figure("lost", "", 0, at_most=True),
    Figure("repeated", "", 0, at_most=True),
    Figure("out of order", "", 0, at_most=True),
)
PATIENCE = 600.0
MOST = 1 << 40
"""Items of one producer."""


def put_each(queue: Any, items: Sequence[Any]) -> None:
    put = queue.put
    for item in items:
        put(item)


def put_thousands(queue: Any, items: Sequence[Any]) -> None:
    for start in range(0, len(items), 1000):
        queue.put_many(items[start : start + 1000])


def stream(queue: Any, items: Sequence[Any]) -> None:
    queue.put_stream(items, batch=1000)


def get_one(queue: Any) -> list[Any]:
    return [queue.get()]


def get_thousand(queue: Any) -> list[Any]:
    return list(queue.get_many(1000))


class Start:
    """Processes that begin together, once all are ready."""

    def __init__(self, folder: str) -> None:
        self._go = Path(folder) / "go"

    def wait(self, tell: Tell) -> None:
        """In a child: its first word is that it is ready."""
        tell(0)
        while not self._go.exists():
            time.sleep(0.001)

    def go(self, children: Sequence[Child]) -> None:
        """In the parent."""
        for child in children:
            while not child.told and not child.hear(0.005):
                pass
        self._go.touch()


class Crowd:
    """So many of each, with what they do."""

    def __init__(
        self,
        kind: Kind,
        each: int,
        put: Put = put_each,
        take: Callable[[Any], list[Any]] = get_one,
        processes: int = 4,
    ) -> None:
        self._make, self._number = kind
        self._each = each
        self._put = put
        self._take = take
        self._processes = processes

    def produce(self, open_queue: Open, me: int, tell: Tell) -> None:
        items = [self._make(me * MOST + number) for number in range(self._each)]
        queue = open_queue()
        self._start.wait(tell)
        self._put(queue, items)
        queue.close()

    def consume(self, open_queue: Open, out: Path, tell: Tell) -> None:
        """Get until the end's sign, which is put once for each consumer, behind everything else."""
        got: list[Any] = []
        queue = open_queue()
        self._start.wait(tell)
        while True:
            items = self._take(queue)
            if None in items:
                got += [item for item in items if item is not None]
                for _ in range(items.count(None) - 1):
                    queue.put(None)  # the others'
                break
            got += items
            last = time.monotonic_ns()
        queue.close()
        tell(last if got else 0)
        out.write_bytes(array("q", map(self._number, got)).tobytes())

    def run(self, open_queue: Open, starts: Callable[[], object] = lambda: None) -> dict[str, float]:
        """Once; `starts` is called as they begin, having opened the queue."""
        open_queue().close()
        with TemporaryDirectory(prefix="pqueue-bench-") as folder:
            self._start = Start(folder)
            outs = [Path(folder) / str(number) for number in range(self._processes)]
            makers = [Child(functools.partial(self.produce, open_queue, me)) for me in range(self._processes)]
            takers = [Child(functools.partial(self.consume, open_queue, out)) for out in outs]
            self._start.go([*makers, *takers])
            starts()
            began = time.monotonic_ns()
            for child in makers:
                child.join(PATIENCE)
            queue = open_queue()
            for _ in takers:
                queue.put(None)
            queue.close()
            for child in takers:
                child.join(PATIENCE)
            seconds = (max(child.told[-1] for child in takers) - began) / 1e9
            return self._judge([array("q", out.read_bytes()) for out in outs], seconds)

    def _judge(self, got: list[array[int]], seconds: float) -> dict[str, float]:
        wanted = {me * MOST + number for me in range(self._processes) for number in range(self._each)}
        found = [number for one in got for number in one]
        disorder = 0
        for one in got:
            for me in range(self._processes):
                mine = [number for number in one if number // MOST == me]
                disorder += sum(a > b for a, b in itertools.pairwise(mine))
        return {
            "rate": len(wanted) / seconds,
            "lost": len(wanted - set(found)),
            "repeated": len(found) - len(set(found)),
            "out of order": disorder,
        }


def rows(folder: Path, name: str, scale: float) -> Iterator[Row]:
    count = max(10, int(25_000 * scale))
    crowd = functools.partial(Crowd, KINDS[name])

    def others(kind: Any, make: Callable[[Path], Any]) -> Run:
        few = crowd(max(10, paced(kind, count)))
        return lambda: few.run(fresh(lambda path: Polled(make(path))))

    def fresh(make: Callable[[Path], Any]) -> Open:
        path = folder / uuid.uuid4().hex
        path.mkdir()
        return lambda: make(path)

    yield Row(
        "4 producers and 4 consumers, processes",
        f"one by one, written, {name}",
        lambda: crowd(count).run(fresh(lambda path: pqueue.open(path / "queue"))),
        [
            beside(kind, functools.partial(others, kind), 3.0 if kind is SqliteQueue else None)
            for kind in (SqliteQueue, BareFiles, DiskCache)
        ],
        FIGURES,
    )
