"""Answers that can wait for the next swap."""

from __future__ import annotations

import logging
from collections.abc import MutableSequence, Sequence

from pqueue.leases import Leases, Loan
from pqueue.request import Answer, Outcome, Request
from pqueue.runtime import Runtime
from pqueue.words import were

log = logging.getLogger("pqueue")


class Tab:
    """Of one lender, for any number of threads; kept while it is not known whether a swap has carried them."""

    def __init__(self, runtime: Runtime, leases: Leases) -> None:
        self._leases = leases
        self._guard = runtime.lock()
        self._swapping = runtime.lock()
        self._answers: list[Answer] = []
        self._firm = 0
        """So many of them were sent before: they are sent again as they were, to be told what became of them."""

    @property
    def acknowledged(self) -> int:
        """Items whose acknowledgement has not gone out."""
        return sum(one.where.stop - one.where.start for one in tuple(self._answers) if not one.back)

    def __bool__(self) -> bool:
        return bool(self._answers)

    def holds(self, answer: Answer) -> bool:
        """Whether this is noted, and not sent."""
        where = answer.where
        with self._guard:
            return any(
                one.where.start <= where.start and where.stop <= one.where.stop and one._replace(where=where) == answer
                for one in self._answers
            )

    def add(self, answer: Answer) -> None:
        """Note an answer; neighbours are one."""
        with self._guard:
            answers = self._answers
            if len(answers) > self._firm:
                last = answers[-1]
                where = answer.where
                if last.where.stop == where.start and last._replace(where=where) == answer:
                    answers[-1] = last._replace(where=last.where._replace(stop=where.stop))
                    return
            answers.append(answer)

    def send(
        self,
        lend: int = 0,
        lease_ms: int = 0,
        into: MutableSequence[Loan] | None = None,
        *,
        renews: bool = True,
        least: int = 0,
        patient: bool = False,
    ) -> None:
        """Have everything noted carried by one swap, which lends up to so many items, too; see `Leases.borrow`."""
        if into is None:
            self._carry(Request())
        else:
            self._leases.borrow(lend, lease_ms, into, carry=self._carry, renews=renews, least=least, patient=patient)

    def _carry(self, request: Request) -> Outcome:
        """Have everything noted carried with it; whatever interrupts this, or what it lent is the next one's to borrow."""
        outcome: Outcome | None = None
        answers: list[Answer] = []
        try:
            with self._swapping:
                try:
                    with self._guard:
                        answers, self._answers = self._answers, []
                        self._firm = 0
                    request.answers = answers
                    outcome = self._leases.carry(request)
                    _tell(answers, outcome.settled)
                    request.answers = ()  # settled: nobody will ask again
                except BaseException:
                    with self._guard:
                        self._answers[:0] = answers
                        self._firm = len(answers)
                    raise
        except BaseException:
            if outcome is not None:
                self._leases.carried(request, outcome)
            raise
        return outcome


def _tell(answers: Sequence[Answer], settled: Sequence[int]) -> None:
    sizes = ((answer, answer.where.stop - answer.where.start) for answer in answers)
    late = sum(size - held for (answer, size), held in zip(sizes, settled, strict=False) if not answer.back)
    if late:
        log.warning("%s acknowledged after the lease had run out: others may get them again", were(late, "item"))
