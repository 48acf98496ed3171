"""The bytes of a document's file: three checksummed slots, and a note of what is synced. Pure.

docs/format-folder.md holds them with an example.
"""

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from zlib_ng.zlib_ng import crc32

COUNT = 3
STEP = 1 << 20
"""Bytes from one slot to the next; what is not used takes no room."""
FRONT = 16 << 10
"""Bytes of each slot that are allocated when the document is made, so that swapping works on a full disk."""
NOTE = COUNT * STEP
"""Where the newest version stands of which somebody knows that it is synced."""
TURN = NOTE + 8
"""Where it stands who asks to swap next, and until when: see `turns`."""
SIZE = NOTE + 4096
"""Bytes of the file."""

ASKED = 1
"""Flag: this version's swap asked for a sync, so nobody may act on it before it is synced (rule 21)."""
SUSPECT = 2
"""Flag: a sync of this file had failed before; another one would prove nothing (rule 20)."""

_HEAD = Struct("<QIIQ")  # version, length, flags, newest synced version
_CHECK = Struct("<II")  # crc32 of that and the data, 0
pack_head, pack_check = _HEAD.pack, _CHECK.pack
GONE = b"\xff" * _HEAD.size
"""What the heads of a deleted document are written over with: newer than any version, and none."""
HEAD_SIZE = _HEAD.size + _CHECK.size
ROOM = STEP - HEAD_SIZE
"""Bytes that a document may have."""
LENGTH = 8
"""Where a slot's length stands in it."""


class Slot(NamedTuple):
    """A slot that checks out."""

    place: int
    version: int
    flags: int
    synced: int
    """The newest synced version that its swapper knew of."""
    data: bytes


def pack(version: int, flags: int, synced: int, data: bytes) -> bytes:
    """The bytes of a slot."""
    head = pack_head(version, len(data), flags, synced)
    return head + pack_check(crc32(data, crc32(head)), 0) + data


def parse(raw: bytes, place: int) -> Slot | None:
    """The slot of these bytes, if they are all of it."""
    version, length, flags, synced = _HEAD.unpack_from(raw)
    check, _ = _CHECK.unpack_from(raw, _HEAD.size)
    data = raw[HEAD_SIZE:]
    if version and len(data) == length and crc32(data, crc32(raw[: _HEAD.size])) == check:
        return Slot(place, version, flags, synced, data)
    return None


def oldest(found: Sequence[int], version: int, newest: int, guarded: int) -> int:
    """The slot to write after `version`, which is in the slot `newest`: the oldest, or a torn one, never `guarded`."""
    if guarded != newest:
        return 3 - newest - guarded
    free = (place for place in range(COUNT) if place != newest)
    return min(free, key=lambda place: found[place] if found[place] < version else 0)


def following(found: Sequence[int], version: int) -> int:
    """The version after `version`; not one that a torn slot bears, which would then look as if it were this."""
    version += 1
    while version in found:
        version += 1
    return version
