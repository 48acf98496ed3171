"""Producers that never pause, in a bucket behind 25 ms: `python -m tests.benchmarks.producers --producers 4`.

Prints each one's commits, their share, the latency, and the requests sent. The goals are those of the design: each at least half
its even share; 25 commits a second in all for this first form, 30 with 4 and 45 with 8.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

from tests.support import places
from tests.support.children import Child
from tests.support.s3proxy import S3ProxyProcess
from tests.support.s3server import S3Server


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--producers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--goal", type=float, default=25.0, help="commits a second")
    given = parser.parse_args()
    with S3Server() as server, S3ProxyProcess(server.port) as proxy:
        place = places.Place(
            "bucket",
            {"backend": "s3", **server.settings(prefix="producers", endpoint_url=f"http://127.0.0.1:{proxy.port}")},
        )
        place.open().close()
        start = time.monotonic() + 3

        def work(tell):
            with place.open() as queue:
                items = ["x" * 100] * given.batch
                queue.put_many(items)
                time.sleep(max(0, start - time.monotonic()))
                until = start + given.seconds
                while (began := time.monotonic()) < until:
                    queue.put_many(items)
                    tell(int((time.monotonic() - began) * 1_000_000))

        children = [Child(work) for _ in range(given.producers)]
        time.sleep(max(0, start - time.monotonic()))
        proxy.counts(reset=True)
        for child in children:
            child.join(given.seconds + 120)
        counts = proxy.counts()
        with place.open() as queue:
            stored = len(queue)
    commits = [len(child.told) for child in children]
    total = sum(commits)
    assert stored == (total + given.producers) * given.batch, "what is stored is what was put"
    took = sorted(us / 1e6 for child in children for us in child.told)
    even = total / given.producers
    rate = total / given.seconds
    fair = min(commits) >= even / 2
    print(
        f"{given.producers} producers for {given.seconds:g} s, {given.batch} items a commit, 25 ms a write, 15 ms a read"
    )
    print(
        f"commits of each: {commits}; even share {even:.1f}; least {min(commits) / even:.0%} of it (goal 50 %): {mark(fair)}"
    )
    print(f"commits a second: {rate:.1f} (goal {given.goal:g}): {mark(rate >= given.goal)}")
    print(f"a commit takes {statistics.median(took):.3f} s (median), {took[int(0.99 * len(took))]:.3f} s (p99)")
    print(f"requests a commit: { {kind: round(count / total, 2) for kind, count in sorted(counts.items())} }")
    return 0 if fair and rate >= given.goal else 1


def mark(reached: bool) -> str:
    return "reached" if reached else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
