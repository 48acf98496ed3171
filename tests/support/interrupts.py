"""Ctrl-C just after a swap has happened."""

from __future__ import annotations

from typing import Any

import pytest

from pqueue.errors import Landed
from pqueue.names import HEAD


def after_next_swap(queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next swap of the head by this object interrupted when it is in place; takes all other patches back, too."""
    store = queue._store
    swap = store.swap

    def swapped(name: str, *more: Any) -> Any:
        result = swap(name, *more)
        if name != HEAD:
            return result
        monkeypatch.undo()
        raise Landed(result) from KeyboardInterrupt()

    monkeypatch.setattr(store, "swap", swapped)
