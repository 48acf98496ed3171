"""The conformance suite of stores: subclass, override the fixture `store_factory`, done.

```python
class TestMine(AppendingStoreTests, OwnersTests):
    @pytest.fixture
    def store_factory(self, tmp_path):
        settings = MyBackend.Settings(path=tmp_path / "queue")
        return lambda: MyBackend.open(settings, create=True)
```

Each call of what the fixture returns opens one more client of the same place, which is empty when a test begins.

Take `SegmentStoreTests`, or `AppendingStoreTests` for a store that sets `appends`, and add `OwnersTests` and
`WakesTests` for one that sets `owners` or `wakes`: a suite that leaves out what the store declares fails. Where other
processes reach the place, add what fits of `ProcessTests` or `AppendingProcessTests`, `OwnersProcessTests` and
`WakesProcessTests`; they fork. Class attributes (`StoreSuite`, `ProcessSuite`) say how much is tried; lower them for a
store that is slow.

The suite's blobs have a "/" in their names and its documents have none: `seg/…`, `log/…`, `dead/…`; `tail`, `head.…`,
`queue.json`.
"""

from pqueue.testing.stores.appends import AppendTests
from pqueue.testing.stores.base import StoreFactory, StoreSuite
from pqueue.testing.stores.blobs import BlobTests
from pqueue.testing.stores.documents import DocumentRaceTests, DocumentTests
from pqueue.testing.stores.owners import OwnersTests
from pqueue.testing.stores.places import PlaceTests
from pqueue.testing.stores.processes import (
    AppendingProcessTests,
    OwnersProcessTests,
    ProcessTests,
    WakesProcessTests,
)
from pqueue.testing.stores.wakes import WakesTests

__all__ = [
    "AppendingProcessTests",
    "AppendingStoreTests",
    "OwnersProcessTests",
    "OwnersTests",
    "ProcessTests",
    "SegmentStoreTests",
    "StoreFactory",
    "StoreSuite",
    "WakesProcessTests",
    "WakesTests",
]


class SegmentStoreTests(PlaceTests, BlobTests, DocumentTests, DocumentRaceTests):
    """What every store keeps."""


class AppendingStoreTests(AppendTests, SegmentStoreTests):
    """What a store keeps whose segments can grow."""
