"""Every block of code in the README and the docs is run, or says why it is not; the settings' page is the models'."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.settings_page import PAGE, page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

NOT_RUN = {
    "README.md": 5,  # four that install or test the whole project, and one of addresses
    "docs/command-line.md": 2,
    "docs/s3.md": 3,
    "docs/tutorial.md": 1,
    "docs/write-a-backend.md": 2,  # files of a package, which tests/integration/test_stranger.py installs and tests
    "docs/write-a-serializer.md": 3,
}
"""How many blocks say that they are not run, so that none does unseen."""

KNOWN = {"python", "sh", "toml", "json", "text", ""}


class Block(NamedTuple):
    language: str
    title: str
    code: str
    line: int
    why_not: str


def blocks(path: Path) -> list[Block]:
    """The blocks of a page; one is not run if it has a title, being a file, or an HTML comment before it says so."""
    text = path.read_text("utf-8")
    found = []
    pattern = r"(?:^<!-- not run: ([^\n]*?) -->\n+)?^( *)```(\w*)([^\n]*)\n(.*?)^ *```$"
    for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        why, indent, language, title, code = match.groups()
        code = re.sub(f"^{indent}", "", code, flags=re.MULTILINE)
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(language, title, code, line, why or title.strip()))
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(found), f"{path}: a block is not closed"
    return found


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """An empty folder to work in, where `pqueue` is this project's, with the files that the pages speak of."""
    programs = tmp_path / ".bin"
    programs.mkdir()
    for name, words in {"pqueue": "-m pqueue", "python": "", "python3": ""}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "access.log").write_text("".join(f"GET /{number}\n" for number in range(30)))
    return tmp_path


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_the_blocks_of_a_page_run_in_order(path, desk):
    not_run = 0
    for block in blocks(path):
        where = f"{name_of(path)}:{block.line}"
        assert block.language in KNOWN, f"{where}: what is {block.language}?"
        if block.language == "toml":
            (desk / "pqueue.toml").unlink(missing_ok=True)
            tomllib.loads(block.code)
        elif block.language == "json":
            json.loads(block.code)
        elif block.language in ("python", "sh"):
            if block.why_not:
                not_run += 1
                if block.language == "python":
                    compile(block.code, where, "exec")
                continue
            start = (
                [sys.executable, "-W", "error", "-c"]
                if block.language == "python"
                else ["bash", "-euo", "pipefail", "-c"]
            )
            done = subprocess.run(
                [*start, block.code], cwd=desk, capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, f"{where}:\n{done.stdout}{done.stderr}"
    assert not_run == NOT_RUN.get(name_of(path), 0), f"{name_of(path)}: say in NOT_RUN how many blocks are not run"


def test_the_page_of_settings_is_made_from_the_models():
    assert PAGE.read_text("utf-8") == page(), "run python -m tests.support.settings_page"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), f"{name_of(path)} links to {target}"


def test_the_page_of_commands_has_them_all():
    from pqueue.cli import app

    told = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    names += [group.name for group in app.registered_groups]
    assert len(names) >= 12
    for name in names:
        assert re.search(rf"^\| (`[^`]+`, )?`{name}[ `]", told, re.MULTILINE), name
