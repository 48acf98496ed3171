"""Interleaved rounds of ours against a peer: medians, spreads, and the ratio round by round."""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Run = Callable[[], tuple[int, float]]
"""One round: how many items were moved, in how many seconds."""


@dataclass
class Row:
    """One line of a table."""

    work: str
    ours: Run
    peer: Run
    against: str
    goal: float
    """The least ratio, ours over the peer's."""
    ours_rates: list[float] = field(default_factory=list)
    peer_rates: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(a / b for a, b in zip(self.ours_rates, self.peer_rates, strict=True))

    def line(self) -> str:
        """The row, for people."""
        mark = "reached" if self.ratio >= self.goal else "MISSED"
        return (
            f"{self.work:<34} {_spread(self.ours_rates):>26}   {self.against:<16} {_spread(self.peer_rates):>26}   "
            f"{self.ratio:6.2f} x   goal {self.goal:5.2f} x   {mark}"
        )


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _spread(rates: list[float]) -> str:
    return f"{_short(statistics.median(rates))} ({_short(min(rates))}-{_short(max(rates))})"


def _short(rate: float) -> str:
    for unit, size in (("M/s", 1e6), ("k/s", 1e3)):
        if rate >= size:
            return f"{rate / size:.3g} {unit}"
    return f"{rate:.3g} /s"


def run(rows: list[Row], rounds: int, *, as_json: bool = False, out: Callable[[str], object] = print) -> None:
    """Run every row, ours and the peer's in turn, and print it once it is done."""
    if not as_json:
        out(
            f"Python {platform.python_version()}, {platform.system()}, {rounds} interleaved rounds; median (least-most)"
        )
    found = []
    for row in rows:
        row.ours()
        row.peer()  # a round that does not count: files, caches and imports are warm
        for turn in range(rounds):
            for mine in (True, False) if turn % 2 else (False, True):
                count, seconds = (row.ours if mine else row.peer)()
                (row.ours_rates if mine else row.peer_rates).append(count / seconds)
        if as_json:
            found.append(
                {
                    "work": row.work,
                    "ours": row.ours_rates,
                    "peer": row.peer_rates,
                    "against": row.against,
                    "ratio": row.ratio,
                    "goal": row.goal,
                }
            )
        else:
            out(row.line())
        sys.stdout.flush()
    if as_json:
        out(json.dumps(found, indent=1))
