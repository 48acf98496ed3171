"""How far long work has come, on a terminal; nothing in a pipe."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

_FIRST = 1.0
"""Seconds before anything is shown: short work is quiet."""

_EVERY = 0.2


class Progress:
    """One line on standard error, written over and over, and wiped in the end."""

    def __init__(self, what: str, *, shown: bool = True) -> None:
        """Count `what`; `shown` is False where the output itself is on the terminal."""
        self._what = what
        self._shown = shown and sys.stderr is not None and sys.stderr.isatty()
        self._start = time.monotonic()
        self._next = self._start + _FIRST
        self._dirty = False

    def __call__(self, count: int) -> None:
        """So many are done."""
        if not self._shown:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _EVERY
        rate = count / (now - self._start)
        sys.stderr.write(f"\r\x1b[K{count:,} {self._what}, {rate:,.0f}/s")
        sys.stderr.flush()
        self._dirty = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._dirty:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
