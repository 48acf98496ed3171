"""Items into a queue, in commits that it has room for, until a signal comes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pqueue.cli.progress import Progress
from pqueue.cli.stop import Stop
from pqueue.errors import Full, TooLarge
from pqueue.queue import Queue

_PAUSE, _PAUSE_MOST = 0.005, 2.0
"""Seconds between two looks for room in a full queue: at first, and at most."""

_PAUSE_GROWN = 0.1
"""What the first pause grows to where a look costs nothing."""

_SHARE = 20
"""At least so many times as long as a look takes: it may be a request."""


class Filler:
    """Puts items, and knows how many are in."""

    def __init__(self, queue: Queue[Any], stop: Stop, batch: int, progress: Progress | None = None) -> None:
        self.queue = queue
        self.batch = min(batch, queue.maxsize or batch)
        """So many items can be put at once."""
        self.count = 0
        self._stop = stop
        self._progress = progress

    def put(self, items: Sequence[Any]) -> None:
        """Put at most `batch` items, in one commit, or in more where they are too large for one.

        Raises:
            Stopped: a signal came while there was no room.
            QueueError: see `Queue.put_many`; those that `count` counts are in.
        """
        try:
            self._put_with_room(items)
        except TooLarge:
            if len(items) == 1:
                raise
            half = len(items) // 2  # larger as records than they seemed
            self.put(items[:half])
            self.put(items[half:])
        else:
            self.count += len(items)
            if self._progress is not None:
                self._progress(self.count)

    def _put_with_room(self, items: Sequence[Any]) -> None:
        """Put them in one commit, once there is room; a signal ends the waiting at once."""
        pause = _PAUSE
        while True:
            began = time.monotonic()
            try:
                self.queue.put_many(items, block=False)
            except Full:
                self._stop.pause(min(_PAUSE_MOST, max(pause, _SHARE * (time.monotonic() - began))))
                self._stop.check()
                pause = min(_PAUSE_GROWN, 1.5 * pause)
            else:
                return
