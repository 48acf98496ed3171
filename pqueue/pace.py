"""How much a loop that receives claims ahead of what it asks for."""

from __future__ import annotations

from pqueue.prefetched import Turn

_MOST = 1000
"""Items that a quick caller's claims have at most, but for what one call asks for."""

_SOON = 0.1
"""Seconds: who receives so soon after an answer is a loop, and its next answer claims ahead for the next call."""

_CALLS = 8
"""Calls that one claim serves, where the caller is quick or its acknowledgements need not wait."""

_MOST_CALLS = 64
_WORTH = 0.016
"""As many calls as so many seconds are worth, at most, where the caller has been quick for long."""

_EAGER_MOST = 8000
"""As `_MOST` where acknowledgements need not wait: in a bucket, that is eight segments a swap."""

_QUICK = 0.002
"""Seconds from one answer to the next."""


class Pace:
    """Of one queue object's loop.

    An acknowledgement is a swap, and carries the claim for the next call along, so that a loop needs one swap an item.
    More than that one call's worth is claimed ahead only by a loop that goes round within milliseconds, so that it holds
    back nothing for long, or whose acknowledgements need not wait: of its claims each serves some calls.
    """

    def __init__(self) -> None:
        self.asked: tuple[int, int] | None = None
        """How the last call asked, if it came soon after an answer: items, and its lease in ms."""
        self.eager = False
        """Whether nobody waited for the last acknowledgement."""
        self.answered = float("-inf")
        """When the last answer was given."""
        self._quick = False
        """Whether it came within `_QUICK` of the one before."""
        self._seconds = _SOON
        """From one answer to the next, of late."""

    def asks(self, count: int, lease_ms: int, now: float, *, renews: bool) -> bool:
        """Whether a call is a loop's, which has just answered."""
        soon = renews and now - self.answered < _SOON
        self.asked = (count, lease_ms) if soon else None
        return soon

    def answers(self, now: float) -> None:
        """An answer was carried by a swap of its own."""
        since = now - self.answered
        self._quick = since < _QUICK
        self._seconds += (min(since, _SOON) - self._seconds) / 8
        self.answered = now

    def claim(self, count: int, turn: Turn) -> int:
        """How many items a call for `count` claims."""
        wanted = _for(count, turn)
        return _calls(wanted, _CALLS, _EAGER_MOST) if turn.alone and self.eager else wanted

    def ahead(self, count: int, turn: Turn) -> int:
        """How many items an answer claims for the next call for `count`, and those after it."""
        wanted = _for(count, turn)
        if self._quick:
            wanted = _calls(wanted, min(max(_CALLS, int(_WORTH / self._seconds)), _MOST_CALLS), _MOST)
        return wanted


def _for(count: int, turn: Turn) -> int:
    """So many items for each of the calls that a turn claims for."""
    return _calls(count, turn.calls, _MOST) if turn.calls > 1 else count


def _calls(count: int, calls: int, most: int) -> int:
    """How many items to claim for so many calls for so many each, beyond what one asks for `most`."""
    return max(count, min(calls * count, most))
