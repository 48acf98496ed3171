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
| 11 | datetime | year, month, day, hour, minute, second, microsecond, fold, zone |
| 12 | date | year, month, day |
| 13 | time | hour, minute, second, microsecond, fold, zone |
| 14 | timedelta | days, seconds, microseconds |
| 15 | timezone | offset, and its name if it was given one |
| 16 | ZoneInfo | its key |
| 17 | UUID | its 16 bytes, `is_safe` |
| 18 | range | start, stop, step |

A zone is nil, or the offset in seconds of a timezone without a name, or a timezone or ZoneInfo by its code.
Everything else stands for itself, and what follows a code is written by the same rules. There is no callback from
ormsgpack into Python, neither here nor in the fast path: it would swallow whatever the callback raises, Ctrl-C too.
"""

from __future__ import annotations

import os
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from itertools import chain
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

from pqueue.advice import typed
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

MARKER: Final = b"\xc9"
"""What such a record starts with, and no other."""

_HEADER: Final = struct.Struct(">cIb")
_EXTENSION: Final = 1

END: Final = b"\xcf\xff" + os.urandom(7)
END_VALUE: Final = unpackb(END)
"""Put behind records to see whether they end there, which unpackb does not ask; no record holds it on purpose."""

_ATOMS: Final = frozenset((NoneType, bool, float, bytes, str, int))
_SURE: Final = _ATOMS - {str, int}
"""What packb never refuses: text may have surrogates, an int more than 64 bits."""
_SEQUENCES: Final[dict[type, int]] = {list: 0, tuple: 1, set: 2, frozenset: 3}
_DICT: Final = 4

_DECIMALS: Final = Context(capitals=1, traps=[InvalidOperation])


# -- to records -------------------------------------------------------------------------------------------------------


def dumps(item: Any) -> bytes:
    """The item's record, whatever it takes.

    Raises:
        SerializationError: it holds something that has no code, or goes too deep.
    """
    try:
        try:
            body = packb(_tree(item, 1, _ATOMS), None, OPTIONS)
        except TypeError:
            body = packb(_tree(item, 1, _SURE), None, OPTIONS)
    except (RuntimeError, TypeError) as error:  # a RuntimeError: recursion, or another thread changes the item
        raise _refused(item, str(error)) from error
    return _HEADER.pack(MARKER, len(body), _EXTENSION) + body


def _tree(item: Any, depth: int, atoms: frozenset[type]) -> Any:  # one function, since a level may cost one frame
    """What packb gets for an item; things of the types `atoms` stand for themselves, unseen."""
    kind = type(item)
    tree: Any
    if kind in atoms or (kind is str and _encodable(item)) or (kind is int and -(1 << 63) <= item < 1 << 64):
        return item
    if depth > MAX_DEPTH:
        raise _refused(item, f"nested deeper than {MAX_DEPTH} levels, or within itself")
    if kind is dict:
        tree = {}
        for key, value in item.items():
            if type(key) is not str or (str not in atoms and not _encodable(key)):
                break
            tree[key] = value if type(value) in atoms else _tree(value, depth + 1, atoms)
        else:
            return tree
        tree = [_DICT]
        parts: Any = chain.from_iterable(item.items())
    elif kind in _SEQUENCES:
        tree = [_SEQUENCES[kind]]
        parts = item
    elif kind in _LEAVES:
        leaf = _LEAVES[kind]
        tree = [leaf.code]
        parts = leaf.parts(item)
    else:
        raise _refused(item, "it has no place in MessagePack that gives back its type")
    for part in parts:
        tree.append(part if type(part) in atoms else _tree(part, depth + 1, atoms))
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
        first = typed(kind)
        advice = f"{first}; " if first else ""
        advice += "the serializer pickle would, if the type can be pickled"
    return SerializationError(f"msgpack can't keep this {name}: {why}; {advice}")


# -- and back ---------------------------------------------------------------------------------------------------------


def loads(record: bytes) -> Any:
    """The item of any record, also of one that is plain MessagePack.

    Raises:
        SerializationError: the record can't be read.
    """
    try:
        if not record.startswith(MARKER):
            return _whole(record)
        _, size, extension = _HEADER.unpack_from(record)
        if extension != _EXTENSION or size != len(record) - _HEADER.size:
            raise ValueError(f"an extension of type {extension} and {size} bytes")  # noqa: TRY301
        return _item(_whole(record[_HEADER.size :]))
    except Exception as error:
        raise SerializationError(f"msgpack can't read a record of {len(record)} bytes: {error!r}") from error


def _whole(record: bytes) -> Any:
    """The item of plain MessagePack; unpackb would ignore bytes behind its end."""
    item, end = unpackb(b"\x92" + record + END)
    if end != END_VALUE:
        raise ValueError("bytes behind the end")
    return item


def _item(tree: Any) -> Any:
    """What `_tree` was given."""
    kind = type(tree)
    if kind is dict:
        for key, value in tree.items():
            if type(value) not in _ATOMS:
                tree[key] = _item(value)
        return tree
    if kind is not list:
        return tree
    parts = []
    for part in tree[1:]:
        parts.append(part if type(part) in _ATOMS else _item(part))  # noqa: PERF401  # a comprehension is another frame
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


def _zone_slot(zone: tzinfo | None) -> Any:
    """The zone of a datetime or time: the commonest ones as a number, for a third of the time."""
    if type(zone) is timezone:
        offset, *name = _zone_parts(zone)
        if not name and not offset.microseconds:
            return offset.days * 86_400 + offset.seconds
    return zone


def _zone_of(slot: Any) -> Any:
    if type(slot) is int:
        return timezone(timedelta(seconds=slot)) if slot else UTC
    return slot


def _datetime_made(parts: list[Any]) -> datetime:
    year, month, day, hour, minute, second, microsecond, fold, zone = parts
    return datetime(year, month, day, hour, minute, second, microsecond, _zone_of(zone), fold=fold)


def _time_made(parts: list[Any]) -> time:
    hour, minute, second, microsecond, fold, zone = parts
    return time(hour, minute, second, microsecond, _zone_of(zone), fold=fold)


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
    int: _Leaf(
        5,
        lambda it: (it.to_bytes(it.bit_length() // 8 + 1, "big", signed=True),),
        _made([bytes], lambda it: int.from_bytes(it, "big", signed=True)),
    ),
    str: _Leaf(
        6,
        lambda it: (it.encode("utf-8", "surrogatepass"),),
        _made([bytes], lambda it: it.decode("utf-8", "surrogatepass")),
    ),
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
            _zone_slot(it.tzinfo),
        ),
        _datetime_made,
    ),
    date: _Leaf(12, lambda it: (it.year, it.month, it.day), _made([int] * 3, date)),
    time: _Leaf(
        13, lambda it: (it.hour, it.minute, it.second, it.microsecond, it.fold, _zone_slot(it.tzinfo)), _time_made
    ),
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
    **{leaf.code: leaf.make for leaf in _LEAVES.values()},
}
