"""What a serializer of Python's own types can keep, made of what it can't: an enum's value, a path's text."""

from __future__ import annotations

from collections import deque
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from types import NoneType
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic_core import TzInfo, to_jsonable_python

_KEPT: Final = frozenset(
    (
        NoneType,
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        bytearray,
        range,
        Decimal,
        Fraction,
        UUID,
        date,
        timedelta,
        timezone,
        ZoneInfo,
    )
)

_CONTAINERS: Final[tuple[tuple[type[Any], type[Any]], ...]] = (
    (list, list),
    (tuple, tuple),
    (set, set),
    (frozenset, frozenset),
    (deque, list),
)
"""What an instance of the first becomes."""


def plainer(value: Any) -> Any:
    """The value with all that is of no plain type replaced; what is plain stays as it is.

    Raises:
        PydanticSerializationError: it holds something that pydantic can't make plain either.
    """
    kind = type(value)
    if kind in _KEPT:
        return value
    if isinstance(value, Enum):
        return plainer(value.value)
    if kind is datetime or kind is time:
        return value.replace(tzinfo=_zone(value)) if type(value.tzinfo) is TzInfo else value
    if isinstance(value, dict):
        return {plainer(key): plainer(one) for key, one in value.items()}
    made: Any
    for base, made in _CONTAINERS:
        if isinstance(value, base):
            return made(map(plainer, value))
    return to_jsonable_python(value)


def _zone(value: datetime | time) -> timezone:
    """The standard library's fixed offset for pydantic's, which no serializer knows."""
    return timezone(value.utcoffset() or timedelta(0))
