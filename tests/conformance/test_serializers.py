"""The serializers that come with the project keep the contract."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import enum
import math
import sys
import threading
import types
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar
from zoneinfo import ZoneInfo

import ormsgpack
import pydantic
import pytest

from pqueue.errors import SerializationError
from pqueue.testing.serializers import SerializerTests, difference
from pqueue_msgpack import MsgpackSerializer
from pqueue_msgpack import serializer as fast
from pqueue_stdlib import JsonSerializer, MarshalSerializer, PickleSerializer, RawSerializer, ZlibCodec
from pqueue_zstd import ZstdCodec


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


class Bytes(bytes):
    pass


class Buffer(bytearray):
    pass


class Dict(dict):
    pass


class List(list):
    pass


class Tuple(tuple):
    __slots__ = ()


class Set(set):
    pass


class Moment(dt.datetime):
    pass


class Colour(enum.Enum):
    RED = 1


class Size(enum.IntEnum):
    BIG = 1


class Word(enum.StrEnum):
    YES = "yes"


class Flags(enum.IntFlag):
    ON = 1


class Zone(dt.tzinfo):
    def utcoffset(self, moment):
        return dt.timedelta(0)


Point = collections.namedtuple("Point", "x y")  # noqa: PYI024


@dataclasses.dataclass(frozen=True)
class Record:
    a: int = 1


class Model(pydantic.BaseModel, frozen=True):
    a: int = 1


ANYWHERE = [
    None,
    True,
    False,
    0,
    1,
    -1,
    127,
    128,
    255,
    256,
    -32,
    -33,
    196,
    2**31,
    2**32,
    2**63 - 1,
    0.0,
    -0.0,
    1.0,
    5e-324,
    1.7976931348623157e308,
    "",
    "x" * 31,
    "x" * 32,
    "x" * 100,
    "x" * 255,
    "x" * 256,
    "x" * 70_000,
    "ä",
    "ÄĄş" * 20,
    "\x00\U0001f600",
    [],
    [1, True, 1.0, "1", None],
    {},
    {"b": 1, "a": {"": [{}]}},
    {"z": 1, "y": 2, "x": 3},
    [[[]], {}, [{}]],
    {"Ą": "Ą", "n": 196, "x": [196.5, "Å"]},
    list(range(300)),
]
BUILTIN = [
    2**63,
    -(2**63),
    2**64 - 1,
    2**64,
    -(2**63) - 1,
    -(2**64),
    10**5000,
    math.inf,
    -math.inf,
    math.nan,
    -math.nan,
    1j,
    complex(-0.0, math.nan),
    "\ud800",
    "\ud83d\ude00",
    b"",
    b"\x00\xff" * 200,
    b"x" * 70_000,
    (),
    (1,),
    (1, (2, [3, (4,)])),
    {1, 2.5, "a"},
    frozenset({(), frozenset()}),
    {1: 1, "1": 1},
    {True: 1},
    {1.5: 1, None: 2, b"k": 3, (1, "a"): {2: {3}}},
    {"\udfff": "\udfff", 2**70: 2**70},
    {frozenset({1}): [(), set()]},
    {"b": b"1", "l": [b"2", {"c": b"3"}]},
]
RICH = [
    bytearray(),
    bytearray(b"abc"),
    {"a": [bytearray(b"abc")]},
    {"a": bytearray(b"x" * 300)},
    [bytearray(b"x" * 70_000)],
    Decimal(1),
    Decimal("-0E+3"),
    Decimal("1E-1000"),
    Decimal("sNaN123"),
    Decimal("-NaN"),
    Decimal("-Infinity"),
    Decimal("3." + "1" * 5000),
    Fraction(-1, 3),
    Fraction(2**100, 3),
    dt.date(1, 1, 1),
    dt.time(1, 2, 3, 4, fold=1),
    dt.time(tzinfo=dt.UTC),
    dt.timedelta(-999999999, 1, 2),
    dt.datetime.min,  # noqa: DTZ901
    dt.datetime(2024, 2, 29, 1, 2, 3, 4, fold=1),  # noqa: DTZ001
    dt.datetime(2024, 2, 29, tzinfo=dt.UTC),
    dt.datetime(2024, 2, 29, tzinfo=dt.timezone(dt.timedelta(seconds=-1, microseconds=7))),
    dt.datetime(2024, 2, 29, tzinfo=dt.timezone(dt.timedelta(0), "UTC")),
    dt.datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    dt.timezone(dt.timedelta(hours=1), "\ud800"),
    dt.UTC,
    ZoneInfo("UTC"),
    uuid.UUID(int=1),
    uuid.UUID(int=2, is_safe=uuid.SafeUUID.unsafe),
    uuid.UUID(int=2, is_safe=uuid.SafeUUID.safe),
    range(0, 10, 3),
    range(2**70),
    {dt.date(2024, 1, 1): 1, uuid.UUID(int=1): 2, Decimal(1): 3},
    {"at": dt.datetime(2024, 1, 1), "tags": ("a", "b"), "n": 1},  # noqa: DTZ001
]
OTHERS = [
    Text("a"),
    Number(1),
    Real(1.5),
    Bytes(b"a"),
    Buffer(b"a"),
    Dict(a=1),
    List([1]),
    Tuple([1]),
    Set([1]),
    Moment(2024, 1, 1),
    Colour.RED,
    Size.BIG,
    Word.YES,
    Flags.ON,
    Point(1, 2),
    Record(),
    Model(),
    collections.OrderedDict(a=1),
    collections.defaultdict(int, a=1),
    collections.Counter("a"),
    collections.deque([1]),
    types.SimpleNamespace(a=1),
    array.array("i", [1]),
    object(),
    int,
    len,
    lambda: None,
]
VIEWS = [memoryview(b"abc"), memoryview(b"x" * 300)]


class TestMsgpack(SerializerTests):
    accepts: ClassVar = ANYWHERE + BUILTIN + RICH
    refuses: ClassVar = [
        *OTHERS,
        *VIEWS,
        ...,
        slice(1),
    ]

    @pytest.fixture
    def serializer(self):
        return MsgpackSerializer()

    @pytest.mark.parametrize(
        ("item", "culprit"),
        [
            (ZoneInfo.no_cache("Europe/Berlin"), "ZoneInfo"),
            (dt.datetime(2024, 1, 1, tzinfo=Zone()), "Zone"),
            (dt.time(tzinfo=Zone()), "Zone"),
            (dt.timezone(dt.timedelta(0), Text("a")), "Text"),
            (uuid.UUID(int=Number(3)), "UUID"),
            (uuid.UUID(int=3, is_safe=7), "UUID"),
        ],
    )
    def test_refuses_what_only_its_parts_tell(self, serializer, item, culprit):
        for outer in (item, [item], {item: 1}):
            with pytest.raises(SerializationError, match=rf"{culprit}: .* pickle "):
                serializer.dumps(outer)

    @pytest.mark.parametrize("make", [lambda: ormsgpack.Ext(1, b"a"), lambda: ormsgpack.Fragment(b"\x01")])
    @pytest.mark.parametrize("outer", [lambda it: it, lambda it: [it], lambda it: {"a": {"b": [1, it]}}])
    def test_refuses_what_ormsgpack_would_obey(self, serializer, make, outer):
        with pytest.raises(SerializationError, match=r"Ext|Fragment"):
            serializer.dumps(outer(make()))

    def test_keeps_the_fast_path_for_plain_items(self, serializer, monkeypatch):
        """Neither the walk nor Python's own encoder is needed for them."""
        monkeypatch.setattr(fast, "_plain", None)
        monkeypatch.setattr(fast, "exact", None)
        for item in ("x" * 100, b"x" * 100, 5, None, {"id": 1, "name": "n", "ok": True}, ["x" * 100] * 9):
            assert serializer.dumps(item) == ormsgpack.packb(item)

    @pytest.mark.parametrize(
        "record",
        [
            b"",
            b"\xc1",
            b"\x81\x01\x01",  # a key that is no text
            b"\xd4\x01a",  # an extension, but not in our form
            b"\xc9\x00\x00\x00\x01\x02\x01",  # of another type
            b"\xc9\x00\x00\x00\x02\x01\x01",  # shorter than it says
            b"\xdd\xff\xff\xff\xff",
            b"\xdd\xff\xff\xff\xff" + b"\x01" * 100,  # killed the process before ormsgpack 1.13.1
            b"\xdf\xff\xff\xff\xff\xa1a\x01",
            b"\xc6\xff\xff\xff\xff",
            b"\x91" * 5_000,
            b"\x81\xa1a" * 5_000,
            *(
                b"\xc9%b\x01%b" % (len(body).to_bytes(4, "big"), body)
                for body in (
                    b"",
                    b"\x90",  # no code
                    b"\x91\x7f",  # an unknown one
                    b"\x91\xc0",
                    b"\x92\x07\xcf\x00\x00\x00\xff\xff\xff\xff\xff",  # bytearray(1 << 40)
                    b"\x92\x09\xa1x",  # Decimal("x")
                    b"\x92\x0f\x01",  # timezone(1)
                    b"\x92\x10\xa9/etc/hosts",  # ZoneInfo of a path
                    b"\x92\x10\xa9../passwd",
                    b"\x93\x0a\x01\x00",  # Fraction(1, 0)
                    b"\x93\x02\x01\x01",  # a set with an element twice
                    b"\x92\x02\x91\x00",  # a set of a list
                    b"\x92\x04\x01",  # a key without its value
                    b"\x95\x04\x01\x01\x01\x02",  # a key twice
                    b"\x94\x0c\x00\x00\x00",  # date(0, 0, 0)
                    b"\x93\x00\x01\x01\x01",  # bytes behind the end
                    b"\x92\x00" * 1_000 + b"\x01",  # deeper than anything written
                    b"\xd4\x01a",
                )
            ),
        ],
    )
    def test_refuses_hostile_records(self, serializer, record):
        with pytest.raises(SerializationError):
            serializer.loads(record)

    @pytest.mark.parametrize("wrap", [lambda it: [it], lambda it: (it,), lambda it: {"a": it}, lambda it: {1: it}])
    def test_goes_255_levels_deep(self, serializer, wrap):
        item = wrap(1)
        for _ in range(254):
            item = wrap(item)
        back = serializer.loads(serializer.dumps(item))
        assert list(serializer.loads_many([serializer.dumps(item)] * 2)) == [item, item] == [back, back]
        with pytest.raises(SerializationError, match="255"):
            serializer.dumps(wrap(item))

    @pytest.mark.parametrize("value", [0, 1, 3, 100, 127])
    def test_a_batch_is_not_read_across_records(self, serializer, monkeypatch, value):
        """Records that are wrong one by one may not make up for each other.

        Whoever writes them doesn't know the mark: with 2, drawn by one process of 128, the first two here would be 1 and 2.
        """
        mark = bytes([value])
        monkeypatch.setattr(fast, "_SEPARATOR_VALUE", value)
        monkeypatch.setattr(fast, "_SEPARATOR", mark)
        for records in (
            [b"\x01\x02", b""],
            [b"\x92", b"\x01", b"\x02"],
            [b"\xc9\x00", b"\x01"],
            [b"\x01" + mark + b"\x02", b"\x03"],
            [b"\x01" + mark + b"\x02", b"\x03", b""],
            [b"\x01", b"\x02" + mark + b"\x03"],
        ):
            with pytest.raises(SerializationError):
                serializer.loads_many(records)

    def test_ext_and_fragment_are_counted(self):
        """The premise of the fast path: an instance shows in its type's reference count."""
        before = fast._references()
        for make in (lambda: ormsgpack.Ext(1, b"a"), lambda: ormsgpack.Fragment(b"\x01")):
            held = make()
            assert fast._references() == before + 1
            del held
            assert fast._references() == before


class TestJson(SerializerTests):
    accepts: ClassVar = [*ANYWHERE, 2**64, -(10**100), 2**63]
    refuses: ClassVar = [
        *OTHERS,
        *VIEWS,
        *RICH,
        math.nan,
        math.inf,
        10**5000,
        "\ud800",
        "\ud83d\ude00",
        1j,
        b"",
        (),
        set(),
        frozenset(),
        ...,
        {1: 1},
        {None: 1},
        {True: 1},
        {1.5: 1},
        {"\ud800": 1},
    ]

    @pytest.fixture
    def serializer(self):
        return JsonSerializer()

    @pytest.mark.parametrize(
        "record",
        [b"", b"NaN", b"[Infinity]", b"1 2", b"[1", b"\xff", b"\xef\xbb\xbf1", b'"a', b"[" * 100_000, b"9" * 10_000],
    )
    def test_refuses_hostile_records(self, serializer, record):
        with pytest.raises(SerializationError):
            serializer.loads(record)


class TestMarshal(SerializerTests):
    accepts: ClassVar = [*ANYWHERE, *BUILTIN, ..., [..., {...: (...,)}]]
    refuses: ClassVar = [*OTHERS, *VIEWS, *RICH, slice(1), (lambda: None).__code__, StopIteration]

    @pytest.fixture
    def serializer(self):
        return MarshalSerializer()


class TestPickle(SerializerTests):
    accepts: ClassVar = [
        *ANYWHERE,
        *BUILTIN,
        *RICH,
        *(
            item
            for item in OTHERS
            if type(item) not in (object, types.FunctionType, collections.deque, types.SimpleNamespace)
        ),
        ...,
    ]
    refuses: ClassVar = [*VIEWS, lambda: None, threading.Lock(), sys, (each for each in ())]

    @pytest.fixture
    def serializer(self):
        return PickleSerializer()

    def test_whatever_an_item_raises_is_translated(self, serializer):
        with pytest.raises(SerializationError, match="Bomb") as caught:
            serializer.dumps(Bomb(ZeroDivisionError))
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        with pytest.raises(KeyboardInterrupt):
            serializer.dumps(Bomb(KeyboardInterrupt))

    def test_whatever_a_record_raises_is_translated(self, serializer):
        for record in (b"cnowhere\nnothing\n.", b"cbuiltins\nexec\n(S'1/0'\ntR.", b"cmath\nsqrt\n(I-1\ntR."):
            with pytest.raises(SerializationError):
                serializer.loads(record)


class Bomb:
    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        raise self.error


class TestRaw(SerializerTests):
    accepts: ClassVar = [b"", b"abc", bytes(range(256))]
    refuses: ClassVar = [*OTHERS, *VIEWS, *RICH, "text", 1, None, [], {}, bytearray(b"a")]

    @pytest.fixture
    def serializer(self):
        return RawSerializer()

    def test_copies_nothing(self, serializer):
        item = b"x" * 1000
        assert serializer.dumps(item) is item
        assert serializer.loads(item) is item


@pytest.mark.parametrize("data", [b"", b"a", b"abc" * 10_000, bytes(range(256))])
@pytest.mark.parametrize(
    ("codec", "level"), [*((ZlibCodec, n) for n in (1, 6, 9)), *((ZstdCodec, n) for n in (1, 3, 22))]
)
def test_codecs_give_back_the_bytes(data, codec, level):
    encoded = codec(level).encode(data, b"here")
    assert type(encoded) is bytes
    assert codec().decode(encoded, b"here") == data


def test_zlib_refuses_other_bytes():
    encoded = ZlibCodec().encode(b"abc" * 100, b"")
    damaged = bytes([*encoded[:-1], encoded[-1] ^ 1])
    for data in (b"", b"abc", encoded[:-1], encoded + b"x", encoded + encoded, damaged):
        with pytest.raises(ValueError, match="zlib"):
            ZlibCodec().decode(data, b"")


def test_zstd_refuses_other_bytes():
    encoded = ZstdCodec().encode(b"abc" * 100, b"")
    huge = encoded[:4] + b"\xe0" + (1 << 40).to_bytes(8, "little") + encoded[6:]
    for data in (b"", b"abc", encoded[:-1], encoded + b"x", encoded + encoded, huge):
        with pytest.raises(ValueError, match="zstd"):
            ZstdCodec().decode(data, b"")
    with pytest.raises(ValueError, match="level"):
        ZstdCodec(0)


@pytest.mark.parametrize("level", [0, 10, -1])
def test_zlib_refuses_other_levels(level):
    with pytest.raises(ValueError, match="level"):
        ZlibCodec(level)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (0.0, -0.0),
        (math.nan, -math.nan),
        ([1], [1.0]),
        ((1,), [1]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: 1}, {True: 1}),
        ({1}, {1.0}),
        ([1], [1, 2]),
        (Decimal("1.0"), Decimal("1.00")),
        (dt.time(1), dt.time(1, fold=1)),
        (dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)),  # noqa: DTZ001
        (dt.UTC, dt.timezone(dt.timedelta(0), "x")),
        (range(0, 3, 2), range(0, 4, 2)),
        (uuid.UUID(int=1), uuid.UUID(int=1, is_safe=uuid.SafeUUID.safe)),
        (complex(0.0, 1), complex(-0.0, 1)),
        (Text("a"), "a"),
    ],
)
def test_the_suite_sees_what_equality_does_not(one, other):
    assert difference(one, other)
    assert difference([{"a": one}], [{"a": other}])
    assert not difference(one, one)
