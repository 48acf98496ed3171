"""A bucket behind a proxy that adds a wide area's delays, and what is done to it."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.benchmarks.harness import rate
from tests.benchmarks.rounds import BATCH, ITEMS, fill
from tests.support.places import Place
from tests.support.s3proxy import S3ProxyProcess
from tests.support.s3server import S3Server

DOLLARS = {"PUT": 5e-6, "SWAP": 5e-6, "LIST": 5e-6, "POST": 0.0, "GET": 4e-7, "HEAD": 4e-7, "DELETE": 0.0}
"""A request, S3 Standard; POST is DeleteObjects, which is free."""

Found = dict[str, float]


class Bucket:
    """Fresh queues in it, and the bare requests, sent by boto3 through the same proxy."""

    def __init__(self, server: S3Server, proxy: S3ProxyProcess) -> None:
        self._proxy = proxy
        self._settings = server.settings(endpoint_url=f"http://127.0.0.1:{proxy.port}")
        self._bucket = server.bucket
        self._item = ITEMS["text"]
        self._batch = [self._item] * BATCH
        self._segment = b"x" * (BATCH * 106)

    def fresh(self, **settings: Any) -> Callable[[], Any]:
        """Opens one queue of its own, as its users would: any other setting is the default."""
        place = Place("bucket", {"backend": "s3", **self._settings, "prefix": uuid.uuid4().hex})
        return lambda: place.open(**{"ack_linger": None, **settings})

    def client(self) -> Any:
        from pqueue_s3.client import make
        from pqueue_s3.settings import S3Settings

        return make(S3Settings(**self._settings))

    # -- producing ----------------------------------------------------------------------------------------------------

    def put_many(self, commits: int) -> Found:
        with self.fresh()() as queue:
            queue.put_many(self._batch)
            return rate(commits * BATCH, lambda: fill(queue, self._item, commits * BATCH))

    def pairs(self, commits: int) -> Found:
        """A segment's PUT, then a PUT of 4 KB, one connection."""
        s3, name = self.client(), uuid.uuid4().hex
        document = b"y" * 4096

        def work() -> None:
            for number in range(commits):
                s3.put_object(Bucket=self._bucket, Key=f"{name}/{number}", Body=self._segment)
                s3.put_object(Bucket=self._bucket, Key=f"{name}/tail", Body=document)

        try:
            return rate(commits * BATCH, work)
        finally:
            s3.close()

    def put_stream(self, commits: int) -> Found:
        with self.fresh()() as queue:
            queue.put_many(self._batch)
            return rate(commits * BATCH, lambda: self._stream(queue, commits))

    def _stream(self, queue: Any, commits: int) -> None:
        queue.put_stream((self._item for _ in range(commits * BATCH)), batch=BATCH)

    def eight_in_flight(self, commits: int) -> Found:
        """The segments' PUTs, eight in flight."""
        s3, name = self.client(), uuid.uuid4().hex

        def put(number: int) -> None:
            s3.put_object(Bucket=self._bucket, Key=f"{name}/{number}", Body=self._segment)

        def work() -> None:
            with ThreadPoolExecutor(8) as pool:
                deque(pool.map(put, range(commits)), maxlen=0)

        try:
            return rate(commits * BATCH, work)
        finally:
            s3.close()

    # -- consuming ----------------------------------------------------------------------------------------------------

    def consume(self, commits: int, take: Callable[[Any, int], int], **settings: Any) -> Found:
        """Items of so many segments, by whatever `take` does."""
        open_queue = self.fresh(**settings)
        with open_queue() as queue:
            self._stream(queue, commits)
        with open_queue() as queue:
            return rate(commits * BATCH, lambda: _all(queue, commits, take))

    # -- what it costs ------------------------------------------------------------------------------------------------

    def alone(self, commits: int, *, streaming: bool) -> Found:
        """Requests of one producer, and then of one consumer, both by 1000."""
        open_queue = self.fresh()
        with open_queue() as producer, open_queue() as consumer:
            self.reset()
            if streaming:
                self._stream(producer, commits)
                _all(consumer, commits, receive)
            else:
                fill(producer, self._item, commits * BATCH)
                _all(consumer, commits, get)
            producer.sync()
            consumer.sync()
        return self.cost(commits * BATCH)

    def reset(self) -> None:
        self._proxy.counts(reset=True)

    def cost(self, items: int) -> Found:
        """Since `reset`: dollars and requests for a million items."""
        counts = {kind: count for kind, count in self._proxy.counts().items() if kind in DOLLARS}
        found = {kind: count * 1e6 / items for kind, count in counts.items()}
        return {
            "dollars": sum(DOLLARS[kind] * count for kind, count in found.items()),
            **dict.fromkeys(DOLLARS, 0),
            **found,
        }


def get(queue: Any, count: int) -> int:
    return len(queue.get_many(count))


def receive(queue: Any, count: int) -> int:
    batch = queue.receive_many(count)
    batch.ack(wait=False)
    return len(batch)


def _all(queue: Any, commits: int, take: Callable[[Any, int], int]) -> None:
    left = commits * BATCH
    while left:
        left -= take(queue, min(left, BATCH))
