"""The dead letters of a queue: what could not be delivered, or was not to be tried again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pqueue.abc import SegmentStore, Serializer
from pqueue.errors import BlobMissing, QueueError
from pqueue.letters import Letter, parsed
from pqueue.names import DEAD, dead_name

log = logging.getLogger("pqueue")


class Dead:
    """A queue's dead letters, by offset. Not a queue: they stay until they are requeued or purged.

    A client that slept through a purge while it was burying an item may show that one again.
    """

    def __init__(self, store: SegmentStore, serializer: Serializer, put: Callable[[bytes], None]) -> None:
        self._store = store
        self._serializer = serializer
        self._put = put

    def __len__(self) -> int:
        """How many there are; one may stand for several items that were damaged together."""
        return sum(1 for _ in self._store.list(DEAD))

    def __bool__(self) -> bool:
        """Whether there are any."""
        return next(iter(self._store.list(DEAD)), None) is not None

    def __iter__(self) -> Iterator[Letter]:
        """Every letter, lowest offset first; one that goes meanwhile is passed over."""
        for blob in self._store.list(DEAD):
            try:
                yield parsed(self._store.read(blob.name), blob.name)
            except BlobMissing:
                continue

    def list(self) -> list[Letter]:
        """All of them."""
        return [*self]

    def get(self, offset: int) -> Letter:
        """The letter of this offset.

        Raises:
            KeyError: there is none.
        """
        name = dead_name(offset)
        try:
            return parsed(self._store.read(name), name)
        except BlobMissing:
            raise KeyError(f"no dead letter has the offset {offset}") from None

    def item(self, letter: Letter) -> Any:
        """The item of a letter.

        Raises:
            SerializationError: the serializer can't read it, as is to be expected of an `unreadable` one.
            QueueError: it was damaged or lost; `record` is what is left of it.
        """
        if not letter.whole:
            raise QueueError(f"the dead letter of offset {letter.offset} holds no item: it was {letter.reason}")
        return self._serializer.loads(letter.record)

    def requeue(self, which: Iterable[Letter | int] | Letter | int | None = None) -> int:
        """Put items again, at the end of the queue, with a new offset and new attempts; how many.

        Each is put first and then taken from here: whoever dies between the two repeats that one. Those whose bytes were
        damaged or lost stay.

        Args:
            which: letters or their offsets; None: all there are.

        Raises:
            KeyError: there is no letter of this offset.
            PutUncertain, StoreError: see `Queue.put`; those before it are done.
        """
        count = 0
        for letter in self._chosen(which):
            if not letter.whole:
                log.warning("the dead letter of offset %d stays: it was %s", letter.offset, letter.reason)
                continue
            self._put(letter.record)
            self._store.delete([dead_name(letter.offset)])
            count += 1
        return count

    def purge(self, which: Iterable[Letter | int] | Letter | int | None = None) -> int:
        """Delete letters; how many; see `requeue`."""
        if which is None:
            names = [blob.name for blob in self._store.list(DEAD)]
        else:
            names = [dead_name(letter.offset) for letter in self._chosen(which)]
        self._store.delete(names)
        return len(names)

    def _chosen(self, which: Iterable[Letter | int] | Letter | int | None) -> Iterable[Letter]:
        if which is None:
            return self
        if isinstance(which, Letter | int):
            which = (which,)
        return [one if isinstance(one, Letter) else self.get(one) for one in which]

    def __repr__(self) -> str:
        return "<pqueue.Dead>"
