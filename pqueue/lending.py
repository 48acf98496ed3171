"""Items lent to one loop, each acknowledged once that loop is done with it: what `get` of the command line rests on."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from pqueue.claims import Answer, Consumer, Outcome, Request
from pqueue.errors import CorruptSegment, QueueError, SerializationError
from pqueue.head import Range
from pqueue.runtime import Runtime

log = logging.getLogger("pqueue")

_LOST = float("-inf")
"""The deadline of a claim that is somebody else's by now."""


@dataclass(slots=True)
class _Lent:
    """What is left of a range that a claim holds."""

    claim: str
    where: Range
    deadline: float
    renewed: float


class Lending:
    """Claims of one loop, renewed while it works; a kill repeats what it had not yet called `done`.

    All but the renewal is for one thread.
    """

    def __init__(self, consumer: Consumer, runtime: Runtime, lease: float) -> None:
        self._consumer = consumer
        self._runtime = runtime
        self._lease_ms = int(lease * 1000)
        self._guard = runtime.lock()
        self._swapping = runtime.lock()
        self._lent: deque[_Lent] = deque()
        self._answers: list[Answer] = []
        self._claim = ""
        self._closed = runtime.event()
        self._keeping = False
        self._repeats = False

    def take(self, count: int) -> Sequence[Any]:
        """Acknowledge what is done, and borrow at most `count` more items, in one swap; none: there is nothing now.

        Raises:
            CorruptSegment, SerializationError: an item can't be read and was set aside; told once.
            StoreError: no answer; try again, or what was lent comes back after its lease.
        """
        # The id stays until its swap is answered, so that what was lent unheard is found again (rule 14).
        self._claim = self._claim or self._consumer.draw_claim()
        outcome = self._send(Request(lend=count, claim=self._claim, lease_ms=self._lease_ms))
        claim, self._claim = self._claim, ""
        now = self._runtime.monotonic()
        with self._guard:
            self._lent.extend(_Lent(claim, lot.where, outcome.deadline, now) for lot in outcome.lots)
        if outcome.lots and not self._keeping:
            self._keeping = True
            self._runtime.spawn(self._keep, "lender")
        return [item for lot in outcome.lots for item in lot.items]

    def current(self) -> bool:
        """Whether everything lent is still this loop's; else nothing of it may be handed out any more (rule 16)."""
        now = self._runtime.monotonic()
        with self._guard:
            return all(now < lent.deadline for lent in self._lent)

    def drop(self) -> int:
        """Forget what is lent and not done, which others may get now; how many items that are."""
        with self._guard:
            count = sum(lent.where.stop - lent.where.start for lent in self._lent)
            self._lent.clear()
        return count

    def done(self, count: int) -> None:
        """The `count` oldest items lent are out: the next swap acknowledges them."""
        with self._guard:
            while count:
                lent = self._lent[0]
                where = lent.where
                stop = min(where.stop, where.start + count)
                self._answers.append(Answer(lent.claim, where._replace(stop=stop)))
                count -= stop - where.start
                if stop == where.stop:
                    self._lent.popleft()
                else:
                    lent.where = where._replace(start=stop)

    def close(self) -> None:
        """Acknowledge what is done, give back the rest as if it had never been lent (rule 18)."""
        if self._closed.is_set():
            return
        with self._guard:
            self._closed.set()
            self._answers += [Answer(lent.claim, lent.where, back=True, counted=False) for lent in self._lent]
            self._lent.clear()
        if self._answers:
            self._send(Request())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _send(self, request: Request) -> Outcome:
        """Have what is done, and the request, carried by one swap."""
        with self._swapping:
            with self._guard:
                answers, self._answers = self._answers, []
            request.answers = answers
            try:
                outcome = self._consumer.ask(request)
            except BaseException as error:
                with self._guard:
                    self._answers[:0] = answers
                # Told of a bad item, the answers may have been carried all the same: once more does no harm.
                self._repeats = isinstance(error, CorruptSegment | SerializationError)
                raise
        repeats, self._repeats = self._repeats, False
        if repeats:
            return outcome
        late = sum(answer.where.stop - answer.where.start for answer in answers) - sum(outcome.settled[: len(answers)])
        if late:
            log.warning("%d items were acknowledged after their lease had run out: others may get them again", late)
        return outcome

    def _keep(self) -> None:
        """Renew claims, until closed."""
        while not self._closed.wait(self._lease_ms / 6000):
            now = self._runtime.monotonic()
            with self._guard:
                old = sorted({lent.claim for lent in self._lent if now - lent.renewed > self._lease_ms / 3000})
            if not old:
                continue
            try:
                outcome = self._send(Request(extend=[(claim, self._lease_ms) for claim in old]))
            except QueueError as error:
                log.warning("claims could not be renewed, this is tried again: %s", error)
                continue
            held = dict(zip(old, outcome.settled[-len(old) :], strict=True))
            with self._guard:
                for lent in self._lent:
                    if lent.claim in held:
                        lent.deadline, lent.renewed = (outcome.deadline if held[lent.claim] else _LOST), now
