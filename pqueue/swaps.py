"""The head document as one client knows it, and its swaps, each of which may happen unheard (rule 14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pqueue.abc import SAME, Document, StoreTime, Version
from pqueue.errors import AnotherQueue, DocumentChanged, Landed, NotAQueue, QueueGone, StoreError, SyncFailed
from pqueue.head import Head
from pqueue.names import HEAD, draw_id
from pqueue.owing import Owing
from pqueue.parts import Parts
from pqueue.request import Outcome, Request
from pqueue.sweep import Sweeper

_TRIES = 4
"""Of an unanswered swap, beside those of the store's own library."""

_TURNS, _LONGEST = 16.0, 0.5
"""For how many swaps' time a consumer pauses that has met others where there is little; in seconds, the most of it."""

_MARGIN_MS = 2
"""The store's ms are counted down to, and may have begun just after they were told."""

_DEAR = 0.001
"""Seconds above which a swap is worth a pause for the sake of other consumers (H2)."""


@dataclass(slots=True)
class _Attempt:
    """A swap, which may have happened unheard."""

    number: int
    version: Version
    data: bytes
    head: Head
    outcomes: Sequence[Outcome]
    requests: Sequence[Request]

    @property
    def carried(self) -> tuple[Sequence[Request], Sequence[Outcome]] | None:
        """What it does for callers."""
        return (self.requests, self.outcomes) if self.requests else None


class Swaps:
    """For one client, one call at a time."""

    def __init__(self, parts: Parts, sweeper: Sweeper, owing: Owing) -> None:
        self._store = parts.store
        self._runtime = parts.runtime
        self._queue = parts.meta.queue
        self._sweeper = sweeper
        self._owing = owing
        # Where a swap is always answered nobody need number them (rule 14).
        self.numbered = not parts.store.always_answers
        self.synced = parts.meta.durability == "synced"
        self.head: Head | None = None
        """As last known; None: to be loaded first."""
        self.version: Version = 0
        self.now = StoreTime("", 0)
        self._asked = 0.0
        self.heard = 0.0
        """When, on the runtime's clock, the store's time was told."""
        self._client = ""
        self._number = -1
        self._open: _Attempt | None = None
        self._seconds = 0.0
        """How long a swap takes, about."""
        self._turns = 0.0
        """Swaps' times to pause for: as many as can be once one was lost, half as many behind each that was not."""
        self.outdated = False
        """Whether others are likely to have swapped since."""
        self._pause_until = 0.0
        self.unserved: tuple[Sequence[Request], Sequence[Outcome]] | None = None
        """What swaps in place did for callers that have not heard of it: whoever tells them takes this back."""

    # -- time ---------------------------------------------------------------------------------------------------------

    def time(self) -> StoreTime:
        """The store's time: as it last told it, and what has passed since it was heard; never ahead of it."""
        return self.now._replace(ms=self.now.ms + int((self._runtime.monotonic() - self.heard) * 1000))

    def deadline(self, local: float, lease_ms: int) -> float:
        """Counted from the sending of the call that told the time, less a margin (rule 16)."""
        return local - (self.heard - self._asked) + 0.9 * lease_ms / 1000

    def due(self) -> float:
        """Seconds until something that is claimed or rests now may be handed out, as far as is known; inf: nothing is."""
        head, now = self.head, self.time().ms
        waits = [span.until - now for span in head.rest.spans if span.until > now] if head is not None else []
        return (min(waits) + _MARGIN_MS + self._store.clock_step_ms) / 1000 if waits else float("inf")

    @property
    def dear(self) -> bool:
        """Whether a swap takes so long that it is worth doing other things beside it."""
        return self._seconds > _DEAR

    def pause(self, *, lost: bool, scarce: bool) -> None:
        """Let other consumers have their turn before the next swap that claims is planned, where one is dear (H2).

        Where there was less than asked for, for so long that the next finds more, and is rarely lost: swaps are what costs.
        """
        self._turns = _TURNS if lost else self._turns / 2
        turns = self._turns if scarce else float(lost)
        if self.dear and turns >= 1:
            pause = min(self._seconds * turns, _LONGEST) * self._runtime.random.uniform(0.5, 1.5)
            self._pause_until = self._runtime.monotonic() + pause
            self.outdated = True

    def wait(self, longest: float) -> None:
        """Sleep for what is left of that pause, but no longer than so many seconds."""
        left = min(self._pause_until - self._runtime.monotonic(), longest)
        if left > 0:
            self._runtime.sleep(left)

    # -- the document -------------------------------------------------------------------------------------------------

    def look(self) -> tuple[Head, StoreTime]:
        """The head as it is now; nothing is remembered of it, since another thread may be swapping."""
        document = self._store.load(HEAD)
        if not isinstance(document, Document):
            raise headless()
        return Head.parse(document.data), document.now

    def load(self) -> Head:
        """The head as it is now; the very same object where nobody has swapped it."""
        asked = self._runtime.monotonic()
        document = self._store.load(HEAD, self.version if self.head is not None else None)
        if document is SAME:
            assert self.head is not None
            return self.head
        if document is None:
            raise headless()
        assert isinstance(document, Document)
        known = self.head.rest if self.head is not None else None
        return self._know(Head.parse(document.data, known), document, asked)

    def _know(self, head: Head, document: Document, asked: float) -> Head:
        rest = head.rest
        if rest.queue != self._queue:
            raise AnotherQueue("the queue was deleted and made anew while this object was open: open it again")
        if rest.gone:
            raise QueueGone("the queue was removed while it was open")
        self.head, self.version, self.now = head, document.version, document.now
        self._asked, self.heard = asked, self._runtime.monotonic()
        if self._sweeper.swept < 0:
            self._sweeper.swept = rest.swept
        return head

    def _signed(self, new: Head) -> Head:
        """With this swap's number, and what has been deleted, in it."""
        rest = new.rest
        if self.numbered:
            if not self._client or rest.clients.next(self._client) != self._number + 1:
                # Dropped for its silence, with no swap open: a new id (rules 5, 14).
                self._client = draw_id(self._runtime, self.now.ms, rest.clients.horizon)
                self._number = -1
            rest = replace(
                rest, clients=rest.clients.advanced(self._client, self._number + 1, self.now.ms).pruned(self.now.ms)
            )
        if self._sweeper.swept > rest.swept:
            rest = replace(rest, swept=self._sweeper.swept)
        return new if rest is new.rest else new._replace(rest=rest)

    # -- swaps --------------------------------------------------------------------------------------------------------

    def swap(
        self,
        old: Head,
        version: Version,
        new: Head,
        outcomes: Sequence[Outcome] = (),
        requests: Sequence[Request] = (),
    ) -> bool:
        """Whether the new head is in place; False where somebody else's is, and is now known.

        Raises:
            StoreError: unknown; the attempt stays open, and the next call settles it first.
            Landed: interrupted, but it is.
        """
        new = self._signed(new)
        # What it frees is deleted, so it must survive what deletes (rule 29).
        sync = self.synced or (self._store.cut_loses_end and new.lowest[0] > old.lowest[0])
        data = new.dump()
        self._open = _Attempt(self._number + 1, version, data, new, outcomes, requests) if self.numbered else None
        asked = self._runtime.monotonic()
        try:
            document = self._store.swap(HEAD, data, version, sync)
            self.unserved = (requests, outcomes) if requests else self.unserved
        except Landed as landed:
            self.unserved = (requests, outcomes) if requests else self.unserved
            raise self._landed(new, outcomes, landed, asked) from (landed.__cause__ or landed)
        except DocumentChanged:
            if not self.numbered:
                self.load()
                return False
            # Refused for another write under way, which may be this very one, sent before and not answered (H9), and land yet:
            # until it is known, no other plan bears its number.
            return self._ours() or (self._open is not None and self._resolved())
        except SyncFailed:
            # In place, and perhaps undone by a power cut: what was taken is handed out by the next call.
            self.head = None
            self._owing.owe_all(requests, outcomes)
            raise
        except StoreError:
            if not self.numbered:
                self.head = None
                raise
            return self._resolved()
        self._applied(new, document, asked)
        took = self.heard - asked
        self._seconds += (took - self._seconds) / 8 if self._seconds else took
        return True

    def settle(self) -> None:
        """First of all, an attempt that an earlier call left open.

        Raises:
            StoreError: still unknown; it stays open.
        """
        opened = self._open
        try:
            if opened is not None and not self._resolved():
                self._owing.again.extend(answer for request in opened.requests for answer in request.answers)
                for request in opened.requests:
                    self._owing.keep(request)
        except Landed as landed:
            raise landed.__cause__ or landed from None
        if self.unserved is not None:
            self._owing.owe_all(*self.unserved)
            self.unserved = None

    @property
    def left_open(self) -> bool:
        """Whether it is not known what became of the last swap."""
        return self._open is not None

    @property
    def unsettled(self) -> bool:
        """Whether it is not known what became of the last swap, or those that it was for do not know."""
        return self._open is not None or self.unserved is not None

    def unheard(self, request: Request) -> bool:
        """Whether an open attempt, or one that nobody has heard of, carries this very request."""
        opened = self._open.requests if self._open is not None else ()
        unserved = self.unserved[0] if self.unserved is not None else ()
        return any(one is request for one in (*opened, *unserved))

    def _applied(self, new: Head, document: Document, asked: float) -> None:
        self._number += self.numbered
        self._open = None
        self._know(new, document, asked)

    def _landed(self, new: Head, outcomes: Sequence[Outcome], landed: Landed, asked: float) -> Landed:
        """What to raise where a swap was applied and then interrupted."""
        assert isinstance(landed.result, Document)
        self._applied(new, landed.result, asked)
        return Landed(outcomes)

    def _ours(self) -> bool:
        """After a swap that was lost or not answered: load; whether it was applied."""
        attempt = self._open
        assert attempt is not None
        clients = self.load().rest.clients
        if clients.applied(self._client, attempt.number):
            self._number += 1
            self._open, self.unserved = None, attempt.carried or self.unserved
            return True
        if clients.next(self._client) is None:
            self._open = None
            self._client = ""
            raise StoreError(
                "this client was silent for so long that it was dropped while a swap was not answered: whether it took "
                "items is unknown; claims come back after their lease"
            )
        if self.version != attempt.version:
            self._open = None  # that version is gone for ever, so it can't be applied any more
        return False

    def _resolved(self) -> bool:
        """What became of an open attempt: applied, or never to be.

        Raises:
            StoreError: still unknown; it stays open.
        """
        for attempt in range(_TRIES):
            opened = self._open
            if opened is None:
                return False
            self._runtime.sleep(self._runtime.random.uniform(0.01, 0.05) * (attempt + 1))
            try:
                if self._ours():
                    return True
                if self._open is None:
                    return False
                # Still that version: the same bytes again, since the first may be on their way.
                asked = self._runtime.monotonic()
                document = self._store.swap(HEAD, opened.data, opened.version, self.synced)
                self.unserved = opened.carried or self.unserved
            except DocumentChanged:
                continue
            except Landed as landed:
                self.unserved = opened.carried or self.unserved
                raise self._landed(opened.head, opened.outcomes, landed, asked) from (landed.__cause__ or landed)
            except StoreError:
                if self._client == "":
                    raise
                continue
            self._applied(opened.head, document, asked)
            return True
        raise StoreError("the store did not answer; what this call took, if it did, the next one hands out: try again")


def headless() -> NotAQueue:
    """What to raise where the head document is not there."""
    return NotAQueue("the document `head.default` is gone: restore it from a backup; it is never made anew by itself")
