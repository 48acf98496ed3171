"""What json and marshal change without a word, found before they see it."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from types import EllipsisType, NoneType
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from pqueue.advice import typed
from pqueue.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_DEPTH: Final = 255
"""Levels of nesting taken, as the default serializer does; either of these two could load more."""

_MARSHAL: Final = frozenset(
    (NoneType, bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset, EllipsisType)
)
_MSGPACK: Final = (_MARSHAL - {EllipsisType}) | {
    bytearray,
    Decimal,
    Fraction,
    datetime,
    date,
    time,
    timedelta,
    timezone,
    ZoneInfo,
    UUID,
    range,
}


def refused(serializer: str, item: Any, why: str) -> SerializationError:
    """The error for an item, or for a part of one, that a serializer can't keep."""
    kind = type(item)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    takers = [] if serializer == "pickle" or kind is memoryview else ["pickle (if the type can be pickled)"]
    if kind in _MARSHAL and serializer != "marshal":
        takers.insert(0, "marshal")
    if kind in _MSGPACK:
        takers.insert(0, "msgpack")
    if kind is bytes and serializer != "raw":
        takers.insert(0, "raw")
    advice = (
        f"these serializers would: {', '.join(takers)}"
        if takers
        else "put what it is made of: msgpack, marshal and pickle keep bytes, numbers, text, lists and the like"
    )
    first = typed(kind)
    return SerializationError(f"{serializer} can't keep this {name}: {why}; {f'{first}; ' if first else ''}{advice}")


class Grammar:
    """The types that a serializer gives back as they were."""

    def __init__(self, serializer: str, atoms: Iterable[type], containers: Iterable[type], *, text_keys: bool) -> None:
        self._serializer = serializer
        self._atoms = frozenset(atoms)
        self._containers = frozenset(containers)
        self._text_keys = text_keys

    def check(self, item: Any) -> None:
        """Go through an item.

        Raises:
            SerializationError: it holds something else, or goes too deep.
        """
        kind = type(item)
        if kind in self._atoms:
            return
        try:
            self._check(item, kind, 1)
        except RuntimeError as error:  # recursion, or another thread changes the item
            raise refused(self._serializer, item, str(error)) from error

    def _check(self, item: Any, kind: type, depth: int) -> None:
        if kind not in self._containers:
            raise refused(self._serializer, item, "it would not give back its type")
        if depth > MAX_DEPTH:
            raise refused(self._serializer, item, f"nested deeper than {MAX_DEPTH} levels, or within itself")
        atoms = self._atoms
        if kind is dict:
            for key in item:
                of = type(key)
                if self._text_keys and of is not str:
                    raise refused(self._serializer, key, "a key of a dict must be a str")
                if of not in atoms:
                    self._check(key, of, depth + 1)
            item = item.values()
        for each in item:
            of = type(each)
            if of not in atoms:
                self._check(each, of, depth + 1)
