"""Who has swapped a document lately, and how far: the same for the tail's writers and the head's clients. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pqueue.names import birth

SILENT_MS = 300_000
"""Who did nothing for so long may be dropped (rule 5); safety does not depend on it."""


@dataclass(frozen=True, slots=True)
class Roster:
    """Numbers applied by id; ids that left are barred for ever by the horizon (rule 5)."""

    members: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Id to the last number applied and the store's time of it, in ms."""
    horizon: int = -1
    """No id born at or before this may begin."""

    def next(self, ident: str) -> int | None:
        """The one number that may be applied next for this id (rule 3); None: it is barred."""
        known = self.members.get(ident)
        if known is not None:
            return known[0] + 1
        return 0 if birth(ident) > self.horizon else None

    def applied(self, ident: str, number: int) -> bool:
        """Whether this number is in (rules 4, 14)."""
        known = self.members.get(ident)
        return known is not None and known[0] >= number

    def advanced(self, ident: str, number: int, now_ms: int) -> Roster:
        """With this number applied."""
        return Roster({**self.members, ident: (number, now_ms)}, self.horizon)

    def pruned(self, now_ms: int) -> Roster:
        """Without those that were silent for long, who are barred by it (rule 5)."""
        gone = [ident for ident, (_, at) in self.members.items() if at < now_ms - SILENT_MS]
        if not gone:
            return self
        kept = {ident: known for ident, known in self.members.items() if ident not in gone}
        return Roster(kept, max(self.horizon, *map(birth, gone)))

    def aged(self) -> Roster:
        """As another boot finds it: every time is long past."""
        return Roster({ident: (number, -SILENT_MS - 1) for ident, (number, _) in self.members.items()}, self.horizon)

    def dump(self) -> dict[str, Any]:
        """For canonical JSON."""
        return {"horizon": self.horizon, "members": {ident: list(known) for ident, known in self.members.items()}}

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Roster:
        """What `dump` made."""
        return cls({ident: (known[0], known[1]) for ident, known in value["members"].items()}, value["horizon"])
