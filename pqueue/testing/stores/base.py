"""What the suites share: fixtures, how much is tried, and threads that start at once."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

import pytest

from pqueue.abc import Document, SegmentStore, Version

T = TypeVar("T")
StoreFactory = Callable[[], SegmentStore]


class StoreSuite:
    """The fixtures of every suite, and how much is tried."""

    appends: ClassVar[bool] = False
    """Whether the store sets `appends`; `AppendingStoreTests` says True. `owners` and `wakes` likewise."""
    owners: ClassVar[bool] = False
    wakes: ClassVar[bool] = False

    many: ClassVar[int] = 2500
    """Names in a long listing: more than the store returns in one page."""
    large: ClassVar[int] = 8 << 20
    """Bytes of a large blob."""
    threads: ClassVar[int] = 4
    """Threads, or processes, in a race."""
    rounds: ClassVar[int] = 25
    """What each of them does in it, that often."""
    patience: ClassVar[float] = 60.0
    """Seconds after which what has not happened counts as hung."""
    clock_slack_ms: ClassVar[int] = 0
    """How far the store's clock may step back between two answers (several servers)."""

    @pytest.fixture
    def store_factory(self) -> StoreFactory:
        """Override: a callable that opens one more client of one place, empty when the test begins."""
        raise NotImplementedError("override the fixture `store_factory`")

    @pytest.fixture
    def open_store(self, store_factory: StoreFactory) -> Iterator[StoreFactory]:
        """As `store_factory`; the first client probes, each recalls what it told, all are closed in the end."""
        opened: list[SegmentStore] = []
        facts: list[Any] = []

        def open_store() -> SegmentStore:
            store = store_factory()
            opened.append(store)
            if not facts:
                facts.append(json.loads(json.dumps(dict(store.probe()))))  # meta keeps them as JSON
            store.recall(facts[0])
            return store

        yield open_store
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, open_store: StoreFactory) -> SegmentStore:
        """A client of an empty place."""
        return open_store()

    @pytest.fixture
    def other(self, store: SegmentStore, open_store: StoreFactory) -> SegmentStore:
        """A second client of the same place."""
        assert store is not None
        return open_store()

    def race(self, *works: Callable[[], T]) -> list[T]:
        """What the works return, started at once in a thread each; raises what the first of them raised."""
        start = threading.Barrier(len(works))
        results: dict[int, T] = {}
        errors: list[BaseException] = []

        def run(place: int, work: Callable[[], T]) -> None:
            try:
                start.wait(self.patience)
                results[place] = work()
            except BaseException as error:  # noqa: BLE001  # raised below, in the test's own thread
                errors.append(error)

        crew = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(works)]
        for thread in crew:
            thread.start()
        until = time.monotonic() + self.patience
        for thread in crew:
            thread.join(max(0.0, until - time.monotonic()))
        if errors:
            raise errors[0]
        assert not any(thread.is_alive() for thread in crew), f"hung for {self.patience} seconds"
        return [results[place] for place in range(len(works))]


def loaded(store: SegmentStore, document: str, known: Version | None = None) -> Document:
    """The document, which is there and is not the known one."""
    answer = store.load(document, known)
    assert isinstance(answer, Document)
    return answer
