"""Speed and cost in a bucket: `python -m tests.benchmarks.s3`, behind a proxy that adds 25 ms to writes and 15 ms to reads.

Peers are the bare requests, sent by boto3 through the same proxy: what the same work costs with no queue at all.
"""

from __future__ import annotations

import argparse
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pqueue
from tests.benchmarks.harness import Row, run, timed
from tests.faults.crowd import run as crowd
from tests.support import places
from tests.support.s3proxy import S3ProxyProcess
from tests.support.s3server import S3Server

BATCH = 1000
ITEM = "x" * 100
DOLLARS = {"PUT": 5e-6, "SWAP": 5e-6, "LIST": 5e-6, "POST": 0.0, "GET": 4e-7, "HEAD": 4e-7, "DELETE": 0.0}
"""A request, S3 Standard; POST is DeleteObjects, which is free."""


class Bench:
    """Rounds on fresh queues in one bucket."""

    def __init__(self, server: S3Server, proxy: S3ProxyProcess) -> None:
        self._proxy = proxy
        self._settings = server.settings(endpoint_url=f"http://127.0.0.1:{proxy.port}")
        self._bucket = server.bucket
        self._batch = [ITEM] * BATCH
        self._segment = b"x" * (BATCH * 106)

    def place(self) -> places.Place:
        return places.Place("bucket", {"backend": "s3", **self._settings, "prefix": uuid.uuid4().hex})

    def client(self) -> Any:
        from pqueue_s3.client import make
        from pqueue_s3.settings import S3Settings

        return make(S3Settings(**self._settings))

    def put_many(self, commits: int) -> tuple[int, float]:
        with self.place().open() as queue:
            queue.put_many(self._batch)

            def work() -> None:
                for _ in range(commits):
                    queue.put_many(self._batch)

            return commits * BATCH, timed(work)

    def pairs(self, commits: int) -> tuple[int, float]:
        """A segment's PUT, then a PUT of 4 KB, one connection."""
        s3, name = self.client(), uuid.uuid4().hex
        document = b"y" * 4096

        def work() -> None:
            for number in range(commits):
                s3.put_object(Bucket=self._bucket, Key=f"{name}/{number}", Body=self._segment)
                s3.put_object(Bucket=self._bucket, Key=f"{name}/tail", Body=document)

        work_seconds = timed(work)
        s3.close()
        return commits * BATCH, work_seconds

    def put_stream(self, commits: int) -> tuple[int, float]:
        with self.place().open() as queue:
            queue.put_many(self._batch)
            return commits * BATCH, timed(lambda: queue.put_stream((ITEM for _ in range(commits * BATCH)), batch=BATCH))

    def eight_in_flight(self, commits: int) -> tuple[int, float]:
        """The segments' PUTs, eight in flight."""
        s3, name = self.client(), uuid.uuid4().hex

        def work() -> None:
            with ThreadPoolExecutor(8) as pool:
                deque(
                    pool.map(
                        lambda number: s3.put_object(Bucket=self._bucket, Key=f"{name}/{number}", Body=self._segment),
                        range(commits),
                    ),
                    maxlen=0,
                )

        seconds = timed(work)
        s3.close()
        return commits * BATCH, seconds

    def consume(self, commits: int, take: Callable[[Any, int], int]) -> tuple[int, float]:
        """Items of `commits` segments, by whatever `take` does."""
        place = self.place()
        with place.open() as queue:
            for _ in range(commits):
                queue.put_many(self._batch)
        with place.open() as queue:

            def work() -> None:
                left = commits * BATCH
                while left:
                    left -= take(queue, min(left, BATCH))

            return commits * BATCH, timed(work)

    def cost(self, work: Callable[[], tuple[int, float]]) -> tuple[float, dict[str, int]]:
        """Dollars a million items, and the requests."""
        self._proxy.counts(reset=True)
        items, _ = work()
        counts = {kind: count for kind, count in self._proxy.counts().items() if kind in DOLLARS}
        return sum(DOLLARS[kind] * count for kind, count in counts.items()) * 1e6 / items, counts


def absolute(name: str, runs: list[tuple[int, float]], goal: float) -> str:
    rates = sorted(count / seconds for count, seconds in runs)
    middle = rates[len(rates) // 2]
    return (
        f"{name:<44} {middle:12,.0f} /s ({rates[0]:,.0f}-{rates[-1]:,.0f})   goal {goal:,.0f}   "
        f"{'reached' if middle >= goal else 'MISSED'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--commits", type=int, default=50)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    given = parser.parse_args()
    with S3Server() as server, S3ProxyProcess(server.port) as proxy:
        bench = Bench(server, proxy)
        count = given.commits
        rows = [
            Row(
                "put by 1000, one at a time",
                lambda: bench.put_many(count),
                lambda: bench.pairs(count),
                "two bare PUTs",
                0.93,
            ),
            Row(
                "put_stream by 1000",
                lambda: bench.put_stream(4 * count),
                lambda: bench.eight_in_flight(4 * count),
                "8 PUTs in flight",
                0.75,
            ),
        ]
        run([row for row in rows if given.only in row.work], given.rounds)

        def get(queue: Any, count: int) -> int:
            return len(queue.get_many(count))

        def receive(queue: Any, count: int) -> int:
            batch = queue.receive_many(count)
            batch.ack()
            return len(batch)

        for name, take, goal in (("get by 1000", get, 20_000), ("receive and acknowledge by 1000", receive, 60_000)):
            if given.only in name:
                print(absolute(name, [bench.consume(count, take) for _ in range(given.rounds)], goal), flush=True)
        name = "4 producers and 4 consumers by 1000"
        if given.only in name:
            rates = [(1, 1 / crowd(bench.place(), 4, 4, 200_000, BATCH, 600)) for _ in range(3)]
            print(absolute(name, rates, 25_000), flush=True)
        name = "dollars a million items"
        if given.only in name:
            for what, work, goal in (("put and get alone", lambda: bench.consume(200, get), 0.016),):
                dollars, counts = bench.cost(work)
                mark = "reached" if dollars <= goal else "MISSED"
                print(f"{name}: {what:<30} ${dollars:.4f} {counts}   goal ${goal}   {mark}", flush=True)


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"in {time.monotonic() - started:.0f} s, pqueue {pqueue.__name__}")
