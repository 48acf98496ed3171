"""Flat settings, URLs and paths, made into what `QueueSettings` has fields for."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretBytes, SecretStr

from pqueue import plugins
from pqueue.abc import StoreSettings
from pqueue.errors import SettingsError
from pqueue.explain import unknown

FOLDER = "local"
"""The backend of a path."""


def is_url(where: str) -> bool:
    """Whether it is one; else it is a path or a name."""
    return "://" in where


def address(where: str | os.PathLike[Any]) -> dict[str, Any]:
    """The settings that a URL or a folder's path states."""
    text = os.fsdecode(where)
    if not text:
        raise SettingsError("an empty path: name a folder, a URL or a queue of pqueue.toml")
    if isinstance(where, str):
        if is_url(text):
            return {"url": text}
        scheme, colon, _ = text.partition(":")
        if colon and scheme.lower() in {*plugins.names(plugins.BACKEND), *plugins.backend(FOLDER).schemes}:
            raise SettingsError(f"{text!r} is no URL: write {scheme}://…; for a folder of this name ./{text}")
    return {"backend": FOLDER, "path": text}


def nested(values: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """With `url` read, and every key that is not one of the queue's `fields` moved into `store`."""
    own = {key: value for key, value in values.items() if key in fields and key != "store"}
    store = values.get("store")
    if store is not None and not isinstance(store, Mapping | StoreSettings):
        raise SettingsError("`store` must be a table (a dict) of the backend's settings")
    flat = {key: value for key, value in values.items() if key not in fields and key != "url"}
    url = values.get("url")
    if url is not None:
        if not isinstance(url, str) or not is_url(url):
            raise SettingsError("`url` must be a URL, like s3://BUCKET/PREFIX; a folder's path is `path`")
        stated = from_url(url, fields)
        if _places(stated["store"], {**flat, **plain(store or {})}):
            raise SettingsError("both `url` and `path` say where the queue is: leave one of them out")
        own = {**stated, **own}
        store = over(stated.pop("store"), store, "`url`")
    if flat:
        store = over(store, flat, "`store`" if url is None else "`url`")
    if isinstance(store, dict) and "backend" not in store and "path" in store:
        store = {"backend": FOLDER, **store}
    return own if store is None else {**own, "store": store}


def _places(stated: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether a path is given beside a URL that says it already, or whose backend has none."""
    return "path" in given and (
        "path" in stated or "path" not in plugins.backend(stated["backend"]).Settings.model_fields
    )


def over(lower: Any, upper: Any, stated_by: str = "") -> Any:
    """The store's settings of `upper` over those of `lower`.

    Another backend has none of its settings in common; where both stand in one place (`stated_by`), one is a mistake.
    """
    if upper is None or lower is None:
        return lower if upper is None else upper
    names = [one.backend if isinstance(one, StoreSettings) else one.get("backend") for one in (lower, upper)]
    if None not in names and names[0] != names[1]:
        if stated_by:
            raise SettingsError(f"`backend` is {names[1]!r}, but {stated_by} is of the backend {names[0]!r}")
        return upper
    if isinstance(upper, StoreSettings) and not stated_by:
        return upper
    return {**plain(lower), **plain(upper)}


def plain(store: StoreSettings | Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings that were given, by name."""
    if not isinstance(store, StoreSettings):
        return store
    return {"backend": store.backend, **{name: getattr(store, name) for name in store.model_fields_set}}


def from_url(url: str, fields: Collection[str]) -> dict[str, Any]:
    """The settings that a URL states, its query's among them, for the queue (`fields`) and for its store.

    Percent-encoding is decoded, a plus sign stays one.

    Raises:
        SettingsError: no such backend, key or form; or it holds a secret, and then says nothing of the URL.
    """
    backend = plugins.backend_for_scheme(url.partition("://")[0].lower())
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError as error:
        raise SettingsError("not a well-formed URL") from error
    if password is not None:
        raise SettingsError("a password in a URL, which ends up in logs: give it by the environment or in settings")
    model = backend.Settings
    store = dict(backend.from_url(url))
    known = {name for name, field in model.model_fields.items() if not (field.exclude or is_secret(model, name))}
    known -= store.keys()
    result: dict[str, Any] = {}
    for part in filter(None, parts.query.split("&")):
        key, equals, value = (_decoded(one) for one in part.partition("="))
        if is_secret(model, key):
            raise SettingsError(f"{key} in a URL, which ends up in logs: give it by the environment or in settings")
        target = result if key in fields and key != "store" else store
        if target is store and key not in known:
            raise SettingsError(f"the URL: {unknown(key, fields, store['backend'], known)}")
        if key in target:
            raise SettingsError(f"{key} stands twice in the URL")
        if not equals:
            raise SettingsError(f"{key} has no value in the URL: write {key}=VALUE")
        target[key] = value
    return {**result, "store": store}


def is_secret(model: type[BaseModel], key: str) -> bool:
    """Whether this field of a model holds a secret."""
    field = model.model_fields.get(key)
    return field is not None and any(kind.__name__ in str(field.annotation) for kind in (SecretStr, SecretBytes))


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise SettingsError("a percent-encoding in the URL's query is not UTF-8") from error
