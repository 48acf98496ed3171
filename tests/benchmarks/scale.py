"""How large it gets: `python -m tests.benchmarks.scale`, each with what grew. Some minutes, and as much disk as it says first.

Ten million items and ten gigabytes in a folder, items of 10 bytes and of 50 MB, 64 threads, a thousand queues open in one process,
a million items in a bucket. Memory is the peak of this process above what it took before.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pqueue
from tests.benchmarks.backlog import on_disk
from tests.benchmarks.bucket import Bucket
from tests.benchmarks.harness import short, timed
from tests.benchmarks.probe import peak, settled
from tests.benchmarks.rounds import BATCH
from tests.support.s3proxy import S3ProxyProcess
from tests.support.s3server import S3Server

SPARE = 1 << 30
"""Bytes of the disk that are left alone."""
MEGABYTE = 1 << 20

Found = dict[str, str]


class Grown:
    """What a process takes more than when this was made."""

    def __init__(self) -> None:
        self._memory, self._descriptors, self._threads = settled(), _descriptors(), threading.active_count()

    def said(self) -> Found:
        return {
            "memory": f"{peak() - self._memory:+.1f} MB at most",
            "descriptors": f"{_descriptors() - self._descriptors:+d}",
            "threads": f"{threading.active_count() - self._threads:+d}",
        }


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def filled(folder: Path, count: int, item: Any, size: int, batch: int) -> Found:
    """So many items put, and got, by so many at once; each is so large."""
    grown = Grown()
    with pqueue.open(folder / "queue") as queue:

        def put() -> None:
            for start in range(0, count, batch):
                queue.put_many([item] * min(batch, count - start))

        def get() -> None:
            left = count
            while left:
                left -= len(queue.get_many(min(left, batch)))

        putting = timed(put)
        disk, opening = on_disk(folder), timed(lambda: pqueue.open(folder / "queue").close())
        getting = timed(get)
        return {
            "put": f"{short(count / putting, '/s')}, {count * size / putting / MEGABYTE:,.0f} MB/s",
            "got": f"{short(count / getting, '/s')}, {count * size / getting / MEGABYTE:,.0f} MB/s",
            "opened meanwhile": f"{1000 * opening:.1f} ms",
            **grown.said(),
            "disk": f"{disk:,} bytes when full, {on_disk(folder):,} once empty",
        }


def threads(folder: Path, count: int, each: int) -> Found:
    """Half of them put one by one, half of them get."""
    grown = Grown()
    with pqueue.open(folder / "queue") as queue, ThreadPoolExecutor(count) as pool:

        def put(me: int) -> None:
            for number in range(each):
                queue.put((me, number))

        def get(_: int) -> list[Any]:
            return [queue.get(timeout=60) for _ in range(each)]

        half = count // 2
        began = time.monotonic()
        putting = [pool.submit(put, me) for me in range(half)]
        got = [item for one in [pool.submit(get, me) for me in range(half)] for item in one.result()]
        for one in putting:
            one.result()
        wanted = set(itertools.product(range(half), range(each)))
        found = {
            "rate": short(half * each / (time.monotonic() - began), "/s"),
            "lost": f"{len(wanted - set(got))}",
            "repeated": f"{len(got) - len(set(got))}",
        }
        return {**found, **grown.said()}


def queues(folder: Path, count: int) -> Found:
    """So many open at once; each is put to and got from."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    grown = Grown()
    with ExitStack() as stack:
        opened: list[Any] = []

        def make() -> None:
            for number in range(count):
                pqueue.open(folder / str(number)).close()

        def again() -> None:
            opened.extend(stack.enter_context(pqueue.open(folder / str(number))) for number in range(count))

        def use() -> None:
            for queue in opened:
                queue.put("x")
                queue.get()

        making, opening, using = timed(make), timed(again), timed(use)
        found = {
            "made": f"{1000 * making / count:.2f} ms each",
            "opened": f"{1000 * opening / count:.2f} ms each",
            "put and get": f"{1000 * using / count:.2f} ms each",
            **grown.said(),
            "disk": f"{on_disk(folder):,} bytes",
        }
    return {**found, "descriptors left when closed": grown.said()["descriptors"]}


def bucket(count: int) -> Found:
    """So many put streaming and received by 1000, behind 25 ms."""
    with S3Server() as server, S3ProxyProcess(server.port) as proxy:
        open_queue = Bucket(server, proxy).fresh()
        grown = Grown()
        with open_queue() as queue:
            putting = timed(lambda: queue.put_stream(("x" * 100 for _ in range(count)), batch=BATCH))
        with open_queue() as queue:

            def receive() -> None:
                left = count
                while left:
                    batch = queue.receive_many(min(left, BATCH))
                    batch.ack()
                    left -= len(batch)

            getting = timed(receive)
            return {"put": short(count / putting, "/s"), "received": short(count / getting, "/s"), **grown.said()}


def experiments(given: argparse.Namespace) -> Iterator[tuple[str, int, Callable[[Path], Found]]]:
    """Name, bytes of disk at the most, and what is done in an empty folder."""
    items, large, small = given.items, max(1, given.bytes // MEGABYTE), max(1, given.items // 100)
    yield (
        f"{items:,} items of 100 characters",
        130 * items,
        lambda folder: filled(folder, items, "x" * 100, 100, BATCH),
    )
    yield (
        f"{large * MEGABYTE:,} bytes in items of 1 MB",
        large * MEGABYTE,
        lambda folder: filled(folder, large, b"x" * MEGABYTE, MEGABYTE, 10),
    )
    yield f"{small:,} items of 10 bytes, one by one", 50 * small, lambda folder: filled(folder, small, b"x" * 10, 10, 1)
    huge, each = min(50 * MEGABYTE, given.bytes), max(1, small // 32)
    yield f"4 items of {huge // MEGABYTE} MB", 4 * huge, lambda folder: filled(folder, 4, bytes(huge), huge, 1)
    yield (
        f"64 threads, {32 * each:,} items one by one",
        150 * small,
        lambda folder: threads(folder, 64, each),
    )
    yield f"{given.queues:,} queues in one process", 1 << 16, lambda folder: queues(folder, given.queues)
    many = given.bucket_items
    yield f"{many:,} items in a bucket", 400 * many, lambda _: bucket(many)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--bytes", type=int, default=10_000_000_000)
    parser.add_argument("--queues", type=int, default=1000)
    parser.add_argument("--bucket-items", type=int, default=1_000_000)
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="what has this in its name")
    given = parser.parse_args()
    wanted = [one for one in experiments(given) if given.only in one[0]]
    need = max((size for _, size, _ in wanted), default=0) * 11 // 10 + given.queues * (64 << 10) + SPARE
    free = shutil.disk_usage(tempfile.gettempdir()).free
    print(f"At most {need:,} bytes of {tempfile.gettempdir()}, where {free:,} are free", flush=True)
    if free < need:
        print("That is too little: set TMPDIR to a larger disk, or say less by --items and --bytes.", file=sys.stderr)
        return 2
    for name, _, work in wanted:
        with tempfile.TemporaryDirectory(prefix="pqueue-bench-") as folder:
            began = time.monotonic()
            found = work(Path(folder))
        print(f"\n{name} (in {time.monotonic() - began:.0f} s)")
        print("\n".join(f"    {what:<30} {said}" for what, said in found.items()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
