"""`pqueue stat`: what a queue holds, for a person or a program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pqueue import plugins
from pqueue.abc import Document
from pqueue.connect import connect_store, parts
from pqueue.meta import Meta
from pqueue.names import META
from pqueue.settings import QueueSettings
from pqueue.stats import Stats, documents, survey

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def report(settings: QueueSettings, *, as_json: bool, raw: bool) -> str:
    """The text to print."""
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
    _check(settings, stats.meta)
    return _dump(_plain(stats)) if as_json else _table(stats)


def _check(settings: QueueSettings, meta: Meta) -> None:
    choice = settings.serializer
    meta.check(settings.fixed() | ({"serializer": choice.name} if choice else {}))


def _plain(stats: Stats) -> Mapping[str, Any]:
    value = asdict(stats)
    meta = value.pop("meta")
    fixed = {key: one for key, one in meta.items() if key not in ("queue", "store", "rest")}
    return {**value, "made_with": fixed}


def _dump(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _table(stats: Stats) -> str:
    meta = stats.meta
    rows = {
        "waiting": f"{stats.waiting:,}",
        "claimed": f"{stats.claimed:,}",
        "given back": f"{stats.given_back:,}",
        "dead letters": f"{stats.dead:,}" + (f" and {stats.dying:,} on their way" if stats.dying else ""),
        "put, ever": f"{stats.put:,}",
        "segments": f"{stats.segments:,}, {_size(stats.bytes)}",
        "durability": meta.durability,
        "serializer": meta.serializer,
        "codecs": ", ".join(meta.codecs) or "none",
        "queue id": stats.queue,
    }
    width = max(map(len, rows))
    return "".join(f"{name:<{width}}  {value}\n" for name, value in rows.items())


def _size(count: int) -> str:
    size = float(count)
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:  # noqa: PLR2004  # what KiB means
            break
        size /= 1024
    return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
