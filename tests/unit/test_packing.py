"""Parts of a stream: all records, in order, within their bounds, and of a frame that holds the same bytes as any other."""

import itertools
import random
import tracemalloc

import pytest

from pqueue.errors import SerializationError
from pqueue.frames import Records, Shape
from pqueue.names import Name
from pqueue.packing import parted

SHAPE = Shape(Name(7, "00" * 8, "00000000000a" + "ab" * 6, 0, 0))


def of_sizes(sizes):
    return [bytes([number % 251]) * size for number, size in enumerate(sizes)]


@pytest.mark.parametrize("seed", range(60))
def test_parts_are_as_large_as_they_may_be_and_no_larger(seed):
    rng = random.Random(seed)
    most, size = rng.randint(1, 50), rng.randint(1, 5000)
    records = of_sizes(rng.choice([0, 1, 7, 100, 100, 100, 900, 6000]) for _ in range(rng.randint(0, 300)))
    expected, part = [], []
    for record in records:
        if part and (len(part) == most or sum(map(len, part)) + len(record) > size):
            expected.append(part)
            part = []
        part.append(record)
    assert [list(part) for part in parted(records, most, size)] == expected + [part] * bool(part)


@pytest.mark.parametrize("count", [1, 2, 16, 17, 100])
def test_a_part_has_the_frame_that_its_records_have(count):
    records = of_sizes(range(count))
    (part,) = parted(records, 1000, 1 << 20)
    assert SHAPE.frame(part, 5) == SHAPE.frame(records, 5)
    if count > 1:
        cut = part[1 : count - 1]
        assert isinstance(cut, Records)
        assert cut.size == sum(map(len, records[1:-1]))
        assert SHAPE.frame(cut, 5) == SHAPE.frame(records[1:-1], 5)


@pytest.mark.parametrize("at", [0, 1, 2, 16, 17, 40, 63, 64, 65])
def test_what_came_before_an_error_is_given_out_first(at):
    records = of_sizes(range(70))

    def broken():
        yield from records[:at]
        raise LookupError("no more")

    seen = []
    with pytest.raises(LookupError, match="no more"):
        seen.extend(record for part in parted(broken(), 32, 1 << 20) for record in part)
    assert seen == records[:at]


@pytest.mark.parametrize("at", [0, 1, 16, 40])
@pytest.mark.parametrize("other", ["text", bytearray(b"array"), None])
def test_what_is_not_bytes_is_refused_and_what_came_before_it_given_out(at, other):
    records = of_sizes(range(70))
    records[at] = other
    seen = []
    with pytest.raises(SerializationError, match=f"made {type(other).__name__} of an item: `dumps` is to return bytes"):
        seen.extend(record for part in parted(records, 32, 1 << 20) for record in part)
    assert seen == records[:at]


def test_nobody_takes_more_from_whoever_goes_on_with_the_rest():
    coming = iter(range(1000))

    def dumps(number):
        if number == 77:
            raise SerializationError("seventy-seven")
        return b"x" * 100

    with pytest.raises(SerializationError, match="seventy-seven"):
        list(parted(map(dumps, coming), 1000, 1 << 20))
    assert next(coming) == 78


def test_of_large_records_few_are_in_memory():
    taken = itertools.count()

    def large():
        while True:
            next(taken)
            yield bytes(1 << 20)

    tracemalloc.start()
    try:
        part = next(parted(large(), 1000, 8 << 20))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(part) == 8
    assert next(taken) == 9
    assert peak < 20 << 20


def test_what_has_ended_is_not_asked_again():
    class Again:
        """Goes on after its end, which no iterator should."""

        def __init__(self):
            self.rest = [b"a", b"b", None, b"c"]

        def __iter__(self):
            return self

        def __next__(self):
            record = self.rest.pop(0)
            if record is None:
                raise StopIteration
            return record

    (part,) = parted(Again(), 1000, 1 << 20)
    assert list(part) == [b"a", b"b"]
