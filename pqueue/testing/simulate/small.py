"""Small pages and silence, while a run lasts: a page of 4 entries is cut where the real one has 128."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PAGE = 4

_SMALL = {"PAGE": PAGE, "CUT_AT": 6, "_PAGES_EVERY": 2}


@contextmanager
def small_pages() -> Iterator[None]:
    """Within it, pages are small in every module that knows of them, and nothing is logged."""
    places = [
        (module, key, getattr(module, key))
        for name, module in [*sys.modules.items()]
        if name.startswith("pqueue.") and not name.startswith("pqueue.testing")
        for key in _SMALL
        if hasattr(module, key)
    ]
    log = logging.getLogger("pqueue")
    level = log.level
    for module, key, _ in places:
        setattr(module, key, _SMALL[key])
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)
        for module, key, value in places:
            setattr(module, key, value)
