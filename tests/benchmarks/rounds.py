"""Rounds of puts and gets on fresh queues in a folder, the same for ours and for others."""

from __future__ import annotations

import functools
import shutil
import statistics
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pqueue
from tests.benchmarks.harness import Beside, Run, rate
from tests.benchmarks.peers import Kind, installed, said

ITEMS: dict[str, Any] = {
    "text": "x" * 100,
    "dict": {"id": 12345, "name": "a name", "url": "https://example.org/page", "ok": True},
}
BATCH = 1000

Make = Callable[[Path], Any]
"""Opens a queue in a folder, which is there."""


def ours(**settings: Any) -> Make:
    return lambda path: pqueue.open(path / "queue", **settings)


def beside(kind: Kind, run: Callable[[Make], Run], goal: float | None = None, **how: Any) -> Beside:
    """The same work by another."""
    make: Make = functools.partial(kind, **how)
    return Beside(kind.name, run(make) if installed(kind) else None, said(kind), goal)


def paced(kind: Kind, count: int) -> int:
    return max(1, int(count * kind.pace))


def several(run: Run, times: int) -> Run:
    """One round of so many: what is over in a tenth of a second tells more of that moment than of the work."""

    def once() -> dict[str, float]:
        return {"rate": statistics.harmonic_mean([run()["rate"] for _ in range(times)])}

    return once


def fill(queue: Any, item: Any, count: int) -> None:
    if hasattr(queue, "put_many"):
        for start in range(0, count, BATCH):
            queue.put_many([item] * min(BATCH, count - start))
    else:
        for _ in range(count):
            queue.put(item)


def put_each(queue: Any, item: Any, count: int) -> None:
    put = queue.put
    for _ in range(count):
        put(item)


def get_each(queue: Any, count: int) -> None:
    get = queue.get
    for _ in range(count):
        get()


class Bench:
    """Rounds with one item, in one folder."""

    def __init__(self, folder: Path, item: Any) -> None:
        self.folder = folder
        self.item = item

    @contextmanager
    def fresh(self, make: Make, filled: int = 0) -> Iterator[Any]:
        """A queue that is gone afterwards."""
        path = self.folder / uuid.uuid4().hex
        path.mkdir()
        queue = make(path)
        try:
            fill(queue, self.item, filled)
            yield queue
        finally:
            queue.close()
            shutil.rmtree(path, ignore_errors=True)

    def put(self, make: Make, count: int) -> Run:
        def once() -> dict[str, float]:
            with self.fresh(make) as queue:
                return rate(count, lambda: put_each(queue, self.item, count))

        return once

    def get(self, make: Make, count: int) -> Run:
        def once() -> dict[str, float]:
            with self.fresh(make, count) as queue:
                return rate(count, lambda: get_each(queue, count))

        return once

    def put_many(self, make: Make, count: int) -> Run:
        def once() -> dict[str, float]:
            with self.fresh(make) as queue:
                return rate(count, lambda: fill(queue, self.item, count))

        return once

    def get_many(self, make: Make, count: int) -> Run:
        def once() -> dict[str, float]:
            with self.fresh(make, count) as queue:

                def work() -> None:
                    left = count
                    while left:
                        left -= len(queue.get_many(min(left, BATCH)))

                return rate(count, work)

        return once

    def put_by_threads(self, make: Make, count: int, threads: int) -> Run:
        each = max(1, count // threads)

        def once() -> dict[str, float]:
            ready = threading.Barrier(threads + 1)
            with self.fresh(make) as queue, ThreadPoolExecutor(threads) as pool:

                def work() -> None:
                    ready.wait(60)
                    put_each(queue, self.item, each)

                def wait() -> None:
                    ready.wait(60)
                    for one in working:
                        one.result()

                working = [pool.submit(work) for _ in range(threads)]
                return rate(each * threads, wait)

        return once
