"""Looking at what is waiting, without changing anything."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from pqueue import transitions
from pqueue.abc import Codec, Document, SegmentStore
from pqueue.cursor import AHEAD, Damage
from pqueue.errors import BlobMissing, CorruptSegment, NotAQueue
from pqueue.head import BACK, Head
from pqueue.meta import Meta
from pqueue.names import HEAD
from pqueue.opening import find
from pqueue.reader import Chunk, Reader
from pqueue.runtime import REAL
from pqueue.tail import OPEN, Entry
from pqueue.view import View

log = logging.getLogger("pqueue")


class _Looked(View):
    """With the open segment as if it was closed where it ends now: what is damaged in it is passed, since nobody mends it."""

    reader: Reader

    def entry(self, ordinal: int) -> Entry | None:
        """As `View.entry`."""
        entry = super().entry(ordinal)
        return entry._replace(count=self.reader.counted(entry)) if entry is not None and entry.count == OPEN else entry


class Glance:
    """A queue that is only looked at: nothing is claimed, mended or made."""

    def __init__(self, store: SegmentStore, codecs: Sequence[Codec]) -> None:
        """Find the queue in `store`; `codecs` as its meta names them.

        Raises:
            QueueAbsent, NotAQueue, StoreError: see `find`.
        """
        self._store = store
        self.meta: Meta
        self.meta, tail = find(store, create=False, wanted={}, runtime=REAL)
        self._view = _Looked(store, self.meta.queue, tail)
        self._reader = self._view.reader = Reader(store, self._view, codecs, REAL, _nothing)

    def end(self) -> int:
        """How many items were ever put: the offset behind the last."""
        self._view.load()
        return self._reader.end()

    def head(self) -> Head:
        """The head now, as whoever claimed next would find it."""
        document = self._store.load(HEAD)
        if not isinstance(document, Document):
            raise NotAQueue("the document `head.default` is gone: restore it from a backup")
        self._now = document.now
        head = transitions.rebooted(Head.parse(document.data), document.now, REAL.wall_ms())
        owners = self._store.owners
        return transitions.expired(head, document.now.ms, owners.alive if owners else None)

    def waiting(self) -> Iterator[Chunk]:
        """The records that could be handed out now, in that order: what was given back, then those never handed out.

        What can't be read is passed, and told in the log.
        """
        head = self.head()
        for span in transitions.ready(head, self._now.ms):
            yield from self._chunks(span.ordinal, span.start, span.stop, span.state)
        yield from self._chunks(head.ordinal, head.offset, None, "")

    def _chunks(self, ordinal: int, offset: int, stop: int | None, state: str) -> Iterator[Chunk]:
        while stop is None or offset < stop:
            wanted = AHEAD if stop is None else min(AHEAD, stop - offset)
            try:
                chunk = self._reader.chunk(ordinal, offset, wanted, least=1)
            except Damage as damage:
                log.warning("%s", damage)
                ordinal, offset = damage.where.ordinal, damage.where.stop
                continue
            except BlobMissing as error:
                if state == BACK:
                    return  # consumed since the head was loaded
                head = self.head()
                if (head.ordinal, head.offset) <= (ordinal, offset):
                    raise CorruptSegment(f"{error}: it is listed and not yet consumed") from error
                ordinal, offset = head.ordinal, head.offset
                continue
            if chunk is None:
                return
            yield chunk
            ordinal, offset = chunk.where.ordinal, chunk.where.stop


def _nothing() -> None:
    """Instead of mending."""
