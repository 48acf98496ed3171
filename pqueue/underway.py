"""Calls that are claiming something just now: a close waits for them."""

from __future__ import annotations

import logging

from pqueue.runtime import Runtime

log = logging.getLogger("pqueue")

_LOOK = 0.002
_LONGEST = 5.0
"""Seconds between looks whether somebody still is, and those that are waited at most: a store may never answer."""


class Underway:
    """Of one queue object, for any number of threads.

    Each says so by an assignment that its `finally` takes back, between which and the end of its `try` no interrupt comes;
    and looks afterwards whether all is to end: then `end` has seen it, or it sees that.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.busy: dict[int, bool] = {}
        """By thread, of those that ever were, whether it is."""
        self.ending = False
        """Whether nothing is to be claimed, or read, any more."""

    def end(self) -> None:
        """Have nothing claimed any more, and wait for those who are claiming; a thread does not wait for itself."""
        self.ending = True
        me = self._runtime.ident()
        until = self._runtime.monotonic() + _LONGEST
        while any(busy and thread != me for thread, busy in tuple(self.busy.items())):
            if self._runtime.monotonic() >= until:
                log.warning(
                    "closed while something is being claimed: that comes back when its lease ends, at the latest"
                )
                return
            self._runtime.sleep(_LOOK)
