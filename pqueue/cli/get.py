"""`pqueue get`: items to standard output, acknowledged once its reader has them."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from pqueue.cli.exits import DATA, NOTHING
from pqueue.cli.formats import Format, encoded
from pqueue.cli.output import Output
from pqueue.cli.progress import Progress
from pqueue.cli.stop import Stop
from pqueue.errors import CorruptSegment, SerializationError
from pqueue.lending import Lending
from pqueue.queue import Queue

_LOT = 1000
_LOT_BYTES = 1 << 20
_FIRST = 100
"""Items borrowed before their size is known."""

_PIECE = 1 << 16

_PAUSE = 0.005
"""Seconds that a following command first sleeps between two looks at an empty queue …"""

_PAUSE_MOST = 0.2
"""… and at most."""

_SHARE = 20
"""So many times as long as a look takes: it may be a request."""


def copy_out(
    queue: Queue[Any],
    output: Output,
    stop: Stop,
    limit: int | None,
    *,
    how: Format = Format.lines,
    follow: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write items until the queue is empty or `limit` is reached; the exit code.

    With `follow`, an empty queue is looked at again and again.

    Raises:
        Stopped: a signal came. Whatever ends it, items that were not taken are in the queue.
        BrokenPipeError: the reader went away.
        SerializationError: an item that no line can hold.
    """
    with queue.lending() as lending:
        return _Copier(lending, output, stop, how, follow, progress).run(limit)


class _Copier:
    def __init__(
        self, lending: Lending, output: Output, stop: Stop, how: Format, follow: bool, progress: Progress | None
    ) -> None:
        self._how = how
        self._follow = follow
        self._pause = _PAUSE
        self._progress = progress
        self._lending = lending
        self._output = output
        self._stop = stop
        self._ends: list[int] = []
        """Where the items that are on their way, and not yet acknowledged, end in the output."""

    def run(self, limit: int | None) -> int:
        code = count = 0
        told = ""
        size = _LOT_BYTES // _FIRST
        try:
            while limit is None or count < limit:
                started = time.monotonic()
                wanted = max(1, min(_LOT, _LOT_BYTES // max(1, size)))
                try:
                    items = self._lending.take(wanted if limit is None else min(wanted, limit - count), 1)
                except (CorruptSegment, SerializationError) as error:
                    # Logged where it was set aside. One that can't be set aside comes again, and ends this.
                    if str(error) == told:
                        raise
                    code, told = DATA, str(error)
                    continue
                if not items:
                    if not self._follow:
                        break
                    self._wait(time.monotonic() - started)
                    continue
                self._pause = _PAUSE
                before = self._output.written
                count += self._put_out(items)
                if self._progress is not None:
                    self._progress(count)
                self._stop.check()
                size = (self._output.written - before) // len(items)
        finally:
            self._output.drain()
            self._settle()
        if not count and limit is not None:
            return code or NOTHING
        return code

    def _put_out(self, items: Sequence[Any]) -> int:
        """Write lines in pieces; how many."""
        lines: list[bytes] = []
        size = done = 0
        try:
            for item in items:
                line = encoded(item, self._how)
                lines.append(line)
                size += len(line)
                if size >= _PIECE:
                    done += self._write(lines)
                    lines, size = [], 0
                    if self._stop.signum or not self._lending.current():
                        break
        finally:
            done += self._write(lines)
        return done

    def _write(self, lines: list[bytes]) -> int:
        if not lines or self._stop.signum:
            return 0
        if not self._lending.current():
            # Slept past the lease: others may have them (rule 16).
            self._settle()
            self._lending.drop()
            self._ends.clear()
            return 0
        start = end = self._output.written
        ends = [end := end + len(line) for line in lines]
        self._ends += ends  # first: what is taken of a piece counts, even if the reader then goes away
        data = b"".join(lines)
        self._output.write(data)
        whole = bisect_right(ends, self._output.written)
        if whole < len(ends) and self._output.written > (ends[whole - 1] if whole else start):
            # A signal came within a line: the reader is to get it whole.
            self._output.finish(data[self._output.written - start : ends[whole] - start])
            whole = bisect_right(ends, self._output.written)
        self._settle()
        return whole

    def _wait(self, took: float) -> None:
        """A pause before the next look at an empty queue; sooner over when the reader goes away.

        Raises:
            BrokenPipeError: it has.
            Stopped: a signal came.
        """
        self._settle()
        gone = self._output.pause(max(self._pause, _SHARE * took))
        self._stop.check()
        if gone:
            raise BrokenPipeError
        self._pause = min(_PAUSE_MOST, 1.5 * self._pause)

    def _settle(self) -> None:
        """Call done what the reader has taken."""
        count = bisect_right(self._ends, self._output.taken)
        if count:
            del self._ends[:count]
            self._lending.done(count)
