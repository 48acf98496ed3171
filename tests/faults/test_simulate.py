"""The simulator's seeds, on both kinds of store, and every rule of the protocol taken out once."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import pytest

from pqueue import leases
from pqueue.testing.simulate.__main__ import main
from pqueue.testing.simulate.conditions import conditions
from pqueue.testing.simulate.removals import REMOVALS, Removal
from pqueue.testing.simulate.run import STORES, plan, run
from pqueue.testing.simulate.scenarios import SCENARIOS
from pqueue.testing.simulate.seeds import run_seed, scenario_of
from pqueue.testing.simulate.shrink import shrink

CHUNK = 50
CHUNKS = 24


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("store", STORES)
def test_whatever_goes_wrong_nothing_is_lost_doubled_or_reordered(store, chunk):
    for seed in range(CHUNK * chunk, CHUNK * (chunk + 1)):
        result = run_seed(seed, store)
        assert not result.failed, (shrink(result) if scenario_of(seed, store) is None else result).text()


@pytest.mark.parametrize("removal", REMOVALS, ids=lambda one: f"{one.rule}-{one.what}")
def test_a_rule_taken_out_is_missed(removal: Removal):
    assert removal.caught()
    intact = SCENARIOS[removal.scenario].play()
    assert not intact.failed, intact.text()


@pytest.mark.parametrize("store", STORES)
def test_a_seed_is_the_same_run_again(store):
    for seed in range(100, 110):
        assert run_seed(seed, store).text() == run_seed(seed, store).text()


def test_garbage_is_collected_by_the_steps_of_a_run_and_not_by_what_the_process_allocates():
    seen = []

    def note(phase, info):
        if phase == "start":
            seen.append(info["generation"])

    gc.callbacks.append(note)
    try:
        with conditions([]):
            seen.clear()
            kept = [[] for _ in range(100_000)]
            assert (seen, len(kept)) == ([], 100_000)
        assert gc.isenabled()
        seen.clear()
        assert run_seed(106, "memory").steps > 64
        assert 2 in seen
    finally:
        gc.callbacks.remove(note)


def test_what_the_keeper_survives_and_only_logs_is_a_finding(monkeypatch):
    def fails(self, loans):
        raise ZeroDivisionError

    monkeypatch.setattr(leases.Leases, "_renew", fails)
    told = [violation for seed in range(100, 130) for violation in run_seed(seed, "memory").violations]
    assert told
    assert all("claims could not be renewed" in one and "ZeroDivisionError" in one for one in told)


@pytest.mark.parametrize("store", STORES)
def test_a_seed_is_the_same_run_whenever_the_process_collects_garbage(store):
    often = gc.get_threshold()
    told = []
    try:
        for allocated in (50, 100_000):
            gc.set_threshold(allocated)
            told.append([run_seed(seed, store).text() for seed in range(100, 140)])
    finally:
        gc.set_threshold(*often)
    assert told[0] == told[1]


def test_a_seed_is_the_same_run_in_another_process():
    command = [sys.executable, "-m", "pqueue.testing.simulate", "--trace", "104"]
    told = [
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": salt}, capture_output=True, check=True).stdout
        for salt in ("1", "2")
    ]
    assert told[0] == told[1]
    assert b"seed 104" in told[0]


def test_a_failing_run_is_made_small():
    removal = next(one for one in REMOVALS if one.what == "a swap without an answer is taken for done")
    with removal.applied():
        failed = next(result for seed in range(100, 400) if (result := run_seed(seed, "memory")).failed)
        small = shrink(failed)
        again = run(small.plan)
    assert small.violations[0].split(":")[0] == failed.violations[0].split(":")[0]
    assert again.text() == small.text()
    assert len(small.trace) < len(failed.trace)
    assert len(small.dealt) < len(failed.dealt)
    assert not run(small.plan).failed


def test_a_masked_fault_does_not_happen():
    made = next(made for seed in range(100, 400) if (made := plan(seed, "memory")).profile == 2)
    result = run(made)
    assert result.dealt
    masked = run(type(made)(**{**made.__dict__, "masked": frozenset(result.dealt[:1])}))
    assert result.dealt[0] not in masked.dealt


def test_the_command_line_tells_how_many_failed(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["simulate", "--seeds", "100-119", "--store", "appending"])
    assert main() == 0
    assert "20 seeds" in (told := capsys.readouterr().out)
    assert "0 failed" in told


def test_the_command_line_shows_a_failing_seed_made_small(capsys, monkeypatch):
    removal = next(one for one in REMOVALS if one.what == "a swap without an answer is taken for done")
    monkeypatch.setattr(sys, "argv", ["simulate", "--seeds", "100-299", "--store", "memory"])
    with removal.applied():
        assert main() == 1
    told = capsys.readouterr().out
    assert "VIOLATION" in told
    assert "made small" in told
