"""The dead letters of a queue: what could not be delivered, or was not to be tried again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from pqueue.abc import SegmentStore, Serializer
from pqueue.errors import BlobMissing, NotAQueue, QueueError
from pqueue.letters import Letter, parsed
from pqueue.names import DEAD, dead_name

log = logging.getLogger("pqueue")


class Dead:
    """A queue's dead letters, by offset. Not a queue: they stay until they are requeued or purged.

    A client that slept through a purge while it was burying an item may show that one again. Of two that requeue the
    same letters at once each may put them.
    """

    def __init__(
        self,
        store: SegmentStore,
        serializer: Serializer,
        put: Callable[[bytes], None],
        dying: Callable[[], Collection[int]],
    ) -> None:
        """`dying` tells the offsets whose letters are being written."""
        self._store = store
        self._serializer = serializer
        self._put = put
        self._dying = dying

    def __len__(self) -> int:
        """How many there are; one may stand for several items that were damaged together."""
        return sum(1 for _ in self._store.list(DEAD))

    def __bool__(self) -> bool:
        """Whether there are any."""
        return next(iter(self._store.list(DEAD)), None) is not None

    def __iter__(self) -> Iterator[Letter]:
        """Every letter, lowest offset first; one that goes meanwhile, or is damaged, is passed over."""
        for blob in self._store.list(DEAD):
            try:
                yield parsed(self._store.read(blob.name), blob.name)
            except BlobMissing:
                continue
            except NotAQueue as error:
                log.warning("a dead letter is passed over: %s", error)

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

    def item(self, letter: Letter | int) -> Any:
        """The item of a letter, or of the letter of an offset.

        Raises:
            KeyError: there is no letter of this offset.
            SerializationError: the serializer can't read it, as is to be expected of an `unreadable` one.
            QueueError: it was damaged or lost; `record` is what is left of it.
        """
        if not isinstance(letter, Letter):
            letter = self.get(letter)
        if not letter.whole:
            raise QueueError(f"the dead letter of offset {letter.offset} holds no item: it was {letter.reason}")
        return self._serializer.loads(letter.record)

    def requeue(self, which: Iterable[Letter | int] | Letter | int | None = None) -> int:
        """Put items again, at the end of the queue, with a new offset and new attempts; how many.

        Each is put first and then taken from here: whoever dies between the two repeats that one. Those whose bytes were
        damaged or lost stay, and so do those that somebody is writing just now, or died writing: some consumer ends
        that within half a minute.

        Args:
            which: letters or their offsets; None: all there are.

        Raises:
            KeyError: there is no letter of this offset, or not any more; those before it are done.
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
        if which is None:  # also what nobody can read
            names = [blob.name for blob in self._store.list(DEAD)]
            kept = {dead_name(offset) for offset in self._dying()}
            names = [name for name in names if name not in kept]
        else:
            names = [dead_name(letter.offset) for letter in self._chosen(which)]
        self._store.delete(names)
        return len(names)

    def _chosen(self, which: Iterable[Letter | int] | Letter | int | None) -> Iterator[Letter]:
        """Each once, as it is when its turn comes, but for those that are being written."""
        for letter in self if which is None else self._named((which,) if isinstance(which, Letter | int) else which):
            if letter.offset in self._dying():  # after it was read: the mark is there before the letter, and longer
                log.warning("the dead letter of offset %d stays for now: it is being written", letter.offset)
            else:
                yield letter

    def _named(self, which: Iterable[Letter | int]) -> Iterator[Letter]:
        for offset in dict.fromkeys(one.offset if isinstance(one, Letter) else one for one in which):
            yield self.get(offset)

    def __repr__(self) -> str:
        return "<pqueue.Dead>"
