"""Producing: records into the log, in commits that threads share, or by way of a buffer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from pqueue.combine import Combiner
from pqueue.errors import Landed, PutUncertain, QueueError, ShutDown, StoreError, TooLarge
from pqueue.frames import MAX_RECORDS
from pqueue.grow import Growing
from pqueue.listing import Commit, Listing
from pqueue.packing import measured
from pqueue.parts import Parts
from pqueue.words import counted


class Log:
    """The producing side of one queue object, for any number of threads."""

    def __init__(self, parts: Parts, flushed: Callable[[], object] = lambda: None) -> None:
        """The log of a queue; `flushed` is called when a buffer's items have come in."""
        self._parts = parts
        self._flushed = flushed
        meta = parts.meta
        self._buffers = meta.durability == "buffered"
        self._items = meta.segment_items
        self.max_bytes = meta.max_commit_bytes
        """Bytes of records that one commit may hold."""
        appends = parts.store.appends
        self._way = Listing(parts) if appends is None else Growing(parts, appends)
        self.forget()

    def forget(self) -> None:
        """In a forked child: nothing of the parent's buffer, ids or locks (rule 31)."""
        self._way.forget()
        self._combiner: Combiner[Sequence[bytes]] = Combiner(
            self._parts.runtime,
            self._lead,
            parallel=self._way.parallel,
            limit=min(self.max_bytes, 1 << 20),
            unknown=PutUncertain,
            brief=self._way.parallel == 1 and self._parts.brief,
        )
        self._commit = self._way.commit
        self._guard = self._parts.runtime.lock()
        self._flusher = self._parts.runtime.lock()
        self._ended = False
        self._buffer: list[bytes] = []
        self._size = 0

    @property
    def waves(self) -> int:
        """For each of these as many commits under way: those that are listed, that wait for that, that are sent."""
        return self._way.waves

    @property
    def parallel(self) -> int:
        """How many commits that were begun may be under way at once; 1 where `begin` can't be used."""
        return 1 if self._buffers else self._way.parallel

    def begin(self, commit: Commit, records: Sequence[bytes], before: Commit | None) -> bool:
        """Give the records the place behind `before`; False where that has failed, so that they can't follow it.

        Raises:
            TooLarge: see `put`.
            StoreError: nothing was sent.
        """
        if measured(records) > self.max_bytes or len(records) > MAX_RECORDS:
            raise self._too_large(records)
        return commit.begin(records, before)

    def commit(self) -> Commit:
        """For `begin`."""
        assert isinstance(self._way, Listing)
        return Commit(self._way)

    def peek(self) -> Sequence[bytes]:
        """The records in the buffer."""
        with self._guard:
            return tuple(self._buffer)

    @property
    def buffered(self) -> int:
        """Items that only this object knows of."""
        return len(self._buffer)

    def put(self, records: Sequence[bytes]) -> None:
        """Add records, all or none.

        Raises:
            TooLarge: more than one commit may hold; nothing was written.
            SerializationError: one is not bytes; nothing was written.
            StoreFull, StoreError: not put.
            PutUncertain: perhaps put; in a buffered queue, perhaps earlier ones, and not these.
        """
        try:
            self.land(records)
        except Landed as landed:
            raise landed.__cause__ or landed from None

    def land(self, records: Sequence[bytes]) -> None:
        """As `put`, but tells of an interrupt that came when they were in.

        Raises:
            Landed: interrupted, and they are in.
        """
        count = len(records)
        weight = len(records[0]) if count == 1 and type(records[0]) is bytes else measured(records)
        if weight > self.max_bytes or count > MAX_RECORDS:
            raise self._too_large(records)
        if not self._buffers:
            if not self._combiner.alone(self._commit, records):
                self._combiner.run(records, weight + 16 * count)
            return
        # Room is made first: so an error means that these records were not taken.
        if self._buffer and (len(self._buffer) >= self._items or self._size + weight > self.max_bytes):
            self.flush()
        with self._guard:
            if self._ended:
                raise ShutDown("this queue object is closed: open the queue again")
            self._buffer.extend(records)
            self._size += weight

    def _too_large(self, records: Sequence[bytes]) -> TooLarge:
        return TooLarge(
            f"{counted(len(records), 'record')} of {measured(records):,} bytes are more than one commit may hold ("
            f"{self.max_bytes:,} bytes, {MAX_RECORDS:,} records): "
            f"{'put them by put_stream, or in smaller batches' if len(records) > 1 else 'keep it elsewhere, and put its name'}"
            ", or make the queue with a larger max_commit_bytes"
        )

    def mend(self) -> None:
        """Close an open segment that is damaged in the middle, so that what is behind the damage is delivered."""
        try:
            self._combiner.run(())
        except Landed as landed:
            raise landed.__cause__ or landed from None
        except PutUncertain as error:
            raise StoreError("an open segment that is damaged could not be closed yet: try again") from error

    def finish(self) -> None:
        """Flush, and take nothing more: in one step, so that no put that returns is left behind.

        Raises:
            See `flush`; then the buffer still takes more.
        """
        try:
            with self._guard:
                self._ended = True
            self.flush()
        except BaseException:
            self._ended = False
            raise

    def flush(self) -> None:
        """Put what is buffered.

        Raises:
            StoreFull, StoreError: nothing was put; it stays in the buffer.
            PutUncertain: what the buffer held may be in the queue, or not; it is not kept.
        """
        with self._flusher:
            batch: list[bytes] = []
            part: list[bytes] = []
            sent = 0
            try:
                with self._guard:
                    batch = self._buffer
                    self._buffer, self._size = [], 0
                if not batch:
                    return
                while sent < len(batch):
                    part = self._part(batch, sent)
                    self._combiner.run(part, _weight(part))
                    sent += len(part)
            except Landed as landed:
                self._keep(batch[sent + len(part) :])
                raise landed.__cause__ or landed from None
            except PutUncertain:
                self._keep(batch[sent + len(part) :])
                raise
            except BaseException:
                # Also when interrupted with the outcome open: twice is better than not at all.
                self._keep(batch[sent:])
                raise
            finally:
                self._flushed()

    def _part(self, batch: list[bytes], start: int) -> list[bytes]:
        """As much as one commit may hold."""
        size = 0
        for index in range(start, min(len(batch), start + self._items)):
            size += len(batch[index])
            if size > self.max_bytes and index > start:
                return batch[start:index]
        return batch[start : start + self._items]

    def _keep(self, batch: list[bytes]) -> None:
        with self._guard:
            self._buffer[:0] = batch
            self._size += sum(map(len, batch))

    def _lead(self, works: Sequence[Sequence[bytes]]) -> Sequence[QueueError | None]:
        records = works[0] if len(works) == 1 else list(chain.from_iterable(works))
        done = [None] * len(works)
        try:
            if records:
                self._way.commit(records)
            else:
                self._way.mend()
        except Landed as landed:
            raise Landed(done) from landed.__cause__
        except QueueError as error:
            return [error] if len(works) == 1 else [_copy(error) for _ in works]
        return done


def _weight(records: Sequence[bytes]) -> int:
    return sum(map(len, records)) + 16 * len(records)


def _copy(error: QueueError) -> QueueError:
    """An error of its own for each thread, since raising one writes its traceback."""
    made = type(error)(*error.args)
    made.__cause__ = error
    return made
