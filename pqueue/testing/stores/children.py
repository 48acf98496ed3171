"""Forked processes that tell their parent how far they have come."""

import multiprocessing
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, ClassVar

from pqueue.testing.stores.base import StoreSuite

Send = Callable[[Any], None]
FORK = multiprocessing.get_context("fork")


class Child:
    """A forked process; `receive` returns what it sends, in order."""

    def __init__(self, work: Callable[[Send], None], patience: float) -> None:
        self._patience = patience
        self._pipe, theirs = FORK.Pipe()
        self._process = FORK.Process(target=self._run, args=(work, theirs))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a test runner's own threads are no harm here
            self._process.start()
        theirs.close()

    @staticmethod
    def _run(work: Callable[[Send], None], pipe: Connection) -> None:
        try:
            work(pipe.send)
        except BaseException:  # noqa: BLE001  # raised in the parent
            pipe.send(_Failure(traceback.format_exc()))

    def receive(self) -> Any:
        """The next thing that the child sent."""
        assert self._pipe.poll(self._patience), f"hung for {self._patience} seconds"
        sent = self._pipe.recv()
        assert not isinstance(sent, _Failure), str(sent)
        return sent

    def kill(self) -> list[Any]:
        """Kill it at once; what it had sent and nobody received."""
        self._process.kill()
        self._process.join()
        rest = []
        with suppress(EOFError, OSError):  # the end, perhaps in the middle of what it sent
            while self._pipe.poll():
                rest.append(self._pipe.recv())
        return rest

    def close(self) -> None:
        """Let go of it, dead or alive."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._pipe.close()


class _Failure(str):
    """A child's traceback."""

    __slots__ = ()


class ProcessSuite(StoreSuite):
    """How children are made."""

    kills: ClassVar[int] = 5
    """How often one is killed in the middle of its work."""

    @contextmanager
    def forked(self, work: Callable[[Send], None]) -> Iterator[Child]:
        """A child at work; killed, if it still lives, in the end."""
        child = Child(work, self.patience)
        try:
            yield child
        finally:
            child.close()

    def race_processes(self, work: Callable[[int], Any]) -> list[Any]:
        """What `work(place)` returns in each of several processes that start at once."""
        children: list[Child] = []
        ready, go = FORK.Semaphore(0), FORK.Event()

        def run(place: int, send: Send) -> None:
            ready.release()
            go.wait(self.patience)
            send(work(place))

        try:
            for place in range(self.threads):
                children.append(Child(partial(run, place), self.patience))  # noqa: PERF401  # closed if one fails
            for _ in children:
                ready.acquire(timeout=self.patience)
            go.set()
            return [child.receive() for child in children]
        finally:
            for child in children:
                child.close()
