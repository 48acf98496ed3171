"""Whether several runs agree on what is reached: `python -m tests.benchmarks.agree RUN.json...`, as `--json` has written them.

Files of the same rows are runs of one after another. Goals that all of them reach are only counted, but with `--all`. Of the others
it says in how many runs, and in how many of all their rounds, they are reached.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.harness import Figure, short

Goal = tuple[str, str]
"""What is measured, and what is to be reached."""


class Mark(NamedTuple):
    """What a run says of one goal."""

    value: str
    reached: bool
    rounds: list[bool]
    """Whether each round by itself reaches it."""
    mine: Sequence[float] = ()
    """Where it is beside another's: our rounds' figures."""
    theirs: Sequence[float] = ()
    unit: str = ""


def main() -> int:
    """The exit code tells whether they agree on every goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--all", action="store_true", help="print what all of them reach, too")
    given = parser.parse_args()
    found: dict[Goal, list[Mark]] = {}
    for path in given.runs:
        for goal, mark in _goals(json.loads(path.read_text("utf-8"))):
            found.setdefault(goal, []).append(mark)
    marks = {goal: [mark.reached for mark in runs] for goal, runs in found.items()}
    print("| goal | ours, theirs | | the runs | runs | rounds |\n| --- | --- | --- | --- | --- | --- |")
    for (what, wanted), runs in found.items():
        reached = sum(mark.reached for mark in runs)
        if reached < len(runs) or given.all:
            told = "missed" if not reached else "reached" if reached == len(runs) else f"{reached} of {len(runs)}"
            rounds = [ok for mark in runs for ok in mark.rounds]
            print(
                f"| {what} | {_rates(runs)} | {wanted} | {', '.join(mark.value for mark in runs)} | {told} "
                f"| {sum(rounds)} of {len(rounds)} |"
            )
    agreed = sum(len(set(one)) == 1 for one in marks.values())
    print(f"\nthey agree on {agreed} of {len(marks)} goals; {sum(map(all, marks.values()))} are reached by all of them")
    return 0 if agreed == len(marks) else 1


def _rates(runs: Sequence[Mark]) -> str:
    """What ratios are made of: ours and theirs, the median of all rounds of all runs."""
    sides = ([value for run in runs for value in run.mine], [value for run in runs for value in run.theirs])
    return ", ".join(short(statistics.median(side), runs[0].unit) for side in sides if side)


def _goals(run: Mapping[str, Any]) -> Iterator[tuple[Goal, Mark]]:
    for row in run["rows"]:
        title = f"{row['group']}, {row['work']}"
        figures = [Figure(**one) for one in row["figures"]]
        for figure in figures:
            if figure.goal is not None:
                what = title if len(figures) == 1 else f"{title}: {figure.name}"
                values = [one[figure.name] for one in row["ours"] if figure.name in one]
                yield _judged(what, statistics.median(values) if values else None, values, figure.goal, figure)
        name = figures[0].name
        for side in row["beside"]:
            if side["goal"] is not None and side["installed"]:
                pairs = zip(row["ours"], side["found"], strict=False)
                ratios = [mine[name] / theirs[name] for mine, theirs in pairs if theirs.get(name)]
                goal, mark = _judged(
                    f"{title}, beside {side['name']}", side["ratio"], ratios, side["goal"], Figure("", "x")
                )
                mine, theirs = ([one[name] for one in found if name in one] for found in (row["ours"], side["found"]))
                yield goal, mark._replace(mine=mine, theirs=theirs, unit=figures[0].unit)


def _judged(what: str, value: float | None, rounds: Sequence[float], goal: float, figure: Figure) -> tuple[Goal, Mark]:
    def reached(one: float) -> bool:
        return one <= goal if figure.at_most else one >= goal

    wanted = f"{'≤' if figure.at_most else '≥'} {short(goal, figure.unit)}"
    if value is None:
        return (what, wanted), Mark("failed", reached=False, rounds=[])
    return (what, wanted), Mark(short(value, figure.unit), reached(value), [*map(reached, rounds)])


if __name__ == "__main__":
    raise SystemExit(main())
