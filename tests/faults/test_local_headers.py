"""The first bytes of a segment that still grows are damaged: nothing of it is lost, and puts go on behind it."""

import pytest

import pqueue


@pytest.fixture
def where(tmp_path):
    with pqueue.open(tmp_path / "q") as queue:
        queue.put_many(["a", "b"])
        queue.put("c")
    return tmp_path / "q"


def damage(where, change):
    (segment,) = (where / "seg").iterdir()
    segment.write_bytes(change(segment.read_bytes()))


CHANGES = {
    "its first byte": lambda data: b"\x00" + data[1:],
    "its name": lambda data: data[:20] + b"\xff\xff" + data[22:],
    "all of it": lambda data: bytes(60) + data[60:],
    "zeroes before it": lambda data: bytes(4) + data,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("first", ["get", "put"])
def test_damage_of_the_header_costs_no_item_that_checks_out(where, change, first):
    damage(where, change)
    with pqueue.open(where) as queue:
        if first == "put":
            queue.put("d")
        found = []
        while True:
            try:
                found.append(queue.get(block=False))
            except pqueue.CorruptSegment:
                continue
            except pqueue.Empty:
                break
        queue.put("e")
        assert len(queue) == 1
        assert queue.get() == "e"
    assert found[-1 - (first == "put") :][0] == "c"
    if change is not CHANGES["all of it"]:
        assert found == ["a", "b", "c", *(["d"] * (first == "put"))]


def test_a_segment_that_is_emptied_does_not_stop_puts(where):
    damage(where, lambda _: b"")
    with pqueue.open(where) as queue:
        queue.put("d")
        assert queue.get() == "d"
