"""Forked children that tell what they did through a pipe, and die when they are told to."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable

TORN_END = (
    rb"(pqueue: the segment \S+ ends in \d+ bytes that do not check out, and nothing behind them does: what a write has left that "
    rb"did not end, or a commit that was damaged since; what they held is passed over\n)?"
)
"""What a command may say, once, of a queue whose producer was killed: perhaps in the middle of a write."""


class Child:
    """A process that runs `work(tell)`; `tell(number)` is heard even if it is killed right after."""

    def __init__(self, work: Callable[[Callable[[int], None]], None]) -> None:
        self.told: list[int] = []
        self._rest = b""
        out, inner = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            status = 1
            try:
                os.close(out)
                work(lambda number: _write(inner, b"%d\n" % number))
                status = 0
            except BaseException:  # noqa: BLE001  # told, and the status says so
                traceback.print_exc(file=sys.stderr)
                sys.stderr.flush()
            finally:
                os._exit(status)
        os.close(inner)
        self._out = out

    def hear(self, seconds: float) -> bool:
        """Listen for so long, or until it ends; whether it has ended."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._out], [], [], left)[0] and not self._read():
                return True
        return False

    def kill(self) -> None:
        """`kill -9`, and hear what it had told."""
        os.kill(self.pid, signal.SIGKILL)
        while self._read():
            pass
        os.waitpid(self.pid, 0)
        os.close(self._out)

    def join(self, seconds: float) -> None:
        """Hear it to its end, which must be a good one, and come in time."""
        ended = self.hear(seconds)
        if not ended:
            self.kill()
            raise AssertionError(f"a process did nothing good for {seconds} s")
        os.close(self._out)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        assert status == 0, f"a process ended with {status}"

    def _read(self) -> bool:
        data = os.read(self._out, 1 << 16)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        self.told += map(int, lines)
        return bool(data)


def _write(fd: int, data: bytes) -> None:
    os.write(fd, data)
