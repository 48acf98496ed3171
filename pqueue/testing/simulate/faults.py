"""What goes wrong: a profile says how often, a stream of chance for each client says when; a mask leaves faults out."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pqueue.testing.simulate.world import Call, Fault, Fiber, World


class Profile(NamedTuple):
    """How often, in a run, and which faults."""

    rate: float
    weights: Mapping[str, float]
    deaths: int
    longs: int
    """Delays of minutes."""


_NETWORK = {"lost request": 3.0, "lost answer": 4.0, "late": 3.0, "again": 3.0, "resent": 3.0, "conflict": 2.0}
_DEATH = {"dies before": 2.0, "dies after": 3.0, "dies inside": 3.0}
_SLOW = {"slow before": 3.0, "slow after": 3.0, "write under way": 4.0}
_CLOCK = {"clock jumps": 2.0, "freezes before": 2.0}
_BREAK = {
    "interrupted before": 2.0,
    "interrupted after": 3.0,
    "interrupted unheard": 2.0,
    "interrupted inside": 2.0,
    "waits": 2.0,
}
_DISK = {"full": 2.0, "refused": 0.5, "torn": 3.0, "sync fails": 3.0}

PROFILES = (
    Profile(0.0, {}, 0, 0),
    Profile(0.05, _NETWORK, 0, 0),
    Profile(0.15, _NETWORK, 0, 0),
    Profile(0.04, _DEATH, 3, 0),
    Profile(0.08, _NETWORK | _DEATH, 2, 0),
    Profile(0.08, _SLOW, 0, 2),
    Profile(0.12, _NETWORK | _SLOW, 0, 3),
    Profile(0.06, _BREAK, 0, 0),
    Profile(0.08, _NETWORK | _BREAK | _SLOW, 0, 1),
    Profile(0.05, _DISK | _SLOW, 0, 0),
    Profile(0.10, _NETWORK | _DEATH | _SLOW | _BREAK | _DISK, 2, 2),
    Profile(0.08, _NETWORK | _DEATH | _SLOW | _CLOCK, 2, 1),
)

_READS = frozenset(
    ("lost request", "dies before", "slow before", "slow after", "clock jumps", "freezes before", "interrupted before")
)
_CHANGES = _READS | {"lost answer", "late", "dies after", "interrupted unheard"}
_DELETES = _CHANGES | {"dies inside"}
_WRITES = _CHANGES | {"again", "full", "refused"}
_SWAPS = _CHANGES | {"late", "resent", "conflict", "interrupted after", "full"}
_APPENDS = (_SWAPS - {"resent", "conflict"}) | {
    "torn",
    "dies inside",
    "write under way",
    "sync fails",
    "interrupted inside",
}

_FITS = {
    "read": _READS,
    "list": _READS,
    "load": _READS,
    "delete": _DELETES,
    "write": _WRITES,
    "swap": _SWAPS,
    "append": _APPENDS,
}

_NEVER = frozenset(("lost answer", "late", "resent", "conflict", "interrupted unheard"))
"""What a swap or append can't meet in a store that always answers."""

_SECONDS = (0.02, 0.15, 0.5, 2.0, 5.0)
_LONG = (70.0, 400.0)


@dataclass(eq=False)
class Faults:
    """Decides for each call what goes wrong with it, the same for the same seed, call and mask."""

    world: World
    seed: object
    profile: Profile
    answers: bool
    grows: bool
    masked: frozenset[tuple[str, int]] = frozenset()
    """Faults left out: by client and count."""

    dealt: list[tuple[str, int]] = field(default_factory=list)
    """What went wrong, by client and count of its faults."""
    off: bool = False

    def __post_init__(self) -> None:
        self._chance: dict[str, random.Random] = {}
        self._count: dict[str, int] = {}
        self._deaths = self.profile.deaths
        self._longs = self.profile.longs
        self._kinds = tuple(self.profile.weights)
        self._weights = tuple(self.profile.weights.values())

    def __call__(self, fiber: Fiber, call: Call) -> Fault | None:
        """What goes wrong with this call."""
        if self.off or not self._kinds:
            return None
        client = fiber.client.name
        chance = self._chance.get(client)
        if chance is None:
            chance = self._chance[client] = random.Random(f"{self.seed} faults {client}")
        if chance.random() >= self.profile.rate:
            return None
        number = self._count[client] = self._count.get(client, 0) + 1
        kind = chance.choices(self._kinds, self._weights)[0]
        seconds, long, steps = chance.choice(_SECONDS), chance.random(), chance.randrange(1, 60)
        if (client, number) in self.masked:
            return None
        if kind == "waits":
            self._interrupt(client, number)
        elif kind in _FITS.get(call.op, ()) and self._permitted(fiber, call, kind):
            self.dealt.append((client, number))
            return self._fault(kind, seconds, long, steps)
        return None

    def _fault(self, kind: str, seconds: float, long: float, steps: int) -> Fault:
        if kind.startswith("dies"):
            self._deaths -= 1
        if kind in ("late", "again", "conflict"):
            return Fault(kind, float(steps))
        if kind not in ("slow before", "slow after", "clock jumps", "freezes before"):
            return Fault(kind)
        if long < 0.1 and self._longs:
            self._longs -= 1
            seconds = _LONG[long < 0.05]
        return Fault(kind, seconds)

    def _permitted(self, fiber: Fiber, call: Call, kind: str) -> bool:
        if kind.startswith("interrupted") and not fiber.user:
            return False
        if kind.startswith("dies") and not self._deaths:
            return False
        if self.answers and call.op in ("swap", "append"):
            return kind not in _NEVER
        if kind == "interrupted inside":
            return False
        return not (kind in ("again", "late") and self.grows and call.op in ("write", "delete"))

    def _interrupt(self, client: str, number: int) -> None:
        """Ctrl-C, for somebody who sleeps."""
        for other in self.world.fibers:
            if other.waiting and other.user and other.client.name == client and not other.client.dead:
                self.dealt.append((client, number))
                self.world.interrupt(other)
                return
