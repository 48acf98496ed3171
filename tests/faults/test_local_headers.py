"""The first bytes of a segment that still grows are damaged: nothing of it is lost, and puts go on behind it."""

import pytest

import pqueue


@pytest.fixture
def where(tmp_path):
    with pqueue.open(tmp_path / "q") as queue:
        queue.put_many(["a", "b"])
        queue.put("c")
    return tmp_path / "q"


def everything(queue):
    found = []
    for _ in range(100):
        try:
            found.append(queue.get(block=False))
        except pqueue.CorruptSegment:
            continue
        except pqueue.Empty:
            return found
    raise AssertionError(f"no end of it: {found}")


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
        found = everything(queue)
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


@pytest.mark.parametrize("place", ["header", "middle"])
@pytest.mark.parametrize("closes", ["a put", "a get"])
def test_a_producer_that_knew_the_end_before_the_damage_loses_nothing(tmp_path, place, closes):
    where = tmp_path / "q"
    with pqueue.open(where) as before, pqueue.open(where) as after:
        held = before.put("first") or before.receive()  # so that the closed segment stays
        for index in range(10):
            before.put(f"item {index}")
        (segment,) = (where / "seg").iterdir()
        data = bytearray(segment.read_bytes())
        data[data.index(b"item 3") if place == "middle" else 0] ^= 0xFF
        with segment.open("r+b") as file:
            file.write(data)
        found = []
        if closes == "a put":
            after.put("another's")
        else:
            found += everything(after)
        before.put("behind")
        found += everything(after)
        held.ack()
    lost = {"item 3"} if place == "middle" else set()
    wanted = [f"item {index}" for index in range(10) if f"item {index}" not in lost]
    assert found == [*wanted, *(["another's"] if closes == "a put" else []), "behind"]


def test_a_damaged_version_is_damage(where):
    damage(where, lambda data: data[:8] + b"\x03" + data[9:])
    with pqueue.open(where) as queue:
        queue.put("d")
        assert everything(queue) == ["a", "b", "c", "d"]
