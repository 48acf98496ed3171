"""Kills and crowds, each in a process of its own; larger ones by the commands in the modules' first lines."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*words):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", *words],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


def environment():
    import os

    paths = os.pathsep.join(str(ROOT / name) for name in (".", "backends", "serializers"))
    return {**os.environ, "PYTHONPATH": paths}


@pytest.mark.parametrize("store", ["folder", "folder-blobs", "bucket"])
@pytest.mark.parametrize("role", ["producer", "consumer"])
def test_a_kill_at_any_instant_loses_doubles_and_reorders_nothing(store, role):
    run("tests.faults.kills", store, role, "--kills", "20")


@pytest.mark.parametrize(
    ("store", "items", "batch"), [("folder", 200_000, 1), ("folder-blobs", 40_000, 100), ("bucket", 400_000, 1000)]
)
def test_four_producers_and_four_consumers_lose_double_and_reorder_nothing(store, items, batch):
    run("tests.faults.crowd", store, "--items", str(items), "--batch", str(batch))
