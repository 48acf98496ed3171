"""pqueue.toml described by the settings' models: its JSON Schema, a commented file, a table for the docs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pqueue import plugins
from pqueue.settings import FIXED, QueueSettings

_BASE = "https://json-schema.org/draft/2020-12/schema"
_MAKERS = {*FIXED, "serializer", "codecs"}


def schema() -> dict[str, Any]:
    """The JSON Schema of pqueue.toml."""
    model = QueueSettings.model_json_schema()
    own = dict(model["properties"])
    stores = own.pop("store")
    flat: dict[str, list[Any]] = {}
    for one in stores["oneOf"]:
        one["properties"] = {key: value for key, value in one["properties"].items() if _is_text(value)}
        for key, value in one["properties"].items():
            if key != "backend" and value not in flat.setdefault(key, []):
                flat[key].append(value)
    table = {
        "additionalProperties": False,
        "description": inspect.getdoc(QueueSettings),
        "properties": {
            "url": {
                "description": "Where the queue is: s3://BUCKET/PREFIX, file:///FOLDER, memory://NAME.",
                "type": "string",
            },
            "backend": {"enum": sorted(plugins.backends())},
            **{key: kinds[0] if len(kinds) == 1 else {"anyOf": kinds} for key, kinds in flat.items()},
            "store": stores,
            **own,
        },
        "type": "object",
    }
    return {
        "$defs": model.get("$defs", {}),
        "$schema": _BASE,
        "additionalProperties": False,
        "properties": {
            "queues": {
                "additionalProperties": {"anyOf": [{"description": "A URL or a path.", "type": "string"}, table]},
                "description": "Queues by name.",
                "type": "object",
            }
        },
        "title": "pqueue.toml",
        "type": "object",
    }


def _is_text(value: Mapping[str, Any]) -> bool:
    """Whether a file can hold it; an object of the program's own it can't."""
    return bool(value.keys() & {"type", "anyOf", "enum", "const", "$ref"})


class Setting(NamedTuple):
    """A setting, for a person."""

    name: str
    default: str
    text: str
    fixed: bool
    """Whether the queue keeps what it was made with."""


def settings() -> Iterator[Setting]:
    """Those of every queue."""
    for name, field in QueueSettings.model_fields.items():
        if name != "store":
            text = " ".join((field.description or "").split())
            stated = re.search(r" ?Default: (.*?)\.(?= |$)", text)
            text = text.replace(stated.group(), "") if stated else text
            text = text.replace(" Fixed when the queue is made.", "")
            yield Setting(name, stated.group(1) if stated else _default(field), text.strip(), name in _MAKERS)


def store_settings(backend: str) -> Iterator[Setting]:
    """Those of a backend."""
    model = plugins.backend(backend).Settings
    told = _docstrings(model)
    shown = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        if name != "backend" and _is_text(shown[name]):
            yield Setting(
                name, "(needed)" if field.is_required() else _default(field, name), told.get(name, ""), fixed=False
            )


def _default(field: FieldInfo, name: str = "") -> str:
    value = field.get_default()
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    if name == "mode":
        return f"{value:#o}"
    return {None: "", True: "true", False: "false", "": '""'}.get(value, str(value))


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The texts below the fields, which models keep only where they are told to."""
    source = inspect.getsource(model)
    found = re.findall(r'^    (\w+): [^\n]*\n    """(.*?)"""', source, re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in found}


def template() -> str:
    """A pqueue.toml with what can be set for any queue, wherever it is, all commented but a first queue."""
    lines = [
        "# Queues by name: pqueue.open(NAME) and `pqueue put NAME` look here, in the working directory or where",
        "# PQUEUE_CONFIG says. PQUEUE_QUEUES__NAME__KEY=VALUE in the environment is over it. `pqueue ls` lists them.",
        "# A new folder that has no name here is then ./FOLDER.",
        "",
        "[queues.jobs]",
        'path = "jobs"  # a folder, seen from this file',
        "",
        "# [queues.events]",
        '# url = "s3://bucket/events?region=eu-central-1"  # keys as boto3 finds them, never here',
        "",
        "# A bucket in full; docs/settings.md, or `pqueue schema`, has the rest of what it takes.",
        "# [queues.mails]",
        '# backend = "s3"',
        '# bucket = "bucket"',
        "# # The queue's folder in the bucket.",
        '# prefix = "queues/mails"',
        '# region = "eu-central-1"',
        "# # A section of ~/.aws/config, that has the keys; without it, boto3 looks in all of its places.",
        '# profile = "work"',
        "# # Another service than Amazon's; many of them want the address to be a path.",
        '# endpoint_url = "https://minio.example.org:9000"',
        '# addressing_style = "path"',
        "# # Seconds that the acknowledgements of get wait for one another, a request for all; 0: none waits.",
        "# ack_linger = 1",
        "",
        "# Every queue has these settings; what stands here is an example, and the text says what holds without it.",
        "# [queues.example]",
        '# path = "example"',
    ]
    for one in settings():
        if one.name == "create":
            continue
        kept = " Kept as the queue was made with." if one.fixed else ""
        lines += [
            f"# # {one.text}{kept} Default: {one.default or 'none'}.",
            f"# {one.name} = {_EXAMPLES.get(one.name, one.default)}",
        ]
    return "\n".join(lines) + "\n"


_EXAMPLES = {
    "serializer": '"msgpack"',
    "codecs": '["zlib"]',
    "durability": '"synced"',
    "segment_items": "65536",
    "segment_bytes": '"64MiB"',
    "max_commit_bytes": '"64MiB"',
    "maxsize": "100000",
    "max_attempts": "5",
    "record_times": "true",
    "lease": "30",
    "auto_extend": "true",
    "retry_delay": "{ first = 1, factor = 2, most = 60, jitter = 0.1 }",
    "ack_linger": "0",
    "prefetch": "1000",
}
