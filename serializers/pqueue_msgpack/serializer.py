"""The fast path: what ormsgpack keeps by itself, and the proof that it did."""

from __future__ import annotations

import secrets
from sys import getrefcount
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ormsgpack import Ext, Fragment, packb, unpackb

from pqueue.abc import Serializer
from pqueue_msgpack import exact

if TYPE_CHECKING:
    from collections.abc import Sequence

_OPTIONS: Final = exact.OPTIONS
_ATOMS: Final = frozenset((NoneType, bool, int, float, str, bytes))

_BIN8: Final = 0xC4
_BIN16: Final = 0xC5
_BIN32: Final = 0xC6
_BIN16_FROM: Final = 256
_FIXSTR: Final = 31

_LARGE: Final = 1000
"""Bytes of a record for which a call of its own costs less than to copy it together with others."""

# Drawn by each process, so that no record holds it on purpose and moves its neighbours.
_SEPARATOR_VALUE: Final = secrets.randbelow(128)
_SEPARATOR: Final = bytes([_SEPARATOR_VALUE])


class MsgpackSerializer(Serializer):
    """MessagePack. What comes out equals what went in, in value and in type, at every level, or `dumps` refuses it.

    Takes None, bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict with any of these
    as its keys and in its order, range, Decimal, Fraction, UUID, date, time, timedelta, datetime, and of time zones
    timezone and ZoneInfo (by key: whoever loads it must have that zone). Of just these types: a subclass is refused,
    so are enums, named tuples, dataclasses, models and numpy's numbers. 255 levels deep. What one item holds twice
    comes out as two equal things.

    What plain MessagePack holds (None, bool, int of 64 bits, float, str, bytes, list, dict of str) costs little more
    than ormsgpack alone; the rest goes through Python, some microseconds.
    """

    name: ClassVar[str] = "msgpack"
    safe: ClassVar[bool] = True

    def dumps(self, item: Any) -> bytes:
        """The item's record.

        Raises:
            SerializationError: it holds something that is none of the types above, or goes too deep.
        """
        try:
            record = packb(item, None, _OPTIONS)
        except TypeError:
            return exact.dumps(item)
        # ormsgpack passes bytearray and memoryview off as bytes, which no option prevents: they show as a marker. And
        # it obeys its own Ext and Fragment, which show nowhere. A look at the types of all values instead would cost
        # as much again as packing a small dict.
        kind = type(item)
        if (
            kind is str
            or kind is bytes
            or kind is int
            or (
                _BIN8 not in record
                and (len(record) < _BIN16_FROM or (_BIN16 not in record and _BIN32 not in record))
                and getrefcount(Ext) + getrefcount(Fragment) == _REFERENCES
            )
        ):
            return record
        try:
            return record if _plain(item) else exact.dumps(item)
        except RuntimeError:  # recursion, or another thread changes the item
            return exact.dumps(item)

    def loads(self, record: bytes) -> Any:
        """The item of a record.

        Raises:
            SerializationError: the record can't be read.
        """
        try:
            item = unpackb(record)
            if type(item) is str:
                size = len(item)
                if size + (2 if size > _FIXSTR else 1) == len(record):  # ASCII, and nothing behind it
                    return item
            Fragment(record)  # refuses bytes behind the end, which unpackb ignores
        except ValueError:
            return exact.loads(record)
        return item

    def loads_many(self, records: Sequence[bytes]) -> Sequence[Any]:
        """The items of many records, read as one array with a mark behind each.

        Raises:
            SerializationError: one of them can't be read.
        """
        count = len(records)
        if count < 2:  # noqa: PLR2004  # nothing to read at once
            return [self.loads(record) for record in records]
        joined = getattr(records, "joined", None)
        if joined is not None:
            # What was put at once, by one producer: whatever it may have made of the seams is its own.
            try:
                items: list[Any] = unpackb(b"".join((b"\xdd", (count + 1).to_bytes(4, "big"), joined, exact.END)))
            except ValueError:
                items = []
            if len(items) == count + 1 and items.pop() == exact.END_VALUE:
                return items
        elif len(records[0]) >= _LARGE:
            return self._one_by_one(records)
        try:
            both: list[Any] = unpackb(
                b"\xdd%b%b%b" % ((2 * count).to_bytes(4, "big"), _SEPARATOR.join(records), exact.END)
            )
        except ValueError:
            both = []
        if both and both[-1] == exact.END_VALUE and both[1::2].count(_SEPARATOR_VALUE) == count - 1:
            return both[::2]
        return self._one_by_one(records)

    def _one_by_one(self, records: Sequence[bytes]) -> list[Any]:
        return [exact.loads(record) if record.startswith(exact.MARKER) else self.loads(record) for record in records]


def _plain(item: Any) -> bool:
    """Whether an item that packb took holds nothing but what comes back as it is."""
    kind = type(item)
    if kind is dict:
        item = item.values()
    elif kind is not list:
        return kind in _ATOMS
    for value in item:  # noqa: SIM110  # a generator doubles the time
        if type(value) not in _ATOMS and not _plain(value):
            return False
    return True


def _references() -> int:
    return getrefcount(Ext) + getrefcount(Fragment)


# Every instance holds its type. As long as these two have no more references than now, no item can contain one.
_REFERENCES: Final = _references()
