"""Speed in a folder, beside what else people would take: `python -m tests.benchmarks.local`.

Every row has its goal beside it. `--only synced` runs some of them, `--item dict` all with another item.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import anatomy, backlog, crowd, handoff, work
from tests.benchmarks.handmade import BareAppend, BareBatches, BareFiles, GroupCommit, Recipe, SqliteQueue
from tests.benchmarks.harness import Beside, Row, options, run
from tests.benchmarks.peers import DiskCache, Huey, Kind, Lite, PersistQueue, Queuelib
from tests.benchmarks.rounds import BATCH, ITEMS, Bench, beside, ours, paced, several

SYNCED: dict[Kind, int] = {SqliteQueue: 2000, DiskCache: 300, Huey: 2000, Lite: 2000, PersistQueue: 2000}
"""Those that can, and the items of a round: many threads slow the second down to 70 a second."""


def one_by_one(bench: Bench, name: str, scale: float) -> Iterator[Row]:
    one, many = int(30_000 * scale), int(300_000 * scale)
    written, buffered = ours(), ours(durability="buffered")
    for what, round_of, goal in (("put", bench.put, 3.0), ("get", bench.get, 4.0)):
        others = [
            beside(kind, functools.partial(round_of, count=paced(kind, one)), goal if not place else None)
            for place, kind in enumerate((SqliteQueue, BareFiles, Lite, DiskCache, PersistQueue))
        ]
        yield Row("one by one, written", f"{what}, {name}", several(round_of(written, one), 4), others)
    for what, round_of in (("put", bench.put), ("get", bench.get)):
        others = [
            beside(kind, functools.partial(round_of, count=many), 0.75 if kind is Recipe else None)
            for kind in (Recipe, Queuelib)
        ]
        yield Row("one by one, buffered", f"{what}, {name}", round_of(buffered, many), others)


def by_thousands(bench: Bench, name: str, scale: float) -> Iterator[Row]:
    count = max(1, int(300_000 * scale) // BATCH) * BATCH
    for what, round_of, goal in (("put_many", bench.put_many, 3.0), ("get_many", bench.get_many, 8.0)):
        others = [
            beside(kind, functools.partial(round_of, count=count), goal if kind is SqliteQueue else None)
            for kind in (SqliteQueue, BareBatches)
        ]
        yield Row("by 1000, written", f"{what}, {name}", several(round_of(ours(), count), 4), others)


def synced(bench: Bench, name: str, scale: float) -> Iterator[Row]:
    """Each put survives a power cut. The limit is what the bare system calls take in the same rounds."""
    for threads, count, limit, goal, beyond in (
        (1, 4_000, BareAppend, 0.9, None),
        (16, 30_000, GroupCommit, 0.75, 4.0),
        (64, 50_000, GroupCommit, 0.75, 8.0),
    ):
        most = max(1, int(count * scale))
        others = [
            Beside(limit.name, bench.put_by_threads(limit, most, threads), limit.settings, goal),
            *(
                beside(
                    kind,
                    functools.partial(bench.put_by_threads, count=max(1, int(few * scale)), threads=threads),
                    beyond,
                    synced=True,
                )
                for kind, few in SYNCED.items()
            ),
        ]
        mine = bench.put_by_threads(ours(durability="synced"), most, threads)
        yield Row("put, synced", f"{threads} thread{'s' * (threads > 1)}, {name}", mine, others)


def rows(folder: Path, name: str, scale: float, deep: int) -> Iterator[Row]:
    bench = Bench(folder, ITEMS[name])
    yield from one_by_one(bench, name, scale)
    yield from by_thousands(bench, name, scale)
    yield from work.rows(bench, name, scale)
    yield from synced(bench, name, scale)
    yield from crowd.rows(folder, name, scale)
    if name == "text":
        yield from handoff.rows(folder, scale)
    yield from backlog.rows(bench, name, scale, deep)
    yield from anatomy.rows(bench, name, scale)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--item", choices=[*ITEMS, "both"], default="both")
    parser.add_argument("--backlog", type=int, default=1_000_000, metavar="ITEMS")
    given = parser.parse_args()
    names = [name for name in ITEMS if given.item in (name, "both")]
    with tempfile.TemporaryDirectory(prefix="pqueue-bench-") as folder:
        return run([row for name in names for row in rows(Path(folder), name, given.scale, given.backlog)], given)


if __name__ == "__main__":
    sys.exit(main())
