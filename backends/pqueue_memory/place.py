"""What one name holds, and the names of this process."""

import itertools
import os
import threading
import weakref
from dataclasses import dataclass, field

from pqueue.abc import Document
from pqueue.errors import QueueAbsent

versions = itertools.count(1)
"""One count for all names, so that no version comes again after `forget` either."""


@dataclass(eq=False)
class Place:
    """What one name holds. `lock` guards it all but `sleepers`: each waiter acquires a lock that it holds."""

    blobs: dict[str, bytearray] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    owners: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    sleepers: list[threading.Lock] = field(default_factory=list)

    def __post_init__(self) -> None:
        _places.add(self)


_places: weakref.WeakSet[Place] = weakref.WeakSet()
_named: dict[str, Place] = {}
_guard = threading.Lock()


def place_of(name: str, *, create: bool) -> Place:
    """The place of that name.

    Raises:
        QueueAbsent: no such place, and none may be made.
    """
    with _guard:
        if name not in _named:
            if not create:
                raise QueueAbsent(f"no queue is kept in this process's memory under {name!r}")
            _named[name] = Place()
        return _named[name]


def forget(name: str) -> None:
    """Let the name stand for a new place; whoever has the old one open keeps it. A name not in use is no error."""
    with _guard:
        _named.pop(name, None)


def _renew_all_locks() -> None:
    global _guard  # noqa: PLW0603  # made anew for the child
    _guard = threading.Lock()
    for place in _places:
        place.lock = threading.Lock()
        place.sleepers.clear()


# A forked child lacks the threads that may have held the locks.
os.register_at_fork(after_in_child=_renew_all_locks)
