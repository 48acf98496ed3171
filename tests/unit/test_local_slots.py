"""The bytes of documents, and which slot is written."""

import pytest

from pqueue_local import slots


def test_the_example_of_the_format():
    """docs/format-folder.md shows these bytes."""
    raw = slots.pack(0x18F0A1B2C3D4E5F6, slots.ASKED, 0x18F0A1B2C3D4E5F5, b"hello")
    assert raw.hex(" ") == (
        "f6 e5 d4 c3 b2 a1 f0 18 05 00 00 00 01 00 00 00 f5 e5 d4 c3 b2 a1 f0 18 a5 18 88 c0 00 00 00 00 68 65 6c 6c 6f"
    )


def test_reads_what_it_packs():
    raw = slots.pack(7, slots.ASKED, 5, b"data")
    assert slots.parse(raw, 1) == slots.Slot(1, 7, slots.ASKED, 5, b"data")
    assert slots.parse(raw[:-1], 1) is None
    assert slots.parse(bytes(slots.HEAD_SIZE), 1) is None


@pytest.mark.parametrize("byte", [*range(28), 32, 35])
def test_a_damaged_byte_is_noticed(byte):
    raw = bytearray(slots.pack(7, slots.ASKED, 5, b"data"))
    raw[byte] ^= 1
    assert slots.parse(bytes(raw), 0) is None


def test_a_deleted_document_has_no_slot():
    raw = slots.pack(7, 0, 5, b"data")
    assert slots.parse(slots.GONE + raw[len(slots.GONE) :], 0) is None


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
