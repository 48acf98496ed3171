"""How rates and cost change with an item's size, with threads, processes and hosts: `python -m tests.benchmarks.growth`.

In a folder, and in a bucket behind 25 ms, where each process stands for a host. Threads are beside one that does the same.
Nothing here is a goal, but that nothing is lost or repeated.
"""

from __future__ import annotations

import functools
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pqueue
from tests.benchmarks.bucket import Bucket
from tests.benchmarks.crowd import KINDS, Crowd, Open
from tests.benchmarks.harness import RATE, Beside, Figure, Row, Run, options, run
from tests.benchmarks.producers import IN_FLIGHT, Producers
from tests.benchmarks.rounds import Bench, ours
from tests.support.s3proxy import S3ProxyProcess
from tests.support.s3server import S3Server

SIZES = {"10 bytes": 10, "100 bytes": 100, "1 kB": 1000, "10 kB": 10_000, "100 kB": 100_000, "1 MB": 1_000_000}
BYTES = 50_000_000
"""Of a round, at the most; a put_many fills with as many, which is less than one commit may hold."""
BOTH = (RATE, Figure("bytes", "MB/s"))


def sizes(folder: Path, scale: float) -> Iterator[Row]:
    for what in ("put", "get"):
        for name, size in SIZES.items():
            bench = Bench(folder, b"x" * size)
            count = max(10, int(scale * min(20_000, BYTES // size)))
            once = _sized(getattr(bench, what)(ours(), count), size)
            yield Row("one item's size, written", f"{what}, {name}", once, figures=BOTH)


def _sized(once: Run, size: int) -> Run:
    def sized() -> dict[str, float]:
        found = once()
        return {**found, "bytes": found["rate"] * size / 1e6}

    return sized


def threads(folder: Path, scale: float) -> Iterator[Row]:
    bench = Bench(folder, "x" * 100)
    for durability, count in (("written", 20_000), ("synced", 4000)):
        one: Run | None = None
        for number in (1, 2, 4, 16, 64, 256):
            once = bench.put_by_threads(ours(durability=durability), max(number, int(count * scale)), number)
            beside = [] if one is None else [Beside("1 thread", one)]
            one = one or once
            yield Row(f"threads that put, {durability}", f"{number}", once, beside)


def processes(folder: Path, scale: float) -> Iterator[Row]:
    def fresh() -> Open:
        path = folder / uuid.uuid4().hex
        return lambda: pqueue.open(path / "queue")

    total = max(160, int(40_000 * scale))
    for number in (1, 2, 4, 8):
        crowd = Crowd(KINDS["text"], total // number, processes=number)
        yield Row(
            "processes, one by one, written",
            f"{number} that put and {number} that get",
            functools.partial(_crowded, crowd, fresh),
            figures=(RATE, Figure("lost", "", 0, at_most=True), Figure("repeated", "", 0, at_most=True)),
        )


def _crowded(crowd: Crowd, fresh: Callable[[], Open]) -> dict[str, float]:
    return crowd.run(fresh())


def hosts(bucket: Bucket, scale: float) -> Iterator[Row]:
    for streaming in (False, True):
        for number in (1, 2, 4, 8, 16):
            yield Row(
                "hosts that produce into a bucket, by 1000",
                f"{number} streams, {IN_FLIGHT} in flight" if streaming else f"{number} put by put",
                Producers(bucket, number, max(0.3, 5 * scale), streaming=streaming).run,
                figures=(
                    Figure("commits", "/s"),
                    Figure("p50", "s"),
                    Figure("p99", "s"),
                    Figure("dollars", "$ for a million put"),
                ),
                rounds=3,
                warm=False,
            )


def main() -> int:
    given = options(__doc__).parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="pqueue-bench-") as folder,
        S3Server() as server,
        S3ProxyProcess(server.port) as proxy,
    ):
        parts = [*(part(Path(folder), given.scale) for part in (sizes, threads, processes))]
        parts.append(hosts(Bucket(server, proxy), given.scale))
        return run([row for part in parts for row in part], given)


if __name__ == "__main__":
    sys.exit(main())
