from pathlib import Path

import pytest

from pqueue.testing.stores import (
    AppendingProcessTests,
    AppendingStoreTests,
    OwnersProcessTests,
    OwnersTests,
    ProcessTests,
    SegmentStoreTests,
    StoreFactory,
    WakesProcessTests,
    WakesTests,
)
from pqueue_local import LocalBackend, LocalSettings


class TestLocal(
    AppendingStoreTests, OwnersTests, WakesTests, AppendingProcessTests, OwnersProcessTests, WakesProcessTests
):
    @pytest.fixture
    def store_factory(self, tmp_path: Path) -> StoreFactory:
        settings = LocalSettings(path=tmp_path / "queue")
        return lambda: LocalBackend.open(settings, create=True)


class TestLocalWithoutAppends(
    SegmentStoreTests, OwnersTests, WakesTests, ProcessTests, OwnersProcessTests, WakesProcessTests
):
    @pytest.fixture
    def store_factory(self, tmp_path: Path) -> StoreFactory:
        settings = LocalSettings(path=tmp_path / "queue", appends=False)
        return lambda: LocalBackend.open(settings, create=True)
