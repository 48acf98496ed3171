"""Whatever an item is made of, it comes back the same in value and type, or is refused."""

from __future__ import annotations

import collections
import datetime as dt
import enum
import math
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pqueue.errors import SerializationError
from pqueue.testing.serializers import difference
from pqueue_msgpack import MsgpackSerializer
from pqueue_stdlib import JsonSerializer, MarshalSerializer, PickleSerializer, ZlibCodec

MSGPACK = MsgpackSerializer()
JSON = JsonSerializer()
MARSHAL = MarshalSerializer()
PICKLE = PickleSerializer()

few = settings(max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(few, max_examples=300)

text = st.text(st.characters(categories=None), max_size=40)  # surrogates too
utf8 = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
integers = st.integers() | st.sampled_from([2**n + d for n in (7, 8, 31, 32, 63, 64, 70) for d in (-1, 0, 1)]).flatmap(
    lambda n: st.sampled_from([n, -n])
)
floats = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([-0.0, math.nan, -math.nan])
plain = st.none() | st.booleans() | integers | floats | utf8 | st.binary(max_size=300)
zones = (
    st.none()
    | st.just(dt.UTC)
    | st.builds(dt.timezone, st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)))
    | st.builds(dt.timezone, st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)), text)
    | st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Etc/GMT+12"]).map(ZoneInfo)
)
folds = st.integers(0, 1)
datetimes = st.builds(lambda moment, fold, zone: moment.replace(fold=fold, tzinfo=zone), st.datetimes(), folds, zones)
times = st.builds(lambda moment, fold, zone: moment.replace(fold=fold, tzinfo=zone), st.times(), folds, zones)
ranges = st.builds(range, integers, integers, integers.filter(bool))
builtin = plain | text | st.complex_numbers(allow_nan=True)
rich = (
    builtin
    | st.decimals()
    | st.sampled_from(["-0", "sNaN", "-NaN77", "1E+1000", "0E-1000", "-Infinity"]).map(Decimal)
    | st.fractions()
    | datetimes
    | times
    | st.dates()
    | st.timedeltas()
    | zones
    | st.uuids()
    | ranges
)


def nested(leaves, *, hashable_leaves, max_leaves=20):
    """Leaves in lists, tuples, sets, frozensets and dicts with any hashable key."""
    keys = st.recursive(
        hashable_leaves,
        lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
        max_leaves=4,
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.lists(inner, max_size=5).map(tuple)
            | st.sets(keys, max_size=4)
            | st.frozensets(keys, max_size=4)
            | st.dictionaries(utf8, inner, max_size=5)
            | st.dictionaries(keys, inner, max_size=4)
        ),
        max_leaves=max_leaves,
    )


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Dict(dict):
    pass


class List(list):
    pass


class Size(enum.IntEnum):
    BIG = 1


class Word(enum.StrEnum):
    YES = "yes"


Point = collections.namedtuple("Point", "x y")  # noqa: PYI024

hashable = rich.filter(lambda it: not (type(it) is Decimal and it.is_snan()))
strange = (
    utf8.map(Text)
    | integers.map(Number)
    | st.sampled_from([Size.BIG, Word.YES, ..., Fraction, object])
    | st.builds(Point, integers, utf8)
)
strange_containers = (
    st.dictionaries(utf8, plain, max_size=3).map(Dict)
    | st.dictionaries(utf8, plain, max_size=3).map(collections.OrderedDict)
    | st.lists(plain, max_size=3).map(List)
    | st.binary(max_size=300).map(bytearray)
    | st.binary(max_size=300).map(memoryview)
)
rich_items = nested(rich | st.binary(max_size=300).map(bytearray), hashable_leaves=hashable)
builtin_items = nested(builtin | st.just(...), hashable_leaves=builtin)
any_items = nested(rich | strange | strange_containers, hashable_leaves=hashable | strange)
json_items = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | utf8,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(utf8, inner, max_size=5),
    max_leaves=20,
)


def keeps(serializer, item):
    record = serializer.dumps(item)
    assert type(record) is bytes
    assert not difference(item, serializer.loads(record))


def keeps_or_refuses(serializer, item):
    try:
        record = serializer.dumps(item)
    except SerializationError:
        return
    assert not difference(item, serializer.loads(record))


@many
@given(rich_items)
def test_msgpack_keeps_all_it_promises(item):
    keeps(MSGPACK, item)


@many
@given(builtin_items)
def test_marshal_keeps_all_it_promises(item):
    keeps(MARSHAL, item)


@many
@given(json_items)
def test_json_keeps_all_it_promises(item):
    keeps(JSON, item)
    keeps(MSGPACK, item)
    keeps(MARSHAL, item)


@few
@given(rich_items)
def test_pickle_keeps_builtin_types(item):
    keeps(PICKLE, item)


@pytest.mark.parametrize("serializer", [MSGPACK, JSON, MARSHAL], ids=lambda it: it.name)
def test_nothing_is_changed_in_silence(serializer):
    @many
    @given(any_items)
    def run(item):
        keeps_or_refuses(serializer, item)

    run()


@few
@given(st.lists(rich_items | plain, max_size=8), st.randoms(use_true_random=False), st.booleans())
def test_msgpack_reads_many_as_one_by_one(items, chance, damage):
    records = [MSGPACK.dumps(item) for item in items]
    if records and damage:
        at = chance.randrange(len(records))
        records[at] = changed(records[at], chance)
    try:
        expected = [MSGPACK.loads(record) for record in records]
    except SerializationError:
        with pytest.raises(SerializationError):
            MSGPACK.loads_many(records)
    else:
        assert not difference(expected, list(MSGPACK.loads_many(records)))


def changed(record, chance):
    """The record with bytes replaced, put in, left out or put behind."""
    at = chance.randrange(len(record) + 1)
    other = bytes(chance.choice((0, 1, 0x90, 0x91, 0xC0, 0xC4, 0xC9, 0xFB, 0xFF)) for _ in range(chance.randrange(3)))
    return record[:at] + other + record[at + chance.randrange(3) :]


@pytest.mark.parametrize("serializer", [MSGPACK, JSON], ids=lambda it: it.name)
def test_a_damaged_record_does_no_more_than_raise(serializer):
    @many
    @given(rich_items if serializer is MSGPACK else json_items, st.randoms(use_true_random=False))
    def run(item, chance):
        record = serializer.dumps(item)
        for _ in range(3):
            record = changed(record, chance)
            loads_or_raises(serializer, record)

    run()


@many
@given(st.binary(max_size=60))
def test_a_made_up_record_does_no_more_than_raise(record):
    loads_or_raises(JSON, record)
    loads_or_raises(MSGPACK, record)
    loads_or_raises(MSGPACK, b"\xc9%b\x01%b" % (len(record).to_bytes(4, "big"), record))


def loads_or_raises(serializer, record):
    """What it does give must be an item like any other: it can be put again."""
    try:
        item = serializer.loads(record)
    except SerializationError:
        return
    keeps_or_refuses(serializer, item)


@few
@given(st.binary(max_size=2_000), st.randoms(use_true_random=False))
def test_zlib_gives_back_the_bytes_or_raises(data, chance):
    codec = ZlibCodec(chance.randrange(1, 10))
    encoded = codec.encode(data, b"")
    assert codec.decode(encoded, b"") == data
    damaged = changed(encoded, chance)
    with suppress(ValueError):
        assert codec.decode(damaged, b"") == data
