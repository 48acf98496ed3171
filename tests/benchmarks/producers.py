"""Producers that never pause, in a bucket behind 25 ms: `python -m tests.benchmarks.producers`.

Four and eight of them, each a process, put by put and streaming with four commits in flight: the commits of all, the share of the
least lucky one, and how long one commit takes.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks.bucket import Bucket
from tests.benchmarks.crowd import Start, Tell
from tests.benchmarks.harness import Figure, Row, options, run
from tests.benchmarks.rounds import BATCH, ITEMS
from tests.support.children import Child
from tests.support.s3proxy import S3ProxyProcess
from tests.support.s3server import S3Server

IN_FLIGHT = 4


class Producers:
    """So many, for so long. A child tells the microseconds of each commit that ends in time, and at last how many there were."""

    def __init__(self, bucket: Bucket, count: int, seconds: float, *, streaming: bool) -> None:
        self._bucket = bucket
        self._count = count
        self._seconds = seconds
        self._work = self._stream if streaming else self._put_by_put

    def _put_by_put(self, queue: Any, until: float, tell: Tell) -> int:
        items, commits = [ITEMS["text"]] * BATCH, 0
        while (began := time.monotonic()) < until:
            queue.put_many(items)
            commits += 1
            _tell(tell, began, until)
        return commits

    def _stream(self, queue: Any, until: float, tell: Tell) -> int:
        handed: list[float] = []

        def items() -> Iterator[Any]:
            while time.monotonic() < until:
                for _ in range(BATCH - 1):
                    yield ITEMS["text"]
                handed.append(time.monotonic())
                yield ITEMS["text"]

        queue.put_stream(items(), batch=BATCH, progress=lambda count: _tell(tell, handed[count // BATCH - 1], until))
        return len(handed)

    def _child(self, open_queue: Callable[[], Any], start: Start, tell: Tell) -> None:
        from pqueue.listing import Listing

        Listing.parallel = IN_FLIGHT
        with open_queue() as queue:
            queue.put_many([ITEMS["text"]] * BATCH)
            start.wait(tell)
            tell(self._work(queue, time.monotonic() + self._seconds, tell))

    def run(self) -> dict[str, float]:
        open_queue = self._bucket.fresh()
        open_queue().close()
        with TemporaryDirectory(prefix="pqueue-bench-") as folder:
            start = Start(folder)
            children = [Child(functools.partial(self._child, open_queue, start)) for _ in range(self._count)]
            start.go(children)
            self._bucket.reset()
            for child in children:
                child.join(self._seconds + 120)
        for child in children:
            del child.told[0]  # that it was ready
        put = sum(child.told.pop() for child in children) * BATCH
        dollars = self._bucket.cost(put)["dollars"]
        with open_queue() as queue:
            stored = len(queue)
        if stored != put + self._count * BATCH:
            raise AssertionError(f"{put} were put, {self._count} times {BATCH} before, and {stored} are stored")
        commits = [len(child.told) for child in children]
        took = sorted(us / 1e6 for child in children for us in child.told)
        return {
            "commits": sum(commits) / self._seconds,
            "least share": 100 * min(commits) * self._count / max(1, sum(commits)),
            "p50": took[len(took) // 2] if took else self._seconds,
            "p99": took[int(0.99 * len(took))] if took else self._seconds,
            "dollars": dollars,
        }


def _tell(tell: Tell, began: float, until: float) -> None:
    if (now := time.monotonic()) <= until:
        tell(int(1e6 * (now - began)))


def rows(bucket: Bucket, scale: float) -> Iterator[Row]:
    for streaming, count, goal, slowest in (
        (False, 4, 30, 0.5),
        (False, 8, 45, 0.5),
        (True, 4, 120, 1.0),
        (True, 8, 120, 1.0),
    ):
        yield Row(
            "a bucket: producers that never pause, by 1000",
            f"{count} streams, {IN_FLIGHT} in flight" if streaming else f"{count} producers put by put",
            Producers(bucket, count, max(0.3, 10 * scale), streaming=streaming).run,
            figures=(
                Figure("commits", "/s", goal),
                Figure("least share", "% of an even one", 50),
                Figure("p50", "s", at_most=True),
                Figure("p99", "s", slowest, at_most=True),
                Figure("dollars", "$ for a million put", at_most=True),
            ),
            warm=False,
        )


def main() -> int:
    given = options(__doc__).parse_args()
    with S3Server() as server, S3ProxyProcess(server.port) as proxy:
        return run(rows(Bucket(server, proxy), given.scale), given)


if __name__ == "__main__":
    sys.exit(main())
