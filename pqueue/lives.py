"""The open queue objects of this process, and what a fork and the process's end do to them."""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from typing import Protocol

from pqueue.errors import QueueError

log = logging.getLogger("pqueue")


class Open(Protocol):
    """A queue object."""

    def close(self) -> None:
        """Flush, and let go of the store."""

    def forget(self) -> None:
        """In a forked child: be a new client with nothing of the parent's (rule 31)."""


_live: weakref.WeakSet[Open] = weakref.WeakSet()
_kept: set[Open] = set()


def opened(one: Open, *, keep: bool) -> None:
    """It is open. `keep`: it has a buffer, which is not to be lost because nobody refers to it any more."""
    _live.add(one)
    if keep:
        _kept.add(one)


def closed(one: Open) -> None:
    """It is closed."""
    _live.discard(one)
    _kept.discard(one)


def _forked() -> None:
    for one in tuple(_live):
        one.forget()


def _close_all() -> None:
    for one in tuple(_live):
        try:
            one.close()
        except QueueError as error:
            log.warning("a queue that was open at the end of the process could not be closed well: %s", error)


os.register_at_fork(after_in_child=_forked)
atexit.register(_close_all)
