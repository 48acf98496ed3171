"""`get` where a swap is dear, or the queue is buffered: items are claimed ahead and acknowledged together, later."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

from pqueue.claims import Answer, Consumer, Request
from pqueue.errors import QueueError
from pqueue.head import Range
from pqueue.parts import Parts

log = logging.getLogger("pqueue")


class _Held:
    """A lot that is claimed, part of it handed out."""

    __slots__ = ("claim", "deadline", "items", "next", "renewed", "where")

    def __init__(self, claim: str, where: Range, items: Any, deadline: float, renewed: float) -> None:
        self.claim = claim
        self.where = where
        self.items = items
        self.deadline = deadline
        self.renewed = renewed
        self.next = 0


class Ahead:
    """Claims held by one queue object for its own `get`, for any number of threads.

    A crash repeats what was handed out and not yet acknowledged: at most `linger` seconds' worth, and never more than
    a third of the lease.
    """

    def __init__(self, parts: Parts, consumer: Consumer, *, prefetch: int, lease: float, linger: float) -> None:
        self._runtime = parts.runtime
        self._consumer = consumer
        self._prefetch = prefetch
        self._lease_ms = int(lease * 1000)
        self._linger = min(linger, lease / 3)
        self.forget()

    def forget(self) -> None:
        """In a forked child: nothing of the parent's claims (rule 31)."""
        self._guard = self._runtime.lock()
        self._swapping = self._runtime.lock()
        self._held: deque[_Held] = deque()
        self._answers: list[Answer] = []
        self._since = 0.0
        self._claim = ""
        self._closed = False
        self._keeping = False
        self._tick = self._runtime.event()

    @property
    def unanswered(self) -> int:
        """Items handed out whose acknowledgement has not gone out."""
        with self._guard:
            return sum(one.where.stop - one.where.start for one in self._answers if not one.back)

    def take(self, count: int) -> list[Any]:
        """At most `count` items; none where nothing is stored that could be handed out now."""
        items = self._pop(count)
        if items:
            return items
        with self._swapping:
            items = self._pop(count)  # another thread may have fetched meanwhile
            if items:
                return items
            self._fetch(count)
            return self._pop(count)

    def flush(self) -> None:
        """Send the acknowledgements of what was handed out."""
        with self._swapping:
            self._send(Request())

    def close(self) -> None:
        """Acknowledge what was handed out, give back the rest, uncounted (rule 18)."""
        with self._swapping:
            with self._guard:
                self._closed = True
                self._tick.set()
                for lot in self._held:
                    where = lot.where._replace(start=lot.where.start + lot.next)
                    if where.start < where.stop:
                        self._answers.append(Answer(lot.claim, where, back=True, counted=False))
                self._held.clear()
            self._send(Request())

    def _pop(self, count: int) -> list[Any]:
        with self._guard:
            while self._held:
                lot = self._held[0]
                if self._runtime.monotonic() >= lot.deadline:
                    # Somebody else may own it by now (rule 16).
                    self._held.popleft()
                    log.warning(
                        "%d items claimed ahead were not asked for within their lease", len(lot.items) - lot.next
                    )
                    continue
                start, lot.next = lot.next, min(lot.next + count, len(lot.items))
                stop = lot.next
                if stop == len(lot.items):
                    self._held.popleft()
                self._note(lot, start, stop)
                return list(lot.items[start:stop])
            return []

    def _note(self, lot: _Held, start: int, stop: int) -> None:
        """Remember to acknowledge [start, stop) of the lot; under the guard."""
        where = Range(lot.where.ordinal, lot.where.start + start, lot.where.start + stop)
        if not self._answers:
            self._since = self._runtime.monotonic()
            if not self._keeping:
                self._keeping = True
                self._runtime.spawn(self._keep, "keeper")
        last = self._answers[-1] if self._answers else None
        if last is not None and last.claim == lot.claim and last.where.stop == where.start and not last.back:
            self._answers[-1] = last._replace(where=last.where._replace(stop=where.stop))
        else:
            self._answers.append(Answer(lot.claim, where))

    def _fetch(self, count: int) -> None:
        # The id stays until its swap is answered, so that what was lent unheard is found again (rule 14).
        self._claim = self._claim or self._consumer.draw_claim()
        request = Request(lend=max(count, self._prefetch), claim=self._claim, lease_ms=self._lease_ms)
        outcome = self._send(request)
        claim, self._claim = self._claim, ""
        now = self._runtime.monotonic()
        with self._guard:
            self._held.extend(_Held(claim, lot.where, lot.items, outcome.deadline, now) for lot in outcome.lots)

    def _send(self, request: Request) -> Any:
        """Have the due acknowledgements, and the request, carried by one swap."""
        with self._guard:
            answers, self._answers = self._answers, []
        request.answers = answers
        if not answers and not request.lend and not request.extend:
            return None
        try:
            outcome = self._consumer.ask(request)
        except BaseException:
            with self._guard:
                self._answers[:0] = answers
            raise
        late = sum(answer.where.stop - answer.where.start for answer in answers) - sum(outcome.settled[: len(answers)])
        if late:
            log.warning("%d items were acknowledged after their lease had run out: others may get them again", late)
        return outcome

    def _keep(self) -> None:
        """Send acknowledgements that are due and renew claims, until closed."""
        while not self._closed:
            self._tick.wait(min(self._linger, self._lease_ms / 6000))
            if self._closed:
                return
            now = self._runtime.monotonic()
            with self._guard:
                due = bool(self._answers) and now - self._since >= self._linger
                old = {lot.claim for lot in self._held if now - lot.renewed > self._lease_ms / 3000}
            if not due and not old:
                continue
            try:
                with self._swapping:
                    outcome = self._send(Request(extend=[(claim, self._lease_ms) for claim in sorted(old)]))
            except QueueError as error:
                log.warning("acknowledgements could not be sent, they will be again: %s", error)
                continue
            if outcome is None or not old:
                continue
            # A claim that was lost meanwhile is not renewed: its deadline stays, and its items are not handed out.
            held = {claim for claim, count in zip(sorted(old), outcome.settled[-len(old) :], strict=True) if count}
            with self._guard:
                for lot in self._held:
                    if lot.claim in held:
                        lot.deadline, lot.renewed = outcome.deadline, now
                    elif lot.claim in old:
                        lot.deadline = min(lot.deadline, now)
