"""`python -m pqueue.testing.simulate`: run seeds, print what fails, made small; show what each rule is for."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from pqueue.testing.simulate.removals import REMOVALS
from pqueue.testing.simulate.run import STORES, Result
from pqueue.testing.simulate.scenarios import SCENARIOS
from pqueue.testing.simulate.seeds import run_seed, scenario_of
from pqueue.testing.simulate.shrink import shrink

CHUNK = 100


def failing(store: str, seeds: Iterable[int]) -> list[tuple[str, int, str]]:
    """Store, seed and first violation of those that fail."""
    return [(store, seed, result.violations[0]) for seed in seeds if (result := run_seed(seed, store)).failed]


def rules() -> int:
    """Print which scenario catches each rule's removal, and whether it ends well with the rule."""
    bad = 0
    print(f"{'rule':<5}{'taken out':<75}{'scenario':<76}violation")
    for removal in REMOVALS:
        caught = removal.caught()
        intact = SCENARIOS[removal.scenario].play()
        told = caught or "NOT CAUGHT"
        if intact.failed:
            told = f"FAILS WITH THE RULE IN PLACE: {intact.violations[0]}"
        bad += intact.failed or not caught
        print(f"{removal.rule:<5}{removal.what:<75}{removal.scenario:<76}{told[:100]}")
    print(f"{len(REMOVALS)} removals of {len({one.rule for one in REMOVALS})} rules, {bad} not caught")
    return bad


def show(seed: int, store: str) -> Result:
    """Print the trace of one seed and, if it fails, of the smallest run found that fails alike."""
    result = run_seed(seed, store)
    print(result.text())
    if result.failed and scenario_of(seed, store) is None:
        print(f"\nmade small ({len(result.trace)} lines before):")
        print(shrink(result).text())
    return result


def sweep(first: int, last: int, stores: list[str], jobs: int) -> int:
    """Run seeds and show the first that fails."""
    began = time.perf_counter()
    work = [(store, range(at, min(at + CHUNK, last + 1))) for store in stores for at in range(first, last + 1, CHUNK)]
    found: list[tuple[str, int, str]] = []
    if jobs > 1:
        with ProcessPoolExecutor(jobs) as pool:
            for some in pool.map(partial(_unpacked), work):
                found += some
    else:
        for store, seeds in work:
            found += failing(store, seeds)
    count = sum(len(seeds) for _, seeds in work)
    seconds = time.perf_counter() - began
    print(f"{count} seeds in {seconds:.1f} s, {count / seconds:.0f} a second: {len(found)} failed")
    for store, seed, violation in found:
        print(f"  --store {store} --trace {seed}: {violation}")
    if found:
        print()
        show(found[0][1], found[0][0])
    return len(found)


def _unpacked(work: tuple[str, range]) -> list[tuple[str, int, str]]:
    return failing(*work)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m pqueue.testing.simulate", description=__doc__)
    parser.add_argument("--seeds", metavar="A-B", help="run these seeds; the first ones are the scenarios")
    parser.add_argument("--store", choices=STORES, help="one kind of store only")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--trace", type=int, metavar="SEED", help="print one seed's trace, and a small one if it fails")
    parser.add_argument("--rules", action="store_true", help="take each rule out and print what catches it")
    args = parser.parse_args()
    stores = [args.store] if args.store else list(STORES)
    bad = 0
    if args.rules:
        bad += rules()
    if args.trace is not None:
        bad += sum([show(args.trace, store).failed for store in stores])
    if args.seeds or not (args.rules or args.trace is not None):
        first, _, last = (args.seeds or "0-999").partition("-")
        bad += sweep(int(first), int(last or first), stores, args.jobs)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
