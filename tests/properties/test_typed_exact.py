"""Whatever a typed item holds, it comes back the same in value and type, or is refused."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pqueue.errors import SerializationError
from pqueue.same import difference as told
from pqueue.same import same
from pqueue.testing.serializers import difference
from pqueue.typed import ItemType
from tests.properties.test_serializers_exact import (
    JSON,
    MSGPACK,
    PICKLE,
    any_items,
    datetimes,
    few,
    floats,
    integers,
    json_items,
    many,
    utf8,
)


class Anything(BaseModel):
    content: Any


class Some(BaseModel):
    number: int | float | str
    moment: dt.datetime | None = None
    money: Decimal | None = None
    pairs: list[tuple[str, float]] = []
    words: dict[str, set[int]] = {}


somes = st.builds(
    Some,
    number=integers | floats | utf8,
    moment=st.none() | datetimes,
    money=st.none() | st.decimals(allow_nan=False, allow_infinity=False),
    pairs=st.lists(st.tuples(utf8, floats), max_size=3),
    words=st.dictionaries(utf8, st.sets(integers, max_size=3), max_size=3),
)


@pytest.mark.parametrize("serializer", [MSGPACK, JSON, PICKLE], ids=lambda it: it.name)
@given(any_items)
@few
def test_anything_comes_back_or_is_refused(serializer, item):
    typed = ItemType(Anything).over(serializer)
    with suppress(SerializationError):
        assert not difference(item, typed.loads(typed.dumps(Anything(content=item))).content)


@pytest.mark.parametrize("serializer", [MSGPACK, JSON], ids=lambda it: it.name)
@given(json_items)
@few
def test_what_json_takes_is_taken_within_a_model(serializer, item):
    typed = ItemType(Anything).over(serializer)
    assert not difference(item, typed.loads(typed.dumps(Anything(content=item))).content)


@given(somes)
@many
def test_msgpack_takes_every_model_of_plain_types(item):
    typed = ItemType(Some).over(MSGPACK)
    assert not difference(dict(item), dict(typed.loads(typed.dumps(item))))


@given(any_items, any_items)
@many
def test_sameness_is_what_the_suite_says_it_is(one, other):
    assert same(one, one)
    if same(one, other):
        assert not difference(one, other)
    else:
        assert told(one, other)
