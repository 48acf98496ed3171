"""Work in a folder, beside other queues' acknowledgements: `python -m tests.benchmarks.work`.

Receive and acknowledge one by one and by 100; the same after a million were acknowledged (`--flat`); 100,000 items given back with
a delay each (`--delays`). The peers' settings are their defaults, in a file each.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pqueue
from tests.benchmarks.harness import Row, Run, run, timed

ITEM = "x" * 100


class Ours:
    """A folder, durability `written`."""

    def __init__(self, path: Path) -> None:
        self._queue = pqueue.open(path)

    def fill(self, count: int) -> None:
        for start in range(0, count, 1000):
            self._queue.put_many([ITEM] * min(1000, count - start))

    def one_by_one(self, count: int) -> None:
        receive = self._queue.receive
        for _ in range(count):
            receive().ack()

    def by(self, count: int, batch: int) -> None:
        left = count
        while left:
            got = self._queue.receive_many(min(batch, left))
            got.ack()
            left -= len(got)

    def close(self) -> None:
        self._queue.close()


class AckQueue:
    """persist-queue's SQLiteAckQueue with auto_commit (each call is durable), as its README says for acknowledgements."""

    def __init__(self, path: Path) -> None:
        from persistqueue import SQLiteAckQueue

        self._queue = SQLiteAckQueue(str(path), auto_commit=True)

    def fill(self, count: int) -> None:
        for _ in range(count):
            self._queue.put(ITEM)

    def one_by_one(self, count: int) -> None:
        for _ in range(count):
            self._queue.ack(self._queue.get())

    def close(self) -> None:
        self._queue.close()


class Lite:
    """litequeue: pop and done."""

    def __init__(self, path: Path) -> None:
        from litequeue import LiteQueue

        self._queue = LiteQueue(f"{path}.db")

    def fill(self, count: int) -> None:
        for _ in range(count):
            self._queue.put(ITEM)

    def one_by_one(self, count: int) -> None:
        for _ in range(count):
            self._queue.done(self._queue.pop().message_id)

    def close(self) -> None:
        self._queue.conn.close()


class Huey:
    """huey's SqliteHuey: a task dequeued and executed, its result stored and read; it has no acknowledgement."""

    def __init__(self, path: Path) -> None:
        from huey import SqliteHuey

        self._huey = SqliteHuey(filename=f"{path}.db", results=False)
        self._task = self._huey.task()(len)

    def fill(self, count: int) -> None:
        for _ in range(count):
            self._task(ITEM)

    def one_by_one(self, count: int) -> None:
        for _ in range(count):
            self._huey.execute(self._huey.dequeue())

    def close(self) -> None:
        self._huey.storage.close()


def rounds(folder: Path, make: Callable[[Path], Any], count: int, work: Callable[[Any], None], deep: int = 0) -> Run:
    def once() -> tuple[int, float]:
        path = folder / uuid.uuid4().hex
        queue = make(path)
        queue.fill(count + deep)
        seconds = timed(lambda: work(queue))
        queue.close()
        shutil.rmtree(path, ignore_errors=True)
        for file in path.parent.glob(f"{path.name}.db*"):
            file.unlink()
        return count, seconds

    return once


def peers() -> Iterator[tuple[str, Callable[[Path], Any], int, float, float]]:
    """Name, how it is made, items a round, and the goals one by one and by 100; those of the design are for the first."""
    for name, make, module, count, one, many in (
        ("persist-queue", AckQueue, "persistqueue", 300, 20.0, 100.0),
        ("litequeue", Lite, "litequeue", 300, 1.0, 1.0),
        ("huey", Huey, "huey", 300, 1.0, 1.0),
    ):
        try:
            __import__(module)
        except ImportError:
            print(f"{name} is not installed: pip install {name}")
            continue
        yield name, make, count, one, many


def rows(folder: Path, scale: float) -> list[Row]:
    found = []
    ones, many = int(5_000 * scale), int(50_000 * scale) // 100 * 100
    for name, make, few, goal, goal_many in peers():
        theirs = rounds(folder, make, few, lambda queue, few=few: queue.one_by_one(few))
        mine = rounds(folder, Ours, ones, lambda queue: queue.one_by_one(ones))
        found.append(Row("receive + ack, one by one", mine, theirs, name, goal))
        mine = rounds(folder, Ours, many, lambda queue: queue.by(many, 100))
        found.append(Row("receive + ack, by 100", mine, theirs, name, goal_many))
    return found


def flat(folder: Path, total: int) -> None:
    """The rate from the first to the last of so many items."""
    queue = Ours(folder / "flat")
    rates: list[tuple[int, float, float]] = []
    done = 0
    while done < total:
        queue.fill(110_000)
        queue.by(100_000, 100)
        one = 10_000 / timed(lambda: queue.one_by_one(10_000))
        queue.fill(10_000)
        many = 10_000 / timed(lambda: queue.by(10_000, 100))
        done += 120_000
        rates.append((done, one, many))
    for at, one, many in rates:
        print(f"{at:>9,} acknowledged: {one:>9,.0f} a second one by one, {many:>11,.0f} by 100")
    queue.close()


def delays(folder: Path, total: int) -> None:
    """So many items given back with a delay each, one by one, then received again."""
    path = folder / "delays"
    queue = pqueue.open(path, retry_delay={"first": 2, "jitter": 0.1})
    for start in range(0, total, 1000):
        queue.put_many([ITEM] * min(1000, total - start))
    size = most = 0
    rates = []
    for _ in range(0, total, 10_000):
        began = time.perf_counter()
        for _ in range(min(10_000, total)):
            queue.receive().nack(delay=60)
        rates.append(min(10_000, total) / (time.perf_counter() - began))
        head = queue._consumer.look()
        size = len(head.dump())
        most = max(most, len(head.rest.spans))
    print(
        f"{total:,} items given back with a delay of 60 s each: {statistics.median(rates):,.0f} a second (median of each "
        f"10,000; {min(rates):,.0f} to {max(rates):,.0f}); the head has {most} ranges at most, {size:,} bytes at the end"
    )
    queue.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="of our rounds' lengths")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--flat", action="store_true", help="only the rate up to a million items")
    parser.add_argument("--delays", action="store_true", help="only what is given back with a delay")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pqueue-bench-") as folder:
        if given.flat:
            flat(Path(folder), int(1_000_000 * given.scale))
        elif given.delays:
            delays(Path(folder), int(100_000 * given.scale))
        else:
            run(rows(Path(folder), given.scale), given.rounds, as_json=given.json)


if __name__ == "__main__":
    main()
