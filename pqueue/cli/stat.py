"""`pqueue stat`: what a queue holds and how it is set, for a person or a program."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from pqueue import plugins
from pqueue.abc import Document
from pqueue.connect import connect_store, parts
from pqueue.meta import Meta
from pqueue.names import META
from pqueue.settings import QueueSettings
from pqueue.stats import Stats, documents, survey
from pqueue.where import Layer, merged, origins

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


class Source(NamedTuple):
    """A setting in force, and who set it."""

    value: Any
    origin: str


def report(found: Sequence[Layer], *, as_json: bool, raw: bool) -> str:
    """The text to print, of the queue that these layers of settings name."""
    settings = merged(found)
    store = connect_store(settings)
    try:
        if raw:
            return _dump(documents(store))
        document = store.load(META)
        codecs = parts(settings)[1]
        if codecs is None:
            names = Meta.parse(document.data).codecs if isinstance(document, Document) else ()
            codecs = [plugins.codec(name) for name in names]
        stats = survey(store, codecs)
    finally:
        store.close()
    choice = settings.serializer
    stats.meta.check(settings.fixed() | ({"serializer": choice.name} if choice else {}))
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
        ("segments", f"{stats.segments:,}, {_size(stats.bytes)}"),
        ("queue id", stats.queue),
    ]
    settings = [("SETTING", "VALUE", "FROM")]
    settings += [(key, _word(one.value), one.origin) for key, one in sources.items() if one.value is not None]
    return f"{_aligned(rows)}\n{_aligned(settings)}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def _word(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _size(count: int) -> str:
    size = float(count)
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:  # noqa: PLR2004  # what KiB means
            break
        size /= 1024
    return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
