"""What one put and one get are made of: latencies, processor time, memory, system calls. No goals; sqlite3 for orientation."""

from __future__ import annotations

import fcntl
import functools
import mmap
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.benchmarks import probe
from tests.benchmarks.handmade import SqliteQueue
from tests.benchmarks.harness import Beside, Figure, Row, timed
from tests.benchmarks.rounds import Bench, Make, beside, ours

GROUP = "what an item takes, written"
LATENCY = (
    Figure("p50", "us", at_most=True),
    Figure("p99", "us", at_most=True),
    Figure("p99.9", "us", at_most=True),
)
COST = (
    Figure("processor", "us", at_most=True),
    Figure("peak", "MB", at_most=True),
    Figure("calls", "", at_most=True),
)
CALLS = (Figure("all system calls", "", at_most=True),)
BARE = ("flock and unlock", "write", "lseek", "pwrite of a slot", "a slot through a mapping")
SLOT = 4096


def latencies(act: Callable[[], Any], count: int) -> dict[str, float]:
    now = time.perf_counter_ns
    took = []
    for _ in range(count):
        began = now()
        act()
        took.append(now() - began)
    took.sort()
    return {figure.name: took[int(float(figure.name[1:]) / 100 * count)] / 1000 for figure in LATENCY}


def puts(bench: Bench, count: int, make: Make) -> dict[str, float]:
    with bench.fresh(make) as queue:
        return latencies(functools.partial(queue.put, bench.item), count)


def gets(bench: Bench, count: int, make: Make) -> dict[str, float]:
    with bench.fresh(make, count) as queue:
        return latencies(queue.get, count)


def bare(count: int) -> dict[str, float]:
    """Microseconds that the calls take of which a put and a get are made, and that one which they do without takes."""
    record, document = b"x" * 124, b"y" * 250
    with tempfile.TemporaryFile() as segment, tempfile.TemporaryFile() as slots:
        slots.write(bytes(SLOT))
        slots.flush()
        log, place = segment.fileno(), slots.fileno()
        with mmap.mmap(place, SLOT) as memory:

            def lock() -> None:
                fcntl.flock(log, fcntl.LOCK_EX)
                fcntl.flock(log, fcntl.LOCK_UN)

            def store() -> None:
                memory[: len(document)] = document

            acts: tuple[Callable[[], object], ...] = (
                lock,
                lambda: os.write(log, record),
                lambda: os.lseek(log, 0, os.SEEK_END),
                lambda: os.pwrite(place, document, 0),
                store,
            )
            took = (timed(functools.partial(_often, act, count)) for act in acts)
            return {name: 1e6 * seconds / count for name, seconds in zip(BARE, took, strict=True)}


def _often(act: Callable[[], object], count: int) -> None:
    for _ in range(count):
        act()


def rows(bench: Bench, name: str, scale: float) -> Iterator[Row]:
    count, few = max(1, int(30_000 * scale)), max(1, int(2_000 * scale))
    for what, measure in (("put", puts), ("get", gets)):
        round_of = functools.partial(functools.partial, measure, bench, count)
        title = f"latency of a {what}, {name}"
        yield Row(GROUP, title, round_of(ours()), [beside(SqliteQueue, round_of)], LATENCY)

    if name == "text":
        yield Row(
            GROUP,
            "bare calls",
            functools.partial(bare, count),
            figures=[Figure(one, "us", at_most=True) for one in BARE],
        )
    traced = probe.strace()
    if not traced:
        print("No rows under strace, which is not at hand: `calls` are those of read and write.", file=sys.stderr)
    for what in ("put", "get"):

        def costs(whose: str, what: str = what) -> dict[str, float]:
            return probe.run("work", what, whose, name, str(2 * count), str(count))

        def calls(whose: str, what: str = what) -> dict[str, float]:
            return {CALLS[0].name: probe.system_calls(what, whose, name, few)}

        other = Beside(SqliteQueue.name, functools.partial(costs, "sqlite3"))
        title = f"cost of a {what} (calls: of read and write), {name}"
        yield Row(GROUP, title, functools.partial(costs, "ours"), [other], COST, warm=False)
        if traced:
            other = Beside(SqliteQueue.name, functools.partial(calls, "sqlite3"))
            title = f"a {what} under strace, {name}"
            yield Row(GROUP, title, functools.partial(calls, "ours"), [other], CALLS, rounds=1, warm=False)
