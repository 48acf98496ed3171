"""Items that ormsgpack alone would change or refuse, as one MessagePack extension each.

The record is an extension of type 1, always with the 32-bit length (`c9 LENGTH 01`), and its body is MessagePack
without any extension, in which every array starts with a code that says what it stands for:

| code | type | what follows the code |
| --- | --- | --- |
| 0, 1, 2, 3 | list, tuple, set, frozenset | the elements |
| 4 | dict of which a key is not plain text | key, value, key, value … |
| 5 | int beyond 64 bits | its bytes, two's complement, big-endian |
| 6 | str with surrogates | its bytes, UTF-8 with surrogates let pass |
| 7 | bytearray | its bytes |
| 8 | complex | real, imaginary |
| 9 | Decimal | its text |
| 10 | Fraction | numerator, denominator |
| 11 | datetime | year, month, day, hour, minute, second, microsecond, fold, zone or nil |
| 12 | date | year, month, day |
| 13 | time | hour, minute, second, microsecond, fold, zone or nil |
| 14 | timedelta | days, seconds, microseconds |
| 15 | timezone | offset, and its name if it was given one |
| 16 | ZoneInfo | its key |
| 17 | UUID | its 16 bytes, `is_safe` |
| 18 | range | start, stop, step |

Everything else stands for itself, and what follows a code is written by the same rules. There is no callback from
ormsgpack into Python, neither here nor in the fast path: it would swallow whatever the callback raises, Ctrl-C too.
"""

from __future__ import annotations

import os
import struct
from datetime import date, datetime, time, timedelta, timezone
from decimal import Context, Decimal
from fractions import Fraction
from types import EllipsisType, NoneType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from ormsgpack import (
    OPT_PASSTHROUGH_BIG_INT,
    OPT_PASSTHROUGH_DATACLASS,
    OPT_PASSTHROUGH_DATETIME,
    OPT_PASSTHROUGH_ENUM,
    OPT_PASSTHROUGH_SUBCLASS,
    OPT_PASSTHROUGH_TUPLE,
    OPT_PASSTHROUGH_UUID,
    packb,
    unpackb,
)

from pqueue.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OPTIONS: Final = (
    OPT_PASSTHROUGH_BIG_INT
    | OPT_PASSTHROUGH_DATACLASS
    | OPT_PASSTHROUGH_DATETIME
    | OPT_PASSTHROUGH_ENUM
    | OPT_PASSTHROUGH_SUBCLASS
    | OPT_PASSTHROUGH_TUPLE
    | OPT_PASSTHROUGH_UUID
)
"""With these, and without OPT_NON_STR_KEYS, packb refuses what it would otherwise turn into something similar."""

MAX_DEPTH: Final = 255
"""Levels of nesting that packb goes down; unpackb goes down 1023."""

_HEADER: Final = struct.Struct(">BIb")
_MARKER: Final = 0xC9
_EXTENSION: Final = 1

_END: Final = b"\xcf\xff" + os.urandom(7)
_END_VALUE: Final = unpackb(_END)

_ITSELF: Final = frozenset((NoneType, bool, float, bytes))
_SEQUENCES: Final[dict[type, int]] = {list: 0, tuple: 1, set: 2, frozenset: 3}
_DICT, _INT, _SURROGATES = 4, 5, 6

_DECIMALS: Final = Context(capitals=1)


# -- to records -------------------------------------------------------------------------------------------------------


def dumps(item: Any) -> bytes:
    """The item's record, whatever it takes.

    Raises:
        SerializationError: it holds something that has no code, or goes too deep.
    """
    try:
        body = packb(_tree(item, 1), None, OPTIONS)
    except SerializationError:
        raise
    except (RuntimeError, TypeError) as error:  # a RuntimeError: recursion, or another thread changes the item
        raise _refused(item, str(error)) from error
    return _HEADER.pack(_MARKER, len(body), _EXTENSION) + body


def _tree(item: Any, depth: int) -> Any:  # noqa: C901, PLR0911, PLR0912  # each level may cost one frame of the stack
    """What packb gets for an item."""
    kind = type(item)
    if kind in _ITSELF:
        return item
    if kind is str:
        return item if _encodable(item) else [_SURROGATES, item.encode("utf-8", "surrogatepass")]
    if kind is int:
        if -(1 << 63) <= item < 1 << 64:
            return item
        return [_INT, item.to_bytes(item.bit_length() // 8 + 1, "big", signed=True)]
    if depth > MAX_DEPTH:
        raise _refused(item, f"nested deeper than {MAX_DEPTH} levels, or within itself")
    tree: Any
    if kind is dict:
        if all(type(key) is str and _encodable(key) for key in item):
            tree = {}
            for key, value in item.items():
                tree[key] = _tree(value, depth + 1)
            return tree
        tree = [_DICT]
        for key, value in item.items():
            tree.append(_tree(key, depth + 1))
            tree.append(_tree(value, depth + 1))
        return tree
    code = _SEQUENCES.get(kind)
    if code is not None:
        tree = [code]
        parts = item
    else:
        leaf = _LEAVES.get(kind)
        if leaf is None:
            raise _refused(item, "it has no place in MessagePack that gives back its type")
        tree = [leaf.code]
        parts = leaf.parts(item)
    for part in parts:
        tree.append(_tree(part, depth + 1))
    return tree


def _encodable(text: str) -> bool:
    """Whether UTF-8 can hold it."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(item: Any, why: str) -> SerializationError:
    """The error for an item, or for a part of one, that can't be kept."""
    kind = type(item)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if kind is memoryview:
        advice = "put bytes(view): msgpack, raw, pickle and marshal keep bytes"
    elif kind is EllipsisType:
        advice = "the serializers marshal and pickle would"
    else:
        advice = "the serializer pickle would, if the type can be pickled"
    return SerializationError(f"msgpack can't keep this {name}: {why}; {advice}")


# -- and back ---------------------------------------------------------------------------------------------------------


def loads(record: bytes) -> Any:
    """The item of any record, also of one that is plain MessagePack.

    Raises:
        SerializationError: the record can't be read.
    """
    try:
        if record[0] != _MARKER:
            return _whole(record)
        _, size, extension = _HEADER.unpack_from(record)
        if extension != _EXTENSION or size != len(record) - _HEADER.size:
            raise ValueError(f"an extension of type {extension} and {size} bytes")  # noqa: TRY301
        return _item(_whole(record[_HEADER.size :]))
    except Exception as error:
        raise SerializationError(f"msgpack can't read a record of {len(record)} bytes: {error!r}") from error


def _whole(record: bytes) -> Any:
    """The item of plain MessagePack; unpackb would ignore bytes behind its end."""
    item, end = unpackb(b"\x92" + record + _END)
    if end != _END_VALUE:
        raise ValueError("bytes behind the end")
    return item


def _item(tree: Any) -> Any:
    """What `_tree` was given."""
    kind = type(tree)
    if kind is dict:
        for key, value in tree.items():
            tree[key] = _item(value)
        return tree
    if kind is not list:
        return tree
    parts = []
    for part in tree[1:]:
        parts.append(_item(part))  # noqa: PERF401  # a comprehension is another frame
    return _MAKERS[tree[0]](parts)


def _unique(make: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    """A maker of sets that takes no element twice."""

    def made(parts: list[Any]) -> Any:
        result = make(parts)
        if len(result) != len(parts):
            raise ValueError("an element twice")
        return result

    return made


def _pairs(parts: list[Any]) -> dict[Any, Any]:
    result = dict(zip(parts[::2], parts[1::2], strict=True))
    if 2 * len(result) != len(parts):
        raise ValueError("a key twice")
    return result


def _made(types: Sequence[type], make: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    """A maker that takes only parts of these types: `bytearray(1 << 40)` is a terabyte."""
    expected = list(types)

    def made(parts: list[Any]) -> Any:
        if [type(part) for part in parts] != expected:
            raise ValueError(f"{make} of {parts}")
        return make(*parts)

    return made


# -- the types --------------------------------------------------------------------------------------------------------


class _Leaf(NamedTuple):
    """How a type is taken apart and put together again."""

    code: int
    parts: Callable[[Any], Sequence[Any]]
    make: Callable[[list[Any]], Any]


def _zone_key(zone: ZoneInfo) -> tuple[str]:
    try:
        if zone.key is not None and ZoneInfo(zone.key) is zone:
            return (zone.key,)
    except (OSError, ValueError, KeyError) as error:
        raise _refused(zone, f"no zone of this key can be found: {error!r}") from error
    raise _refused(zone, "not the one that ZoneInfo(key) gives")


def _zone_parts(zone: timezone) -> tuple[Any, ...]:
    # Its own way of being pickled: nothing else tells a given name from a made-up one.
    return tuple(zone.__getinitargs__())  # type: ignore[attr-defined]


def _zone_made(parts: list[Any]) -> timezone:
    if [type(part) for part in parts] not in ([timedelta], [timedelta, str]):
        raise ValueError(f"timezone of {parts}")
    return timezone(*parts)


def _moment(make: Callable[..., Any], numbers: int) -> Callable[[list[Any]], Any]:
    """A maker of datetimes or times: so many numbers, fold, zone."""

    def made(parts: list[Any]) -> Any:
        *fields, fold, zone = parts
        if [type(field) for field in (*fields, fold)] != [int] * (numbers + 1):
            raise ValueError(f"{make} of {parts}")
        return make(*fields, zone, fold=fold)

    return made


def _uuid_parts(uuid: UUID) -> tuple[Any, ...]:
    if type(uuid.int) is not int or type(uuid.is_safe) is not SafeUUID:
        raise _refused(uuid, "its number or its is_safe is of another type")
    return uuid.bytes, uuid.is_safe.value


def _uuid_made(parts: list[Any]) -> UUID:
    number, safe = parts
    if type(number) is not bytes:
        raise ValueError(f"UUID of {parts}")
    return UUID(bytes=number, is_safe=SafeUUID(safe))


_LEAVES: Final[dict[type, _Leaf]] = {
    bytearray: _Leaf(7, lambda it: (bytes(it),), _made([bytes], bytearray)),
    complex: _Leaf(8, lambda it: (it.real, it.imag), _made([float, float], complex)),
    Decimal: _Leaf(9, lambda it: (_DECIMALS.to_sci_string(it),), _made([str], lambda it: Decimal(it, _DECIMALS))),
    Fraction: _Leaf(10, lambda it: (it.numerator, it.denominator), _made([int, int], Fraction)),
    datetime: _Leaf(
        11,
        lambda it: (
            it.year,
            it.month,
            it.day,
            it.hour,
            it.minute,
            it.second,
            it.microsecond,
            it.fold,
            it.tzinfo,
        ),
        _moment(datetime, 7),
    ),
    date: _Leaf(12, lambda it: (it.year, it.month, it.day), _made([int] * 3, date)),
    time: _Leaf(13, lambda it: (it.hour, it.minute, it.second, it.microsecond, it.fold, it.tzinfo), _moment(time, 4)),
    timedelta: _Leaf(14, lambda it: (it.days, it.seconds, it.microseconds), _made([int] * 3, timedelta)),
    timezone: _Leaf(15, _zone_parts, _zone_made),
    ZoneInfo: _Leaf(16, _zone_key, _made([str], ZoneInfo)),
    UUID: _Leaf(17, _uuid_parts, _uuid_made),
    range: _Leaf(18, lambda it: (it.start, it.stop, it.step), _made([int] * 3, range)),
}

_MAKERS: Final[dict[int, Callable[[list[Any]], Any]]] = {
    0: lambda parts: parts,
    1: tuple,
    2: _unique(set),
    3: _unique(frozenset),
    _DICT: _pairs,
    _INT: _made([bytes], lambda it: int.from_bytes(it, "big", signed=True)),
    _SURROGATES: _made([bytes], lambda it: it.decode("utf-8", "surrogatepass")),
    **{leaf.code: leaf.make for leaf in _LEAVES.values()},
}
