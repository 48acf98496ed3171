from __future__ import annotations

from collections.abc import Iterator

import pytest

from pqueue.testing.stores import AppendingStoreTests, OwnersTests, SegmentStoreTests, StoreFactory, WakesTests
from pqueue_memory import MemoryBackend, MemorySettings, forget


class TestMemory(AppendingStoreTests, OwnersTests, WakesTests):
    @pytest.fixture
    def store_factory(self) -> Iterator[StoreFactory]:
        settings = MemorySettings(name="conformance")
        yield lambda: MemoryBackend.open(settings, create=True)
        forget("conformance")


class TestMemoryWithoutAppends(SegmentStoreTests, OwnersTests, WakesTests):
    @pytest.fixture
    def store_factory(self) -> Iterator[StoreFactory]:
        settings = MemorySettings(name="conformance", appends=False)
        yield lambda: MemoryBackend.open(settings, create=True)
        forget("conformance")
