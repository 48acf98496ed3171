"""`maxsize`: room is made certain before anything is sent, and kept until it is in the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pqueue.abc import SAME, Document, Version
from pqueue.errors import Full
from pqueue.head import tally
from pqueue.names import HEAD
from pqueue.parts import Parts
from pqueue.reader import Reader
from pqueue.waiting import Waiting, check_timeout, nothing
from pqueue.words import counted

_TRUSTED = 0.05
"""Seconds after this object's own commit for which the tail that it left counts as the newest, where a look is dear."""

_LOOK = 0.05
"""Seconds after which a put that waits for others of its object looks by itself: who should wake it may be interrupted."""


class Level:
    """How many items are stored and not acknowledged."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._dear = not parts.store.always_answers
        self.forget()

    def forget(self) -> None:
        """In a forked child: look anew."""
        parts = self._parts
        self._reader = Reader(parts.store, parts.view, parts.codecs, parts.runtime, lambda: None)
        self._version: Version | None = None
        self._next = self._held = 0
        self._trusted = float("-inf")

    def committed(self) -> None:
        """This object has just put something, so it knows the tail."""
        if self._dear:
            self._trusted = self._parts.runtime.monotonic() + _TRUSTED

    def guess(self) -> int:
        """Too high, perhaps, by what was acknowledged since the last look; too low by what others are putting now."""
        if not self._dear or self._version is None:
            return self.now()
        if self._parts.runtime.monotonic() > self._trusted:
            self._parts.view.load()
        return self._sum()

    def now(self) -> int:
        """The head first, then the tail: an upper bound while others act."""
        document = self._parts.store.load(HEAD, self._version)
        if document is not SAME and isinstance(document, Document):
            self._version = document.version
            self._next, self._held = tally(document.data)
        self._parts.view.load()
        return self._sum()

    def _sum(self) -> int:
        return max(0, self._reader.end() - self._next) + self._held


class _Room:
    """What one put takes, until `over`: by a plain assignment in a `finally`, so that no interrupt leaves it taken."""

    __slots__ = ("count", "over")

    def __init__(self, count: int) -> None:
        self.count = count
        self.over = False


class Bound:
    """The room that one queue object's puts take, for any number of threads.

    Exact within one object: what it has room for, and what it is putting, never exceed `maxsize`. Other objects'
    puts that are under way count once they are in.
    """

    def __init__(
        self,
        parts: Parts,
        waiting: Waiting,
        buffered: Callable[[], int],
        unanswered: Callable[[], int],
        flush: Callable[[], object] = lambda: None,
    ) -> None:
        """For the queue of these parts.

        Args:
            parts: meta says the `maxsize`.
            waiting: what a full put sleeps on.
            buffered: items of this object that are to be stored yet.
            unanswered: items that are stored, and which this object will acknowledge.
            flush: stores those that are buffered, so that others can make room.
        """
        self.maxsize = parts.meta.maxsize
        self._runtime = parts.runtime
        self._waiting = waiting
        self._buffered = buffered
        self._unanswered = unanswered
        self._flush = flush
        self._level = Level(parts)
        self.forget()

    def forget(self) -> None:
        """In a forked child: nothing of the parent's puts."""
        self._level.forget()
        self._guard = self._runtime.lock()
        self._rooms: list[_Room] = []
        self._settled = self._runtime.event()

    @contextmanager
    def room(
        self, count: int, check: Callable[[], None], *, block: bool = True, timeout: float | None = None
    ) -> Iterator[None]:
        """A context in which there is room for `count` more items.

        Args:
            count: items, to be put as one.
            check: raises where nothing may be put any more; asked at each look.
            block: whether to wait for room.
            timeout: how long, in seconds; None: for ever.

        Raises:
            Full: there is none.
            ValueError: there never is; or the timeout is negative.
        """
        if count > self.maxsize:
            raise ValueError(f"{count} items at once are more than the queue may hold (maxsize={self.maxsize})")

        mine = _Room(count)

        def look() -> bool:
            check()
            return self._take(mine)

        try:
            if block:
                check_timeout(timeout)
            taken = look()
            if not taken and self._buffered():
                self._flush()  # nobody but this object knows of these
                taken = look()
            if not taken and block:
                taken = bool(self._waiting.until(look, timeout, undo=nothing, pace=self._waiting.full))
            if not taken:
                raise Full(f"{counted(self.maxsize, 'item')} in the queue and not acknowledged: that is its maxsize")
            yield
            self._level.committed()
        finally:
            mine.over = True  # the items are in, and count as such, or never will be
            self._wake()

    def _take(self, mine: _Room) -> bool:
        """Take the room, if it is there."""
        count = mine.count
        while True:
            with self._guard:
                # Not a list's own comprehension: in CPython 3.12 and 3.13 an interrupt in one that filters leaves the
                # block around it without its exit.
                self._rooms = [*(one for one in self._rooms if not one.over)]
                taken = sum(one.count for one in self._rooms)
                used = self._used(self._level.guess)
                if used + taken + count > self.maxsize:
                    used = self._used(self._level.now)
                if used + taken + count <= self.maxsize:
                    self._rooms.append(mine)
                    return True
                if used + count > self.maxsize:
                    return False
                settled = self._settled
            # It depends on what this object's other threads are putting, some of which may be in and count twice.
            settled.wait(_LOOK)

    def _used(self, level: Callable[[], int]) -> int:
        # In this order: what is flushed or acknowledged meanwhile counts twice, and not in neither.
        buffered = self._buffered()
        return buffered + level() - self._unanswered()

    def _wake(self) -> None:
        with self._guard:
            self._settled, settled = self._runtime.event(), self._settled
        settled.set()
