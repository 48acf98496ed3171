"""A queue that holds very many items, beside an empty one: rates, memory, time to open, and bytes on disk."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ormsgpack

import pqueue
from tests.benchmarks import probe
from tests.benchmarks.harness import Beside, Figure, Row, rate
from tests.benchmarks.rounds import Bench, fill, get_each, ours, put_each

GROUP = "backlog"
OPENING = (
    Figure("open", "ms", 10, at_most=True),
    Figure("open, first of the process", "ms", at_most=True),
    Figure("first put", "ms", at_most=True),
    Figure("first get", "ms", at_most=True),
    Figure("memory", "MB", 10, at_most=True),
)


def on_disk(folder: Path) -> int:
    """Bytes that it takes there, blocks that hold nothing left out."""
    return sum(512 * path.stat().st_blocks for path in folder.rglob("*"))


class Deep:
    """The queue with the backlog, made once it is needed."""

    def __init__(self, bench: Bench, count: int) -> None:
        self._bench = bench
        self._count = count
        self._path = bench.folder / f"deep-{uuid.uuid4().hex}"

    @functools.cached_property
    def made(self) -> tuple[Path, float]:
        """Where it is, and its bytes on disk for a byte of records."""
        with pqueue.open(self._path) as queue:
            fill(queue, self._bench.item, self._count)
        return self._path, on_disk(self._path) / (self._count * len(ormsgpack.packb(self._bench.item)))

    def round(self, count: int, do: Callable[[Any, int], None]) -> dict[str, float]:
        with pqueue.open(self.made[0]) as queue:
            queue.put(self._bench.item)
            queue.get()  # opening has rows of its own
            return rate(count, lambda: do(queue, count))


def rows(bench: Bench, name: str, scale: float, count: int) -> Iterator[Row]:
    deep, shallow = Deep(bench, count), Deep(bench, 2000)
    some = max(1, min(int(30_000 * scale), count // 20))
    for what, do, empty in (
        ("put", lambda queue, n: put_each(queue, bench.item, n), bench.put(ours(), some)),
        ("get", get_each, bench.get(ours(), some)),
    ):
        mine = functools.partial(deep.round, some, do)
        yield Row(GROUP, f"{what}, {count:,} items, {name}", mine, [Beside("when empty", empty, goal=0.9)])
    yield Row(
        GROUP,
        f"a process that opens {count:,} items, {name}",
        lambda: probe.run("opening", str(deep.made[0]), name),
        [Beside("2,000 items", lambda: probe.run("opening", str(shallow.made[0]), name))],
        OPENING,
        warm=False,
    )
    bytes_each = (Figure("bytes for a byte of records", "x", 1.2, at_most=True),)
    yield Row(
        GROUP,
        f"disk, put by 1000, {name}",
        lambda: {bytes_each[0].name: deep.made[1]},
        figures=bytes_each,
        rounds=1,
        warm=False,
    )

    def singly() -> dict[str, float]:
        places = []

        def make(path: Path) -> Any:
            places.append(path)
            return pqueue.open(path / "queue")

        with bench.fresh(make) as queue:
            put_each(queue, bench.item, least)
            return {bytes_each[0].name: on_disk(places[0]) / (least * len(ormsgpack.packb(bench.item)))}

    least = min(count, 100_000)
    yield Row(GROUP, f"disk, put one by one, {name}", singly, figures=bytes_each, rounds=1, warm=False)
