"""Whether two items are the same, in value and in type, at every level: stricter than `==`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from math import copysign
from types import NoneType
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import TzInfo

_EQUAL: Final = frozenset((NoneType, bool, int, str, bytes))
"""Types of which two are the same if they are equal."""


def same(one: Any, other: Any) -> bool:
    """Whether they are; of a dict or set the order does not count, of a model neither which fields were set."""
    kind = type(one)
    if type(other) is not kind:
        return False
    if kind in _EQUAL:
        return bool(one == other)
    return _COMPARE[kind](one, other)


def difference(one: Any, other: Any) -> str:
    """Where two items that are not the same first differ, and how; tells types, not values, which may be secrets."""
    at = ""
    while True:
        if type(one) is not type(other):
            return f"{at}{': ' if at else ''}{_a(one)} would become {_a(other)}"
        parts = _parts(other)
        for place, a in _parts(one).items():
            if place in parts and not same(a, parts[place]):
                at, one, other = f"{at}{place}" if at else place.lstrip("."), a, parts[place]
                break
        else:
            return f"{at}{': ' if at else ''}the {type(one).__qualname__} would become another"


class _Known(dict[type, Callable[[Any, Any], bool]]):
    """How two of one type are compared, by type."""

    def __missing__(self, kind: type) -> Callable[[Any, Any], bool]:
        found = self[kind] = _comparer(kind)
        return found


_COMPARE: Final = _Known()


def _comparer(kind: type) -> Callable[[Any, Any], bool]:
    if issubclass(kind, BaseModel):
        return _models
    if is_dataclass(kind):
        names = tuple(field.name for field in fields(kind))
        return lambda one, other: all(same(getattr(one, name), getattr(other, name)) for name in names)
    for base, compare in _COMPARERS.items():
        if issubclass(kind, base):
            return compare
    return lambda one, other: bool(one == other)


def _models(one: Any, other: Any) -> bool:
    mine, theirs = one.__dict__, other.__dict__
    for name in type(one).__pydantic_fields__:  # not all of __dict__: cached properties live there, too
        a = mine[name]
        b = theirs[name]
        kind = type(a)
        if type(b) is not kind or not (a == b if kind in _EQUAL else _COMPARE[kind](a, b)):
            return False
    extra = one.__pydantic_extra__
    if extra and not same(extra, other.__pydantic_extra__):
        return False
    private = one.__pydantic_private__
    return not private or same(private, other.__pydantic_private__)


def _floats(one: float, other: float) -> bool:
    return one == other and copysign(1, one) == copysign(1, other) if one == one else other != other  # noqa: PLR0124


def _sequences(one: Any, other: Any) -> bool:
    return len(one) == len(other) and all(map(same, one, other))


def _dicts(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    if len(one) != len(other):
        return False
    keys = {key: key for key in other}
    return all(key in keys and same(key, keys[key]) and same(value, other[key]) for key, value in one.items())


def _sets(one: Any, other: Any) -> bool:
    elements = {element: element for element in other}
    return len(one) == len(other) and all(it in elements and same(it, elements[it]) for it in one)


def _times(one: Any, other: Any) -> bool:
    return bool(
        one.replace(tzinfo=None) == other.replace(tzinfo=None)
        and one.fold == other.fold
        and _zones(one.tzinfo, other.tzinfo)
    )


def _zones(one: tzinfo | None, other: tzinfo | None) -> bool:
    return one is other or repr(_standard(one)) == repr(_standard(other))


def _standard(zone: tzinfo | None) -> tzinfo | None:
    """A fixed offset is one whoever made it: pydantic has a class of its own for those that it reads from text."""
    return timezone(zone.utcoffset(None) or timedelta(0)) if isinstance(zone, TzInfo) else zone


_COMPARERS: Final[dict[type, Callable[[Any, Any], bool]]] = {
    float: _floats,
    complex: lambda one, other: _floats(one.real, other.real) and _floats(one.imag, other.imag),
    Decimal: lambda one, other: one.as_tuple() == other.as_tuple(),
    range: lambda one, other: (one.start, one.stop, one.step) == (other.start, other.stop, other.step),
    TzInfo: _zones,
    timezone: _zones,
    datetime: _times,
    time: _times,
    list: _sequences,
    tuple: _sequences,
    deque: lambda one, other: one.maxlen == other.maxlen and _sequences(one, other),
    dict: _dicts,
    set: _sets,
    frozenset: _sets,
}


def _parts(item: Any) -> dict[str, Any]:
    """What an item is made of, by its place in it."""
    if isinstance(item, BaseModel):
        extra = item.__pydantic_extra__ or {}
        private = item.__pydantic_private__ or {}
        named = {name: item.__dict__[name] for name in type(item).__pydantic_fields__} | extra | private
    elif is_dataclass(item):
        named = {field.name: getattr(item, field.name) for field in fields(item)}
    elif isinstance(item, dict):
        return {f"[{key!r}]": value for key, value in item.items() if isinstance(key, str | int)}
    elif isinstance(item, list | tuple | deque):
        return {f"[{place}]": value for place, value in enumerate(item)}
    else:
        return {}
    return {f".{name}": value for name, value in named.items()}


def _a(item: Any) -> str:
    kind = type(item)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
