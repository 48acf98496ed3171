"""Frames: what is written comes out, what is not whole does not, and nothing of another segment ever does."""

import random
from zlib import crc32

import pytest

from pqueue import frames
from pqueue.errors import CorruptSegment, NewerFormat
from pqueue.frames import FRAME, End, Shape
from pqueue.names import Name

NAME = Name(7, "00" * 8, "00000000000a" + "ab" * 6, 0, 0)
SHAPE = Shape(NAME)


class Reverse:
    name = "reverse"

    def encode(self, data, place):
        return place[-2:] + data[::-1]

    def decode(self, data, place):
        if data[:2] != place[-2:]:
            raise ValueError("another place")
        return data[2:][::-1]


def records(found, shape=SHAPE):
    return [record for frame in found.frames for record in shape.records(frame)]


@pytest.mark.parametrize("batch", [[b""], [b"a"], [b"a", b""], [b"x" * n for n in range(300)]])
def test_a_commit_comes_out_as_it_went_in(batch):
    assert records(SHAPE.decode(SHAPE.frame(batch, 0), 46, 0)) == batch


def test_a_time_rides_along():
    found = SHAPE.decode(SHAPE.frame([b"a", b"b"], 0, at_ms=1234), 46, 0)
    assert records(found) == [b"a", b"b"]
    assert SHAPE.opened(found.frames[0])[1] == 1234


def test_codecs_are_undone_in_reverse_and_bound_to_their_place():
    shape = Shape(NAME, [Reverse(), Reverse()])
    found = shape.decode(shape.frame([b"abc", b"d"], 5), 46, 5)
    assert records(found, shape) == [b"abc", b"d"]
    moved = found.frames[0]._replace(first=77 << 16)
    with pytest.raises(CorruptSegment, match="another place"):
        shape.records(moved)


def test_a_single_put_of_100_bytes_costs_at_most_a_fifth_more():
    assert len(SHAPE.frame([b"x" * 102], 0)) <= 1.2 * 102


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_torn_bytes_end_what_is_read(cut):
    whole = SHAPE.frame([b"first"], 0)
    torn = SHAPE.frame([b"second" * 10], 1)[:cut]
    found = SHAPE.decode(whole + torn, 46, 0)
    assert records(found) == [b"first"]
    assert found.at == 46 + len(whole)
    assert found.end is End.TORN


def test_any_flipped_bit_is_found():
    data = SHAPE.frame([b"some", b"records"], 3)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        found = SHAPE.decode(bytes(flipped), 46, 3)
        assert not found.frames
        assert found.end is End.TORN


def test_the_checksum_is_zlibs():
    """It is another library's, since that is ten times as fast; what the standard one reads is what we write."""
    chance = random.Random(7)
    data = chance.randbytes(1 << 17)
    view = memoryview(data)
    for size in (*range(600), 4095, 65_536, (1 << 17) - 16):
        start, seed = chance.randrange(16), chance.getrandbits(32)
        assert frames.crc32(view[start : start + size], seed) == crc32(data[start : start + size], seed)


def test_zero_bytes_are_no_frame():
    assert SHAPE.decode(bytes(4096), 46, 0).end is End.TORN


def test_a_frame_of_another_segment_or_place_does_not_check_out():
    other = Shape(NAME._replace(number=1))
    assert not SHAPE.decode(other.frame([b"a"], 0), 46, 0).frames
    assert not SHAPE.decode(SHAPE.frame([b"a"], 1), 46, 0).frames


def test_nothing_is_read_behind_a_seal():
    data = SHAPE.frame([b"a"], 0) + SHAPE.seal(1) + SHAPE.frame([b"b"], 1)
    found = SHAPE.decode(data, 46, 0)
    assert records(found) == [b"a"]
    assert found.end is End.SEALED


def test_behind_damage_the_next_frame_is_found_by_itself():
    chance = random.Random(5)
    frames = [SHAPE.frame([bytes([n]) * 40], n) for n in range(5)]
    damaged = bytearray(b"".join(frames))
    start, stop = len(frames[0]), 2 * len(frames[0])
    damaged[start:stop] = chance.randbytes(stop - start)
    found = SHAPE.decode(bytes(damaged), 0, 0)
    assert found.count == 1
    assert SHAPE.search(bytes(damaged[found.at + 1 :]), 1) == (stop - found.at - 1, 2)


def test_what_is_behind_damage_counts():
    frames = [SHAPE.frame([bytes([n]) * 40], n) for n in range(5)]
    size = len(frames[0])
    torn = bytes(size) + frames[1] + bytes(size) + frames[3][:-1]
    assert SHAPE.beyond(torn, 0) == 2
    assert SHAPE.beyond(torn + frames[3] + SHAPE.seal(6), 0) == 6
    assert SHAPE.beyond(bytes(500), 3) == 3


def test_headers_of_another_queue_or_a_newer_format_are_told_apart():
    SHAPE.check_header(SHAPE.header + b"more")
    with pytest.raises(CorruptSegment):
        SHAPE.check_header(Shape(NAME._replace(queue="11" * 8)).header)
    with pytest.raises(CorruptSegment):
        SHAPE.check_header(b"")
    newer = bytearray(SHAPE.header)
    newer[8] = 9
    with pytest.raises(CorruptSegment):
        SHAPE.check_header(bytes(newer))  # one byte damaged
    newer[-4:] = crc32(newer[:-4], SHAPE.seed).to_bytes(4, "little")
    with pytest.raises(NewerFormat):
        SHAPE.check_header(bytes(newer))


def test_a_header_tells_how_much_its_frame_wants():
    data = SHAPE.frame([b"x" * 1000], 4)
    assert SHAPE.wants(data[:FRAME], 4) == len(data)
    assert SHAPE.wants(data[: FRAME - 1], 4) == FRAME
    assert SHAPE.wants(data, 5) == 0


def test_records_are_a_sequence_that_knows_how_they_join():
    items = [b"a", b"", b"ccc", b"dd"]
    found = SHAPE.decode(SHAPE.frame(items, 0), 0, 0)
    records = SHAPE.records(found.frames[0])
    assert list(records) == items
    for start in range(5):
        for stop in range(5):
            part = records[start:stop]
            assert list(part) == items[start:stop]
            assert [part[index] for index in range(len(part))] == items[start:stop]
            assert part.joined == b"".join(items[start:stop])
            assert [*part[::-2]] == items[start:stop][::-2]
            assert list(part[1:]) == items[start:stop][1:]
    assert (records[-1], records[-4]) == (b"dd", b"a")
    for index in (4, -5):
        with pytest.raises(IndexError):
            records[index]


def test_the_parts_of_a_frame_know_its_places_from_each_other():
    shape = Shape(NAME)
    whole = shape.records(shape.decode(shape.frame([b"a", b"bc", b"d"], 0), 0, 0).frames[0])
    first, second = whole[:1], whole[1:]
    assert list(first) == [b"a"]
    assert second._ends is first._ends
    assert len(second._ends) == 4
    assert list(second) == [b"bc", b"d"]


def test_frames_of_a_record_each_are_one_run_up_to_one_of_another_kind():
    """As they are: joined, what one producer made of its own record could be taken for another's."""
    batches = [[b"a"], [b""], [b"bc", b"d"], [b"e"]]
    data = b"".join(SHAPE.frame(batch, first) for batch, first in zip(batches, (0, 1, 2, 4), strict=True))
    found = SHAPE.decode(data + SHAPE.frame([b"f"], 5, at_ms=9) + SHAPE.frame([b"g"], 6), 46, 0)
    assert [(frame.first, frame.count, list(SHAPE.records(frame))) for frame in found.frames] == [
        (0, 2, [b"a", b""]),
        (2, 2, [b"bc", b"d"]),
        (4, 1, [b"e"]),
        (5, 1, [b"f"]),
        (6, 1, [b"g"]),
    ]
    assert not hasattr(SHAPE.records(found.frames[0]), "joined")
    assert [SHAPE.opened(frame)[1] for frame in found.frames] == [None, None, None, 9, None]


@pytest.mark.parametrize("ending", [b"", SHAPE.seal(3), SHAPE.frame([b"d"], 3)[:-1]])
def test_a_run_ends_with_the_last_whole_frame(ending):
    data = b"".join(SHAPE.frame([record], first) for first, record in enumerate([b"a", b"b", b"c"]))
    found = SHAPE.decode(data + ending, 46, 0)
    assert (records(found), found.count, len(found.frames)) == ([b"a", b"b", b"c"], 3, 1)
    assert found.at == 46 + len(data) + (len(ending) if found.end is End.SEALED else 0)


SINGLE = [SHAPE.frame([b"%d" % first * (1 + first % 3)], first) for first in range(20)]


@pytest.mark.parametrize("item", [1, 7, 19, 1 << 40])
def test_a_leap_goes_to_the_frame_that_holds_an_item_or_to_the_last_whole_one(item):
    data = b"".join(SINGLE)
    at, first = SHAPE.leap(data + SHAPE.frame([b"torn"], 20)[:-1], 0, item)
    assert first == min(item, 19)
    assert at == len(b"".join(SINGLE[:first]))
    assert records(SHAPE.decode(data[at:], at, first))[0] == b"%d" % first * (1 + first % 3)


def test_a_leap_ends_at_a_frame_of_many_that_holds_the_item():
    data = SHAPE.frame([b"a"], 0) + SHAPE.frame([b"b", b"c", b"d"], 1) + SHAPE.frame([b"e"], 4)
    assert SHAPE.leap(data, 0, 3) == (len(SHAPE.frame([b"a"], 0)), 1)
    assert SHAPE.leap(data, 0, 4)[1] == 4
    assert SHAPE.leap(data, 0, 0) == (0, 0)


def test_a_leap_passes_over_what_is_damaged_and_not_wanted_but_never_to_it():
    """Where it lands is proved by what stands there, not by the way that led there."""
    start = len(b"".join(SINGLE[:9]))
    broken = bytearray(b"".join(SINGLE))
    broken[start + FRAME] ^= 1  # what item 9 holds
    assert SHAPE.leap(bytes(broken), 0, 15)[1] == 15
    assert SHAPE.leap(bytes(broken), 0, 9) == (0, 0)
    broken[start + 4] ^= 1  # which item it is
    assert SHAPE.leap(bytes(broken), 0, 15)[1] == 8
    length = bytearray(b"".join(SINGLE))
    length[start + 8] ^= 2  # how long it is
    assert SHAPE.leap(bytes(length), 0, 15) == (0, 0)


def test_a_leap_is_not_led_astray_by_what_an_item_holds():
    """A copy of a frame in an item is no frame of the log."""
    fake = SHAPE.frame([b"fake"], 5)
    data = SHAPE.frame([fake + fake], 0) + b"".join(SHAPE.frame([b"real"], first) for first in range(1, 9))
    at, first = SHAPE.leap(data, 0, 5)
    assert records(SHAPE.decode(data[at:], at, first)) == [b"real"] * 4
