"""What one put and one get are made of: latencies, processor time, memory, system calls. No goals; sqlite3 for orientation."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.benchmarks import probe
from tests.benchmarks.handmade import SqliteQueue
from tests.benchmarks.harness import Beside, Figure, Row
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


def rows(bench: Bench, name: str, scale: float) -> Iterator[Row]:
    count, few = max(1, int(30_000 * scale)), max(1, int(2_000 * scale))
    for what, measure in (("put", puts), ("get", gets)):
        round_of = functools.partial(functools.partial, measure, bench, count)
        title = f"latency of a {what}, {name}"
        yield Row(GROUP, title, round_of(ours()), [beside(SqliteQueue, round_of)], LATENCY)

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
