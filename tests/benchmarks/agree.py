"""Whether several runs agree on what is reached: `python -m tests.benchmarks.agree RUN.json...`, as `--json` has written them.

Files of the same rows are runs of one after another. Goals that all of them reach are only counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import Figure, short

Goal = tuple[str, str]
"""What is measured, and what is to be reached."""


def main() -> int:
    """The exit code tells whether they agree on every goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    found: dict[Goal, list[tuple[str, bool]]] = {}
    for path in parser.parse_args().runs:
        for goal, value, reached in _goals(json.loads(path.read_text("utf-8"))):
            found.setdefault(goal, []).append((value, reached))
    marks = {goal: [reached for _, reached in runs] for goal, runs in found.items()}
    print("| goal | | the runs | |\n| --- | --- | --- | --- |")
    for (what, wanted), runs in found.items():
        reached = sum(ok for _, ok in runs)
        if reached < len(runs):
            told = f"{reached} of {len(runs)}" if reached else "missed"
            print(f"| {what} | {wanted} | {', '.join(value for value, _ in runs)} | {told} |")
    agreed = sum(len(set(one)) == 1 for one in marks.values())
    print(f"\nthey agree on {agreed} of {len(marks)} goals; {sum(map(all, marks.values()))} are reached by all of them")
    return 0 if agreed == len(marks) else 1


def _goals(run: Mapping[str, Any]) -> Iterator[tuple[Goal, str, bool]]:
    for row in run["rows"]:
        title = f"{row['group']}, {row['work']}"
        figures = [Figure(**one) for one in row["figures"]]
        for figure in figures:
            if figure.goal is not None:
                what = title if len(figures) == 1 else f"{title}: {figure.name}"
                values = [one[figure.name] for one in row["ours"] if figure.name in one]
                yield _judged(what, statistics.median(values) if values else None, figure.goal, figure)
        for side in row["beside"]:
            if side["goal"] is not None and side["installed"]:
                yield _judged(f"{title}, beside {side['name']}", side["ratio"], side["goal"], Figure("", "x"))


def _judged(what: str, value: float | None, goal: float, figure: Figure) -> tuple[Goal, str, bool]:
    wanted = f"{'≤' if figure.at_most else '≥'} {short(goal, figure.unit)}"
    if value is None:
        return (what, wanted), "failed", False
    return (what, wanted), short(value, figure.unit), value <= goal if figure.at_most else value >= goal


if __name__ == "__main__":
    raise SystemExit(main())
