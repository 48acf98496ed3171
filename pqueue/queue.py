"""The face of a queue: a thin shell over the producing and the consuming side, with no I/O of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from math import inf
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from weakref import ref

from pqueue import lives, plugins
from pqueue.abc import Codec, SegmentStore, Serializer
from pqueue.ahead import Ahead
from pqueue.arrears import Arrears
from pqueue.bounds import Bound
from pqueue.claims import Consumer
from pqueue.dead import Dead
from pqueue.errors import Empty, Landed, QueueError, SerializationError, ShutDown, StoreError
from pqueue.leases import Leases
from pqueue.lending import Lending
from pqueue.log import Log
from pqueue.message import Message
from pqueue.opening import find
from pqueue.parts import Parts
from pqueue.peek import Glance
from pqueue.receive import Receiver
from pqueue.reopening import Origin, reopen
from pqueue.request import Answer
from pqueue.retry import Retry, RetryDelay
from pqueue.runtime import REAL, Runtime
from pqueue.share import Batch, Part
from pqueue.stats import Rates, Stats, survey
from pqueue.stream import BATCH, Stream
from pqueue.tasks import Tasks
from pqueue.typed import ItemType
from pqueue.view import View
from pqueue.waiting import Waiting, check_timeout, nothing

log = logging.getLogger("pqueue")

T = TypeVar("T")
M = TypeVar("M")

_NO_DELAY = RetryDelay.constant(0)


class Queue(Generic[T]):
    """A durable FIFO queue.

    What it guarantees, whatever dies when (docs/design.md, I1 to I8):

    - A `put` that returned is delivered, under the queue's durability: `written` survives the death of the process,
      `synced` a power cut too, `buffered` nothing until `sync`, `close` or a full segment.
    - A `get` that returned has acknowledged its item: nobody gets it again (`ack_linger` 0).
    - What `receive` lent is acknowledged when `ack` returns, and comes again if whoever holds it dies before.
    - Each producer's items come in the order they were put; one put after another had returned is behind it.
    - Any number of threads, processes and, in a bucket, hosts may use it at once. There is nothing to repair after a
      crash.

    What it does not: `get` loses the item in hand if the process is killed between the acknowledgement and the return.
    With `ack_linger` above 0, or `buffered`, a crash repeats what was handed out and not yet acknowledged instead.
    """

    def __init__(
        self,
        store: SegmentStore,
        serializer: Serializer | None = None,
        *,
        item: ItemType | None = None,
        create: bool = True,
        codecs: Sequence[Codec] | None = None,
        fixed: dict[str, Any] | None = None,
        lease: float = 30.0,
        auto_extend: bool = True,
        retry_delay: RetryDelay = _NO_DELAY,
        ack_linger: float | None = None,
        prefetch: int = 1000,
        runtime: Runtime = REAL,
        origin: Origin | None = None,
    ) -> None:
        """Open the queue in `store`; `pqueue.open` is the way to call this.

        Args:
            store: closed with the queue.
            serializer: what meta names, or will name; None: what it names, if that is safe.
            item: what every item is; None: whatever the serializer takes.
            create: whether to make a queue where none is.
            codecs: what meta names, or will name; None: what it names.
            fixed: what meta fixes, as far as the opener names it; see `Meta`.
            lease: seconds that a claim holds without being renewed.
            auto_extend: whether messages are renewed while this process lives and they are not answered.
            retry_delay: what a message that is given back for an error waits for.
            ack_linger: seconds that the acknowledgements of `get` may wait for one another; None: the store's default.
            prefetch: items claimed ahead where acknowledgements linger.
            runtime: time and chance.
            origin: what it was opened by, so that it can be pickled.
        """
        meta, tail = find(store, create=create, wanted=_wanted(fixed, serializer, codecs), runtime=runtime)
        if serializer is None:
            serializer = plugins.recorded_serializer(meta.serializer)
        if item is not None:
            serializer = item.over(serializer)
        if codecs is None:
            codecs = [plugins.codec(name) for name in meta.codecs]
        self._store = store
        self._runtime = runtime
        self._monotonic = runtime.monotonic
        self._dumps = serializer.dumps
        self.serializer = serializer
        parts = Parts(store, meta, View(store, meta.queue, tail), codecs, runtime)
        self.meta = meta
        self._waiting = Waiting(store, meta.queue, runtime)
        self._notify = self._waiting.notify
        self._log = Log(parts, self._waiting.tell)
        self._consumer = Consumer(parts, serializer, self._log.mend)
        buffered = meta.durability == "buffered"
        linger = ack_linger if ack_linger is not None else float("inf") if buffered else store.ack_linger
        self._leases = Leases(runtime, self._consumer, partial(_freed, self._waiting, bool(meta.maxsize)))
        self._ahead = (
            Ahead(runtime, self._leases, ref(self), prefetch=prefetch, lease=lease, linger=linger) if linger else None
        )
        self._takes = self._consumer.take if self._ahead is None else self._ahead.take
        self._receiver = Receiver(runtime, self._leases, Retry(runtime, retry_delay), min(linger, lease / 3))
        self._auto_extend = auto_extend
        self._lease = lease
        self._dead = Dead(store, serializer, self._put_again, self._consumer.dying)
        self._shares = not buffered
        self._bound = (
            Bound(parts, self._waiting, lambda: self._log.buffered, self._unanswered, self._log.flush)
            if meta.maxsize
            else None
        )
        self._rates = Rates(runtime)
        self._tasks = Tasks(runtime)
        self._count = self._tasks.one
        self._arrears: Arrears[T] = Arrears(runtime)
        self._closing = runtime.lock()  # for one at a time
        self._shut = False
        """Nothing is put any more."""
        self._ended = False
        """Nothing is handed out any more, either."""
        self._closed = False
        self._gone = False
        """The store is closed, too."""
        self._puts_plainly = self._bound is None
        """Whether a put has nothing to heed: neither a bound nor an end."""
        self._gets_plainly = self._bound is None
        """Whether a get has nobody to tell, nothing owed to hand out first, and no end."""
        self._origin = origin
        self._parts = parts
        if runtime is REAL:
            lives.opened(self, keep=buffered)

    # -- producing ----------------------------------------------------------------------------------------------------

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Add an item; on return it is as durable as the queue promises.

        Args:
            item: anything that the serializer takes.
            block: whether to wait for room where `maxsize` is reached.
            timeout: how long to wait for that, in seconds; None: for ever. What follows takes what it takes.

        Raises:
            SerializationError: the serializer refuses it; the queue is unchanged.
            Full: `maxsize` items are not acknowledged, and were not in time; not put.
            StoreFull: no room; not put.
            PutUncertain: it may be in the queue, or not.
            StoreError: not put; trying again can help.
            ShutDown: this object is closed or shut down; not put.
        """
        record = self._dumps(item)
        if self._puts_plainly:
            try:
                self._log.land((record,))
            except Landed as landed:
                raise landed.__cause__ or landed from None
            except StoreError as error:
                self._if_closed(error)
                raise
        else:
            self._put_heedfully((record,), block, timeout)
        if self._shares or self._waiting.sleepers:
            try:  # noqa: SIM105  # which would cost more than all the rest of this
                self._notify()
            except StoreError:
                pass  # closed meanwhile, and the item is in

    def put_nowait(self, item: T) -> None:
        """As `put(item, block=False)`."""
        self.put(item, block=False)

    def put_many(self, items: Iterable[T], block: bool = True, timeout: float | None = None) -> None:
        """Add items in one commit: all of them or none; where `maxsize` is set, once there is room for all.

        Raises:
            TooLarge: more than one commit may hold; nothing was put.
            ValueError: more than `maxsize`; nothing was put.
            See `put` for the rest.
        """
        dumps = self._dumps
        records = [dumps(item) for item in items]  # by `map`, a serializer's StopIteration would end them
        if not records:
            self._check_put()
            return
        self._put_heedfully(records, block, timeout)
        if self._shares or self._waiting.sleepers:
            self._waiting.tell()

    def put_stream(
        self, items: Iterable[T], *, batch: int = BATCH, progress: Callable[[int], object] | None = None
    ) -> int:
        """Add items in order, commit by commit, as they come: any number of them, of which few are in memory.

        Where each commit is a request, several are under way at once. Where the queue is full, it waits for room.

        Args:
            items: as for `put`. A commit waits until its `batch` is there or they end.
            batch: items of a commit, at most.
            progress: called with the number of items that are in the queue, after each commit.

        Returns:
            How many there were.

        Raises:
            See `put`, and what `items` itself raises. The first `put_so_far` items (an attribute of our errors, and a
            note to any) are in the queue then, and none of the others is; but for `PutUncertain`, and where the note of
            another's error, or of an interrupt, says so, some may be, or come in later.
        """
        if batch < 1:
            raise ValueError("'batch' must be a positive number")
        self._check_put()

        def landed(count: int) -> None:
            if self._shares or self._waiting.sleepers:
                self._waiting.tell()
            if progress is not None:
                progress(count)

        most = min(batch, self.maxsize or batch)
        stream = Stream(self._log, self._runtime, self._room, landed)
        dumps = self._dumps
        try:
            stream.run((dumps(item) for item in items), most)
        except StoreError as error:
            self._if_closed(error)
            raise
        return stream.count

    def _put_heedfully(self, records: Sequence[bytes], block: bool, timeout: float | None) -> None:
        with self._room(len(records), block, timeout):
            try:
                self._log.put(records)
            except StoreError as error:
                self._if_closed(error)
                raise

    def _room(self, count: int, block: bool = True, timeout: float | None = None) -> AbstractContextManager[None]:
        """A context in which so many items may be put."""
        self._check_put()
        if self._bound is None:
            return nullcontext()
        return self._bound.room(count, self._check_put, block=block, timeout=timeout)

    def _check_put(self) -> None:
        if self._closed:
            raise _closed()
        if self._shut:
            raise ShutDown("this queue object was shut down: nothing is put any more")

    def _unanswered(self) -> int:
        """Items done with, the acknowledgement of which has not gone out."""
        ahead = self._ahead.unanswered if self._ahead is not None else 0
        return ahead + self._receiver.unanswered

    def _put_again(self, record: bytes) -> None:
        """A dead letter's record, stored on return."""
        if self._closed:
            raise _closed()
        self._log.put((record,))
        self._log.flush()
        self._waiting.tell()

    def sync(self) -> None:
        """Flush: what was put or handed out before is as durable as in `written`; in `synced`, it was before.

        Raises:
            StoreFull, StoreError: not yet; what is buffered stays so.
            PutUncertain: what was buffered may be in the queue, or not.
        """
        self._log.flush()
        self._receiver.flush()
        if self._ahead is not None:
            self._ahead.flush()
            self._waiting.tell()

    # -- consuming ----------------------------------------------------------------------------------------------------

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Take the next item; it is acknowledged on return.

        Args:
            block: whether to wait for one.
            timeout: how long, in seconds; None: for ever.

        Raises:
            Empty: none came in time.
            SerializationError, CorruptSegment: an item can't be read; it was set aside as a dead letter. Told once.
            StoreError: no answer; what was taken, if it was, comes with the next call.
            ShutDown: this object is closed.
        """
        if timeout is not None and block:
            check_timeout(timeout)
        ahead = self._ahead
        if ahead is not None and self._gets_plainly:
            try:
                self._count()  # before it is taken, so that `join` never looks between the two
                with ahead.guard:
                    loan = ahead.loan
                    if ahead.ready and loan is not None and self._monotonic() < loan.deadline:
                        item: T = ahead.ready.pop()
                        return item
            except BaseException:  # interrupted, so that nobody will say that it is done
                with self._tasks.guard:
                    self._tasks.more -= 1
                raise
            with self._tasks.guard:
                self._tasks.more -= 1
        items = self._counted(1) or self._wait(lambda: self._counted(1), block, timeout)
        return items[0]

    def _counted(self, n: int) -> Sequence[T]:
        """Take, and count what is handed out; from before it is taken, so that `join` never looks between the two."""
        count = 0
        tasks = self._tasks
        try:
            if n == 1:
                self._count()
            else:
                with tasks.guard:
                    tasks.more += n
            items = self._take(n)
            count = len(items)
            return items
        finally:
            if count != n:
                with tasks.guard:
                    tasks.more += count - n

    def get_nowait(self) -> T:
        """As `get(block=False)`."""
        return self.get(block=False)

    def get_many(self, n: int, block: bool = True, timeout: float | None = None) -> list[T]:
        """Take the next items: at least one, at most `n`, in one step; see `get`."""
        if n < 1:
            raise ValueError("'n' must be a positive number")
        if timeout is not None and block:
            check_timeout(timeout)
        items = self._counted(n) or self._wait(lambda: self._counted(n), block, timeout)
        return items if isinstance(items, list) else list(items)

    def __iter__(self) -> Iterator[T]:
        """Get until nothing can be handed out: each item is acknowledged as it comes, as by `get`, and not before."""
        while True:
            try:
                item = self.get(block=False)
            except Empty:
                return
            except ShutDown:
                if self._closed:
                    raise
                return
            yield item

    __contains__ = None
    """`x in queue` would get, and acknowledge, all there is."""

    def receive(self, block: bool = True, timeout: float | None = None, lease: float | None = None) -> Message[T]:
        """Borrow the next item: it is acknowledged by `Message.ack`, and comes again if that never happens.

        First come those that were given back and are ready, lowest offset first, then the next in the queue.

        Args:
            block: whether to wait for one.
            timeout: how long, in seconds; None: for ever.
            lease: seconds until others may get it, unless it is renewed; None: this object's.

        Raises:
            Empty, SerializationError, CorruptSegment, ShutDown: see `get`.
            StoreError: no answer; what was lent, if it was, comes with the next call.
        """
        message: Message[T] = self._received(1, block, timeout, lease)[0]
        return message

    def receive_many(
        self, n: int, block: bool = True, timeout: float | None = None, lease: float | None = None
    ) -> Batch[T]:
        """Borrow the next items under one claim: at least one, at most `n`; see `receive`.

        Items that came back before are lent with fewer neighbours each time, and alone for their last attempt
        (`max_attempts`), so that one that kills its workers takes no other along.
        """
        if n < 1:
            raise ValueError("'n' must be a positive number")
        return Batch(self._receiver, self._received(n, block, timeout, lease))

    def messages(self, timeout: float | None = None, lease: float | None = None) -> Iterator[Message[T]]:
        """A worker's loop: each next message, until this object is closed or none came within `timeout` seconds."""
        while True:
            try:
                message = self.receive(True, timeout, lease)
            except (Empty, ShutDown):
                return
            yield message

    def _received(self, n: int, block: bool, timeout: float | None, lease: float | None) -> list[Any]:
        if timeout is not None and block:
            check_timeout(timeout)
        if lease is not None and not 0 < 1000 * lease < inf:
            raise ValueError("'lease' must be a positive number")
        lease_ms = max(1, int(1000 * (self._lease if lease is None else lease)))
        how = self._lend, n, lease_ms, self._auto_extend
        return self._looked(*how) or self._wait(lambda: self._looked(*how), block, timeout, self._return)

    def _lend(self, n: int, lease_ms: int, renews: bool) -> list[Part]:
        if self._ahead is not None and (self._ahead.holds or self._ahead.returns):
            self._ahead.release()  # what it holds comes first
        return self._receiver.take(n, lease_ms, renews)

    def _return(self, messages: Sequence[Part]) -> None:
        """Interrupted before they were handed out: others may have them at once."""
        with suppress(QueueError):
            self._receiver.give_back(messages, 0, "", counted=False)

    def _take(self, n: int) -> Sequence[T]:
        if self._receiver.holds:
            self._receiver.release()  # that comes first
        if self._gets_plainly:
            return self._looked(self._takes, n)
        return self._take_heedfully(n)

    def _take_heedfully(self, n: int) -> Sequence[T]:
        """Hand out what is owed first; make known that there is room."""
        if self._ended and not self._closed:
            raise _shut_down()
        items = (self._arrears.owed and self._arrears.pay(n)) or self._looked(self._takes, n)
        if items and self._bound is not None:
            try:
                self._waiting.tell()
            except BaseException:
                self._owe(items)
                raise
        return items

    def _owe(self, items: Sequence[T]) -> None:
        """They are taken, and the call was interrupted: the next one hands them out."""
        self._arrears.owe(items)
        self._gets_plainly = False

    def _looked(self, take: Callable[..., M], *how: Any) -> M:
        """What this finds; where it finds nothing, once more with what this object has in its buffer put."""
        if self._ended:
            raise _closed() if self._closed else _shut_down()
        try:
            items = take(*how)
            if not items and self._log.buffered:
                self._log.flush()  # this object's own get finds nothing stored
                items = take(*how)
        except StoreError as error:
            self._if_closed(error)
            raise
        return items

    def _if_closed(self, error: StoreError) -> None:
        """Say so of what failed because this is closed, or is being closed."""
        if self._closed or self._consumer.underway.ending:
            told = _closed()
            told.put_so_far = error.put_so_far
            raise told from error

    def _wait(
        self,
        take: Callable[[], M],
        block: bool,
        timeout: float | None,
        undo: Callable[[M], object] | None = None,
    ) -> M:
        """What this finds, once it does."""

        def look() -> M:
            found = take()
            if not found and self._shut:
                raise _shut_down()
            return found

        if not block:
            if self._shut:
                raise _shut_down()
            raise Empty("nothing to hand out now")
        owe: Callable[[Any], object] = undo or self._owe
        found: M | None = self._until(look, timeout, owe)
        if not found:
            raise Empty(f"nothing came within {timeout} s")
        return found

    def _until(self, look: Callable[[], M], timeout: float | None, undo: Callable[[M], object]) -> M | None:
        try:
            return self._waiting.until(look, timeout, undo=undo, due=self._consumer.due)
        except StoreError as error:
            self._if_closed(error)
            raise

    def lending(self) -> Lending:
        """Claims for one loop of this package's own that acknowledges items after they are out; closed by its user."""
        if self._closed:
            raise _closed()
        self._log.flush()
        return Lending(self._runtime, self._leases, self._lease)

    @property
    def dead(self) -> Dead:
        """Its dead letters."""
        return self._dead

    # -- the standard library's other methods ---------------------------------------------------------------------------

    def task_done(self) -> None:
        """Say that one item which this object's `get` handed out is done with; see `join`.

        Raises:
            ValueError: called more often than items were handed out.
        """
        self._tasks.done()
        self._waiting.tell()

    def join(self) -> None:
        """Wait until `task_done` was called for all that this object handed out, and the queue holds nothing.

        Whoever else got an item, or borrowed and acknowledged it, is done with it. After `shutdown(immediate=True)`
        only what was handed out counts.

        Raises:
            ShutDown: this object was closed.
        """

        def look() -> bool:
            if self._closed:
                raise _closed()
            return self._tasks.unfinished <= 0 and (self._ended or len(self) == 0)

        if not look():
            self._until(look, None, nothing)

    @property
    def maxsize(self) -> int:
        """How many items that are not acknowledged the queue may hold before a put waits; 0: any number.

        It is the queue's, for all its producers. Within one object it is exact; several may exceed it by what they are
        putting at once.
        """
        return self.meta.maxsize

    def qsize(self) -> int:
        """Items that could be handed out to this object now; not those that others have claimed or that are delayed."""
        ahead = len(self._ahead.held()) if self._ahead is not None else 0
        return self._consumer.available() + ahead + self._log.buffered + len(self._arrears.items)

    def empty(self) -> bool:
        """Whether nothing could be handed out to this object now; another's act may change it at any time."""
        return not self.qsize()

    def full(self) -> bool:
        """Whether `maxsize` items are not acknowledged, so that a put would wait."""
        return 0 < self.maxsize <= len(self)

    # -- looking, and clearing ------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Items put and not acknowledged, this object's buffer included; an upper bound while others act."""
        waiting = self._consumer.waiting()
        held = self._unanswered()  # afterwards: what goes out meanwhile is counted, not taken off twice
        return max(0, waiting - held) + self._log.buffered + len(self._arrears.items)

    def __bool__(self) -> bool:
        """True, as an open file is."""
        return True

    def peek(self, n: int = 1) -> list[T]:
        """The next items, at most `n`, in the order that this object would get them; they stay where they are.

        What can't be read is passed over.
        """
        if n < 1:
            raise ValueError("'n' must be a positive number")
        if self._closed:
            raise _closed()
        found = self._arrears.items
        found += self._ahead.held() if self._ahead is not None else ()
        if len(found) < n:
            glance = Glance(self._store, self._parts.codecs)
            records = chain.from_iterable(chunk.records for chunk in glance.waiting())
            for record in chain(records, self._log.peek()):
                with suppress(SerializationError):
                    found.append(self.serializer.loads(record))
                if len(found) >= n:
                    break
        return found[:n]

    def clear(self) -> int:
        """Acknowledge whatever nobody else has claimed, unread; how many items that were.

        What others have claimed is theirs, and comes back if they give it back.

        Raises:
            StoreError: no answer; what was cleared, if it was, is not counted by the next call.
        """
        if self._closed:
            raise _closed()
        self._log.flush()
        count = self._arrears.drop()
        if self._ahead is not None:
            count += self._ahead.drain()
            self._ahead.flush()
        self._receiver.release()
        count += self._consumer.clear()
        self._waiting.tell()
        return count

    def stats(self) -> Stats:
        """Count what the queue holds; rates are those since this object's call before, None at the first.

        It reads the documents, the names of all segments, and the open segment: not for every item.
        """
        if self._closed:
            raise _closed()
        stats = survey(self._store, self._parts.codecs)
        return self._rates.over(
            replace(stats, buffered=self._log.buffered, repeated=self._consumer.repeated, lost=self._consumer.lost)
        )

    # -- the end ------------------------------------------------------------------------------------------------------

    def shutdown(self, immediate: bool = False) -> None:
        """End this object's puts, and its gets once the queue is empty: both raise `ShutDown` then. Others go on.

        Whoever waits in `put` is woken, and in `get` once there is nothing to get. Nothing of this is stored, and
        nothing stored is dropped.

        Args:
            immediate: whether to end gets at once, too, and to give back what was claimed and not handed out.

        Raises:
            StoreError: what was claimed could not be given back; it comes back after its lease.
        """
        self._shut = True
        self._puts_plainly = False
        if immediate:
            self._ended = True
            self._gets_plainly = False
        self._waiting.tell()
        if immediate and not self._closed:
            self._receiver.release()
            if self._ahead is not None:
                self._ahead.close()

    def close(self) -> None:
        """Flush, give back what was claimed and not handed out, and let go of the store; waiting calls raise `ShutDown`.

        A process that ends closes what it has open; one that ends by `os._exit`, as multiprocessing's children do, is
        to do it by itself.

        What an interrupted call had taken, or was lent, and could not hand out is given back, too, or put again at the end
        where its segment is freed. It waits for other threads' calls that are claiming something just then, five seconds at
        most; what it has to give back, or to acknowledge, takes as long as the store takes to answer. Interrupted itself, it
        is to be called again.

        Raises:
            StoreFull, StoreError: what is buffered could not be put, or what is owed not given back; this object stays
                open. Or what was claimed for later could not be given back, which comes when its lease ends; then it is closed.
        """
        if self._gone:
            return
        with self._closing:
            if not self._closed:
                underway = self._consumer.underway
                try:
                    underway.end()
                    self._arrears.settle(self._consumer.restore, self._put_late)
                    self._log.finish()
                except BaseException:
                    underway.ending = False
                    raise
            self._closed = self._shut = self._ended = True
        self._puts_plainly = self._gets_plainly = False
        self._waiting.tell()
        try:
            try:
                self._receiver.close()
            finally:
                if self._ahead is not None:
                    self._ahead.close()
        except QueueError:
            self._let_go()
            raise
        self._let_go()

    def _put_late(self, items: Sequence[T]) -> None:
        dumps = self._dumps
        self._log.land([dumps(item) for item in items])

    def _let_go(self) -> None:
        self._leases.close()
        self._consumer.close()
        self._store.close()
        lives.closed(self)
        self._gone = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<pqueue.Queue {self.meta.queue} {self.meta.durability}{' closed' if self._closed else ''}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Its settings, secrets among them, so that the same queue is opened where the pickle is read; no items."""
        origin = self._origin
        if origin is None:
            raise TypeError(
                "this queue object was made from a bare store, and can't be pickled: open it by pqueue.open, whose "
                "settings can be"
            )
        if self._store.in_process:
            raise TypeError(
                "a queue in this process's memory can't be pickled, since no other process reaches it: use a folder"
            )
        return reopen, (origin.settings, origin.item.kind if origin.item is not None else None, self.meta.queue)

    def forget(self) -> None:
        """In a forked child: a new client, with nothing of the parent's claims or buffers (rule 31)."""
        self._runtime.forget()
        self._waiting.forget()
        self._notify = self._waiting.notify
        self._log.forget()
        self._consumer.forget()
        self._leases.forget()
        self._receiver.forget()
        if self._ahead is not None:
            self._ahead.forget()
        if self._bound is not None:
            self._bound.forget()
        self._tasks.forget()
        self._count = self._tasks.one
        self._arrears.forget()
        self._closing = self._runtime.lock()


def _freed(waiting: Waiting, bounded: bool, answers: Sequence[Answer]) -> None:
    """Claims were answered for: wake those that wait for room, or for what was given back."""
    if not bounded:
        for answer in answers:
            if answer.back:
                break
        else:
            return
    waiting.tell()


def _wanted(
    fixed: dict[str, Any] | None, serializer: Serializer | None, codecs: Sequence[Codec] | None
) -> dict[str, Any]:
    """What the opener says of the queue."""
    wanted = dict(fixed or {})
    if serializer is not None:
        wanted["serializer"] = serializer.name
    if codecs is not None:
        wanted["codecs"] = tuple(codec.name for codec in codecs)
    return wanted


def _closed() -> ShutDown:
    return ShutDown("this queue object is closed: open the queue again")


def _shut_down() -> ShutDown:
    return ShutDown("this queue object was shut down, and there is nothing left for it to hand out")
