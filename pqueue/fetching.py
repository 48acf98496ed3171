"""Reading what was claimed by its place, once the swap that claimed it is in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pqueue.errors import BlobMissing
from pqueue.picking import Picker
from pqueue.reader import Reader
from pqueue.request import Lot
from pqueue.runtime import Runtime
from pqueue.underway import Underway


class Fetcher:
    """Of one client, for any number of threads: whoever was lent something reads it, and leads nobody meanwhile."""

    def __init__(self, runtime: Runtime, picker: Picker, reader: Reader, underway: Underway) -> None:
        """`reader`: its own."""
        self._underway = underway
        self._picker = picker
        self._reader = reader
        self._guard = runtime.lock()

    def fill(self, lots: list[Lot]) -> None:
        """Read those that are unread, one after another, until all is to end.

        Raises:
            Damage, BlobMissing, SerializationError: items that can't be read; this lot and those behind it are still unread.
            StoreError: no answer.
        """
        unread = [lot.where for lot in lots if lot.unread]
        first = unread[0]
        with self._guard:
            if not self._underway.ending:
                self._reader.read_ahead(first.ordinal, first.start, sum(where.stop - where.start for where in unread))
            for index, lot in enumerate(lots):
                if lot.unread and not self._underway.ending:
                    lots[index] = self._read(lot)

    def _read(self, lot: Lot) -> Lot:
        where = lot.where
        items: Sequence[Any] = ()
        times: Sequence[int] = ()
        while (start := where.start + len(items)) < where.stop:
            chunk = self._reader.chunk(where.ordinal, start, where.stop - start)
            if chunk is None or chunk.where.ordinal != where.ordinal or chunk.where.start != start:
                raise BlobMissing(f"the items at offsets {start} to {where.stop - 1} are not there")
            part, bad = self._picker.decoded(chunk.where, chunk.records)
            if bad is not None:
                assert bad.error is not None
                raise bad.error
            items = [*items, *part] if items else part
            times = [*times, *chunk.times] if times else chunk.times
        return lot._replace(items=items, times=times)
