"""From what a caller names to one `QueueSettings`: layers of settings, the higher over the lower."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from pqueue.abc import StoreSettings
from pqueue.address import address, is_url, nested, over, plain
from pqueue.errors import SettingsError
from pqueue.explain import explained
from pqueue.settings import QueueSettings

Where = str | os.PathLike[Any] | Mapping[str, Any] | QueueSettings | StoreSettings
"""A folder's path, a URL, a name of pqueue.toml, or settings."""

_FIELDS = QueueSettings.model_fields


class Layer(NamedTuple):
    """Settings of one origin."""

    origin: str
    """What a person calls it."""
    values: Mapping[str, Any]
    """Fields of `QueueSettings`; of the store's, those that are set."""


def parse(where: Where, overrides: Mapping[str, Any] | None = None) -> QueueSettings:
    """The settings of a queue.

    Args:
        where: a folder's path; a URL (a str that holds `://`); the name of a queue in `pqueue.toml` or the environment
            (a str without a path separator); a mapping; settings. A name that is neither a queue's nor a folder's, where
            other queues have names, is refused as mistyped; without any, it is a folder's.
        overrides: over all of that; see `QueueSettings` for the keys, those of the store among them.

    Raises:
        SettingsError: something is unknown, missing or not allowed; the text says what is known or allowed.
    """
    if isinstance(where, QueueSettings) and not overrides:
        return where
    return merged(layers(where, overrides))


def layers(where: Where, overrides: Mapping[str, Any] | None = None, caller: str = "the call") -> Sequence[Layer]:
    """What is said of a queue, the lowest first; see `parse`. `caller` is the origin of the overrides."""
    found = _layers_of(where)
    if overrides:
        found.append(Layer(caller, nested(overrides, _FIELDS)))
    return found


def _layers_of(where: Where) -> list[Layer]:
    if isinstance(where, QueueSettings):
        return [Layer("the settings", {name: getattr(where, name) for name in where.model_fields_set})]
    if isinstance(where, StoreSettings):
        return [Layer("the settings", {"store": where})]
    if isinstance(where, Mapping):
        return [Layer("the settings", nested(where, _FIELDS))]
    if not isinstance(where, str | os.PathLike):
        raise SettingsError(
            f"a queue is named by a path, a URL, a mapping or settings, not by {type(where).__name__!r}"
        )
    if isinstance(where, str) and os.sep not in where and not is_url(where):
        # pydantic-settings takes 60 ms to import, and most callers name a path or a URL.
        from pqueue.config import configured, refuse_stranger  # noqa: PLC0415

        found = [Layer(origin, nested(values, _FIELDS)) for origin, values in configured(where)]
        if found:
            return found
        if where and not Path(where).expanduser().is_dir():
            refuse_stranger(where)
    origin = "the URL" if isinstance(where, str) and is_url(where) else "the path"
    return [Layer(origin, nested(address(where), _FIELDS))]


def merged(found: Sequence[Layer]) -> QueueSettings:
    """One `QueueSettings` of all layers.

    Raises:
        SettingsError: see `parse`.
    """
    values: dict[str, Any] = {}
    for layer in found:
        store = over(values.get("store"), layer.values.get("store"))
        values = {**values, **layer.values} | ({"store": store} if store is not None else {})
    told = origins(found)
    try:
        settings = QueueSettings.model_validate(values)
    except ValidationError as error:
        store = plain(values.get("store", {}))
        raise SettingsError(explained(error, _FIELDS, store.get("backend"), told)) from error
    settings.came_from(told)
    return settings


def place(settings: QueueSettings) -> str:
    """Where a queue is, as a person would write it."""
    store = settings.store.model_dump(mode="json")
    if "path" in store:
        return str(store["path"])
    if "bucket" in store:
        return f"{store['backend']}://{store['bucket']}/{store.get('prefix', '')}".rstrip("/")
    return f"{store['backend']}://{store.get('name', '')}"


def origins(found: Sequence[Layer]) -> dict[str, str]:
    """Who set what, by name; `store.NAME` for the store's settings."""
    told: dict[str, str] = {}
    for origin, values in found:
        told |= dict.fromkeys(values.keys() - {"store"}, origin)
        store = values.get("store")
        if store is not None:
            told |= {f"store.{name}": origin for name in plain(store)}
    return told
