"""docs/format.md shows bytes: they are what the code writes, and what it reads."""

import re
from pathlib import Path

from pqueue.frames import End, Shape
from pqueue.head import Head, Range, Rest
from pqueue.names import Name
from pqueue.transitions import claimed
from tests.support.heads import given_back

TEXT = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
HEX = re.compile(r"^(?:header|frame|seal)?\s*((?:[0-9a-f]{2} ?)+)$")


def example(block: int) -> str:
    return re.findall(r"```\n(.*?)```", TEXT, re.DOTALL)[block]


def test_the_segment_of_the_example_is_written_and_read_byte_for_byte():
    parts: list[bytes] = []
    for line in example(0).splitlines():
        data = bytes.fromhex(HEX.match(line)[1])
        if line[0] == " ":
            parts[-1] += data
        else:
            parts.append(data)
    header, one, two, seal = parts
    name = Name.parse(re.search(r"`(seg/[-0-9a-f]+)`", TEXT)[1])
    shape = Shape(name)
    assert header == shape.header
    assert one == shape.frame([b"\xa5hello"], 0)
    assert two == shape.frame([b"\x01", b"\x02\x03"], 1)
    assert seal == shape.seal(3)
    found = shape.decode(one + two + seal, len(header), 0)
    assert [record for frame in found.frames for record in shape.records(frame)] == [b"\xa5hello", b"\x01", b"\x02\x03"]
    assert found.end is End.SEALED
    assert found.count == 3


def test_the_head_of_the_example_is_written_and_read_byte_for_byte():
    binary, text = example(1).splitlines()
    data = bytes.fromhex(binary) + text.encode()
    head = Head(0, 0, Rest("0011223344556677", boot="b"))
    head = claimed(head, Range(0, 0, 2), "c1", "", 30000)
    head, _ = given_back(head, "c1", Range(0, 1, 2))
    assert head.dump() == data
    assert Head.parse(data) == head
