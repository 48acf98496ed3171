"""A worker: a handler for each item, in any number of threads, until it is told to stop."""

from __future__ import annotations

import inspect
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from pqueue.connect import open as open_queue
from pqueue.errors import (
    ClaimLost,
    CorruptSegment,
    Empty,
    QueueError,
    SerializationError,
    SettingsError,
    ShutDown,
    StoreError,
)
from pqueue.message import Message
from pqueue.plugins import meant
from pqueue.queue import Queue
from pqueue.retry import RetryDelay, text_of
from pqueue.where import Where, parse, place
from pqueue.words import counted

log = logging.getLogger("pqueue")

RETRY_DELAY = RetryDelay(first=1.0, factor=2.0, most=60.0, jitter=0.1)
"""Of a worker whose settings name none: an item that always fails is not to keep it busy."""

_LOOK = 0.5
"""Seconds after which a waiting thread looks whether it is to stop."""

_PAUSE, _PAUSE_MOST = 0.1, 10.0
"""Seconds to wait for a store that failed: at first, and at most."""

_NOT_RUN = (
    "a coroutine or a generator, which would still have to be run: hand over a plain function, such as "
    "lambda item: asyncio.run(handler(item))"
)

_OWN = ("threads", "timeout", "stop", "item")
"""Arguments of `work` beside the settings."""

_TRIES = 5
"""Of an answer that the store did not confirm."""


class Reject(Exception):  # what a handler wants, not what went wrong here
    """Raised by a handler: nobody is to try this item again. It becomes a dead letter, with the text as its reason."""


class Unfit(SerializationError):
    """Raised by a handler: it can't take such an item at all. The item is given back uncounted, and the worker ends."""


class Worked(NamedTuple):
    """What a worker did."""

    done: int
    """Items acknowledged."""
    failed: int
    """Attempts given back."""
    rejected: int
    """Items that the handler has rejected."""
    unread: int
    """Times that something could not be read, and was set aside."""


def work(
    where: Where,
    handler: Callable[[Any], object],
    *,
    threads: int = 1,
    timeout: float | None = None,
    stop: threading.Event | None = None,
    **settings: Any,
) -> Worked:
    """Call `handler(item)` for each item: acknowledged when it returns, given back when it raises.

    What is given back comes again after `retry_delay`, here by default a second, then twice as long each time, a minute
    at most. It becomes a dead letter after `max_attempts`, if the queue was made with that, and else comes for ever;
    `Reject` makes it one at once. Nothing is restarted: an item whose handler kills the process is handed out again to
    another worker.

    At the first SIGTERM or SIGINT (if this is the main thread), or when `stop` is set, each thread finishes the item it
    holds, and what is claimed beside it is given back. A second signal interrupts at once.

    Args:
        where: a queue, as for `pqueue.open`.
        handler: called in `threads` threads at once. What it returns is of no interest, unless it would still have to be
            run: a coroutine or a generator is refused.
        threads: how many; one works in the calling thread.
        timeout: seconds without an item, and with no handler at work, after which to end; None: never. While the store
            fails it is waited for.
        stop: to end it from another thread.
        settings: as for `pqueue.open`.

    Returns:
        How many items were done, attempts failed, and items rejected; what could not be read is in none of these, but said by
        `unread`.

    Raises:
        QueueError: the queue can't be opened, or is gone; not for what passes.
        Unfit: the handler has raised it, or returned what would still have to be run; what the other threads held is
            finished.
        TypeError: the handler can't be called with an item, or is asynchronous or a generator.
    """
    if threads < 1:
        raise ValueError("'threads' must be a positive number")
    check_handler(handler)
    stop = stop or threading.Event()
    item = settings.pop("item", None)
    try:
        found = parse(where, settings)
    except SettingsError as error:
        hints = [
            f"; {name!r} is none of work's own either{hint}" for name in settings if (hint := meant(name, _OWN, 0.75))
        ]
        raise SettingsError(f"{error}{''.join(hints)}") from error
    if "retry_delay" not in found.model_fields_set:
        found = found.model_copy(update={"retry_delay": RETRY_DELAY})
    with _signals(stop), open_queue(found, item=item) as queue:
        worker = _Worker(queue, handler, stop, timeout)
        log.info("working on %s with %s", place(found), counted(threads, "thread"))
        try:
            worker.run(threads)
        finally:
            done = map(counted, worker.worked[:3], ("item", "attempt", "item"))
            log.info("ends: %s done, %s failed, %s rejected%s", *done, worker.left())
    return worker.worked


def check_handler(handler: Callable[[Any], object]) -> None:
    """Refuse what would fail, or do nothing, for each item.

    Raises:
        TypeError: it would.
    """
    if not callable(handler):
        raise TypeError(f"the handler must be a function of one item, not {handler!r}")
    for one in (handler, type(handler).__call__):
        if inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) or inspect.isgeneratorfunction(one):
            raise TypeError(f"the handler makes {_NOT_RUN}")
    try:
        shape = inspect.signature(handler, follow_wrapped=False)
    except Exception:  # noqa: BLE001  # one that does not tell, whatever its annotations raise
        return
    try:
        shape.bind(None)
    except TypeError as error:
        raise TypeError(f"the handler must take one item: {error}") from None


def _ran(result: object) -> None:
    """Refuse what would still have to be run.

    Raises:
        Unfit: it would.
    """
    if result is not None and (
        inspect.isawaitable(result) or inspect.isasyncgen(result) or inspect.isgenerator(result)
    ):
        if inspect.iscoroutine(result):
            result.close()
        raise Unfit(f"its handler made {_NOT_RUN}")


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """Have the first signal set `stop`, and the second one interrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(signum: int, _: FrameType | None) -> None:
        name = signal.Signals(signum).name
        if stop.is_set():
            log.warning("%s again: breaking off; what is held comes again", name)
            raise KeyboardInterrupt(name)
        log.info("%s: finishing what is held", name)
        stop.set()

    before = {signum: signal.signal(signum, note) for signum in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


class _Worker:
    def __init__(
        self, queue: Queue[Any], handler: Callable[[Any], object], stop: threading.Event, timeout: float | None
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._stop = stop
        self._timeout = timeout
        self._guard = threading.Lock()
        self._error: BaseException | None = None
        self._idle = False
        self._busy = 0
        """Threads that have an item in hand."""
        self._last = time.monotonic()
        """When one of them was last done."""
        self.worked = Worked(0, 0, 0, 0)

    def run(self, threads: int) -> None:
        if threads == 1:
            self._loop()
            return
        # Daemons: a second signal is not to wait for them.
        crew = [threading.Thread(target=self._kept, name=f"pqueue-work-{n}", daemon=True) for n in range(threads)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        if self._error is not None:
            raise self._error

    def left(self) -> str:
        """What to say of items that were not waited for."""
        if not self._idle:
            return ""
        try:
            count = self._queue.stats().given_back
        except QueueError:  # it is no more than a word
            return ""
        return f"; {counted(count, 'item')} wait{'s' if count == 1 else ''} for a retry" if count else ""

    def _kept(self) -> None:
        try:
            self._loop()
        except BaseException as error:  # noqa: BLE001  # raised by whoever waits for the threads
            self._error = error
            self._stop.set()

    def _loop(self) -> None:
        pause = _PAUSE
        told = ""
        while not (self._stop.is_set() or self._idle):
            look = _LOOK if self._timeout is None or self._busy else min(_LOOK, self._timeout)
            try:
                message = self._queue.receive(timeout=look)
            except Empty:
                if self._quiet():
                    self._idle = True
                    return
                continue
            except ShutDown:
                return
            except (SerializationError, CorruptSegment) as error:
                if str(error) == told:  # one that can't be set aside comes again
                    raise
                told = str(error)  # logged where it was set aside
                self._add("unread")
                continue
            except StoreError as error:
                if not error.retry:
                    raise
                log.warning("the store failed, trying again in %.1f s: %s", pause, error)
                self._stop.wait(pause)
                pause = min(_PAUSE_MOST, 2 * pause)
                continue
            pause = _PAUSE
            with self._guard:
                self._busy += 1
            try:
                self._handle(message)
            finally:
                with self._guard:
                    self._busy -= 1
                    self._last = time.monotonic()

    def _quiet(self) -> bool:
        """Whether no thread had an item for so long; while one has, the others wait: it may give it back."""
        with self._guard:
            return self._timeout is not None and not self._busy and time.monotonic() - self._last >= self._timeout

    def _handle(self, message: Message[Any]) -> None:
        began = time.monotonic()
        try:
            _ran(self._handler(message.item))
        except Reject as reject:
            reason = str(reject)
            log.warning("the item at offset %d was rejected: %s", message.offset, reason)
            self._answer(message, lambda: message.reject(reason), "rejected")
        except Unfit as error:
            self._answer(message, lambda: message.nack(counted=False))
            raise Unfit(f"the item at offset {message.offset}, {error}") from error
        except Exception as error:
            text = f"{type(error).__name__}: {text_of(error)}"
            log.warning("attempt %d of the item at offset %d failed: %s", message.attempt, message.offset, text)
            log.debug("the handler's error", exc_info=True)
            self._answer(message, lambda: message.fail(text), "failed")
        except BaseException as error:
            message.fail(type(error).__name__)
            raise
        else:
            log.debug("done with the item at offset %d in %.3f s", message.offset, time.monotonic() - began)
            self._answer(message, message.ack, "done")

    def _answer(self, message: Message[Any], answer: Callable[[], None], what: str = "") -> None:
        """Answer, again where the store does not confirm it; and count it as `what`, if that is said."""
        for attempt in range(_TRIES):
            try:
                answer()
            except ClaimLost as lost:
                log.warning("%s", lost)
                return
            except QueueError as error:
                if not error.retry or attempt == _TRIES - 1:
                    log.warning("the item at offset %d could not be answered for: %s", message.offset, error)
                    return
                time.sleep(_PAUSE * 2**attempt)
            else:
                if what:
                    self._add(what)
                return

    def _add(self, what: str) -> None:
        with self._guard:
            self.worked = self.worked._replace(**{what: getattr(self.worked, what) + 1})
