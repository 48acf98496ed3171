"""`pqueue stat`: what a queue holds and how it is set, for a person or a program."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from pqueue.cli.glance import checked, looked_at
from pqueue.cli.output import aligned, size_of
from pqueue.meta import Meta
from pqueue.settings import QueueSettings
from pqueue.stats import Stats, documents, survey
from pqueue.where import Layer, merged, origins


class Source(NamedTuple):
    """A setting in force, and who set it."""

    value: Any
    origin: str


def report(found: Sequence[Layer], *, as_json: bool, raw: bool) -> str:
    """The text to print, of the queue that these layers of settings name."""
    settings = merged(found)
    with looked_at(settings) as (store, codecs):
        if raw:
            return _dump(documents(store))
        stats = survey(store, codecs)
    checked(settings, stats.meta)
    sources = _sources(found, settings, stats.meta)
    return _dump(_plain(stats, sources)) if as_json else _table(stats, sources)


def _sources(found: Sequence[Layer], settings: QueueSettings, meta: Meta) -> Mapping[str, Source]:
    """Every setting in force; secrets are masked."""
    told = origins(found)
    fixed = {key: value for key, value in asdict(meta).items() if key in QueueSettings.model_fields and key != "store"}
    own = {
        key: value for key, value in settings.model_dump(mode="json").items() if key not in {*fixed, "store", "create"}
    }
    store = {f"store.{key}": value for key, value in settings.store.model_dump(mode="json").items()}
    return {
        **{key: Source(value, "queue.json") for key, value in fixed.items()},
        **{key: Source(value, told.get(key, "default")) for key, value in (own | store).items()},
    }


def _plain(stats: Stats, sources: Mapping[str, Source]) -> Mapping[str, Any]:
    value = asdict(stats)
    del value["meta"]
    return {**value, "settings": {key: {"value": one.value, "from": one.origin} for key, one in sources.items()}}


def _dump(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _table(stats: Stats, sources: Mapping[str, Source]) -> str:
    rows = [
        ("waiting", f"{stats.waiting:,}"),
        ("claimed", f"{stats.claimed:,}"),
        ("given back", f"{stats.given_back:,}"),
        ("dead letters", f"{stats.dead:,}" + (f" and {stats.dying:,} on their way" if stats.dying else "")),
        ("put, ever", f"{stats.put:,}"),
        ("segments", f"{stats.segments:,}, {size_of(stats.bytes)}"),
        ("queue id", stats.queue),
    ]
    if stats.requests:
        rows.append(("requests sent", ", ".join(f"{count:,} {kind}" for kind, count in sorted(stats.requests.items()))))
    settings = [("SETTING", "VALUE", "FROM")]
    settings += [
        (key, _word(one.value, key), one.origin)
        for key, one in sources.items()
        if one.value is not None or key in _UNSET
    ]
    return f"{aligned(rows)}\n{aligned(settings)}"


_UNSET = {"ack_linger": "the store's", "max_attempts": "no limit"}
"""What the settings mean that a person looks for, where they have no value."""


def _word(value: Any, key: str) -> str:
    if value is None:
        return _UNSET[key]
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
