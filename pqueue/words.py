"""Numbers in sentences."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """So many of them, for a person: "1 item", "2,000 items"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def were(count: int, noun: str) -> str:
    """What something was done to, for a person or a script: "1 item was", "2000 items were"."""
    return f"{count} {noun} was" if count == 1 else f"{count} {noun}s were"
