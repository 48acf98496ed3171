"""Consuming: what callers ask of the swaps of the head, each of which carries whatever the waiting threads do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from pqueue import transitions
from pqueue.abc import Serializer
from pqueue.combine import Combiner
from pqueue.errors import AnotherQueue, Landed, QueueGone
from pqueue.fetching import Fetcher
from pqueue.head import DYING
from pqueue.leading import Leader
from pqueue.owing import Owing
from pqueue.parts import Parts
from pqueue.reader import Reader
from pqueue.request import Answer, Lot, Outcome, Request
from pqueue.underway import Underway

log = logging.getLogger("pqueue")


class Consumer:
    """The consuming side of one queue object, for any number of threads."""

    def __init__(self, parts: Parts, serializer: Serializer, mend: Callable[[], None]) -> None:
        self._mend = mend
        self._parts = parts
        self._runtime = parts.runtime
        self._serializer = serializer
        owners = parts.store.owners
        self._alive: Callable[[str], bool] | None = owners.alive if owners else None
        self.remind: Callable[[], object] = lambda: None
        """Called when it is not known what became of a swap; `settle` is to follow, and not after minutes of silence."""
        self.forget()

    def forget(self) -> None:
        """In a forked child: a new client with nothing of the parent's (rule 31)."""
        parts = self._parts
        self._owing = Owing()
        self._leader = Leader(parts, self._serializer, self._made, self._owing, self._reminds)
        self._combiner: Combiner[Request] = Combiner(
            self._runtime, self._leader.lead, orphaned=self._orphaned, brief=parts.brief, again=True
        )
        self._swaps = self._leader.swaps
        self._straight = self._leader.straight
        self.underway = Underway(self._runtime)
        """Calls that are claiming something."""
        self._fetcher = Fetcher(self._runtime, self._leader.picker, self._made(), self.underway)
        self.draw_claim = self._leader.ids.draw
        """An id for a claim."""

    def _reminds(self) -> None:
        self.remind()

    def _made(self, *segments: int) -> Reader:
        return Reader(self._parts.store, self._parts.view, self._parts.codecs, self._runtime, self._mend, *segments)

    @property
    def repeated(self) -> int:
        """Items handed out by this object that had been handed out before."""
        return self._leader.repeated

    @property
    def lost(self) -> int:
        """Items that this object found to be damaged, or gone in a power cut."""
        return self._leader.burier.lost

    def due(self) -> float:
        """See `Swaps.due`: another thread may be swapping meanwhile, so it is a hint."""
        return self._swaps.due()

    def take(self, count: int) -> Sequence[Any]:
        """At most `count` items, claimed and acknowledged in one swap before they are returned (rule 19).

        Raises:
            StoreError: no answer; what was taken, if it was, is handed out by this object's next call.
            CorruptSegment, SerializationError: items that can't be read, set aside as dead letters; told once.
        """
        try:
            taken = self._combiner.alone(self._straight.take, count)
        except Landed as landed:
            if isinstance(landed.result, Lot):
                self._owing.owe(Request(take=count), Outcome([landed.result]))
            raise landed.__cause__ or landed from None
        if taken:
            return taken.items
        request = Request(take=count)
        busy, me = self.underway.busy, self._runtime.ident()
        try:
            busy[me] = True
            if self.underway.ending:
                return ()
            self._swaps.wait(1.0)
            outcome = self.ask(request)
            try:
                return [item for lot in outcome.lots for item in lot.items]
            except BaseException:  # interrupted
                self._owing.owe(request, outcome)
                raise
        finally:
            busy[me] = False

    def ask(self, request: Request) -> Outcome:
        """Have the request carried by a swap; raises as `take` does."""
        try:
            carried: Outcome | None = self._combiner.alone(self._straight.ask, request)
            if carried is not None:
                return carried
            outcome: Outcome = self._combiner.run(request)
        except Landed as landed:
            self._orphaned(request, landed.result)
            raise landed.__cause__ or landed from None
        if outcome.error is not None:
            self._owing.owe(request, outcome)
            raise outcome.error
        return outcome

    def wait(self, lease_ms: int) -> None:
        """Before a swap that lends for so long is asked for, and with nothing in hand that others wait for: let them swap."""
        self._swaps.wait(lease_ms / 10_000)

    def read(self, lots: list[Lot]) -> None:
        """Read those that were claimed by their place, but nothing any more once all is to end.

        Raises:
            StoreError: no answer.
            Exception: something of them can't be read: `unseen` is to follow, and trouble is told to whoever asks then.
        """
        self._fetcher.fill(lots)

    def unseen(self, claim: str, lots: Sequence[Lot]) -> None:
        """Nobody was handed these: the next swap gives them back, uncounted, or the keeper's."""
        self._owing.again.extend([Answer(claim, lot.where, back=True, counted=False) for lot in lots])
        self.remind()

    @property
    def owes(self) -> bool:
        """Whether something is to be given back by the next swap."""
        return bool(self._owing.again)

    def acknowledge(self, answer: Answer) -> bool:
        """Whether the range, all of which its claim held, is acknowledged; if not, nothing was done, and `ask` does it.

        Raises: as `ask` does.
        """
        try:
            return bool(self._combiner.alone(self._straight.acknowledge, answer))
        except Landed as landed:
            if landed.result:
                self._owing.owe(Request(answers=(answer,)), Outcome(settled=[answer.where.stop - answer.where.start]))
            raise landed.__cause__ or landed from None

    def owe(self, request: Request, outcome: Outcome) -> None:
        """Its caller was interrupted before it could do anything with the answer: the next one that asks so has it."""
        self._owing.owe(request, outcome)

    def _orphaned(self, request: Request, result: object) -> None:
        if isinstance(result, Outcome):
            self._owing.owe(request, result)

    def waiting(self) -> int:
        """Items not acknowledged: head first, then the tail, so an upper bound while others act."""
        head, _ = self._swaps.look()
        claimed, back = head.rest.counts
        return max(0, self._leader.end() - head.offset) + claimed + back + self._owing.items

    def available(self) -> int:
        """Items that could be handed out now: waiting, or given back and ready; what this object is owed, too."""
        head, now = self._swaps.look()
        head = transitions.expired(transitions.rebooted(head, now, self._runtime.wall_ms()), now.ms, self._alive)
        back = sum(span.size for span in transitions.ready(head, now.ms))
        return max(0, self._leader.end() - head.offset) + back + self._owing.items

    def dying(self) -> set[int]:
        """Offsets that somebody is about to write the dead letter of, or has, and has not said so yet."""
        head, _ = self._swaps.look()
        marked = (span for span in head.rest.spans if span.state == DYING)
        return {offset for span in marked for offset in range(span.start, span.stop)}

    def clear(self) -> int:
        """Acknowledge whatever is neither claimed nor on its way to the dead letters; how many items that were."""
        count = self._owing.items
        self._owing.taken.clear()
        return count + self.ask(Request(clear=True)).settled[0]

    def restore(self) -> list[Sequence[Any]]:
        """Give back what calls that never returned had taken or were lent; what was taken and is freed is told, to be put again.

        Raises:
            StoreError: no answer; what is owed stays so.
        """
        owing = self._owing
        while owing.taken or owing.again or owing.lent or self._swaps.unsettled:
            request = Request()
            lent: dict[str, Outcome] = {}
            try:
                while owing.taken:
                    request.restore = [*request.restore, *owing.taken.popleft().lots]
                for claim in tuple(owing.lent):
                    owed = owing.lent.pop(claim, None)  # or another thread has it
                    if owed is not None:
                        lent[claim] = owed
                request.answers = [
                    Answer(claim, lot.where, back=True, counted=False)
                    for claim, one in lent.items()
                    for lot in one.lots
                ]
                owing.owe(request, self.ask(request))
            except (QueueGone, AnotherQueue) as error:
                log.warning("what an interrupted call had taken is gone with its queue: %s", error)
                break
            except BaseException:
                if not self._swaps.unheard(request):
                    owing.keep(request)
                    owing.lent.update(lent)
                raise
        late, owing.late = owing.late, []
        return late

    def settle(self) -> None:
        """See what became of the last swap, if that is not known: whoever is silent for long is dropped, and never learns it.

        What is owed to others, since nobody was handed it, is given back.

        Raises:
            StoreError: still unknown.
        """
        if self._leader.left or self._owing.again:  # not one that another thread's call is about
            self.ask(Request())

    def close(self) -> None:
        """Wait for deletions under way, and say what was not told yet."""
        self._leader.close()
