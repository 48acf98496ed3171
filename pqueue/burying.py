"""Dead letters: an item is marked, its letter written, the mark acknowledged, whoever dies between (rule 17)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from pqueue import transitions
from pqueue.abc import Version
from pqueue.cursor import Damage
from pqueue.errors import BlobMissing, Landed, QueueError, StoreError
from pqueue.head import DYING, Head, Range, Span
from pqueue.letters import written
from pqueue.names import dead_name
from pqueue.owing import Owing
from pqueue.parts import Parts
from pqueue.picking import Grave, Picker
from pqueue.reader import Reader
from pqueue.request import ClaimIds, Outcome, Request
from pqueue.swaps import Swaps
from pqueue.sweep import Sweeper
from pqueue.words import counted

log = logging.getLogger("pqueue")

BURIAL_MS = 30_000
"""How long a burier has."""


class Burier:
    """Of one client, one call at a time."""

    def __init__(
        self, parts: Parts, swaps: Swaps, picker: Picker, behind: Reader, owing: Owing, sweeper: Sweeper, ids: ClaimIds
    ) -> None:
        self._store = parts.store
        self._queue = parts.meta.queue
        self._runtime = parts.runtime
        self._swaps = swaps
        self._picker = picker
        self._behind = behind
        self._owing = owing
        self._sweeper = sweeper
        self._ids = ids
        self.lost = 0
        """Items found to be damaged, or gone in a power cut."""

    def set_aside(
        self,
        head: Head,
        version: Version,
        grave: Grave,
        new: Head,
        outcomes: Sequence[Outcome],
        requests: Sequence[Request],
    ) -> QueueError | None:
        """Bury what can't be read: mark, write, acknowledge. None: nothing to tell, plan again.

        `new` is the head as planned: a claim that ran out, or an answer, may be what makes the item free to be marked.
        """
        claim = self._ids.draw()
        until = transitions.rounded(self._swaps.time().ms, BURIAL_MS)
        if grave.error is None:
            error = "whoever claimed it last died, or let the lease run out"
            new, count = transitions.condemned(new, grave.where, claim, until, grave.reason, error)
        else:
            new = transitions.claimed(new, grave.where, claim, self._picker.own(), until)
            new, count = transitions.dying(new, claim, grave.where, until, grave.reason, str(grave.error))
        try:
            if not count or not self._swaps.swap(head, version, self._picker.stepped(new), outcomes, requests):
                return None
        except Landed as landed:
            self._owing.owe_all(requests, outcomes)
            self._swaps.unserved = None
            raise Landed([]) from landed.__cause__
        # The answers are in place; the requests that they came with are planned once more.
        self._owing.owe_all(requests, outcomes)
        self._swaps.unserved = None
        self.lost += count if grave.reason in ("damaged", "lost") else 0
        placed = self._swaps.head
        assert placed is not None
        for span in placed.rest.spans:
            if span.claim == claim:
                if grave.error is not None:
                    log.warning("%s", grave.error)
                    self._bury(span, grave.raw, damaged=grave.damaged)
                else:
                    self._bury_each(span)
        self.bury_answered(placed, requests)  # what the same swap has marked: nobody plans it again
        return grave.error

    def finish_overdue(self, head: Head) -> bool:
        """Whether a burier that died had begun something, which is finished now, or was by somebody else."""
        span = next(iter(transitions.overdue(head, self._swaps.time().ms)), None)
        if span is None:
            return False
        claim = self._ids.draw()
        where = Range(span.ordinal, span.start, span.stop)
        now = self._swaps.time()
        new = transitions.rebooted(head, now, self._runtime.wall_ms())
        new = transitions.taken_over(new, where, claim, transitions.rounded(now.ms, BURIAL_MS))
        if not self._swaps.swap(head, self._swaps.version, new):
            return True
        mine = span._replace(claim=claim)
        if span.reason in ("damaged", "lost", "missing"):
            raw, damaged = self._left_of(span, span.start)
            self._bury(mine, raw if damaged else b"", damaged=span.reason != "lost")
        else:
            self._bury_each(mine)
        return True

    def bury_answered(self, head: Head, requests: Sequence[Request]) -> None:
        """Write the dead letters that a swap in place has marked; what fails is done again by whoever finds it late."""
        claims = {answer.claim for request in requests for answer in request.answers if answer.bury or answer.back}
        for span in head.rest.spans if claims else ():
            if span.state == DYING and span.claim in claims:
                try:
                    self._bury_each(span)
                except StoreError as error:
                    log.warning("the dead letter of offset %d could not be written yet: %s", span.start, error)

    def _bury_each(self, span: Span) -> None:
        """Bury items that can be read as records: neighbours may have been marked as one, each has its own letter."""
        for offset in range(span.start, span.stop):
            raw, damaged = self._left_of(span, offset)
            if span.reason == "attempts":
                log.warning(
                    "set aside the item at offset %d after %s: %s",
                    offset,
                    counted(span.attempts, "attempt"),
                    span.error,
                )
            else:
                log.info("set aside the item at offset %d (%s): %s", offset, span.reason, span.error)
            self._bury(span._replace(start=offset, stop=offset + 1), raw, damaged=damaged)

    def _left_of(self, span: Span, offset: int) -> tuple[bytes, bool]:
        """The record at an offset, or what is left of it; whether it is damaged."""
        try:
            chunk = self._behind.chunk(span.ordinal, offset, 1)
        except Damage as damage:
            return damage.raw, True
        except BlobMissing:
            log.warning("the segment of a dead letter at offset %d is gone", offset)
            return b"", False
        return (chunk.records[0] if chunk is not None else b""), False

    def _bury(self, span: Span, raw: bytes, *, damaged: bool) -> None:
        self._store.write(dead_name(span.start), written(span, self._queue, raw))
        while True:
            head = self._swaps.head if self._swaps.head is not None else self._swaps.load()
            new, count = transitions.buried(head, span.claim, Range(span.ordinal, span.start, span.stop))
            if not count:
                return  # somebody else finished it
            if damaged and span.ordinal not in new.rest.damaged:
                new = new._replace(rest=replace(new.rest, damaged=(*new.rest.damaged, span.ordinal)))
            if self._swaps.swap(head, self._swaps.version, new):
                self._sweeper.after(head, new, aside=self._swaps.dear)
                return
