"""`pqueue get`: items to standard output, acknowledged once its reader has them."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from pqueue.cli.exits import DATA, NOTHING
from pqueue.cli.output import Output
from pqueue.cli.stop import Stop
from pqueue.errors import CorruptSegment, SerializationError
from pqueue.lending import Lending
from pqueue.queue import Queue

_LOT = 1000
_LOT_BYTES = 1 << 20
_FIRST = 100
"""Items borrowed before their size is known."""

_PIECE = 1 << 16


def encoded(item: Any) -> bytes:
    """An item's line.

    Raises:
        SerializationError: no line can hold it.
    """
    if type(item) is bytes:
        return item + b"\n"
    if type(item) is bytearray:  # what `put` makes of a last line without its end
        return bytes(item)
    try:
        text = item if type(item) is str else json.dumps(item, ensure_ascii=False, allow_nan=False)
        if type(item) is not str and json.loads(text) != item:
            raise ValueError("JSON would change it")  # noqa: TRY301  # one message for all that no line can hold
        return text.encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise SerializationError(
            f"no line can hold this item, a {type(item).__name__} ({error}): it stays in the queue, get it in Python"
        ) from error


def copy_out(queue: Queue[Any], output: Output, stop: Stop, limit: int | None) -> int:
    """Write items until the queue is empty or `limit` is reached; the exit code.

    Raises:
        Stopped: a signal came. Whatever ends it, items that were not taken are in the queue.
        BrokenPipeError: the reader went away.
        SerializationError: an item that no line can hold.
    """
    with queue.lending() as lending:
        return _Copier(lending, output, stop).run(limit)


class _Copier:
    def __init__(self, lending: Lending, output: Output, stop: Stop) -> None:
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
                wanted = max(1, min(_LOT, _LOT_BYTES // max(1, size)))
                try:
                    items = self._lending.take(wanted if limit is None else min(wanted, limit - count))
                except (CorruptSegment, SerializationError) as error:
                    # Logged where it was set aside. One that can't be set aside comes again, and ends this.
                    if str(error) == told:
                        raise
                    code, told = DATA, str(error)
                    continue
                if not items:
                    break
                before = self._output.written
                count += self._put_out(items)
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
                line = encoded(item)
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

    def _settle(self) -> None:
        """Call done what the reader has taken."""
        count = bisect_right(self._ends, self._output.taken)
        if count:
            del self._ends[:count]
            self._lending.done(count)
