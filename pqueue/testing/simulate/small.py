"""Small pages and silence, while a run lasts: a page of 4 entries is cut where the real one has 128."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pqueue import claims, listing, names, tail, view

PAGE = 4
CUT_AT = 6

_PLACES: tuple[tuple[Any, str, int], ...] = (
    (names, "PAGE", PAGE),
    (tail, "PAGE", PAGE),
    (tail, "CUT_AT", CUT_AT),
    (view, "PAGE", PAGE),
    (claims, "PAGE", PAGE),
    (claims, "_PAGES_EVERY", 2),
    (listing, "PAGE", PAGE),
)


@contextmanager
def small_pages() -> Iterator[None]:
    """Within it, pages are small and nothing is logged."""
    before = [(module, key, getattr(module, key)) for module, key, _ in _PLACES]
    log = logging.getLogger("pqueue")
    level = log.level
    for module, key, value in _PLACES:
        setattr(module, key, value)
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)
        for module, key, value in before:
            setattr(module, key, value)
