"""Meta: the document `queue.json`, made once, that fixes what every opener must agree on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pqueue.errors import NotAQueue, SettingsError
from pqueue.names import canonical
from pqueue.tail import parse_json

DURABILITIES = ("buffered", "written", "synced")


@dataclass(frozen=True, slots=True)
class Meta:
    """What a queue was made with. Changing any of it means copying the queue."""

    queue: str
    serializer: str = "msgpack"
    codecs: tuple[str, ...] = ()
    durability: str = "written"
    """What a returned put survives (rule 28: the queue's, not the opener's)."""
    segment_items: int = 65_536
    """A commit joins the open segment while it holds fewer items; the recipe's `cache_size`."""
    segment_bytes: int = 64 << 20
    """… and fewer bytes."""
    max_commit_bytes: int = 64 << 20
    """The largest commit, in bytes of records."""
    maxsize: int = 0
    max_attempts: int | None = None
    appends: bool = False
    record_times: bool = False
    store: Mapping[str, Any] = field(default_factory=dict)
    """What the store's probe found."""
    rest: Mapping[str, Any] = field(default_factory=dict)

    def dump(self) -> bytes:
        """The document."""
        value = asdict(self)
        return canonical({**value.pop("rest"), **value, "codecs": list(self.codecs), "format": 1})

    @classmethod
    def parse(cls, data: bytes) -> Meta:
        """The meta of a document.

        Raises:
            NotAQueue, NewerFormat: see `parse_json`.
        """
        value = parse_json(data, "the document `queue.json`")
        known = {one.name for one in fields(cls)} - {"rest"}
        rest = {key: value[key] for key in value.keys() - known - {"format"}}
        try:
            made = cls(**{key: value[key] for key in value.keys() & known}, rest=rest)
            marks = made.segment_items, made.segment_bytes, made.max_commit_bytes
            if any(type(mark) is not int or mark < 1 for mark in marks) or made.durability not in DURABILITIES:
                raise NotAQueue(
                    "the document `queue.json` is there but damaged (its segment marks or durability make no sense): restore "
                    "it from a backup"
                )
            return cls(**{one.name: getattr(made, one.name) for one in fields(cls)} | {"codecs": tuple(made.codecs)})
        except TypeError as error:
            raise NotAQueue(f"the document `queue.json` is there but is not a queue's ({error})") from error

    def check(self, wanted: Mapping[str, Any]) -> None:
        """Refuse an opener that names another value than this queue was made with (H13).

        Raises:
            SettingsError: it does.
        """
        for key, value in wanted.items():
            own = getattr(self, key)
            if value is not None and value != own:
                made = f"{key}={own!r}" if own is not None else f"no {key}"
                error = SettingsError(
                    f"this queue was made with {made}, not {value!r}: leave {key} out, or move the items "
                    f"to a new queue: pqueue move OLD ./NEW --set {key}=VALUE"
                )
                error.setting = key
                raise error
