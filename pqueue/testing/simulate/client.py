"""A client: one queue object, the real code, doing what its plan says and telling the oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pqueue import gc, lives
from pqueue.abc import Serializer
from pqueue.claims import Consumer
from pqueue.errors import (
    ClaimLost,
    CorruptSegment,
    Empty,
    PutUncertain,
    QueueError,
    SerializationError,
    StoreError,
    TooLarge,
)
from pqueue.head import Range
from pqueue.lending import Lending
from pqueue.message import Message
from pqueue.queue import Queue
from pqueue.request import Answer, Outcome, Request
from pqueue.share import Batch
from pqueue.testing.simulate.oracle import BUFFERED, OK, PLAIN, UNKNOWN, Oracle, Put, Take
from pqueue.testing.simulate.runtime import SimRuntime
from pqueue.testing.simulate.store import Place, SimStore
from pqueue.testing.simulate.world import Fiber, Interrupt, World

WHOLE = 7
"""The choice that acknowledges a batch that nobody has looked at; one more gives it back."""


class Op(NamedTuple):
    """One thing to do."""

    what: str
    n: int = 1
    choices: tuple[int, ...] = ()
    """What happens to each item lent."""
    seconds: float = 0.0


class Setup(NamedTuple):
    """How a client opens the queue."""

    durability: str = "written"
    segment_items: int = 4
    max_attempts: int | None = None
    lease: float = 2.0
    linger: float = 0.0
    prefetch: int = 3
    eager: bool = False
    """Whether it waits for no acknowledgement of a message."""


class SimSerializer(Serializer):
    """Text to bytes; some of it can't be read again."""

    name = "sim"
    safe = True

    def __init__(self, blind: set[str]) -> None:
        self._blind = blind

    def dumps(self, item: Any) -> bytes:
        """UTF-8."""
        if item is None:
            raise SerializationError("this serializer keeps no None")
        return str(item).encode()

    def loads(self, record: bytes) -> Any:
        """Text."""
        item = record.decode()
        if item.endswith(" poison") or item in self._blind:
            raise SerializationError("poison")
        return item


class Client:
    """One process, with one queue object and one or more threads."""

    def __init__(self, name: str, world: World, place: Place, oracle: Oracle, setup: Setup, seed: object) -> None:
        self.name = name
        self.dead = False
        self.fibers: list[Fiber] = []
        self.world = world
        self.oracle = oracle
        self.setup = setup
        self.runtime = SimRuntime(world, self, seed)
        self.store = SimStore(world, place, self)
        self.blind: set[str] = set()
        """Items that only this client can't read."""
        self.queue: Queue[str] | None = None
        self.gets = False
        """Whether it consumes."""
        self._place = place
        self._items = 0
        self._opening = self.runtime.lock()

    # -- opening ------------------------------------------------------------------------------------------------------

    def open(self) -> Queue[str]:
        """The queue, opened by the first thread that needs it."""
        with self._opening:
            while self.queue is None:
                setup = self.setup
                try:
                    self.queue = Queue(
                        self.store,
                        SimSerializer(self.blind),
                        fixed={
                            "durability": setup.durability,
                            "segment_items": setup.segment_items,
                            "max_attempts": setup.max_attempts,
                        },
                        lease=setup.lease,
                        ack_linger=setup.linger or None,
                        prefetch=setup.prefetch,
                        runtime=self.runtime,
                    )
                    self._watch(self.queue)
                except (StoreError, Interrupt):
                    self.runtime.sleep(0.05)
            return self.queue

    def _watch(self, queue: Queue[str]) -> None:
        """Have the oracle told of what is put again at close."""
        put = queue._put_late  # noqa: SLF001

        def put_late(items: Sequence[str]) -> None:
            self.oracle.again.update(items)
            put(items)

        queue._put_late = put_late  # type: ignore[method-assign]  # noqa: SLF001

    def leave(self) -> None:
        """The run is over: nobody closes its queue at the process's end."""
        if self.queue is not None:
            lives.closed(self.queue)

    @property
    def consumer(self) -> Consumer:
        """The consuming side."""
        return self.open()._consumer  # noqa: SLF001  # what the queue's messages are made of

    def now_ms(self) -> int:
        """The store's time."""
        return int(self.world.now * 1000) + self._place.offset_ms

    # -- what it does -------------------------------------------------------------------------------------------------

    def thread(self, name: str, ops: Sequence[Op]) -> Fiber:
        """Do these things, one after another, in a thread of its own."""
        return self.world.spawn(self, name, lambda: self.work(name, ops), user=True)

    def work(self, name: str, ops: Sequence[Op]) -> None:
        """Do these things, one after another."""
        for op in ops:
            doing: Callable[[str, Op], None] = getattr(self, f"do_{op.what}")
            try:
                doing(name, op)
            except Interrupt:
                continue

    def do_sleep(self, _: str, op: Op) -> None:
        """Think."""
        try:
            self.runtime.sleep(op.seconds)
        except Interrupt:
            return

    def do_put(self, thread: str, op: Op) -> None:
        """Put one item, or some at once."""
        items = [f"{self.name}.{self._items + index}" for index in range(op.n)]
        self._items += op.n
        self.put(thread, items, op)

    def do_poison(self, thread: str, op: Op) -> None:
        """Put an item that nobody can read."""
        item = f"{self.name}.{self._items} poison"
        self._items += 1
        self.oracle.poison.add(item)
        self.put(thread, [item], op)

    def do_bad(self, _: str, __: Op) -> None:
        """Put an item that the serializer refuses."""
        queue: Queue[Any] = self.open()
        try:
            queue.put(None)
        except SerializationError:
            return
        self.oracle.violate("H8: an item that can't be serialized was put")

    def put(self, thread: str, items: list[str], op: Op | None = None) -> Put:
        """Put these items at once."""
        queue = self.open()
        made = self.oracle.put(self.name, thread, items)
        outcome = OK
        try:
            if len(items) == 1 and not (op and op.choices):
                queue.put(items[0])
            else:
                queue.put_many(items)
        except PutUncertain:
            outcome = UNKNOWN
        except Interrupt:
            outcome = UNKNOWN
        except (StoreError, TooLarge):
            outcome = PLAIN
        except QueueError as error:
            self._unexpected("put", error)
            outcome = UNKNOWN
        self.world.note("put", " ".join(items), outcome)
        if self.setup.durability == "buffered":
            self._buffered(made, outcome)
        else:
            self.oracle.ended(made, outcome)
        return made

    def _buffered(self, made: Put, outcome: str) -> None:
        """A buffered put is not stored yet; one that fails has flushed others in vain."""
        if outcome == UNKNOWN:
            self.oracle.flushed(self.name, UNKNOWN)
        made.outcome = BUFFERED if outcome == OK else PLAIN if outcome == PLAIN else UNKNOWN
        made.twice = outcome == UNKNOWN

    def do_sync(self, _: str, __: Op) -> None:
        """Flush."""
        queue = self.open()
        kept = [one for one in self.oracle.puts if one.who == self.name and one.outcome == BUFFERED]
        try:
            queue.sync()
        except (PutUncertain, Interrupt):
            self.oracle.flushed(self.name, UNKNOWN)
        except StoreError:
            return
        except QueueError as error:
            self._unexpected("sync", error)
        else:
            for one in kept:
                if one.outcome == BUFFERED:
                    self.oracle.ended(one, OK)

    def do_get(self, _: str, op: Op) -> None:
        """Get up to so many items, if there are any."""
        self.gets = True
        self.get(op.n, op.seconds)

    def do_drain(self, _: str, op: Op) -> None:
        """Get until nothing is there, and then once more."""
        empty = 0
        for _try in range(300):
            if self.get(op.n):
                empty = 0
            else:
                empty += 1
                if empty > 1:
                    return
        self.oracle.violate(f"I6: {self.name} never finds the queue empty")

    def get(self, count: int, seconds: float = 0.0) -> bool:
        """Get up to so many items, waiting so long for the first; whether the queue was not known to be empty."""
        queue = self.open()
        how = "ahead" if queue._ahead is not None else "take"  # noqa: SLF001  # what it promises depends on that
        take = Take(self.name, count)
        if how == "take":
            self.oracle.takes.append(take)
        try:
            block, timeout = bool(seconds), seconds or None
            items = [queue.get(block, timeout)] if count == 1 else queue.get_many(count, block, timeout)
        except Empty:
            take.outcome = OK
            return False
        except SerializationError:
            take.outcome = OK
            return True
        except CorruptSegment as error:
            take.outcome = OK
            if not self.oracle.evictions:
                self._unexpected("get", error)
            return True
        except (StoreError, Interrupt, PutUncertain) as error:
            take.outcome = UNKNOWN
            if not isinstance(error, StoreError):
                self.oracle.flushed(self.name, UNKNOWN)  # a buffered queue's `get` flushes
            return True
        except QueueError as error:
            self._unexpected("get", error)
            return False
        take.outcome = OK
        for item in items:
            self.world.note("handed", item, how)
            self.oracle.hand(item, self.name, how, self.now_ms())
        return True

    def do_loop(self, _: str, op: Op) -> None:
        """Borrow items for a loop that says what is done."""
        self.gets = True
        queue = self.open()
        try:
            lending = queue.lending()
        except (StoreError, PutUncertain, Interrupt) as error:
            if not isinstance(error, StoreError):
                self.oracle.flushed(self.name, UNKNOWN)
            return
        for _round in range(3):
            try:
                self._round(lending, op)
            except (SerializationError, StoreError, Interrupt):
                continue
            except CorruptSegment as error:
                if not self.oracle.evictions:
                    self._unexpected("loop", error)
        for _try in range(3):
            try:
                lending.close()
            except (StoreError, Interrupt):
                continue
            return

    def _round(self, lending: Lending, op: Op) -> None:
        for item in lending.take(op.n):
            if not lending.current():
                lending.drop()
                return
            self.world.note("handed", item, "for a loop")
            self.oracle.hand(item, self.name, "ahead", self.now_ms())
            if op.seconds:
                self.runtime_sleep(op.seconds)
            lending.done(1)

    def do_receive(self, _: str, op: Op) -> None:
        """Receive messages, and answer for each as the choices say; or, from `WHOLE` on, for the batch."""
        self.gets = True
        queue = self.open()
        try:
            lease = self.setup.lease * (4 if op.n == 4 else 1)  # one object's claims differ
            batch = queue.receive_many(op.n, block=False, lease=lease)
        except (Empty, SerializationError):
            return
        except CorruptSegment as error:
            if not self.oracle.evictions:
                self._unexpected("receive", error)
            return
        except (StoreError, PutUncertain, Interrupt) as error:
            if not isinstance(error, StoreError):
                self.oracle.flushed(self.name, UNKNOWN)  # a buffered queue's `receive` flushes
            return
        if op.choices and op.choices[0] >= WHOLE:
            self._answer_whole(batch, op.choices[0], op.seconds)
            return
        for message in batch:
            claim = message._loan.claim  # noqa: SLF001  # the oracle knows it by that
            self.world.note("handed", message.item, f"as a message of {claim}")
            self.oracle.hand(message.item, self.name, "lend", self.now_ms(), claim)
        for index, message in enumerate(batch):
            self._answer_message(message, op.choices[index % len(op.choices)] if op.choices else 0, op.seconds)

    def _answer_message(self, message: Message[str], choice: int, seconds: float) -> None:
        """0: acknowledge, 3: extend before, 4: sleep before, 1: give back, 2: with a delay, 6: reject, 5: do nothing."""
        claim = message._loan.claim  # noqa: SLF001
        if choice == 5:
            return
        if choice == 4:
            self.runtime_sleep(seconds or 1.0)
        if choice == 6:
            self.oracle.rejected.add(message.item)
        settled = self._settled(message, choice)
        if settled is None:
            return
        self.world.note("answered", message.item, f"{claim}: {settled}")
        if choice in (0, 3, 4) and not self.setup.eager:
            self.oracle.tell(self.name, claim, message.offset, message.offset + 1, settled)
        elif choice == 6 and settled:
            self.oracle.buried.add(message.item)

    def _answer_whole(self, batch: Batch[str], choice: int, seconds: float) -> None:
        """A batch that nobody looks at: acknowledge it, or give it back."""
        parts = batch._parts  # noqa: SLF001  # its claims, and where they are
        where = [(part._loan.claim, part.offset, part._size) for part in parts]  # noqa: SLF001
        claims = [claim for claim, _, count in where for _ in range(count)]
        for claim, item in zip(claims, batch.items, strict=True):
            self.world.note("handed", item, f"in a batch of {claim}")
            self.oracle.hand(item, self.name, "lend", self.now_ms(), claim)
        if seconds:
            self.runtime_sleep(seconds)
        for _try in range(3):
            try:
                if choice == WHOLE:
                    batch.ack(wait=not self.setup.eager)
                else:
                    batch.nack(0.5)
            except (StoreError, Interrupt):
                continue
            except ClaimLost:
                return  # for some of it: which is not told
            self.world.note("answered", f"{len(batch)} from {where[0][1]} on", str(choice))
            if choice == WHOLE and not self.setup.eager:
                for claim, offset, count in where:
                    self.oracle.tell(self.name, claim, offset, offset + count, count)
            return

    def _settled(self, message: Message[str], choice: int) -> int | None:
        """Whether the claim held, as far as that was told; asked again while it was not."""
        for attempt in range(3):
            try:
                if choice == 3 and not attempt:
                    message.extend(self.setup.lease)
                if choice in (1, 2):
                    message.nack(0.5 * (choice == 2))
                elif choice == 6:
                    message.reject("by choice")
                else:
                    message.ack(wait=not self.setup.eager)
            except ClaimLost:
                return 0
            except (StoreError, Interrupt):
                continue
            except QueueError as error:
                self._unexpected("an answer", error)
                return None
            return 1
        return None

    def do_lend(self, thread: str, op: Op) -> None:
        """Have items lent, and answer for each as the choices say."""
        self.gets = True
        claim = self.consumer.draw_claim()
        outcome = self._lent(op.n, claim)
        index = 0
        for lot in outcome.lots:
            for offset, item in enumerate(lot.items, lot.where.start):
                if self.runtime.monotonic() >= outcome.deadline:
                    return
                self.world.note("handed", item, f"lent as {claim}")
                self.oracle.hand(item, self.name, "lend", self.now_ms(), claim)
                choice = op.choices[index % len(op.choices)] if op.choices else 0
                index += 1
                self._answer(Answer(claim, Range(lot.where.ordinal, offset, offset + 1)), choice, op.seconds)
        if op.seconds and index > 1:
            self.do_sleep(thread, op)

    def _lent(self, wanted: int, claim: str) -> Outcome:
        """What was lent, asked for again under the same id while the outcome is unknown."""
        request = Request(lend=wanted, claim=claim, lease_ms=int(self.setup.lease * 1000))
        for _try in range(3):
            try:
                outcome = self.consumer.ask(request)
                if not outcome.unread or self._read(claim, outcome):
                    return outcome
            except (SerializationError, StoreError, Interrupt):
                continue
            except CorruptSegment as error:
                if not self.oracle.evictions:
                    self._unexpected("lend", error)
            except QueueError as error:
                self._unexpected("lend", error)
                break
        return Outcome()

    def _read(self, claim: str, outcome: Outcome) -> bool:
        """Whether what was claimed by its place could be read; else it is given back."""
        lots = outcome.lots
        try:
            self.consumer.read(lots)
        except BaseException:  # noqa: BLE001  # whatever the reader finds, and interrupts
            outcome.lots = []
            self.consumer.unseen(claim, lots)
            return False
        return True

    def _answer(self, answer: Answer, choice: int, seconds: float) -> None:
        """0: acknowledge, 3: extend before that, 4: sleep before that, 1: give back, 2: with a delay, 5: do nothing."""
        if choice == 1:
            self.answer(answer._replace(back=True))
        elif choice == 2:
            self.answer(answer._replace(back=True, delay_ms=500))
        elif choice == 4:
            self.runtime_sleep(seconds or 1.0)
            self.answer(answer)
        elif choice == 3:
            self._extend(answer.claim)
            self.answer(answer)
        elif choice != 5:
            self.answer(answer)

    def runtime_sleep(self, seconds: float) -> None:
        """Sleep, whatever interrupts."""
        try:
            self.runtime.sleep(seconds)
        except Interrupt:
            return

    def _extend(self, claim: str) -> None:
        try:
            self.consumer.ask(Request(extend=[claim], lease_ms=int(self.setup.lease * 1000)))
        except (StoreError, Interrupt):
            return
        except QueueError as error:
            self._unexpected("extend", error)

    def answer(self, answer: Answer) -> None:
        """Answer for an item, again while the outcome is unknown."""
        for _try in range(3):
            try:
                outcome = self.consumer.ask(Request(answers=[answer]))
            except (StoreError, Interrupt):
                continue
            except QueueError as error:
                self._unexpected("answer", error)
                return
            self.world.note("answered", f"{answer.where.start}", f"{answer.claim}: {outcome.settled[0]}")
            if not answer.back:
                self.oracle.tell(self.name, answer.claim, answer.where.start, answer.where.stop, outcome.settled[0])
            return

    def do_collect(self, _: str, op: Op) -> None:
        """Take the litter; writers silent for so many seconds may be barred for it."""
        self.open()
        try:
            gc.collect(self.store, long_past=op.seconds, runtime=self.runtime)
        except (StoreError, Interrupt):
            return
        except QueueError as error:
            self._unexpected("collect", error)

    def do_close(self, _: str, __: Op) -> None:
        """Close, again while the store does not answer."""
        queue = self.open()
        for _try in range(5):
            kept = [one for one in self.oracle.puts if one.who == self.name and one.outcome == BUFFERED]
            try:
                queue.close()
            except (PutUncertain, Interrupt):
                self.oracle.flushed(self.name, UNKNOWN)
            except StoreError:
                continue
            except QueueError as error:
                self._unexpected("close", error)
                return
            else:
                for one in kept:
                    if one.outcome == BUFFERED:
                        self.oracle.ended(one, OK)
                return

    def _unexpected(self, what: str, error: QueueError) -> None:
        self.oracle.violate(f"{what} of {self.name} raised {type(error).__name__}: {error}")
