"""What `task_done` and `join` count: items handed out by one queue object, and those that its user is done with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from pqueue.runtime import Runtime


class Tasks:
    """For any number of threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.forget()

    def forget(self) -> None:
        """In a forked child: nothing was handed out here."""
        self.guard = self._runtime.lock()
        """For `more`."""
        self.one: Callable[[], int] = count().__next__
        """One item is handed out. One step of the interpreter, since every `get` takes it: no thread comes between."""
        self._looks = 0
        self.more = 0
        """Items handed out, beside those that `one` counted, less those that are done. Added to in place, under the guard:
        a method could be interrupted as it begins, and the count be wrong for ever."""

    def done(self) -> None:
        """The user is done with one.

        Raises:
            ValueError: that is more than were handed out.
        """
        with self.guard:
            if self._open() <= 0:
                raise ValueError("task_done() called too many times")
            self.more -= 1

    @property
    def unfinished(self) -> int:
        """Items handed out and not done with."""
        with self.guard:
            return self._open()

    def _open(self) -> int:
        singles = self.one() - self._looks  # a look counts as one, too
        self._looks += 1
        return singles + self.more
