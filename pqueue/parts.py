"""What the producing and the consuming side of one queue object share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pqueue.abc import Codec, SegmentStore
from pqueue.meta import Meta
from pqueue.runtime import Runtime
from pqueue.view import View


@dataclass(slots=True)
class Parts:
    """The store and what was read from it at open."""

    store: SegmentStore
    meta: Meta
    view: View
    codecs: Sequence[Codec]
    runtime: Runtime

    @property
    def brief(self) -> bool:
        """Whether a commit or a swap is mostly over before a thread that sleeps could be woken."""
        return self.store.always_answers and self.meta.durability != "synced"
