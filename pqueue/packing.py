"""Records that come one by one, in parts that are a commit each, and joined while the processor has them at hand."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, takewhile

from pqueue.errors import SerializationError
from pqueue.frames import Records

_AT_ONCE = 16
"""Records that are taken, measured and joined together: few enough to be in the cache still, and in memory if they are large."""


def measured(records: Sequence[bytes]) -> int:
    """How many bytes these are.

    Raises:
        SerializationError: one is something else: kept in a buffer it would keep all others from being put.
    """
    if isinstance(records, Records):
        return records.size
    for kind in {*map(type, records)} - {bytes}:
        raise SerializationError(
            f"the serializer has made {kind.__name__} of an item: `dumps` is to return bytes; not put"
        )
    return sum(map(len, records))


class _Part:
    """One part, as far as it has come."""

    __slots__ = ("lengths", "pieces", "size")

    def __init__(self) -> None:
        self.lengths = array("I")
        self.pieces: list[bytes] = []
        self.size = 0

    def add(self, records: Sequence[bytes]) -> None:
        self.pieces.append(b"".join(records))
        self.lengths.extend(map(len, records))
        self.size += len(self.pieces[-1])

    def records(self) -> Sequence[bytes]:
        if len(self.lengths) == 1:
            return self.pieces
        return Records(b"".join((self.lengths.tobytes(), *self.pieces)), self.lengths)


def parted(records: Iterable[bytes], most: int, size: int) -> Iterator[Sequence[bytes]]:
    """In parts of at most `most` records and `size` bytes, but at least one record.

    What came before an error of `records` is not lost: it is given out, and then the error raised.

    Raises:
        SerializationError: one is not bytes.
        Exception: what `records` raises.
    """
    coming = iter(records)
    part = _Part()
    step = 1
    error: Exception | None = None
    more_come = True
    while more_come:
        fresh: list[bytes] = []
        asked = min(step, most - len(part.lengths))
        try:
            fresh.extend(islice(coming, asked))  # what came before an error stays
            more = measured(fresh)
        except Exception as raised:  # noqa: BLE001  # raised again below
            error = raised
            fresh = [*takewhile(_is_bytes, fresh)]
            more = measured(fresh)
        more_come = len(fresh) == asked and error is None
        if not fresh:
            break
        # As soon as they are large, one at a time: few of them are in memory.
        step = _AT_ONCE if more <= size // _AT_ONCE else 1
        for some in (fresh,) if part.size + more <= size else zip(fresh):
            # What is given out is `part` no more: an interrupt that comes with the next call would have it given out twice.
            if part.lengths and part.size + len(some[0]) > size:
                whole, part = part, _Part()
                yield whole.records()
            part.add(some)
        if len(part.lengths) >= most:
            whole, part = part, _Part()
            yield whole.records()
    if part.lengths:
        yield part.records()
    try:
        if error is not None:
            raise error
    finally:
        error = None  # which holds this frame, and with it the records


def _is_bytes(record: object) -> bool:
    return type(record) is bytes
