"""The face of a queue: a thin shell over the producing and the consuming side, with no I/O of its own."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from pqueue import plugins
from pqueue.abc import Codec, SegmentStore, Serializer
from pqueue.ahead import NOTHING, Ahead
from pqueue.claims import Consumer
from pqueue.dead import Dead
from pqueue.errors import Empty, ShutDown, StoreError
from pqueue.leases import Leases
from pqueue.lending import Lending
from pqueue.log import Log
from pqueue.message import Batch, Message
from pqueue.opening import find
from pqueue.parts import Parts
from pqueue.receive import Receiver
from pqueue.retry import Retry, RetryDelay
from pqueue.runtime import REAL, Runtime
from pqueue.typed import ItemType
from pqueue.view import View

T = TypeVar("T")
M = TypeVar("M")

_NO_DELAY = RetryDelay.constant(0)

_POLL = 0.001
"""Seconds a waiting `get` first sleeps between two looks, where nobody can wake it."""

_POLL_MOST = 0.05
"""… and at most, on a store where a look is cheap; 40 times as long where it is not."""


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
        """
        wanted = dict(fixed or {})
        if serializer is not None:
            wanted["serializer"] = serializer.name
        if codecs is not None:
            wanted["codecs"] = tuple(codec.name for codec in codecs)
        meta, tail = find(store, create=create, wanted=wanted, runtime=runtime)
        if serializer is None:
            serializer = plugins.recorded_serializer(meta.serializer)
        if item is not None:
            serializer = item.over(serializer)
        if codecs is None:
            codecs = [plugins.codec(name) for name in meta.codecs]
        self._store = store
        self._runtime = runtime
        self._dumps = serializer.dumps
        self.serializer = serializer
        parts = Parts(store, meta, View(store, meta.queue, tail), codecs, runtime)
        self.meta = meta
        self._log = Log(parts)
        self._consumer = Consumer(parts, serializer, self._log.mend)
        buffered = meta.durability == "buffered"
        linger = ack_linger if ack_linger is not None else float("inf") if buffered else store.ack_linger
        self._leases = Leases(runtime, self._consumer)
        self._ahead = Ahead(runtime, self._leases, prefetch=prefetch, lease=lease, linger=linger) if linger else None
        self._takes = self._consumer.take if self._ahead is None else self._ahead.take
        self._pop = self._ahead.pop if self._ahead is not None else None
        self._receiver = Receiver(runtime, self._leases, Retry(runtime, retry_delay))
        self._auto_extend = auto_extend
        self._lease = lease
        self._dear = not store.always_answers
        self._dead = Dead(store, serializer, self._put_again)
        self._closed = False
        self._acted = runtime.event()
        self._waiters = 0
        _LIVE.add(self)

    # -- producing ----------------------------------------------------------------------------------------------------

    def put(self, item: T) -> None:
        """Add an item; on return it is as durable as the queue promises.

        Raises:
            SerializationError: the serializer refuses it; the queue is unchanged.
            StoreFull: no room; not put.
            PutUncertain: it may be in the queue, or not.
            StoreError: not put; trying again can help.
            ShutDown: this object is closed.
        """
        record = self._dumps(item)
        if self._closed:
            raise _closed()
        self._log.put((record,))
        if self._waiters:
            self._acted.set()

    def put_many(self, items: Iterable[T]) -> None:
        """Add items in one commit: all of them or none.

        Raises:
            TooLarge: more than one commit may hold; nothing was put.
            See `put` for the rest.
        """
        records = list(map(self._dumps, items))
        if self._closed:
            raise _closed()
        if records:
            self._log.put(records)
            if self._waiters:
                self._acted.set()

    def _put_again(self, record: bytes) -> None:
        """A dead letter's record, stored on return."""
        if self._closed:
            raise _closed()
        self._log.put((record,))
        self._log.flush()
        self._acted.set()

    def sync(self) -> None:
        """Flush: what was put or handed out before is as durable as in `written`; in `synced`, it was before.

        Raises:
            StoreFull, StoreError: not yet; what is buffered stays so.
            PutUncertain: what was buffered may be in the queue, or not.
        """
        self._log.flush()
        if self._ahead is not None:
            self._ahead.flush()

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
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        if self._pop is not None:
            item: T = self._pop()
            if item is not NOTHING:
                return item
        return (self._take(1) or self._wait(lambda: self._take(1), block, timeout))[0]

    def get_many(self, n: int, block: bool = True, timeout: float | None = None) -> list[T]:
        """Take the next items: at least one, at most `n`, in one step; see `get`."""
        if n < 1:
            raise ValueError("'n' must be a positive number")
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        return list(self._take(n) or self._wait(lambda: self._take(n), block, timeout))

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
        return self._received(1, block, timeout, lease)[0]

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

    def _received(self, n: int, block: bool, timeout: float | None, lease: float | None) -> list[Message[T]]:
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        if lease is not None and not lease > 0:
            raise ValueError("'lease' must be a positive number")
        lease_ms = int(1000 * (self._lease if lease is None else lease))
        return self._borrow(n, lease_ms) or self._wait(lambda: self._borrow(n, lease_ms), block, timeout)

    def _borrow(self, n: int, lease_ms: int) -> list[Message[T]]:
        return self._looked(lambda: self._receiver.take(n, lease_ms, renews=self._auto_extend))

    def _take(self, n: int) -> Sequence[T]:
        if self._receiver.ahead:
            self._receiver.release()  # what it holds comes first
        return self._looked(lambda: self._takes(n))

    def _looked(self, take: Callable[[], M]) -> M:
        """What this finds; where it finds nothing, once more with what this object has in its buffer put."""
        if self._closed:
            raise _closed()
        try:
            items = take()
            if not items and self._log.buffered:
                self._log.flush()  # this object's own get finds nothing stored
                items = take()
        except StoreError as error:
            if self._closed:
                raise _closed() from error
            raise
        return items

    def _wait(self, take: Callable[[], M], block: bool, timeout: float | None) -> M:
        """Look again with a growing, bounded, jittered pause, which an act in this process cuts short."""
        if not block:
            raise Empty("nothing to hand out now")
        runtime = self._runtime
        until = None if timeout is None else runtime.monotonic() + timeout
        pause = _POLL * (40 if self._dear else 1)
        most = _POLL_MOST * (40 if self._dear else 1)
        self._waiters += 1
        try:
            while True:
                left = most if until is None else until - runtime.monotonic()
                if left <= 0:
                    raise Empty(f"nothing came within {timeout} s")
                self._acted.clear()
                items = take()
                if items:
                    return items
                self._acted.wait(min(left, pause * runtime.random.uniform(0.5, 1.5)))
                pause = min(most, 1.5 * pause)
        finally:
            self._waiters -= 1

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

    def __len__(self) -> int:
        """Items put and not acknowledged, this object's buffer included; an upper bound while others act."""
        held = self._ahead.unanswered if self._ahead is not None else 0
        return max(0, self._consumer.waiting() - held) + self._log.buffered

    def __bool__(self) -> bool:
        """True, as an open file is."""
        return True

    # -- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Flush, give back what was claimed and not handed out, and let go of the store; waiting calls raise `ShutDown`.

        Raises:
            StoreFull, StoreError: what is buffered could not be put; this object stays open.
        """
        if self._closed:
            return
        self._log.flush()
        self._closed = True
        self._acted.set()
        try:
            self._receiver.release()
            if self._ahead is not None:
                self._ahead.close()
        finally:
            self._leases.close()
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<pqueue.Queue {self.meta.queue} {self.meta.durability}{' closed' if self._closed else ''}>"

    def _after_fork(self) -> None:
        """In the child: a new client, with nothing of the parent's claims or buffers (rule 31)."""
        self._runtime.forget()
        self._log.forget()
        self._consumer.forget()
        self._leases.forget()
        self._receiver.forget()
        if self._ahead is not None:
            self._ahead.forget()
        self._acted = self._runtime.event()


def _closed() -> ShutDown:
    return ShutDown("this queue object is closed: open the queue again")


_LIVE: weakref.WeakSet[Queue[Any]] = weakref.WeakSet()


def _forked() -> None:
    for one in tuple(_LIVE):
        one._after_fork()  # noqa: SLF001  # its own module


os.register_at_fork(after_in_child=_forked)
