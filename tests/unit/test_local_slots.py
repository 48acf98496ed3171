"""The bytes of documents, and which slot is written."""

import pytest

from pqueue_local import slots


def image(**places: bytes) -> bytearray:
    memory = bytearray(slots.SIZE)
    for place, raw in places.items():
        start = int(place[1:]) * slots.STEP
        memory[start : start + len(raw)] = raw
    return memory


def test_the_example_of_the_format():
    """docs/format-folder.md shows these bytes."""
    raw = slots.pack(0x18F0A1B2C3D4E5F6, slots.ASKED, 0x18F0A1B2C3D4E5F5, b"hello")
    assert raw.hex(" ") == (
        "f6 e5 d4 c3 b2 a1 f0 18 05 00 00 00 01 00 00 00 f5 e5 d4 c3 b2 a1 f0 18 a5 18 88 c0 00 00 00 00 68 65 6c 6c 6f"
    )


def test_reads_what_it_packs():
    raw = slots.pack(7, slots.ASKED, 5, b"data")
    assert slots.read(image(p1=raw), 1) == slots.Slot(1, 7, slots.ASKED, 5, b"data")
    assert slots.read(image(p1=raw), 0) is None


@pytest.mark.parametrize("byte", [*range(28), 32, 35])
def test_a_damaged_byte_is_noticed(byte):
    raw = bytearray(slots.pack(7, slots.ASKED, 5, b"data"))
    raw[byte] ^= 1
    assert slots.read(image(p0=bytes(raw)), 0) is None


def test_a_deleted_document_has_no_slot():
    memory = image(p0=slots.pack(7, 0, 5, b"data"))
    memory[: len(slots.GONE)] = slots.GONE
    assert slots.read(memory, 0) is None


def test_the_largest_document_fits():
    data = bytes(slots.ROOM)
    memory = image(p2=slots.pack(7, 0, 0, data), p1=slots.pack(6, 0, 0, data))
    assert slots.read(memory, 2).data == slots.read(memory, 1).data == data


@pytest.mark.parametrize(
    ("found", "version", "newest", "guarded", "place"),
    [
        ([9, 8, 7], 9, 0, 1, 2),  # neither the newest nor the newest synced
        ([9, 8, 7], 9, 0, 2, 1),
        ([9, 8, 7], 9, 0, 0, 2),  # the newest is synced: the older of the two others
        ([7, 9, 8], 9, 1, 1, 0),
        ([9, 7, 10], 9, 0, 0, 2),  # torn: newer than the newest whole one
        ([9, 0, 7], 9, 0, 0, 1),
    ],
)
def test_the_oldest_is_written_over_but_never_the_newest_synced(found, version, newest, guarded, place):
    assert slots.oldest(found, version, newest, guarded) == place


def test_a_torn_slot_does_not_lend_its_version():
    assert slots.following([9, 10, 7], 9) == 11
    assert slots.following([9, 10, 11], 9) == 12
    assert slots.following([9, 8, 7], 9) == 10
