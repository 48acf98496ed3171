"""What one name holds, and the names of this process."""

from __future__ import annotations

import itertools
import threading

from pqueue.abc import Document
from pqueue.errors import QueueAbsent


class Place:
    """Blobs, documents and owners of one name; `lock` guards all of it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.blobs: dict[str, bytearray] = {}
        self.documents: dict[str, Document] = {}
        self.owners: set[str] = set()
        self.bell = threading.Condition()
        self.rung = 0


versions = itertools.count(1)
"""One count for all names, so that no version comes again after `forget` either."""

_places: dict[str, Place] = {}
_guard = threading.Lock()


def place_of(name: str, *, create: bool) -> Place:
    """The place of that name.

    Raises:
        QueueAbsent: no such place, and none may be made.
    """
    with _guard:
        if name not in _places:
            if not create:
                raise QueueAbsent(f"no queue is kept in this process's memory under {name!r}")
            _places[name] = Place()
        return _places[name]


def forget(name: str) -> None:
    """Let the name stand for a new place; whoever has the old one open keeps it. A name not in use is no error."""
    with _guard:
        _places.pop(name, None)
