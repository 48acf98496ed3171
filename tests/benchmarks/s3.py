"""Speed and cost in a bucket: `python -m tests.benchmarks.s3`, behind a proxy that adds 25 ms to writes and 15 ms to reads.

Others are the bare requests, sent by boto3 through the same proxy: what the same work costs with no queue at all. Every setting of
ours is the default, but where a row says so.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator

from tests.benchmarks import crowd, producers
from tests.benchmarks.bucket import Bucket, get, receive
from tests.benchmarks.harness import RATE, Beside, Figure, Row, options, run
from tests.support.s3proxy import Delays, S3ProxyProcess
from tests.support.s3server import S3Server

REQUESTS = [Figure(kind, "for a million", at_most=True) for kind in ("PUT", "SWAP", "LIST", "GET")]


def alone(bucket: Bucket, scale: float) -> Iterator[Row]:
    group, count = "a bucket: one process, by 1000", max(1, int(50 * scale))
    two = Beside(
        "two bare PUTs", functools.partial(bucket.pairs, count), "a segment, then 4 KB, one after another", 0.93
    )
    yield Row(group, "put_many, one at a time", functools.partial(bucket.put_many, count), [two])
    long = 12 * count  # some seconds: within one, the two differ by a tenth from one time to the next
    eight = Beside("8 bare PUTs in flight", functools.partial(bucket.eight_in_flight, long), "of the same bytes", 0.75)
    yield Row(group, "put_stream", functools.partial(bucket.put_stream, long), [eight])
    for what, take, goal, settings in (
        ("receive_many and ack", receive, 60_000, {}),
        ("get_many", get, None, {}),
        ("get_many, prefetch=8000", get, None, {"prefetch": 8000}),
    ):
        of = functools.partial(bucket.consume, 4 * count, take, **settings)
        yield Row(group, what, of, figures=[Figure("rate", "/s", goal)])
    for what, streaming, dollars in (
        ("put_many, get_many", False, 0.016),
        ("put_stream, receive_many, ack", True, 0.008),
    ):
        yield Row(
            "a bucket: requests of one producer and one consumer, by 1000",
            what,
            functools.partial(bucket.alone, 4 * count, streaming=streaming),
            figures=[Figure("dollars", "$ for a million", dollars, at_most=True), *REQUESTS],
            rounds=1,
            warm=False,
        )


def together(bucket: Bucket, scale: float) -> Iterator[Row]:
    each = max(1, int(50 * scale)) * 1000
    for what, put, goal, dollars in (
        ("put by put", crowd.put_thousands, 25_000, 0.022),
        ("streaming", crowd.stream, 60_000, 0.010),
    ):

        def of(put: crowd.Put = put) -> dict[str, float]:
            many = crowd.Crowd(crowd.KINDS["text"], each, put, crowd.get_thousand)
            found = many.run(bucket.fresh(), bucket.reset)
            return {**found, **bucket.cost(4 * each)}

        yield Row(
            "a bucket: 4 producers and 4 consumers, processes, by 1000",
            what,
            of,
            figures=[
                Figure(RATE.name, RATE.unit, goal),
                *crowd.FIGURES[1:],
                Figure("dollars", "$ for a million", dollars, at_most=True),
                *REQUESTS,
            ],
            rounds=3,
            warm=False,
        )


def main() -> int:
    parser = options(__doc__)
    parser.add_argument(
        "--write", type=float, default=25.0, metavar="MS", help="that a write takes more, 25 for the goals"
    )
    parser.add_argument(
        "--read", type=float, default=15.0, metavar="MS", help="that a read takes more, 15 for the goals"
    )
    given = parser.parse_args()
    delays = Delays(given.write / 1000, given.read / 1000)
    with S3Server() as server, S3ProxyProcess(server.port, delays) as proxy:
        bucket = Bucket(server, proxy)
        made = (alone(bucket, given.scale), producers.rows(bucket, given.scale), together(bucket, given.scale))
        return run([row for rows in made for row in rows], given)


if __name__ == "__main__":
    sys.exit(main())
