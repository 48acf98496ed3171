"""What can go wrong between a client and an S3 server, and rules that say when."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


class Request(NamedTuple):
    """A request as the proxy sees it."""

    kind: str
    """PUT, SWAP (a conditional PUT), GET, LIST, HEAD, DELETE or POST (many deletes)."""
    path: str


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of a plain answer."""

    send: bool = True
    """Whether the server gets it."""
    answer: bool = True
    """Whether the client gets the server's answer; else its connection is closed."""
    status: int = 0
    """An answer made up instead."""
    code: str = ""
    cut: bool = False
    """The answer's connection is closed in the middle of its body."""
    hold: float = 0.0
    """Seconds by which the answer comes late."""
    again: float = 0.0
    """Seconds after which the server gets the same bytes once more; nobody hears that answer."""


ANSWER_LOST = Fault(answer=False)
REQUEST_LOST = Fault(send=False, answer=False)
SLOW_DOWN = Fault(send=False, status=503, code="SlowDown")
CONFLICT = Fault(send=False, status=409, code="ConditionalRequestConflict")
DONE_BUT_CONFLICT = Fault(status=409, code="ConditionalRequestConflict")
DONE_BUT_UNAVAILABLE = Fault(status=503, code="ServiceUnavailable")
CUT_SHORT = Fault(cut=True)

Rule = Callable[[Request], Fault | None]


class Script:
    """Faults for the next requests of a kind, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: list[tuple[str, str, Fault]] = []

    def add(self, kind: str, *faults: Fault, path: str = "") -> None:
        """Have the next requests of this kind, whose path ends so, go wrong: one fault each."""
        with self._lock:
            self._next += [(kind, path, fault) for fault in faults]

    def __call__(self, request: Request) -> Fault | None:
        with self._lock:
            for number, (kind, path, fault) in enumerate(self._next):
                if kind == request.kind and request.path.endswith(path):
                    del self._next[number]
                    return fault
        return None

    @property
    def left(self) -> int:
        return len(self._next)


@dataclass
class Seeded:
    """Faults drawn at random; each figure is a probability. Can be sent to a proxy in another process."""

    seed: int
    answer_lost: float = 0.0
    request_lost: float = 0.0
    slow_down: float = 0.0
    conflict: float = 0.0
    done_but_conflict: float = 0.0
    again: float = 0.0
    """Of a write that reaches the server once more, up to `again_within` seconds later."""
    again_within: float = 2.0
    late: float = 0.0
    """Of a swap that is answered up to `late_by` seconds late."""
    late_by: float = 6.0
    _random: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def __call__(self, request: Request) -> Fault | None:
        writes, swap = request.kind in ("PUT", "SWAP"), request.kind == "SWAP"
        drawn = self._random.random()
        for chance, fits, fault in (
            (self.answer_lost, True, ANSWER_LOST),
            (self.request_lost, True, REQUEST_LOST),
            (self.slow_down, True, SLOW_DOWN),
            (self.conflict, swap, CONFLICT),
            (self.done_but_conflict, swap, DONE_BUT_CONFLICT),
        ):
            if drawn < chance:
                return fault if fits else None
            drawn -= chance
        if drawn < self.again:
            return Fault(again=self._random.uniform(0.01, self.again_within)) if writes else None
        if drawn - self.again < self.late:
            return Fault(hold=self._random.uniform(0, self.late_by)) if swap else None
        return None
