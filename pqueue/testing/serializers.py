"""The conformance suite for serializers: subclass `SerializerTests`, override its fixture, list items.

class TestMine(SerializerTests):
accepts = ["text", 1, {"a": [1.5]}]
refuses = [(1, 2), object()]

@pytest.fixture
def serializer(self):
return MySerializer()
"""

from __future__ import annotations

import random
import reprlib
import struct
import threading
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import datetime, time, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from pqueue.abc import Serializer
from pqueue.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

KNOWN = ("json", "marshal", "msgpack", "pickle", "raw")
"""The serializers that come with the project."""


class SerializerTests:
    """What every serializer keeps."""

    accepts: ClassVar[Sequence[Any]] = ()
    """Items that it takes; some of each type, and the edges."""
    refuses: ClassVar[Sequence[Any]] = ()
    """Items that it must not take, since it would give back something else."""

    @pytest.fixture
    def serializer(self) -> Serializer:
        """The serializer under test."""
        raise NotImplementedError("override this fixture")

    def test_says_who_it_is(self, serializer: Serializer) -> None:
        """Its class has a name for the queue's meta, and says whether it is safe."""
        assert isinstance(serializer, Serializer)
        assert isinstance(type(serializer).name, str)
        assert type(serializer).name
        assert isinstance(type(serializer).safe, bool)

    def test_gives_back_value_and_type(self, serializer: Serializer) -> None:
        """A record is bytes, and its item is what went in."""
        for item in self.accepts:
            record = serializer.dumps(item)
            assert type(record) is bytes, _became(item, record)
            assert not difference(item, serializer.loads(record))

    def test_gives_back_value_and_type_from_within(self, serializer: Serializer) -> None:
        """The same within a list and within a dict, as far as it takes those."""
        for item in self.accepts:
            for outer in ([item, item], {"a": item, "b": 1}):
                with suppress(SerializationError):
                    assert not difference(outer, serializer.loads(serializer.dumps(outer)))

    def test_refuses_what_it_would_change(self, serializer: Serializer) -> None:
        """The error names the type, or one within, and another serializer."""
        others = [name for name in KNOWN if name != serializer.name]
        for item in self.refuses:
            with pytest.raises(SerializationError) as caught:
                pytest.fail(_became(item, serializer.dumps(item)))
            message = str(caught.value)
            assert any(kind.__name__ in message for kind in _types(item)), f"no type of {_shown(item)} in: {message}"
            assert any(name in message for name in others), f"no other serializer in: {message}"

    def test_refuses_from_within(self, serializer: Serializer) -> None:
        """What it refuses, it refuses within a list and a dict, as a key and as a value, or gives those back unchanged."""
        for item in self.refuses:
            outers = [[item], [[1, [item]]], {"a": item}, {"a": [{"b": item}]}, (item,)]
            with suppress(TypeError):
                outers += [{item: 1}, {item}, {"a": {item: 1}}]
            for outer in outers:
                try:
                    record = serializer.dumps(outer)
                except SerializationError:
                    continue
                found = difference(outer, serializer.loads(record))
                assert not found, found

    def test_survives_depth(self, serializer: Serializer) -> None:
        """However deep an item goes, and be it endless: it is kept, or refused with a plain error."""
        for depth in (10, 200, 254, 255, 256, 1_000, 5_000, 100_000):
            for wrap in (lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: (inner,)):
                item: Any = 1
                for _ in range(depth):
                    item = wrap(item)
                with suppress(SerializationError):
                    back = serializer.loads(serializer.dumps(item))
                    assert type(back) is type(item)
        endless: list[Any] = []
        endless += [endless, endless]
        with suppress(SerializationError):
            serializer.loads(serializer.dumps(endless))
        circle: dict[str, Any] = {}
        circle["a"] = [circle]
        with suppress(SerializationError):
            serializer.loads(serializer.dumps(circle))

    def test_reads_many_as_one_by_one(self, serializer: Serializer) -> None:
        """`loads_many` gives what `loads` gives, in order."""
        records = [serializer.dumps(item) for item in self.accepts]
        assert list(serializer.loads_many([])) == []
        chance = random.Random(1)
        for _ in range(20):
            assert not difference([serializer.loads(it) for it in records], list(serializer.loads_many(records)))
            chance.shuffle(records)
        for record in records:
            many = list(serializer.loads_many([record] * 50))
            assert not difference([serializer.loads(record)] * 50, many)

    def test_reads_many_only_if_each_can_be_read(self, serializer: Serializer) -> None:
        """One that can't be read makes `loads_many` raise, whatever stands beside it."""
        records = [serializer.dumps(item) for item in self.accepts]
        for bad in _unreadable(serializer, records):
            for at in (0, len(records) // 2, len(records)):
                with pytest.raises(SerializationError):
                    serializer.loads_many([*records[:at], bad, *records[at:]])

    def test_reads_only_whole_records(self, serializer: Serializer) -> None:
        """Bytes behind a record's end are never ignored."""
        for item in self.accepts:
            record = serializer.dumps(item)
            for more in (b"\x00", b"\x01", b"x", b".", b"\xc0", b"\xff", b"junk", record or b"y"):
                with suppress(SerializationError):
                    assert difference(item, serializer.loads(record + more)), f"{more!r} behind {record!r} was ignored"

    def test_survives_damage(self, serializer: Serializer) -> None:
        """A damaged or made-up record gives an item or a SerializationError, soon."""
        _soon(lambda: self._damage(serializer))

    def _damage(self, serializer: Serializer) -> None:
        chance = random.Random(2)
        for item in self.accepts:
            record = serializer.dumps(item)
            ends = range(len(record)) if len(record) <= 64 else sorted(chance.sample(range(len(record)), 64))
            for end in ends:
                _try(serializer, record[:end])
            if serializer.safe:  # one that is not may do anything
                for _ in range(64):
                    _try(serializer, _flipped(record, chance))
        if serializer.safe:
            for _ in range(2_000):
                _try(serializer, chance.randbytes(chance.randrange(40)))
            for first in range(256):
                for rest in (b"", b"\xff" * 4, b"\xff" * 40, b"\x7f\xff\xff\xff" + b"\x00" * 40):
                    _try(serializer, bytes([first]) + rest)
                _try(serializer, bytes([first]) * 2_000)

    def test_serves_threads(self, serializer: Serializer) -> None:
        """Any number of threads may use one object."""
        wrong: list[str] = []

        def work() -> None:
            for _ in range(30):
                for item in self.accepts:
                    found = difference(item, serializer.loads(serializer.dumps(item)))
                    if found:
                        wrong.append(found)
                for item in self.refuses:
                    with suppress(SerializationError):
                        wrong.append(_became(item, serializer.dumps(item)))

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001  # reported by the test
                wrong.append(repr(error))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def difference(one: Any, other: Any, at: str = "item") -> str:
    """Where and how two items are not the same, down to types, order and signs; "" if they are.

    Stricter than `==`: True is not 1, -0.0 not 0.0, one NaN the other only bit for bit, a fold counts.
    """
    if type(one) is not type(other):
        return f"{at}: {type(one).__name__} {_became(one, other)}, a {type(other).__name__}"
    if isinstance(one, list | tuple):
        pairs = [(f"{at}[{n}]", a, b) for n, (a, b) in enumerate(zip(one, other, strict=False))]
        same = len(one) == len(other)
    elif isinstance(one, Mapping):
        pairs = []
        for (key, value), (key2, value2) in zip(one.items(), other.items(), strict=False):
            pairs += [(f"{at}: key {_shown(key)}", key, key2), (f"{at}[{_shown(key)}]", value, value2)]
        same = len(one) == len(other)
    elif isinstance(one, AbstractSet):
        pairs = []
        same = len(one) == len(other) and not _unmatched(one, other)
    else:
        pairs = []
        same = _essence(one) == _essence(other)
    if not same:
        return f"{at}: {_became(one, other)}"
    return next(filter(None, (difference(a, b, where) for where, a, b in pairs)), "")


def _unmatched(one: AbstractSet[Any], other: AbstractSet[Any]) -> list[Any]:
    """The elements of one that are not in the other, which `==` would overlook."""
    left = list(other)
    missing = []
    for element in one:
        for n, candidate in enumerate(left):
            if not difference(element, candidate):
                del left[n]
                break
        else:
            missing.append(element)
    return missing


def _essence(item: Any) -> Any:
    """What tells an item from any other of its type."""
    for kind, parts in _ESSENCES.items():
        if isinstance(item, kind):
            return parts(item)
    return item


_ESSENCES: dict[type, Callable[[Any], Any]] = {
    float: lambda it: struct.pack(">d", it),
    complex: lambda it: struct.pack(">dd", it.real, it.imag),
    Decimal: lambda it: it.as_tuple(),
    datetime: lambda it: (it.replace(tzinfo=None), it.fold, type(it.tzinfo), _essence(it.tzinfo)),
    time: lambda it: (it.replace(tzinfo=None), it.fold, type(it.tzinfo), _essence(it.tzinfo)),
    timezone: repr,
    ZoneInfo: lambda it: it.key,
    UUID: lambda it: (it.int, it.is_safe),
    range: lambda it: (it.start, it.stop, it.step),
}


def _types(item: Any) -> Iterator[type]:
    """The types of an item and of what it holds, for items that do not hold themselves."""
    yield type(item)
    if isinstance(item, Mapping):
        for key, value in item.items():
            yield from _types(key)
            yield from _types(value)
    elif isinstance(item, list | tuple | AbstractSet):
        for each in item:
            yield from _types(each)
    elif isinstance(item, datetime | time):
        yield type(item.tzinfo)


def _shown(item: Any) -> str:
    """Its repr, if it has one."""
    try:
        return reprlib.repr(item)
    except Exception as error:  # noqa: BLE001  # an int may have too many digits
        return f"<{type(item).__name__}: {error}>"


def _became(one: Any, other: Any) -> str:
    return f"{_shown(one)} became {_shown(other)}"


def _unreadable(serializer: Serializer, records: Sequence[bytes]) -> Iterator[bytes]:
    """Some records that `loads` refuses: cut short, or with more behind."""
    for record in records:
        for bad in (record[:-1], record[: len(record) // 2], b"", record + record, record + b"\xfb\xfb"):
            try:
                serializer.loads(bad)
            except SerializationError:
                yield bad


def _flipped(record: bytes, chance: random.Random) -> bytes:
    """The record with some of its bits turned."""
    data = bytearray(record)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def _try(serializer: Serializer, record: bytes) -> None:
    try:
        serializer.loads(record)
    except SerializationError:
        pass
    except Exception as error:
        raise AssertionError(f"loads({record!r}) raised {error!r}") from error


def _soon(call: Callable[[], None], seconds: float = 120) -> None:
    """Run it, but do not wait for ever."""
    outcome: list[BaseException | None] = []

    def run() -> None:
        try:
            call()
            outcome.append(None)
        except BaseException as error:  # noqa: BLE001  # raised below
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert outcome, f"it still runs after {seconds} seconds"
    if outcome[0] is not None:
        raise outcome[0]
