"""Lines of files and pipes, in batches, as they come."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from typing import NamedTuple

from pqueue.cli.stop import Stop
from pqueue.errors import TooLarge

_READ = 1 << 18

_LULL = 0.02
"""Seconds without input after which what has come is put: a person sees no delay, a fast pipe is put in batches."""


class Batch(NamedTuple):
    """Lines without their ends."""

    lines: list[bytes]
    ended: bool = True
    """False where this is a file's last line, and has no end."""
    pause: bool = False
    """Whether the input makes a pause behind them."""


def batches(fd: int, stop: Stop, *, lines: int, size: int, longest: int) -> Iterator[Batch]:
    """Batches of at most so many `lines` and, but for a single line, `size` bytes; sooner, when the input pauses.

    Only a line, and one batch, is ever held.

    Raises:
        TooLarge: a line has more than `longest` bytes.
        Stopped: a signal came while waiting for input.
        OSError: the input can't be read.
    """
    ready: list[bytes] = []
    weight = 0
    begun: list[bytes] = []
    held = 0
    while True:
        while not stop.wait(fd, select.POLLIN, _LULL if ready else None):
            stop.check()
            yield Batch(ready, pause=True)
            ready, weight = [], 0
        data = os.read(fd, _READ)
        if not data:
            break
        first, *others = data.split(b"\n")
        begun.append(first)
        held += len(first)
        if held > longest:
            raise TooLarge(
                f"the next line has more than {longest} bytes, which is what the queue's max_commit_bytes allows"
            )
        if not others:
            continue
        others.insert(0, b"".join(begun))
        begun = [others.pop()]
        held = len(begun[0])
        for line in others:
            if ready and (len(ready) >= lines or weight + len(line) > size):
                yield Batch(ready)
                ready, weight = [], 0
            ready.append(line)
            weight += len(line)
    if ready:
        yield Batch(ready)
    if held:
        yield Batch([b"".join(begun)], ended=False)
