"""Where things are in a store, and the ids that names are made of."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from pqueue.runtime import Runtime

TAIL = "tail"
HEAD = "head.default"
META = "queue.json"
SEGMENTS = "seg/"
PAGES = "log/"
DEAD = "dead/"

PAGE = 128
"""Entries of the tail in a page."""

_BIRTH = 12
_CHANCE = 12
ID = _BIRTH + _CHANCE
QUEUE_ID = 16


def draw_queue_id(runtime: Runtime) -> str:
    """16 hexadecimal digits."""
    return f"{runtime.random.getrandbits(64):016x}"


def draw_id(runtime: Runtime, now_ms: int, horizon: int) -> str:
    """An id of a writer or client: its birth, then chance (rule 1: born after the horizon it was drawn under)."""
    return f"{max(now_ms, horizon + 1):012x}{runtime.random.getrandbits(48):012x}"


def birth(ident: str) -> int:
    """When an id was drawn, in the store's milliseconds."""
    return int(ident[:_BIRTH], 16)


class Name(NamedTuple):
    """A segment's name, `seg/HINT-WRITER-NUMBER-COUNT`: nobody else ever uses it, for no other bytes (rule 1)."""

    hint: int
    """The ordinal that its writer expected for it, so that recent names list together."""
    queue: str
    writer: str
    number: int
    count: int  # type: ignore[assignment]  # the field's word; nobody counts within this tuple
    """Its items; 0 where it was born open and grows."""

    def __str__(self) -> str:
        return f"{SEGMENTS}{self.hint:012d}-{self.queue}{self.writer}-{self.number}-{self.count}"

    @classmethod
    def parse(cls, name: str) -> Name | None:
        """None for a name that is not a segment's."""
        parts = name.removeprefix(SEGMENTS).split("-")
        if len(parts) != 4 or len(parts[1]) != QUEUE_ID + ID:  # noqa: PLR2004  # the four parts above
            return None
        try:
            made = cls(int(parts[0]), parts[1][:QUEUE_ID], parts[1][QUEUE_ID:], int(parts[2]), int(parts[3]))
            int(made.queue + made.writer, 16)
        except ValueError:
            return None
        return made if str(made) == name else None


def page_name(ordinal: int) -> str:
    """The page that holds the entry of this ordinal, once it has left the tail."""
    return f"{PAGES}{ordinal // PAGE}"


def dead_name(offset: int) -> str:
    """The dead letter of the item at this offset."""
    return f"{DEAD}{offset:012d}"


_OTHERS = re.compile(r"log/[0-9]+|dead/[0-9]{12,}|import/.+")


def is_name(name: str) -> bool:
    """Whether a queue names a blob so: somebody else's may lie beside them."""
    return bool(_OTHERS.fullmatch(name)) or (name.startswith(SEGMENTS) and Name.parse(name) is not None)


def canonical(value: Any) -> bytes:
    """Canonical JSON: the same content is the same bytes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()
