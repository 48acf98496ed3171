"""What a type costs: `python -m tests.benchmarks.typed`. Microseconds an item, in a folder and for the serializer alone."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import pqueue
from pqueue import plugins
from pqueue.typed import ItemType
from tests.benchmarks.harness import timed


class Order(BaseModel):
    id: int
    name: str
    url: str
    ok: bool


@dataclass
class Page:
    id: int
    name: str
    url: str
    ok: bool


FIELDS: dict[str, Any] = {"id": 12345, "name": "a name", "url": "https://example.org/page", "ok": True}
KINDS: dict[str, tuple[Any, Any]] = {
    "dict, untyped": (None, FIELDS),
    "dict, item=dict[str, Any]": (dict[str, Any], FIELDS),
    "dataclass of 4 fields": (Page, Page(**FIELDS)),
    "model of 4 fields": (Order, Order(**FIELDS)),
    "list of 10 such models": (list[Order], [Order(**FIELDS)] * 10),
}


def in_a_folder(folder: Path, kind: Any, item: Any, count: int) -> list[float]:
    """Seconds of so many puts, of as many gets, of as many gets by 1000."""
    with tempfile.TemporaryDirectory(dir=folder) as place, pqueue.open(Path(place) / "queue", item=kind) as queue:
        put, get = queue.put, queue.get
        found = [timed(lambda: [put(item) for _ in range(count)]), timed(lambda: [get() for _ in range(count)])]
        queue.put_many([item] * count)

        def many() -> None:
            left = count
            while left:
                left -= len(queue.get_many(min(left, 1000)))

        return [*found, timed(many)]


def alone(name: str, kind: Any, item: Any, count: int) -> list[float]:
    """Seconds of so many `dumps`, of as many `loads`, of as many records by `loads_many`."""
    serializer = plugins.serializer(name)
    if kind is not None:
        serializer = ItemType(kind).over(serializer)
    dumps, loads = serializer.dumps, serializer.loads
    record = dumps(item)
    records = [record] * count
    return [
        timed(lambda: [dumps(item) for _ in range(count)]),
        timed(lambda: [loads(one) for one in records]),
        timed(lambda: serializer.loads_many(records)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pqueue-bench-") as folder:
        rows: dict[str, Callable[[Any, Any], list[float]]] = {
            "a folder, written: put, get, get_many": lambda *what: in_a_folder(Path(folder), *what, given.count),
            "msgpack: dumps, loads, loads_many": lambda *what: alone("msgpack", *what, given.count),
            "json: dumps, loads, loads_many": lambda *what: alone("json", *what, given.count),
        }
        for title, measure in rows.items():
            print(f"{title}; microseconds an item, medians of {given.rounds} interleaved rounds")
            rounds: dict[str, list[list[float]]] = {name: [] for name in KINDS}
            for _ in range(given.rounds):
                for name, (kind, item) in KINDS.items():
                    rounds[name].append(measure(kind, item))
            for name, found in rounds.items():
                medians = [statistics.median(column) / given.count * 1e6 for column in zip(*found, strict=True)]
                print(f"  {name:<28}" + "".join(f"{one:9.2f}" for one in medians))


if __name__ == "__main__":
    main()
