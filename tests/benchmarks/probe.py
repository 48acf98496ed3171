"""What a process of its own takes for something: `python -m tests.benchmarks.probe`. Prints a JSON object; `run` calls it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pqueue
from tests.benchmarks.handmade import SqliteQueue
from tests.benchmarks.rounds import ITEMS, fill, get_each, put_each

ROOT = Path(__file__).parents[2]


def run(*words: str, before: tuple[str, ...] = ()) -> dict[str, float]:
    """What it says in a process of its own, started by way of `before`."""
    command = [*before, sys.executable, "-m", "tests.benchmarks.probe", *words]
    paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    env = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"{done.returncode}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def opening(path: str, item: str) -> dict[str, float]:
    """Open the queue there, and use it a little; another one was used before, so that everything is imported."""

    def use(queue: Any) -> None:
        fill(queue, ITEMS[item], 1000)
        put_each(queue, ITEMS[item], 1000)
        get_each(queue, 1000)
        queue.get_many(1000)

    with tempfile.TemporaryDirectory(prefix="pqueue-bench-") as folder:
        queue, first = _took(lambda: pqueue.open(Path(folder) / "queue"))
        use(queue)
        queue.close()
    before = settled()
    queue, open_ms = _took(lambda: pqueue.open(path))
    _, put_ms = _took(lambda: queue.put(ITEMS[item]))
    _, get_ms = _took(queue.get)
    use(queue)
    more = peak() - before
    queue.close()
    return {
        "open": open_ms,
        "open, first of the process": first,
        "first put": put_ms,
        "first get": get_ms,
        "memory": more,
    }


def work(what: str, whose: str, item: str, filled: str, count: str) -> dict[str, float]:
    """So many puts, or gets, in a fresh folder that holds so many items."""
    with tempfile.TemporaryDirectory(prefix="pqueue-bench-") as folder:
        path = Path(folder)
        queue: Any = SqliteQueue(path) if whose == "sqlite3" else pqueue.open(path / "queue")
        fill(queue, ITEMS[item], int(filled))
        settled()
        calls, before = _calls(), resource.getrusage(resource.RUSAGE_SELF)
        if what == "put":
            put_each(queue, ITEMS[item], int(count))
        else:
            get_each(queue, int(count))
        after = resource.getrusage(resource.RUSAGE_SELF)
        found = {
            "processor": 1e6 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / int(count),
            "calls": (_calls() - calls) / int(count),
            "peak": peak(),
        }
        queue.close()
        return found


def settled() -> float:
    """Megabytes that the process takes now; `peak` begins anew from here."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    return peak()


def peak() -> float:
    """Megabytes of memory at the most."""
    return _status("VmHWM") / 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def _calls() -> int:
    """Calls of the families of read and write."""
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text("ascii").splitlines())
    return int(counts["syscr"]) + int(counts["syscw"])


def _took(act: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and milliseconds."""
    began = time.perf_counter()
    found = act()
    return found, 1000 * (time.perf_counter() - began)


def strace() -> str | None:
    """Where it is, if it is there and may be used."""
    found = shutil.which("strace")
    if found is None:
        return None
    return found if subprocess.run([found, "true"], capture_output=True, check=False).returncode == 0 else None


def system_calls(what: str, whose: str, item: str, count: int) -> float:
    """All system calls of one put or get, under strace: so many more are made, divided by how many more."""
    found = []
    for times in (1, 2):
        with tempfile.NamedTemporaryFile("r", prefix="pqueue-strace-") as out:
            run(
                *("work", what, whose, item, str(2 * count), str(times * count)),
                before=("strace", "-f", "-c", "-o", out.name),
            )
            total = next(line for line in out if line.rstrip().endswith(" total"))
            found.append(int(total.split()[3]))
    return (found[1] - found[0]) / count


if __name__ == "__main__":
    print(json.dumps((opening if sys.argv[1] == "opening" else work)(*sys.argv[2:])))
