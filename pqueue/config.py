"""Queues by name: `[queues.NAME]` of `pqueue.toml`, and `PQUEUE_QUEUES__NAME__KEY` over it."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as VariablesError

from pqueue.address import address
from pqueue.errors import SettingsError

FILE_VARIABLE = "PQUEUE_CONFIG"
FILE_NAME = "pqueue.toml"

_OURS = re.compile("PQUEUE_QUEUES(__.*)?", re.IGNORECASE)

_Tables = Mapping[str, Mapping[str, Any]]


class _Variables(BaseSettings):
    """What the environment says of queues: raw, so that a mistake in one queue does not hide the others."""

    model_config = SettingsConfigDict(
        env_prefix="PQUEUE_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    queues: dict[str, dict[str, Any] | str] = {}


def configured(name: str) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """What is said of this queue, and where, the lowest first; nothing, if there is none of this name.

    Names are the same whatever their case, and `-` is `_` in them, since a variable's name can't hold all that.

    Raises:
        SettingsError: the file or the variables can't be read.
    """
    found = []
    key = _key(name)
    path = config_file()
    if path is not None:
        table = _from_file(path).get(key)
        if table is not None:
            found.append((str(path), table))
    table = _from_variables().get(key)
    if table is not None:
        found.append((f"the environment, PQUEUE_QUEUES__{key.upper()}__…", table))
    return found


def configured_names() -> Sequence[str]:
    """The names of all queues that the file and the variables tell of.

    Raises:
        SettingsError: see `configured`.
    """
    path = config_file()
    return sorted({*(_from_file(path) if path is not None else ()), *_from_variables()})


def refuse_stranger(name: str) -> None:
    """Keep a mistyped name from making a folder.

    Raises:
        SettingsError: queues have names, and none has this one; see `configured`, too.
    """
    known = configured_names()
    if known:
        close = difflib.get_close_matches(_key(name), known, n=1, cutoff=0.75)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        place = config_file() or "the environment"
        raise SettingsError(
            f"no queue is called {name!r}{hint}; known, from {place}: {', '.join(known)}; for a folder write ./{name}"
        )


def config_file() -> Path | None:
    """The file that `PQUEUE_CONFIG` names, else `pqueue.toml` in the working directory, if it is there."""
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named)
    path = Path(FILE_NAME)
    return path if path.exists() else None


def _from_file(path: Path) -> _Tables:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"{FILE_VARIABLE} names {path}, which is not there") from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} can't be read: {error}") from error
    unknown = content.keys() - {"queues"}
    if unknown:
        raise SettingsError(f"{path}: unknown table or key {min(unknown)!r}; known: queues, as in [queues.NAME]")
    queues = content.get("queues", {})
    if not isinstance(queues, dict):
        raise SettingsError(f"{path}: `queues` must be a table: write [queues.NAME]")
    return _tables(queues, str(path), path.parent)


def _from_variables() -> _Tables:
    for name in os.environ:
        if name.upper().startswith("PQUEUE_QUEUE") and not _OURS.fullmatch(name):
            raise SettingsError(f"the variable {name} sets nothing: write PQUEUE_QUEUES__NAME__KEY")
    try:
        queues = _Variables().queues
    except (ValidationError, VariablesError) as error:
        raise SettingsError(
            "PQUEUE_QUEUES can't be read: write PQUEUE_QUEUES__NAME__KEY=VALUE, or JSON of tables"
        ) from error
    return _tables(queues, "PQUEUE_QUEUES", None)


def _tables(queues: Mapping[str, Any], source: str, folder: Path | None) -> _Tables:
    tables: dict[str, Mapping[str, Any]] = {}
    for name, value in queues.items():
        key = _key(name)
        if key in tables:
            raise SettingsError(f"{source}: two queues are called {key!r}: case, and - or _, do not tell them apart")
        if isinstance(value, str):
            value = address(value)  # noqa: PLW2901  # a URL or a path alone
        if not isinstance(value, dict):
            raise SettingsError(f"{source}: the queue {name!r} must be a table, a URL or a path")
        tables[key] = value if folder is None else _rooted(value, folder)
    return tables


def _rooted(table: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """With a folder's path taken from where the file is, not from where the program was started."""
    rooted = dict(table)
    if isinstance(table.get("path"), str):
        rooted["path"] = str(folder / Path(table["path"]).expanduser())
    if isinstance(table.get("store"), dict):
        rooted["store"] = _rooted(table["store"], folder)
    return rooted


def _key(name: str) -> str:
    return name.lower().replace("-", "_")
