"""What a serializer says of an item that only its type can bring back: a dataclass, a model, an enum, a named tuple."""

from __future__ import annotations

from dataclasses import is_dataclass
from enum import Enum


def typed(kind: type) -> str:
    """How a queue keeps items of this type, as advice for whoever put one; "" if naming the type would not help.

    Args:
        kind: the type of an item, or of a part of one.
    """
    named = (
        is_dataclass(kind)
        or hasattr(kind, "__pydantic_core_schema__")
        or issubclass(kind, Enum)
        or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
    )
    if not named:
        return ""
    name = kind.__name__
    return f"say what the items are, pqueue.open(where, item={name}) or item=list[{name}] and the like, and it is kept"
