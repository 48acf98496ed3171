"""Records to bytes and back: the segment's header, frames, the seal. Pure; the bytes are those of docs/format.md."""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import accumulate, pairwise
from typing import NamedTuple, overload

from zlib_ng.zlib_ng import crc32

from pqueue.abc import Codec
from pqueue.errors import CorruptSegment, NewerFormat
from pqueue.names import Name

_new = tuple.__new__  # a NamedTuple's own takes twice as long

MAGIC = b"\x89pqs\r\n\x1a\n"
FORMAT = 1
_CRC32 = 1

_HEADER = struct.Struct("<8sHBB8s12sQH")
_FRAME = struct.Struct("<IIII")
_REST = struct.Struct("<III")
_CHECK = struct.Struct("<I")
_TIME = struct.Struct("<Q")
FRAME = _FRAME.size

_COUNT = (1 << 24) - 1
_SEAL = 1 << 24
_TIMED = 1 << 25
_ENCODED = 1 << 26
_KNOWN = _COUNT | _SEAL | _TIMED | _ENCODED

MAX_RECORDS = _COUNT
"""Records in one frame."""


class End(Enum):
    """Why decoding stopped."""

    OPEN = "the bytes end here"
    SEALED = "a seal: nothing is appended behind it"
    TORN = "what follows is not a whole frame"


TORN_END = (
    "the segment %s ends in %d bytes that do not check out, and nothing behind them does: what a write has left that did not "
    "end, or a commit that was damaged since; what they held is passed over"
)


class Frame(NamedTuple):
    """A whole frame, checked; or a run of them that hold a bare record each."""

    first: int
    """The offset of its first record within the segment (rule 27)."""
    count: int  # type: ignore[assignment]  # as in Name
    body: bytes | memoryview
    """Lengths and records, still encoded if the segment has codecs: where they were read, not copied."""
    flags: int
    run: Sequence[bytes] = ()
    """A run's records. Each was put by itself, perhaps by several producers: what one made of its own is not another's."""


class Records(Sequence[bytes]):
    """Records of one frame: cut out of its bytes only where somebody asks for them one by one."""

    __slots__ = ("_body", "_ends", "_lengths", "_start", "_stop")

    def __init__(self, body: bytes | memoryview, lengths: array[int], start: int = 0, stop: int | None = None) -> None:
        """Of all records, whose lengths stand before them in `body`, those from `start` to `stop`."""
        self._body = body
        self._lengths = lengths
        self._start = start
        self._stop = len(lengths) if stop is None else stop
        self._ends = array("Q")
        """Where each ends in `body`, the first one's start before them; shared by all parts of it, once it is known."""

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(self._lengths[self._start : self._stop])

    @property
    def share(self) -> int:
        """About as many bytes, without a look at each length: their share of the frame's."""
        return len(self._body) * len(self) // (len(self._lengths) or 1)

    @property
    def body(self) -> bytes:
        """Of a frame that holds just these: lengths, then records."""
        if len(self) == len(self._lengths):
            return bytes(self._body)
        return self._lengths[self._start : self._stop].tobytes() + self.joined

    @property
    def joined(self) -> bytes | memoryview:
        """All of them, one behind another: one producer put them at once, so how they join is its own doing."""
        count = len(self._lengths)
        if self._start == 0 and self._stop == count:
            return self._body[4 * count :]
        ends = self._placed()
        return self._body[ends[self._start] : ends[self._stop]]

    def _placed(self) -> array[int]:
        if not self._ends:
            # At once: what another part, or another thread, sees of it is nothing or all.
            self._ends[:] = array("Q", accumulate(self._lengths, initial=4 * len(self._lengths)))
        return self._ends

    def __len__(self) -> int:
        return self._stop - self._start

    def __iter__(self) -> Iterator[bytes]:
        ends = self._placed()[self._start : self._stop + 1]
        first = ends[0]
        body = bytes(self._body[first : ends[-1]])  # a view is dearer to cut up than to copy
        return iter([body[start - first : stop - first] for start, stop in pairwise(ends)])

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                return [*self][index]
            part = Records(self._body, self._lengths, self._start + start, self._start + max(start, stop))
            part._ends = self._ends
            return part
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        ends = self._placed()
        return bytes(self._body[ends[self._start + index] : ends[self._start + index + 1]])


class Decoded(NamedTuple):
    """What `decode` found."""

    frames: list[Frame]
    at: int
    """The position behind the last whole frame, in bytes from the segment's start; with a seal, behind the seal."""
    count: int  # type: ignore[assignment]  # as in Name
    """Items of the segment up to there."""
    end: End


class Shape:
    """How one segment's frames are read and written: its seed and codecs."""

    __slots__ = ("_codecs", "_place", "header", "seed")

    def __init__(self, name: Name, codecs: Sequence[Codec] = ()) -> None:
        text = str(name).encode()
        self._place = bytes.fromhex(name.queue) + text
        # Queue id and segment name are mixed into every checksum and stored in none (rule 27): a frame that strayed in
        # from another segment does not check out, and costs no bytes.
        self.seed = crc32(self._place)
        self._codecs = codecs
        names = ",".join(codec.name for codec in codecs).encode()
        plain = _HEADER.pack(
            MAGIC, FORMAT, _CRC32, 0, bytes.fromhex(name.queue), bytes.fromhex(name.writer), name.number, len(names)
        )
        plain += names
        self.header = plain + _CHECK.pack(crc32(plain, self.seed))

    @property
    def encodes(self) -> bool:
        """Whether the segment has codecs: its records may have many more bytes than it has."""
        return bool(self._codecs)

    def frame(self, records: Sequence[bytes], first: int, at_ms: int | None = None) -> bytes:
        """The frame of these records, the first of which is the segment's item number `first`."""
        count = len(records)
        if count == 1:
            body = records[0]
            if at_ms is None and not self._codecs:  # the commonest, at once
                rest = _REST.pack(first, len(body), 1)
                return _CHECK.pack(crc32(body, crc32(rest, self.seed))) + rest + body
        elif isinstance(records, Records):
            body = records.body
        else:
            body = array("I", map(len, records)).tobytes() + b"".join(records)
        flags = count
        if at_ms is not None:
            body = _TIME.pack(at_ms) + body
            flags |= _TIMED
        if self._codecs:
            flags |= _ENCODED
            place = self._place + _CHECK.pack(first)
            for codec in self._codecs:
                body = codec.encode(body, place)
        rest = _REST.pack(first, len(body), flags)
        return _CHECK.pack(crc32(body, crc32(rest, self.seed))) + rest + body

    def seal(self, count: int) -> bytes:
        """The frame that closes a segment of `count` items (rule 23)."""
        rest = _REST.pack(count, 0, _SEAL)
        return _CHECK.pack(crc32(rest, self.seed)) + rest

    def check_header(self, data: bytes) -> None:
        """Raise where these are not the first bytes of this segment.

        Raises:
            CorruptSegment: they are not.
            NewerFormat: a newer version wrote them.
        """
        if data.startswith(self.header):
            return
        if (
            data[:8] == MAGIC
            and len(data) >= _HEADER.size
            and _HEADER.unpack_from(data)[1] > FORMAT
            and self._checks(data)
        ):
            raise NewerFormat("the segment was written by a newer version of pqueue; upgrade this one")
        raise CorruptSegment(f"its header is not that of this queue and segment (it begins with {data[:16].hex()})")

    def _checks(self, header: bytes) -> bool:
        """Whether a header of another version is one: each ends in a checksum like ours."""
        end = _HEADER.size + _HEADER.unpack_from(header)[-1]
        return header[end : end + 4] == _CHECK.pack(crc32(header[:end], self.seed))

    def decode(self, data: bytes, at: int, count: int) -> Decoded:
        """The whole frames of `data`, which starts at position `at` of the segment, behind `count` items."""
        frames: list[Frame] = []
        run: list[bytes] = []
        pos = 0
        size = len(data)
        seed = self.seed
        unpack = _FRAME.unpack_from
        view = memoryview(data)
        end = End.OPEN
        while pos < size:
            if size - pos < FRAME:
                end = End.TORN
                break
            check, first, length, flags = unpack(data, pos)
            stop = pos + FRAME + length
            if first != count or stop > size or flags & ~_KNOWN or crc32(view[pos + 4 : stop], seed) != check:
                end = End.TORN
                break
            if flags == 1:
                run.append(data[pos + FRAME : stop])
                count += 1
                pos = stop
                continue
            if run:
                frames.append(_new(Frame, (count - len(run), len(run), b"", 1, run)))
                run = []
            if flags & _SEAL:
                pos = stop
                end = End.SEALED
                break
            number = flags & _COUNT
            frames.append(_new(Frame, (first, number, view[pos + FRAME : stop], flags, ())))
            count += number
            pos = stop
        if run:
            frames.append(_new(Frame, (count - len(run), len(run), b"", 1, run)))
        return _new(Decoded, (frames, at + pos, count, end))

    def leap(self, data: bytes, count: int, item: int) -> tuple[int, int]:
        """Position and first item of the frame in `data` that holds `item`, or of the last whole one before it.

        `data` starts behind `count` items. Of what is passed over only the lengths are looked at, since nobody wants it. The frame
        itself checks out, and says which items it holds (rule 27), so this is its place, whatever has become of those before
        it. (0, `count`) where it does not, or is the first one.
        """
        unpack = _FRAME.unpack_from
        size = len(data)
        at = pos = 0
        first = before = count
        while size - pos >= FRAME:
            _, found, length, flags = unpack(data, pos)
            stop = pos + FRAME + length
            if found != count or stop > size or flags & ~_KNOWN:
                break
            at, first, pos = pos, count, stop
            count += flags & _COUNT
            if count > item:
                break
        if at and crc32(memoryview(data)[at + 4 : pos], self.seed) == unpack(data, at)[0]:
            return at, first
        return 0, before

    def wants(self, data: bytes, count: int) -> int:
        """Bytes that the frame at the start of `data` would take if its header is to be believed; 0 if it can't be."""
        if len(data) < FRAME:
            return FRAME
        _, first, length, flags = _FRAME.unpack_from(data)
        return FRAME + length if first == count and not flags & ~_KNOWN else 0

    def beyond(self, data: bytes, count: int) -> int:
        """Items up to the last frame, or seal, that checks out by itself in `data`, whose start is damaged."""
        at = 1
        while (found := self.search(data, count, at)) is not None:
            at, first = found
            decoded = self.decode(data[at:], at, first)
            count = decoded.count
            if decoded.end is not End.TORN:
                break
            at = decoded.at
        return count

    def search(self, data: bytes, count: int, at: int = 0) -> tuple[int, int] | None:
        """Position and first item of the next frame that checks out by itself, from `at` on (rule 27)."""
        view = memoryview(data)
        effort = 0
        for found in _CANDIDATE.finditer(data, at):
            pos = found.start()
            check, first, length, flags = _FRAME.unpack_from(data, pos)
            stop = pos + FRAME + length
            if first < count or stop > len(data) or not _plausible(length, flags):
                continue
            # Content may look like headers at every byte, each with much to check: an end to that.
            effort += length
            if effort > _EFFORT:
                break
            if crc32(view[pos + 4 : stop], self.seed) == check:
                return pos, first
        return None

    def records(self, frame: Frame) -> Sequence[bytes]:
        """A frame's records; see `opened`."""
        return self.opened(frame)[0]

    def opened(self, frame: Frame) -> tuple[Sequence[bytes], int | None]:
        """A frame's records, and the time of its commit in ms since the epoch, where the queue records it.

        Raises:
            CorruptSegment: its codecs do not decode it, or its lengths do not add up.
        """
        if frame.run:
            return frame.run, None
        body = frame.body
        flags = frame.flags
        if flags & _ENCODED:
            place = self._place + _CHECK.pack(frame.first)
            try:
                for codec in reversed(self._codecs):
                    body = codec.decode(bytes(body), place)
            except ValueError as error:
                raise CorruptSegment(f"a codec can't decode the frame of item {frame.first}: {error}") from error
        at_ms = None
        if flags & _TIMED:
            at_ms = _TIME.unpack_from(body)[0]
            body = body[_TIME.size :]
        count = frame.count
        if count == 1:
            return [bytes(body)], at_ms
        lengths = array("I")
        lengths.frombytes(body[: 4 * count])
        if len(lengths) != count or 4 * count + sum(lengths) != len(body):
            raise CorruptSegment(f"the lengths in the frame of item {frame.first} do not add up")
        return Records(body, lengths), at_ms


# A header's fields bound its bytes: lengths below 2**27, flags below 8. Cheap enough to try at each byte of a segment.
_CANDIDATE = re.compile(rb"(?=[\s\S]{11}[\x00-\x07](?!\x00\x00\x00\x00)[\s\S]{3}[\x00-\x07])")

_EFFORT = 1 << 33
"""Bytes that a search checks before it gives up: some seconds."""


def _plausible(length: int, flags: int) -> bool:
    """Whether a header that says so could be one of ours."""
    count = flags & _COUNT
    if flags & ~_KNOWN or (not count) != bool(flags & _SEAL):
        return False
    if not count:
        return not length
    return bool(flags & _ENCODED) or count == 1 or length >= 4 * count


assert array("I").itemsize == 4, "an unsigned int has four bytes on every platform that CPython supports"  # noqa: PLR2004
