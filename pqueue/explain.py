"""What pydantic found wrong, in one sentence each, with what is known or allowed, and without any secret."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from pqueue import plugins
from pqueue.errors import SettingsError

_SHOWN = (
    "literal_error",
    "enum",
    "greater_than",
    "greater_than_equal",
    "less_than",
    "less_than_equal",
    "byte_size",
    "byte_size_unit",
)
"""Errors whose input may be repeated: it is no address, so no password can stand in it."""

_CHOICE = 'a name, like "json", or a table with one, like {"name": "json"}'

_FORMS = {
    "serializer": _CHOICE,
    "codecs": 'a list of names, like ["zlib"], or of tables with one, like [{"name": "zlib", "level": 9}]',
    "retry_delay": 'seconds, like 5, or a table of any of {"first": 1, "factor": 2, "most": 60, "jitter": 0.1}',
}
"""How settings are written of which pydantic's message says too little."""


def explained(error: ValidationError, fields: Collection[str], backend: str | None, origins: Mapping[str, str]) -> str:
    """The text of an error.

    Args:
        error: what `QueueSettings` raised.
        fields: of the queue's settings.
        backend: the name of the store's plug-in, as far as it is known.
        origins: who set what, by name (`store.NAME` for the store's).
    """
    return "; ".join(_line(one, fields, backend, origins) for one in error.errors(include_url=False))


def _line(one: Mapping[str, Any], fields: Collection[str], backend: str | None, origins: Mapping[str, str]) -> str:
    where = [str(part) for part in one["loc"]]
    name = ".".join(where[1:] if where[0] == "store" and len(where) > 1 else where)
    origin = origins.get(".".join(where[:2])) or origins.get(where[0]) if where else None
    told = f" (from {origin})" if origin else ""
    cause = one.get("ctx", {}).get("error")
    form = _FORMS.get(where[0]) if where else None
    if isinstance(cause, SettingsError):
        return f"{cause}" if where in ([], ["store"]) else f"{name}: {cause}{f'; write {form}' if form else ''}{told}"
    if one["type"] == "extra_forbidden":
        if form:
            return f"{where[0]}: nothing in it is called {where[-1]!r}; write {form}{told}"
        return unknown(name, fields, backend, _fields(backend)) + told
    if one["type"] == "missing":
        if name == "store":
            return "no store is named: give a `url`, a folder's `path` or a `backend`"
        return f"{name} is missing" + (f": the backend {backend!r} needs it" if where[0] == "store" else "")
    text = one["msg"].replace("Input should be", "must be").removeprefix("Value error, ")
    if one["type"] == "path_type":
        text = "must be a path"
    elif one["type"].startswith("byte_size"):
        text = 'must be a whole number of bytes, like 8388608, or a size like "8MiB" or "500kB"'
    elif form and len(where) == 1 and one["type"] != "value_error":
        text = f"must be {form}"
    given = one["input"]
    harmless = form or one["type"] in _SHOWN or one["type"].endswith("_parsing")
    shown = harmless and isinstance(given, str | int | float)
    return f"{name}: {text}{f', not {given!r}' if shown else ''}{told}"


def _fields(backend: str | None) -> Collection[str]:
    try:
        return plugins.backend(backend).Settings.model_fields if backend else ()
    except SettingsError:
        return ()


def unknown(name: str, fields: Collection[str], backend: str | None, store: Collection[str]) -> str:
    """The text for a setting that neither the queue (`fields`) nor its store has."""
    own = sorted(set(fields) - {"store"})
    hint = plugins.meant(name, [*own, *store], 0.75)
    of_store = f"; of the backend {backend!r}: {', '.join(sorted(store))}" if store and backend else ""
    return f"unknown setting {name!r}{hint}; known: {', '.join(own)}{of_store}"
