from pathlib import Path

import pytest
from pqueue_stranger.store import SqliteBackend, SqliteSettings

from pqueue.testing.stores import ProcessTests, SegmentStoreTests, StoreFactory


class TestSqlite(SegmentStoreTests, ProcessTests):
    many = 300  # every write is synced

    @pytest.fixture
    def store_factory(self, tmp_path: Path) -> StoreFactory:
        settings = SqliteSettings(path=tmp_path / "queue.db")
        return lambda: SqliteBackend.open(settings, create=True)
