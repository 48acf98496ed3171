"""What callers ask of a swap of the head, and what it did for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from pqueue.errors import QueueError
from pqueue.head import Range
from pqueue.runtime import Runtime


class Answer(NamedTuple):
    """What is to become of a range that a claim holds."""

    claim: str
    where: Range
    back: bool = False
    """Given back, instead of acknowledged."""
    delay_ms: int = 0
    counted: bool = True
    bury: str = ""
    """The reason, if it is to become a dead letter (rule 17)."""
    error: str = ""
    """What to say in its dead letter, also of one that is given back after its last attempt."""


@dataclass(slots=True)
class Request:
    """What one caller wants of the next swap."""

    take: int = 0
    """Items to claim and acknowledge at once."""
    lend: int = 0
    """Items to claim …"""
    least: int = 0
    """… and how many suffice where they are to be read first, and are large; 0: no fewer than that."""
    claim: str = ""
    """The id of that claim, drawn once: the same however often the swap is tried (rule 14)."""
    lease_ms: int = 0
    """For what is lent, or renewed."""
    answers: Sequence[Answer] = ()
    extend: Sequence[str] = ()
    """Claims to be renewed for `lease_ms`, each named once."""
    restore: Sequence[Lot] = ()
    """Items taken and never handed out, to be given back."""
    clear: bool = False
    """Whether to acknowledge whatever nobody has claimed."""
    patient: bool = False
    """Whether what it lends may wait until something else can be alone (rule 18)."""
    ride: bool = False
    """Whether what is lent is only meant to save the next swap: then nothing that is trouble is touched."""


class Unread(Sequence[Any]):
    """How many items a lot has that was claimed by its place alone: they are read before anybody is handed them."""

    __slots__ = ("_count",)

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        raise RuntimeError("claimed by its place, and not read yet")


class Lot(NamedTuple):
    """Items of one range, handed out."""

    where: Range
    items: Sequence[Any]
    attempts: int = 1
    """How often they have been claimed, this time included."""
    times: Sequence[int] = ()
    """When each was committed, in ms since the epoch, where the queue records it."""

    @property
    def unread(self) -> bool:
        """Whether it was claimed by its place, and is to be read."""
        return isinstance(self.items, Unread)

    def behind(self, start: int) -> Lot:
        """Without its first items."""
        where = self.where._replace(start=self.where.start + start)
        return self._replace(where=where, items=self.items[start:], times=self.times[start:])


@dataclass(slots=True)
class Outcome:
    """What a swap did for a request."""

    lots: list[Lot] = field(default_factory=list)
    deadline: float = 0.0
    """On the runtime's clock: nothing lent is to be handed out from then on (rule 16)."""
    settled: list[int] = field(default_factory=list)
    """For each answer, then each extension: how many items the claim still held; then for each lot to be restored how
    many items are; then what `clear` acknowledged."""
    error: QueueError | None = None
    weight: int = 0
    """Bytes of the records that were read for it."""

    @property
    def lent(self) -> int:
        """Items handed out."""
        lots = self.lots
        return len(lots[0].items) if len(lots) == 1 else sum(len(lot.items) for lot in lots)

    @property
    def unread(self) -> bool:
        """Whether something is still to be read."""
        return any(lot.unread for lot in self.lots)

    @property
    def repeats(self) -> int:
        """Items handed out that had been handed out before."""
        return sum(len(lot.items) for lot in self.lots if lot.attempts > 1)


class ClaimIds:
    """The ids of one client's claims, for any number of threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._begin = f"{runtime.random.getrandbits(64):016x}-"
        self._numbers = count(1)

    def draw(self) -> str:
        """One more: chance costs more than all the rest of an id, so it is asked for once."""
        return f"{self._begin}{next(self._numbers):x}"

    def drew(self, claim: str) -> bool:
        """Whether an id is of these."""
        return claim.startswith(self._begin)
