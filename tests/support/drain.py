"""Taking all that a queue has, and noting what it tells instead of an item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pqueue


def drained(
    queue: pqueue.Queue[Any],
    take: Callable[[pqueue.Queue[Any], int], Sequence[Any]],
    count: int,
    kind: type[pqueue.QueueError] = pqueue.CorruptSegment,
) -> tuple[list[Any], list[pqueue.QueueError]]:
    """What comes of calls for so many, to the end, and the errors of that kind that were raised."""
    found: list[Any] = []
    told: list[pqueue.QueueError] = []
    while len(queue):
        try:
            found += take(queue, count)
        except kind as error:
            told.append(error)
    return found, told
