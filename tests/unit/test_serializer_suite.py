"""The suite for serializers passes what keeps its promise, and fails what does not."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from pqueue.abc import Serializer
from pqueue.errors import SerializationError
from pqueue.testing.serializers import SerializerTests


class Tables(Serializer):
    """Takes tables of numbers, and no number."""

    name: ClassVar[str] = "tables"
    safe: ClassVar[bool] = True

    def dumps(self, item: Any) -> bytes:
        if type(item) is not dict or any(type(key) is not str or type(item[key]) is not int for key in item):
            raise SerializationError(f"a {type(item).__name__} is no table of numbers; json takes more")
        return json.dumps(item).encode()

    def loads(self, record: bytes) -> Any:
        try:
            return json.loads(record)
        except ValueError as error:
            raise SerializationError(str(error)) from error


class Careless(Tables):
    """Takes lists and tables of tuples, too, and gives back lists."""

    def dumps(self, item: Any) -> bytes:
        return json.dumps(item).encode() if type(item) in (list, dict) else super().dumps(item)


class Refusing(SerializerTests):
    refuses: ClassVar = [1, (1, 2)]


def test_what_is_refused_alone_may_be_taken_within():
    Refusing().test_refuses_what_it_would_change(Tables())
    Refusing().test_refuses_from_within(Tables())


def test_what_is_changed_within_is_found():
    with pytest.raises(AssertionError, match="item"):
        Refusing().test_refuses_from_within(Careless())
