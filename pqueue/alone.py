"""What its holder may have died of is lent for its last attempt beside no other claim of its object (rule 18)."""

from __future__ import annotations

import logging

from pqueue import transitions
from pqueue.head import CLAIMED, Head, Span
from pqueue.request import ClaimIds, Request
from pqueue.runtime import Runtime

log = logging.getLogger("pqueue")

_FREE = 10
"""Leases for which nothing is waited for, after one in vain."""


class Alone:
    """Of one client, one call at a time.

    The threads of an object have a claim each, and all of them end with the process. But one thread may hold many for as
    long as it likes: so what others wait for may never come, and they wait for a lease at most.
    """

    def __init__(self, runtime: Runtime, ids: ClaimIds, limit: int | None) -> None:
        """For the client that draws these ids; `limit`: attempts that an item has."""
        self._monotonic = runtime.monotonic
        self._ids = ids
        self._last = (limit or 0) - 1
        self.claim = ""
        """Of what is lent alone: nothing is claimed beside it."""
        self._free_until = float("-inf")
        self._over()

    def crowded_out(self, head: Head, span: Span, request: Request) -> bool:
        """Whether to wait until this client has no claim, since this is to be lent alone; if it has none, it is from now on.

        It is to be if it comes for the last time and came back without an answer.
        """
        if not request.patient or not span.lapsed or not span.attempts == self._last > 0:
            return False
        if any(one.state == CLAIMED and self._ids.drew(one.claim) for one in head.rest.spans):
            return self._waits(request.lease_ms, span.start)
        self.claim = request.claim
        self._over()
        return False

    def kept(self, head: Head, request: Request) -> bool:
        """Whether to wait until what is lent alone is answered for."""
        if not request.patient or not self.claim:
            return False
        held = transitions.held(head, self.claim)
        if not held:
            self.claim = ""
            self._over()
            return False
        return self._waits(request.lease_ms, held[0].start)

    def _over(self) -> None:
        """What was waited for has come, or is waited for no more."""
        self._offset = -1
        self._until = float("inf")

    def _waits(self, lease_ms: int, offset: int) -> bool:
        """Whether to wait now, for the sake of the item at this offset."""
        now, lease = self._monotonic(), lease_ms / 1000
        if now < self._free_until:
            return False
        if offset != self._offset:
            self._offset, self._until = offset, float("inf")
            log.info(
                "the item at offset %d came back without an answer, and is lent alone for its last attempt: others wait, "
                "%.1f s at most",
                offset,
                lease,
            )
        self._until = min(self._until, now + lease)  # by the shortest lease of those that wait
        if now < self._until:
            return True
        self._free_until = now + _FREE * lease
        self._over()
        return False
