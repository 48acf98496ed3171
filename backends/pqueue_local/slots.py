"""The bytes of a document's file: three checksummed slots, and a note of what is synced. Pure.

docs/format-folder.md holds them with an example.
"""

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple, Protocol
from zlib import crc32

COUNT = 3
STEP = 1 << 20
"""Bytes from one slot to the next; what is not used takes no room."""
FRONT = 16 << 10
"""Bytes of each slot that are allocated when the document is made, so that swapping works on a full disk."""
NOTE = COUNT * STEP
"""Where the newest version stands of which somebody knows that it is synced."""
SIZE = NOTE + 4096
"""Bytes of the file."""

ASKED = 1
"""Flag: this version's swap asked for a sync, so nobody may act on it before it is synced (rule 21)."""
SUSPECT = 2
"""Flag: a sync of this file had failed before; another one would prove nothing (rule 20)."""

_HEAD = Struct("<QIIQ")  # version, length, flags, newest synced version
_CHECK = Struct("<II")  # crc32 of the head and the data, 0
HEAD_SIZE = _HEAD.size + _CHECK.size
ROOM = STEP - HEAD_SIZE
"""Bytes that a document may have."""

STRIDE = STEP // 8
"""Version words from one slot to the next."""
NOTE_WORD = NOTE // 8


class Memory(Protocol):
    """The file's bytes, mapped."""

    def __getitem__(self, at: slice, /) -> bytes: ...


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
    head = _HEAD.pack(version, len(data), flags, synced)
    return b"".join((head, _CHECK.pack(crc32(data, crc32(head)), 0), data))


def read(memory: Memory, place: int) -> Slot | None:
    """The slot, if it is whole."""
    start = place * STEP
    head = memory[start : start + HEAD_SIZE]
    version, length, flags, synced = _HEAD.unpack_from(head)
    if not version or length > ROOM:
        return None
    data = memory[start + HEAD_SIZE : start + HEAD_SIZE + length]
    check, _ = _CHECK.unpack_from(head, _HEAD.size)
    if crc32(data, crc32(head[: _HEAD.size])) != check:
        return None
    return Slot(place, version, flags, synced, data)


def newest(memory: Memory) -> Slot | None:
    """The newest whole slot. Only under the document's lock is that the document: a torn one's writer is dead then."""
    whole = [slot for place in range(COUNT) if (slot := read(memory, place))]
    return max(whole, key=lambda slot: slot.version, default=None)


def versions(words: Sequence[int]) -> tuple[int, int, int]:
    """The slots' versions, whole or torn, of the file's bytes as words."""
    return words[0], words[STRIDE], words[2 * STRIDE]


def oldest(found: Sequence[int], version: int, *kept: int) -> int:
    """The slot to write after `version`, none of those `kept`: the oldest, or one whose writer died in it."""
    free = (place for place in range(COUNT) if place not in kept)
    return min(free, key=lambda place: found[place] if found[place] < version else 0)


def following(found: Sequence[int], version: int) -> int:
    """The version after `version`; not one that a torn slot bears, which would then look as if it were this."""
    version += 1
    while version in found:
        version += 1
    return version
