"""What a bucket's requests cost: `python -m tests.benchmarks.cost`, behind a proxy that adds 25 ms to writes and 15 ms to reads.

One producer puts a backlog, one consumer drains it, so many items a call, each setting the default; then what costs while nothing
comes. Counted by the stores themselves, as `Stats.requests` has it.
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tests.benchmarks.rounds import ITEMS
from tests.support.places import Place
from tests.support.s3proxy import WIDE_AREA, S3ProxyProcess
from tests.support.s3server import S3Server

DOLLARS: Final = {"PUT": 5.0, "LIST": 5.0, "GET": 0.4, "HEAD": 0.4, "DELETE": 0.0}
"""A million requests: S3 Standard, us-east-1."""
BATCHES: Final = [1, 10, 100, 1000, 10_000]
MILLION, HOUR = 1_000_000, 3600.0

Sent = Mapping[str, float]
Put = Callable[[Any, int, int], None]
"""To a queue, so many items a commit, so many commits."""
Take = Callable[[Any, int], int]


def put_many(queue: Any, batch: int, commits: int) -> None:
    for _ in range(commits):
        queue.put_many([ITEMS["text"]] * batch)


def put_stream(queue: Any, batch: int, commits: int) -> None:
    queue.put_stream((ITEMS["text"] for _ in range(batch * commits)), batch=batch)


def get(queue: Any, count: int) -> int:
    return len(queue.get_many(count))


def receive(queue: Any, count: int, *, wait: bool = True) -> int:
    batch = queue.receive_many(count)
    batch.ack(wait=wait)
    return len(batch)


def receive_on(queue: Any, count: int) -> int:
    return receive(queue, count, wait=False)


def counted(queue: Any, work: Callable[[], object]) -> Counter[str]:
    """The requests of this work."""
    before = Counter(queue._store.requests())
    work()
    return Counter(queue._store.requests()) - before


def dollars(sent: Sent) -> float:
    return sum(DOLLARS[kind] * count for kind, count in sent.items()) / MILLION


def scaled(sent: Sent, by: float) -> Sent:
    return {kind: count * by for kind, count in sent.items()}


class Costs:
    """Counts what is done in queues of their own."""

    def __init__(self, settings: Mapping[str, Any], commits: int) -> None:
        self._settings = settings
        self._commits = commits

    def fresh(self, **settings: Any) -> Callable[[], Any]:
        place = Place("bucket", {"backend": "s3", **self._settings, "prefix": uuid.uuid4().hex})
        return lambda: place.open(**{"ack_linger": None, **settings})

    def drained(self, batch: int, put: Put, take: Take, **settings: Any) -> tuple[Sent, Sent]:
        """The requests of a million items put, and of a million taken."""
        open_queue, items = self.fresh(**settings), batch * self._commits
        with open_queue() as queue:
            came = counted(queue, lambda: put(queue, batch, self._commits))
        with open_queue() as queue:
            went = counted(queue, lambda: self._take(queue, batch, take))
        return scaled(came, MILLION / items), scaled(went, MILLION / items)

    def _take(self, queue: Any, batch: int, take: Take) -> None:
        left = batch * self._commits
        while left:
            left -= take(queue, min(left, batch))
        queue.sync()

    # -- while nothing comes ------------------------------------------------------------------------------------------

    def polling(self, seconds: float, settle: float) -> Sent:
        """A `get` that waits: requests an hour."""
        with self.fresh()() as queue, ThreadPoolExecutor(1) as other:
            waiting = other.submit(queue.get, timeout=settle + seconds + 60)
            time.sleep(settle)
            sent = counted(queue, lambda: time.sleep(seconds))
            queue.put(1)
            waiting.result()
        return scaled(sent, HOUR / seconds)

    def holding(self, seconds: float) -> Sent:
        """A message that is worked at, its lease renewed."""
        with self.fresh()() as queue:
            queue.put(1)
            with queue.receive():
                sent = counted(queue, lambda: time.sleep(seconds))
        return scaled(sent, HOUR / seconds)

    def open(self, seconds: float) -> Sent:
        """A queue that is open, and nothing else."""
        with self.fresh()() as queue:
            return scaled(counted(queue, lambda: time.sleep(seconds)), HOUR / seconds)


KINDS = ("PUT", "LIST", "GET", "HEAD", "DELETE")


def line(name: str, sent: Sent) -> str:
    counts = "".join(f"{sent.get(kind, 0):>12,.0f}" for kind in KINDS)
    return f"{name:<42}{counts}{dollars(sent):>12.4f}"


def head(name: str) -> str:
    return f"\n{name:<42}{''.join(f'{kind:>12}' for kind in KINDS)}{'dollars':>12}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=200, help="puts of each batch size")
    parser.add_argument("--idle", type=float, default=120.0, metavar="SECONDS", help="that nothing comes")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, metavar="ITEMS", help="of a call")
    parser.add_argument("--settle", type=float, default=10.0, metavar="SECONDS", help="until a poll is at its slowest")
    given = parser.parse_args()
    prices = ", ".join(f"{kind} {price:g}" for kind, price in DOLLARS.items())
    print(f"dollars for a million requests: {prices}")
    with S3Server() as server, S3ProxyProcess(server.port, WIDE_AREA) as proxy:
        costs = Costs(server.settings(endpoint_url=proxy.endpoint), given.commits)
        print(head("for a million items of 100 bytes"))
        for batch in given.batches:
            put, got = costs.drained(batch, put_many, get)
            streamed, received = costs.drained(batch, put_stream, receive)
            _, at_once = costs.drained(batch, put_stream, get, ack_linger=0)
            _, unawaited = costs.drained(batch, put_stream, receive_on)
            print(line(f"by {batch:,}: put_many", put))
            print(line(f"by {batch:,}: put_stream", streamed))
            print(line(f"by {batch:,}: get_many", got))
            print(line(f"by {batch:,}: get_many, ack_linger=0", at_once))
            print(line(f"by {batch:,}: receive_many, ack", received))
            print(line(f"by {batch:,}: receive_many, ack(wait=False)", unawaited))
            print(line(f"by {batch:,}: put_many and get_many", Counter(put) + Counter(got)), flush=True)
        print(head("an hour in which nothing comes"))
        with ThreadPoolExecutor() as pool:
            waits = {
                "a get that waits": pool.submit(costs.polling, given.idle, given.settle),
                "a message at work, lease 30 s": pool.submit(costs.holding, given.idle),
                "a queue that is open": pool.submit(costs.open, given.idle),
            }
        for name, found in waits.items():
            print(line(name, found.result()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
