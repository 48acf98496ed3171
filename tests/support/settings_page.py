"""Writes docs/settings.md from the settings' models: `python -m tests.support.settings_page`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pqueue import plugins
from pqueue.schema import Setting, settings, store_settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

_TOP = """\
# Settings

Made from the models by `python -m tests.support.settings_page`; a test checks that it is up to date. Each can be an argument of
`pqueue.open`, a key of `[queues.NAME]` in `pqueue.toml`, a variable `PQUEUE_QUEUES__NAME__KEY`, part of a URL's query, or `--set
KEY=VALUE` of a command; see [how-to/configure.md](how-to/configure.md).
"""

_TITLES = {"local": "a folder (`path`)", "memory": "memory (`memory://NAME`)", "s3": "a bucket (`s3://BUCKET/PREFIX`)"}


def page() -> str:
    """The whole page."""
    found = list(settings())
    parts = [
        _TOP,
        "## What a queue is made with\n\nFixed when it is made; an opener who names another value is refused.\n",
        _table(one for one in found if one.fixed),
        "## How it is opened\n\nEach opener's own.\n",
        _table(one for one in found if not one.fixed),
    ]
    for name in sorted(_TITLES):
        assert name in plugins.names(plugins.BACKEND)
        parts += [f"## In {_TITLES[name]}\n", _table(store_settings(name))]
    return "\n".join(parts)


def _table(found: Iterable[Setting]) -> str:
    rows = ["| setting | default | |", "| --- | --- | --- |"]
    rows += [f"| `{one.name}` | {one.default} | {one.text} |" for one in found]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
