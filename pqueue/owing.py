"""What swaps did for callers that never heard of it: their answers were lost, or they were interrupted (rule 14)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from pqueue.request import Answer, Lot, Outcome, Request

_MOST = 10_000
"""Answers remembered; as many as the head has ranges."""


class Owing:
    """Of one queue object; used by whoever leads its swaps."""

    def __init__(self) -> None:
        self.taken: deque[Outcome] = deque()
        """Items acknowledged and not handed out: the next that takes gets them."""
        self.again: deque[Answer] = deque()
        """Answers of attempts that were given up, and for what nobody was handed: the next swap carries them.

        Any thread may add some; they stay until they are carried, and once more is no more than once."""
        self.late: list[Sequence[Any]] = []
        """Items that could not be restored, since their segment was freed meanwhile."""
        self.lent: dict[str, Outcome] = {}
        """By claim: the next call that lends under it gets them."""
        self.told: dict[Answer, int] = {}
        """How many items each settled."""

    @property
    def items(self) -> int:
        """Items acknowledged and not handed out."""
        return sum(len(lot.items) for outcome in tuple(self.taken) for lot in outcome.lots)

    def owe(self, request: Request, outcome: Outcome) -> None:
        """Carried, and the caller never heard: its next call hands out what was taken or lent, tells what was settled."""
        if len(self.told) > _MOST:
            self.told.clear()
        # What was settled stays so: a later swap for the same request finds nothing left to settle. Of what nobody was handed
        # nobody wants to know.
        settled = zip(request.answers, outcome.settled, strict=False)
        self.told.update((answer, count) for answer, count in settled if count and answer.counted)
        counts = outcome.settled[len(request.answers) + len(request.extend) :]
        if request.restore and counts:  # else there was no swap, and it is still to be restored
            self.late += [lot.items for lot, count in zip(request.restore, counts, strict=False) if not count]
            request.restore = ()  # and never again
        if outcome.lots and request.take:
            if not any(one is outcome for one in self.taken):  # interrupted, and told once more
                self.taken.append(outcome)
        elif outcome.lots:
            self.lent[request.claim] = outcome

    def owe_all(self, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
        """Each request's; there may be fewer outcomes."""
        for request, outcome in zip(requests, outcomes, strict=False):
            self.owe(request, outcome)

    def carried(self, count: int) -> None:
        """So many of `again`, the oldest."""
        for _ in range(count):
            self.again.popleft()

    def keep(self, request: Request) -> None:
        """Not carried, and given up: what it asked for that is still owed."""
        if request.restore:
            self.taken.append(Outcome([*request.restore]))
            request.restore = ()

    def recalled(self, request: Request, outcome: Outcome) -> Outcome:
        """The outcome, with what an earlier swap did unheard for the same request."""
        if request.lend and request.claim in self.lent:
            earlier = self.lent.pop(request.claim)
            outcome.lots[:0] = earlier.lots
            outcome.deadline = min(earlier.deadline, outcome.deadline or earlier.deadline)
        if self.told:
            for index, answer in enumerate(request.answers[: len(outcome.settled)]):
                outcome.settled[index] = self.told.pop(answer, 0) or outcome.settled[index] or self._part(answer)
        return outcome

    def _part(self, answer: Answer) -> int:
        """Of an answer that went out with its neighbours: how many items that settled."""
        where = answer.where
        for told, count in [*self.told.items()]:  # an interrupted thread may be adding to it
            start, stop = max(where.start, told.where.start), min(where.stop, told.where.stop)
            whole = count == told.where.stop - told.where.start
            if start < stop and whole and told._replace(where=where) == answer:
                return stop - start
        return 0

    def paid(self, request: Request) -> Outcome | None:
        """What is owed to whoever takes, instead of taking more; None where that is nothing."""
        wanted = request.take
        if not wanted or not self.taken or request.answers:
            return None
        outcome = self.taken.popleft()
        lots: list[Lot] = []
        while outcome.lots and wanted:
            lot = outcome.lots.pop(0)
            lots.append(Lot(lot.where, lot.items[:wanted]))
            if len(lot.items) > wanted:
                outcome.lots.insert(0, lot.behind(wanted))
            wanted -= len(lots[-1].items)
        if outcome.lots:
            self.taken.appendleft(outcome)
        return Outcome(lots=lots)
