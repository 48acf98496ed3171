"""What a queue is opened with, as data: `QueueSettings`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PrivateAttr,
    SecretStr,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from pqueue import plugins
from pqueue.abc import StoreSettings
from pqueue.address import address, is_secret, nested
from pqueue.errors import SettingsError
from pqueue.explain import unknown
from pqueue.retry import RetryDelay


class PluginChoice(BaseModel, extra="allow", frozen=True):
    """A serializer or codec: its name, and the options that its class takes."""

    name: str = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        value = _unquoted(value)
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> Mapping[str, Any]:
        """All but the name."""
        return self.model_extra or {}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        # The options may hold a key.
        yield "name", self.name
        if self.options:
            yield "options", sorted(self.options)


class _AnyStore:
    """Annotates `store`: validated by the settings model of the backend that it names."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_store_settings)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        models = []
        for one in plugins.backends().values():
            model = handler.resolve_ref_schema(handler(one.Settings.__pydantic_core_schema__))
            models.append({**model, "required": sorted({"backend", *model.get("required", ())})})
        return {"oneOf": models}


def _store_settings(value: Any) -> StoreSettings:
    if isinstance(value, StoreSettings):
        return value
    if not isinstance(value, Mapping):
        raise SettingsError("must be a table (a dict) of the backend's settings")
    name = value.get("backend")
    if not isinstance(name, str):
        known = ", ".join(plugins.names(plugins.BACKEND)) or "none"
        stores = {field for one in plugins.backends().values() for field in one.Settings.model_fields}
        strange = sorted(value.keys() - stores)
        if strange and name is None:
            own = QueueSettings.model_fields
            raise SettingsError(
                f"{unknown(strange[0], own, None, [*stores, 'url'])}; and no store is named: set `url`, `path` or `backend`"
            )
        raise SettingsError(f"names no backend (known: {known}); set `backend`, or give a `url`, or a folder's `path`")
    model = plugins.backend(name).Settings
    return model.model_validate({key: _hidden(one, model, key) for key, one in value.items()})


def _hidden(value: Any, model: type[BaseModel], key: str) -> Any:
    """A secret, wrapped before a validator's message can repeat it."""
    return SecretStr(value) if isinstance(value, str) and is_secret(model, key) else value


def _split(value: Any) -> Any:
    """A list, also from the text of a variable or a URL."""
    value = _unquoted(value)
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _unquoted(value: Any) -> Any:
    """What JSON text holds, as a variable may; other text as it is."""
    if not (isinstance(value, str) and value.startswith(("{", "["))):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise SettingsError("starts like JSON and is none") from error


def _delay(value: Any) -> Any:
    """A number is a constant delay, also as text."""
    value = _unquoted(value)
    if isinstance(value, str | int | float):
        with suppress(ValueError):  # what is no number is told by whoever reads it next
            return {"first": float(value), "factor": 1, "most": float(value), "jitter": 0}
    return value


_Bytes = Annotated[ByteSize, Field(gt=0)]


class _Origins(dict[str, tuple[str, Any]]):
    """Who set what, and to what, by name. Settings are equal whoever set them."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Origins)

    __hash__ = None  # as any dict


class QueueSettings(BaseModel):
    """Where a queue is, what it is made with, and how it is opened.

    A key that is none of the fields below is the store's: `{"backend": "s3", "bucket": "b", "durability": "synced"}`.
    So is what `url` states: `{"url": "s3://b/jobs?region=eu-central-1"}`.

    What the queue was made with holds for all of its openers: None is "as it was made, or the default where it is
    made", and any other value must be the one it was made with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    store: Annotated[StoreSettings, _AnyStore]
    """Where the queue is: `backend`, the plug-in's name, and that backend's own settings."""

    serializer: PluginChoice | None = None
    """Turns items into bytes: a name, or a table of `name` and options. Default: msgpack. Fixed when the queue is
    made."""
    codecs: Annotated[tuple[PluginChoice, ...], BeforeValidator(_split)] | None = None
    """Compress or encrypt what is stored, in this order; names or tables. Default: none. Fixed when the queue is
    made."""
    durability: Literal["buffered", "written", "synced"] | None = None
    """What a returned put survives: nothing until `sync` or `close` (buffered), the death of the process (written), a
    power cut (synced). Default: written. Fixed when the queue is made."""
    segment_items: Annotated[int, Field(gt=0)] | None = None
    """Items after which a new segment is begun. Default: 65,536. Fixed when the queue is made."""
    segment_bytes: _Bytes | None = None
    """Bytes after which a new segment is begun, as a number or like "64MiB". Default: 64 MiB. Fixed when the queue is
    made."""
    max_commit_bytes: _Bytes | None = None
    """Bytes of records that one put may hold at most, as a number or like "64MiB". Default: 64 MiB. Fixed when the
    queue is made."""
    maxsize: Annotated[int, Field(ge=0)] | None = None
    """Items from which on a put waits; 0: never. Default: 0. Fixed when the queue is made."""
    max_attempts: Annotated[int, Field(ge=1)] | None = None
    """How often an item is handed out at most before it is set aside as a dead letter. Default: no limit. Fixed when
    the queue is made."""
    record_times: bool | None = None
    """Whether the time of each commit is stored, for `Message.put_at` and the age in `pqueue stat`. Default: no. Fixed
    when the queue is made."""

    create: bool = True
    """Whether to make a queue where none is."""
    lease: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
    """Seconds that what was claimed stays claimed without being renewed."""
    auto_extend: bool = True
    """Whether the lease of a message is renewed while its process lives and it is not answered."""
    retry_delay: Annotated[RetryDelay, BeforeValidator(_delay)] = RetryDelay.constant(0)
    """Seconds that an item waits that was given back for an error: a number for a constant delay, or a table for one
    that grows: `first` seconds (1), each time `factor` times as long (2), `most` seconds at most (300), give or take the
    share `jitter` (0.1). Default: 0; of a worker 1 second, each time twice as long, 60 at most."""
    ack_linger: Annotated[float, Field(ge=0)] | None = None
    """Seconds that the acknowledgements of `get` may wait for one another; a crash repeats that much. Default: the
    store's, 0 in a folder and about 1 in a bucket."""
    prefetch: Annotated[int, Field(ge=1)] = 1000
    """Items claimed ahead where acknowledgements wait for one another; eight times as many, 8,000 at most, by whoever uses
    them up within a tenth of a second. In a folder no more than some 256 KB of them, but for what is asked for."""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        """From what is flat, or an address alone, to fields."""
        if isinstance(value, str | os.PathLike | StoreSettings):
            value = {"store": value} if isinstance(value, StoreSettings) else address(value)
        return nested(value, cls.model_fields) if isinstance(value, Mapping) else value

    _origins: _Origins = PrivateAttr(default_factory=_Origins)

    def came_from(self, origins: Mapping[str, str]) -> None:
        """Note who set what, for errors that are found when the queue is opened."""
        self._origins = _Origins({name: (origin, getattr(self, name, None)) for name, origin in origins.items()})

    @contextmanager
    def blamed(self, name: str = "") -> Iterator[None]:
        """A context in which an error about one of these, or about the one that is named, says who set it."""
        try:
            yield
        except SettingsError as error:
            setting = error.setting or name
            origin, value = self._origins.get(setting, (None, None))
            if origin is None or getattr(self, setting) != value:  # a copy with another
                raise
            raise SettingsError(f"{error} (from {origin})") from error

    def fixed(self) -> dict[str, Any]:
        """What meta fixes, as far as it is named here, but the plug-ins."""
        values = {name: getattr(self, name) for name in FIXED}
        return {name: int(one) if isinstance(one, ByteSize) else one for name, one in values.items() if one is not None}


FIXED: Final = (
    "durability",
    "segment_items",
    "segment_bytes",
    "max_commit_bytes",
    "maxsize",
    "max_attempts",
    "record_times",
)
"""Fields of `QueueSettings` that are fixed when a queue is made, but the plug-ins."""
