"""Rows of ours beside others', in interleaved rounds: medians, spreads, the ratio round by round, and whether a goal is reached."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.plot import chart

Run = Callable[[], Mapping[str, float]]
"""One round: a number for each of the row's figures, by name."""


@dataclass(frozen=True)
class Figure:
    """One number of a row."""

    name: str
    unit: str
    goal: float | None = None
    """For ours as it is; a goal beside another is that one's."""
    at_most: bool = False
    """Whether less is better."""


RATE = Figure("rate", "/s")


@dataclass(frozen=True)
class Beside:
    """Another's way to do the same work."""

    name: str
    run: Run | None
    """None: it is not installed."""
    settings: str = ""
    goal: float | None = None
    """The least ratio of the first figure, ours over this one's."""


@dataclass(frozen=True)
class Row:
    """One kind of work. `rounds` bounds how often it is done, where once takes long; `warm`: once more, uncounted, before."""

    group: str
    work: str
    ours: Run
    beside: Sequence[Beside] = ()
    figures: Sequence[Figure] = (RATE,)
    rounds: int | None = None
    warm: bool = True

    @property
    def title(self) -> str:
        return f"{self.group}: {self.work}"


@dataclass
class Side:
    """What the rounds of one side found."""

    name: str
    run: Run | None
    goal: float | None = None
    found: list[Mapping[str, float]] = field(default_factory=list)
    failed: str = ""

    def round(self) -> None:
        """Run once; whatever goes wrong is a line of the table, so that the other rows are still measured."""
        if self.run is None or self.failed:
            return
        try:
            self.found.append(self.run())
        except Exception as error:  # noqa: BLE001  # told in the table
            self.failed = f"{type(error).__name__}: {error}"

    def values(self, figure: Figure) -> list[float]:
        return [one[figure.name] for one in self.found if figure.name in one]


class Result:
    """A row, and what has been measured of it."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.ours = Side("ours", row.ours)
        self.beside = [Side(one.name, one.run, one.goal) for one in row.beside]
        self._turn = 0
        self.goals: list[tuple[str, bool]] = []
        """Each goal's name, and whether it is reached."""

    def warm_up(self) -> None:
        """Once more than is counted, so that nothing is the first of its kind."""
        if self.row.warm:
            for side in (self.ours, *self.beside):
                side.round()
                side.found.clear()

    def round(self, part: float) -> None:
        """One round, if it is due once this part of the run will be over: those that have few are spread over all of it."""
        most = self.row.rounds
        if most is not None and self._turn >= part * most:
            return
        sides = [self.ours, *self.beside]
        first = self._turn % len(sides)
        self._turn += 1
        for side in [*sides[first:], *sides[:first]]:
            side.round()

    def ratio(self, side: Side, figure: Figure) -> float | None:
        """The median of the rounds' ratios."""
        pairs = zip(self.ours.values(figure), side.values(figure), strict=False)
        ratios = [mine / theirs for mine, theirs in pairs if theirs]
        return statistics.median(ratios) if ratios else None

    def lines(self) -> list[str]:
        """The row, for people; a line for each figure, and one for each that it is beside."""
        found = []
        for figure in self.row.figures:
            name = self.row.work if len(self.row.figures) == 1 else f"{self.row.work}: {figure.name}"
            values = self.ours.values(figure)
            line = f"{name:<52} {_spread(values, figure.unit):>32}"
            if figure.goal is not None:
                line += self._goal(name, statistics.median(values) if values else None, figure.goal, figure)
            found.append(line + (f"   FAILED: {self.ours.failed}" if self.ours.failed else ""))
            found += [self._line(name, side, figure) for side in self.beside]
        return found

    def _line(self, name: str, side: Side, figure: Figure) -> str:
        told = "not installed" if side.run is None else _spread(side.values(figure), figure.unit)
        line = f"    {side.name:<48} {told:>32}"
        ratio = self.ratio(side, figure)
        if ratio is not None:
            line += f"   {ratio:7.3g} x"
        if side.goal is not None and figure is self.row.figures[0] and side.run is not None:
            line += self._goal(f"{name} beside {side.name}", ratio, side.goal, Figure("", "x"))
        return line + (f"   FAILED: {side.failed}" if side.failed else "")

    def _goal(self, name: str, value: float | None, goal: float, figure: Figure) -> str:
        reached = value is not None and (value <= goal if figure.at_most else value >= goal)
        self.goals.append((f"{self.row.group}: {name}", reached))
        return f"   goal {'<=' if figure.at_most else '>='} {short(goal, figure.unit)}: {mark(reached)}"

    def data(self) -> dict[str, Any]:
        """The row, for programs."""
        return {
            "group": self.row.group,
            "work": self.row.work,
            "figures": [asdict(figure) for figure in self.row.figures],
            "ours": [dict(one) for one in self.ours.found],
            "failed": self.ours.failed,
            "beside": [
                {
                    "name": side.name,
                    "installed": side.run is not None,
                    "found": [dict(one) for one in side.found],
                    "failed": side.failed,
                    "ratio": self.ratio(side, self.row.figures[0]),
                    "goal": side.goal,
                }
                for side in self.beside
            ],
        }

    def bars(self) -> list[tuple[str, float, str]]:
        """The first figure of each side: its name, the median, and that in words."""
        figure = self.row.figures[0]
        sides = [(side.name, side.values(figure)) for side in [self.ours, *self.beside]]
        medians = [(name, statistics.median(values)) for name, values in sides if values]
        return [(name, value, short(value, figure.unit)) for name, value in medians]


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rate(count: int, work: Callable[[], object]) -> dict[str, float]:
    """A round's only figure."""
    return {"rate": count / timed(work)}


def mark(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def short(value: float, unit: str) -> str:
    """A number with three digits that count."""
    sizes = (("M", 1e6), ("k", 1e3)) if unit == "/s" else ()
    letter, size = next(((letter, size) for letter, size in sizes if value >= size), ("", 1.0))
    number = f"{value / size:,.0f}" if value >= 1000 * size else f"{value / size:.3g}"
    return f"{number} {letter}{unit}".rstrip()


def _spread(values: list[float], unit: str) -> str:
    if not values:
        return "-"
    middle = short(statistics.median(values), unit)
    return middle if len(values) == 1 else f"{middle} ({short(min(values), unit)} - {short(max(values), unit)})"


def options(about: str | None) -> argparse.ArgumentParser:
    """The arguments that all benchmarks share."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="of the rounds' lengths")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="rows whose title holds this")
    parser.add_argument("--json", metavar="FILE", help="everything that was measured; - is standard output")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="a bar chart for each group of rows")
    return parser


def run(rows: Iterable[Row], given: argparse.Namespace) -> int:
    """Measure the rows that are wanted, and print them. The exit code tells whether all could be measured: 1 if not, 2 if none is
    wanted; 130 after Ctrl-C, with what was measured until then.

    A round is one of each row, so that each row's rounds lie all over the run: what some minutes of the machine are like is in all
    rows alike, and in no row alone.
    """
    every = list(rows)
    rows = [row for row in every if given.only in row.title]
    if not rows:
        titles = "".join(f"  {row.title}\n" for row in every)
        print(f"no row's title holds {given.only!r}; they are:\n{titles}", end="", file=sys.stderr)
        return 2
    out = sys.stderr if given.json == "-" else sys.stdout
    settings = {one.name: one.settings for row in rows for one in row.beside if one.settings}
    print("\n".join([*_about(given.rounds), *(f"{name}: {said}" for name, said in settings.items())]), file=out)
    results = [Result(row) for row in rows]
    code = _measure(results, given.rounds)
    group = ""
    for result in results:
        if result.row.group != group:
            group = result.row.group
            print(f"\n{group}", file=out)
        print("\n".join(result.lines()), file=out, flush=True)
    goals = [goal for result in results for goal in result.goals]
    missed = [name for name, reached in goals if not reached]
    print(f"\n{len(goals) - len(missed)} of {len(goals)} goals reached", file=out)
    print("".join(f"  missed: {name}\n" for name in missed), end="", file=out)
    if given.json:
        text = json.dumps({"about": _about(given.rounds), "rows": [result.data() for result in results]}, indent=1)
        print(text) if given.json == "-" else Path(given.json).write_text(text + "\n", "utf-8")
    if given.plot:
        _plot(results, given.plot)
    return code or (1 if any(result.ours.failed for result in results) else 0)


def _measure(results: Sequence[Result], rounds: int) -> int:
    try:
        if rounds > 1:
            print("warming up", file=sys.stderr, flush=True)
            for result in results:
                result.warm_up()
        for turn in range(1, rounds + 1):
            print(f"round {turn} of {rounds}", file=sys.stderr, flush=True)
            for result in results:
                result.round(turn / rounds)
    except KeyboardInterrupt:
        print("broken off: what was measured until now", file=sys.stderr, flush=True)
        return 130
    return 0


def _plot(results: list[Result], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for group in dict.fromkeys(result.row.group for result in results):
        parts = [(one.row.work, one.bars()) for one in results if one.row.group == group]
        name = "-".join("".join(letter if letter.isalnum() else " " for letter in group).lower().split())
        (folder / f"{name}.svg").write_text(chart(group, parts), "utf-8")


def _about(rounds: int) -> list[str]:
    system = f"{platform.system()} {platform.release()}, {os.cpu_count()} cores"
    files = _file_system(Path(tempfile.gettempdir()))
    return [
        f"Python {platform.python_version()}, {system}, {files}; {rounds} interleaved rounds",
        "Median (least - most); a ratio is the median of the rounds' ratios, ours over the other's.",
    ]


def _file_system(folder: Path) -> str:
    """What holds temporary files; on tmpfs a sync costs nothing."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    except OSError:
        return "an unknown file system"
    holding = [(len(at), kind) for _, at, kind, *_ in mounts if folder.resolve().is_relative_to(at)]
    return f"{max(holding)[1]} in {folder}"
