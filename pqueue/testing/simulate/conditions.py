"""What a run is played under: small pages (4 entries, where the real ones have 128), silence, garbage collected in time."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PAGE = 4

_SMALL = {"PAGE": PAGE, "CUT_AT": 6, "_PAGES_EVERY": 2}


@contextmanager
def conditions() -> Iterator[None]:
    """Within it, pages are small in every module that knows of them, nothing is logged, and no garbage is collected.

    A message or a queue object that nobody refers to is given back when it is collected. The scheduler has it collected
    at steps of its own, so that a seed is the same run whatever the process has allocated before; what there was before
    is none of the run's, and is left out of it.
    """
    places = [
        (module, key, getattr(module, key))
        for name, module in [*sys.modules.items()]
        if name.startswith("pqueue.") and not name.startswith("pqueue.testing")
        for key in _SMALL
        if hasattr(module, key)
    ]
    log = logging.getLogger("pqueue")
    level = log.level
    collects = gc.isenabled()
    for module, key, _ in places:
        setattr(module, key, _SMALL[key])
    log.setLevel(logging.CRITICAL + 1)
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if collects:
            gc.enable()
        log.setLevel(level)
        for module, key, value in places:
            setattr(module, key, value)
