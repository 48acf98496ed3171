"""Reads tail, head and segments with none of the code's helpers: the oracle's eyes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple
from zlib import crc32


class Listed(NamedTuple):
    """A segment as a tail lists it."""

    name: str
    base: int
    items: int
    """-1: open."""


class Log(NamedTuple):
    """A tail."""

    queue: str
    first: int
    entries: list[Listed]
    end: int
    gone: bool


def entries(value: Mapping[str, Any], first: int) -> list[Listed]:
    """The entries of a tail or page."""
    made = []
    end = value["base"]
    for ordinal, (place, number, hint, count, *gap) in enumerate(value["entries"], first):
        base = end + sum(gap)
        shown = 0 if value["grows"] else count
        made.append(
            Listed(f"seg/{ordinal + hint:012d}-{value['queue']}{value['ids'][place]}-{number}-{shown}", base, count)
        )
        end = base + max(0, count)
    return made


def tail(data: bytes) -> Log:
    """A tail's document."""
    value = json.loads(data)
    return Log(value["queue"], value["first"], entries(value, value["first"]), value["end"], value["gone"])


class State(NamedTuple):
    """What the head says of an item below `next` that is not acknowledged."""

    state: str
    claim: str
    until: int
    owner: str
    ordinal: int
    attempts: int


class Consumed(NamedTuple):
    """A head."""

    queue: str
    ordinal: int
    next: int
    items: dict[int, State]
    """By offset."""
    twice: list[int]
    """Offsets that are in two places at once."""
    clients: dict[str, int]
    """The number of each client's last swap."""


def head(data: bytes) -> Consumed:
    """A head's document."""
    ordinal, following, *_ = struct.unpack_from("<QQQQII", data)
    value = json.loads(data[40:])
    items: dict[int, State] = {}
    twice = []

    def put(where: list[int], state: State) -> None:
        for offset in range(where[1], where[2]):
            if offset in items:
                twice.append(offset)
            items[offset] = state

    for claim, (owner, until, ranges) in value["claims"].items():
        for where in ranges:
            put(where, State("claimed", claim, until, owner, where[0], where[3]))
    for where in value["back"]:
        put(where, State("back", "", where[4], "", where[0], where[3]))
    for where in value["dying"]:
        put(where, State("dying", where[5], where[4], "", where[0], where[3]))
    clients = {ident: number for ident, (number, _) in value["clients"]["members"].items()}
    return Consumed(value["queue"], ordinal, following, items, twice, clients)


def segment(name: str, data: bytes) -> tuple[list[list[bytes]], bool]:
    """The records of each whole frame, and whether a seal follows them."""
    _, ids, number, _ = name.split("-")
    seed = crc32(bytes.fromhex(ids[:16]) + name.encode())
    size = 46
    if data[8:10] != b"\x01\x00" or data[12:32] != bytes.fromhex(ids) or crc32(data[:42], seed) != _int(data[42:46]):
        return [], False
    if struct.unpack_from("<Q", data, 32)[0] != int(number):
        return [], False
    frames: list[list[bytes]] = []
    at, count = size, 0
    while len(data) >= at + 16:
        check, first, length, flags = struct.unpack_from("<IIII", data, at)
        body = data[at + 16 : at + 16 + length]
        if first != count or len(body) < length or crc32(data[at + 4 : at + 16 + length], seed) != check:
            break
        at += 16 + length
        if flags >> 24 & 1:
            return frames, True
        number_of = flags & 0xFFFFFF
        frames.append(_records(body, number_of))
        count += number_of
    return frames, False


def _records(body: bytes, count: int) -> list[bytes]:
    if count == 1:
        return [body]
    lengths = struct.unpack_from(f"<{count}I", body)
    at = 4 * count
    made = []
    for length in lengths:
        made.append(body[at : at + length])
        at += length
    return made


def _int(data: bytes) -> int:
    return int.from_bytes(data, "little")
