"""What a run is played under: small pages (4 entries, not 128), little patience, silence, garbage collected in time."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager

PAGE = 4

_SMALL = {"PAGE": PAGE, "CUT_AT": 6, "_PAGES_EVERY": 2, "_PATIENCE": 1, "_GLANCE": 2}


class _Crashes(logging.Handler):
    """What the code under test has survived and only logged, with a traceback: nothing that a store does ends so."""

    def __init__(self, crashes: MutableSequence[tuple[str, BaseException]]) -> None:
        super().__init__(logging.ERROR)
        self._crashes = crashes

    def emit(self, record: logging.LogRecord) -> None:
        """Note it."""
        if record.exc_info and record.exc_info[1] is not None:
            self._crashes.append((record.getMessage(), record.exc_info[1]))


@contextmanager
def conditions(crashes: MutableSequence[tuple[str, BaseException]]) -> Iterator[None]:
    """Within it, pages and the like are small in every module that knows of them, nothing is logged, and no garbage is collected.

    What would have been logged with its traceback is added to the `crashes`.

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
    level, propagates = log.level, log.propagate
    handler = _Crashes(crashes)
    collects = gc.isenabled()
    for module, key, _ in places:
        setattr(module, key, _SMALL[key])
    log.setLevel(logging.ERROR)
    log.propagate = False
    log.addHandler(handler)
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if collects:
            gc.enable()
        log.removeHandler(handler)
        log.propagate = propagates
        log.setLevel(level)
        for module, key, value in places:
            setattr(module, key, value)
