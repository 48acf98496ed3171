"""Seeds to runs: the first of each store are the scenarios, all others draw a plan."""

from __future__ import annotations

from pqueue.testing.simulate.run import Result, plan, run
from pqueue.testing.simulate.scenarios import SCENARIOS, Scenario

_BY_STORE: dict[str, list[Scenario]] = {}
for _one in SCENARIOS.values():
    _BY_STORE.setdefault(_one.store, []).append(_one)


def scenario_of(seed: int, store: str) -> Scenario | None:
    """The scenario that a seed stands for, if it does."""
    known = _BY_STORE.get(store, [])
    return known[seed] if 0 <= seed < len(known) else None


def run_seed(seed: int, store: str) -> Result:
    """Carry out a seed: always the same, whatever ran before."""
    scenario = scenario_of(seed, store)
    return run(plan(seed, store)) if scenario is None else scenario.play()
