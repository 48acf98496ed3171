"""Speed in a folder, beside what people write by hand: `python -m tests.benchmarks.local`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pqueue
from tests.benchmarks.handmade import Recipe, SqliteQueue
from tests.benchmarks.harness import Row, Run, run, timed

ITEMS: dict[str, Any] = {
    "text": "x" * 100,
    "dict": {"id": 12345, "name": "a name", "url": "https://example.org/page", "ok": True},
}

Make = Callable[[Path], Any]


def ours(**settings: Any) -> Make:
    return lambda path: pqueue.open(path, **settings)


def sqlite(path: Path) -> SqliteQueue:
    return SqliteQueue(path.with_suffix(".db"))


class Bench:
    """Rounds on fresh queues in one folder."""

    def __init__(self, folder: Path, item: Any) -> None:
        self._folder = folder
        self._item = item

    def _fresh(self, make: Make) -> tuple[Any, Path]:
        path = self._folder / uuid.uuid4().hex
        return make(path), path

    def put(self, make: Make, count: int) -> Run:
        def once() -> tuple[int, float]:
            queue, path = self._fresh(make)
            put, item = queue.put, self._item

            def work() -> None:
                for _ in range(count):
                    put(item)

            seconds = timed(work)
            self._gone(queue, path)
            return count, seconds

        return once

    def get(self, make: Make, count: int) -> Run:
        def once() -> tuple[int, float]:
            queue, path = self._fresh(make)
            self._fill(queue, count)
            get = queue.get

            def work() -> None:
                for _ in range(count):
                    get()

            seconds = timed(work)
            self._gone(queue, path)
            return count, seconds

        return once

    def put_many(self, make: Make, count: int, batch: int) -> Run:
        def once() -> tuple[int, float]:
            queue, path = self._fresh(make)
            items = [self._item] * batch

            def work() -> None:
                for _ in range(count // batch):
                    queue.put_many(items)

            seconds = timed(work)
            self._gone(queue, path)
            return count, seconds

        return once

    def get_many(self, make: Make, count: int, batch: int) -> Run:
        def once() -> tuple[int, float]:
            queue, path = self._fresh(make)
            self._fill(queue, count)

            def work() -> None:
                left = count
                while left:
                    left -= len(queue.get_many(batch))

            seconds = timed(work)
            self._gone(queue, path)
            return count, seconds

        return once

    def _fill(self, queue: Any, count: int) -> None:
        if hasattr(queue, "put_many"):
            for start in range(0, count, 1000):
                queue.put_many([self._item] * min(1000, count - start))
        else:
            for _ in range(count):
                queue.put(self._item)

    @staticmethod
    def _gone(queue: Any, path: Path) -> None:
        queue.close()
        shutil.rmtree(path, ignore_errors=True)
        for file in path.parent.glob(f"{path.name}.db*"):
            file.unlink()


def rows(folder: Path, name: str, scale: float) -> list[Row]:
    bench = Bench(folder, ITEMS[name])
    one, many = int(30_000 * scale), int(300_000 * scale) // 1000 * 1000
    written, buffered = ours(), ours(durability="buffered")
    by_hand = "sqlite3 by hand"
    found = [
        Row("put, written", bench.put(written, one), bench.put(sqlite, one), by_hand, 3.0),
        Row("get, written", bench.get(written, one), bench.get(sqlite, one), by_hand, 4.0),
        Row(
            "put_many of 1000, written",
            bench.put_many(written, many, 1000),
            bench.put_many(sqlite, many, 1000),
            by_hand,
            3.0,
        ),
        Row(
            "get_many of 1000, written",
            bench.get_many(written, many, 1000),
            bench.get_many(sqlite, many, 1000),
            by_hand,
            8.0,
        ),
        Row("put, buffered", bench.put(buffered, many), bench.put(Recipe, many), "the recipe", 0.75),
        Row("get, buffered", bench.get(buffered, many), bench.get(Recipe, many), "the recipe", 0.75),
    ]
    for row in found:
        row.work = f"{row.work}, {name}"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="of the rounds' lengths")
    parser.add_argument("--item", choices=[*ITEMS, "both"], default="text")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pqueue-bench-") as folder:
        found = [row for name in ITEMS if given.item in (name, "both") for row in rows(Path(folder), name, given.scale)]
        run([row for row in found if given.only in row.work], given.rounds, as_json=given.json)


if __name__ == "__main__":
    main()
