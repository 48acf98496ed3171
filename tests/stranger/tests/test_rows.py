from typing import ClassVar

import pytest
from pqueue_stranger.rows import CsvSerializer

from pqueue.abc import Serializer
from pqueue.testing.serializers import SerializerTests


class TestCsv(SerializerTests):
    accepts: ClassVar = [
        [],
        [""],
        ["", ""],
        ["a", "b c", "ä€😀"],
        ['"', '""', "a,b", "line\nend", "\r", "\r\n", "\n", "\x00", " a ", "'"],
        ["x" * 100_000],
    ]
    refuses: ClassVar = [
        None,
        1,
        ("a",),
        {"a": "b"},
        ["a", 1],
        [["a"]],
        ["\ud800"],
        ["x" * 200_000],
        type("L", (list,), {})(),
    ]

    @pytest.fixture
    def serializer(self) -> Serializer:
        return CsvSerializer()
