"""Answers for one range of a head."""

from pqueue import transitions
from pqueue.head import Head, Range


def acknowledged(head: Head, claim: str, where: Range) -> tuple[Head, int]:
    """With what the claim holds of the range acknowledged, and how many items that was."""
    new, (count,) = transitions.answered(head, [(claim, where, transitions.nothing)])
    return new, count


def given_back(
    head: Head, claim: str, where: Range, *, until: int = 0, wall: int = 0, counted: bool = True
) -> tuple[Head, int]:
    """With what the claim holds of the range given back, and how many items that was."""
    new, (count,) = transitions.answered(head, [(claim, where, transitions.back(until, wall, counted=counted))])
    return new, count
