"""A stranger's distribution, installed as pip does: found by its entry points, tested by the suites that we ship."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import pqueue

ROOT = Path(__file__).parents[2]
STRANGER = ROOT / "tests" / "stranger"


@pytest.mark.skipif(not (find_spec("pip") and find_spec("hatchling")), reason="needs pip and hatchling to install with")
def test_a_stranger_s_plug_ins_pass_our_suites(tmp_path: Path):
    source = shutil.copytree(STRANGER, tmp_path / "source")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-index", "--no-deps"]
    run([*pip, "--no-build-isolation", "--target", str(site), str(source)], tmp_path)
    assert {path.name for path in site.iterdir()} == {"pqueue_stranger", "pqueue_stranger-1.0.dist-info"}
    # As it stands here, whether or not pqueue itself is installed.
    places = [site, Path(pqueue.__file__).parents[1], *(ROOT / name for name in ("backends", "serializers"))]
    told = run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        source,
        PYTHONPATH=os.pathsep.join(map(str, places)),
    )
    assert re.search(r"\b(\d+) passed", told), told
    assert "failed" not in told


@pytest.mark.parametrize(
    ("page", "files"),
    [
        ("write-a-backend.md", ["pyproject.toml", "src/pqueue_stranger/store.py", "tests/test_store.py"]),
        ("write-a-serializer.md", ["src/pqueue_stranger/rows.py", "tests/test_rows.py"]),
    ],
)
def test_the_docs_show_the_stranger_s_files(page: str, files: list[str]):
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.DOTALL | re.MULTILINE)
    for file in files:
        assert (STRANGER / file).read_text() in blocks, f"docs/{page} does not show {file} as it is"


def run(command: list[str], folder: Path, **environment: str) -> str:
    """What it printed; it may not fail."""
    told = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout
