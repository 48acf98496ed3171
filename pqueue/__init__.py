"""A durable FIFO queue that needs no server.

>>> import pqueue
>>> with pqueue.open("jobs") as queue:  # a folder; s3://BUCKET/PREFIX is a bucket
...     queue.put({"id": 1})
...     queue.get()
{'id': 1}
"""

from pqueue.abc import StoreSettings
from pqueue.connect import open  # noqa: A004  # pqueue.open, as gzip.open
from pqueue.errors import (
    AnotherQueue,
    ClaimLost,
    CorruptSegment,
    Empty,
    Full,
    NewerFormat,
    NotAQueue,
    PutUncertain,
    QueueAbsent,
    QueueError,
    QueueGone,
    SerializationError,
    SettingsError,
    ShutDown,
    StoreError,
    StoreFull,
    StoreRefused,
    SyncFailed,
    TooLarge,
)
from pqueue.queue import Queue
from pqueue.settings import PluginChoice, QueueSettings
from pqueue.where import parse

__all__ = [
    "AnotherQueue",
    "ClaimLost",
    "CorruptSegment",
    "Empty",
    "Full",
    "NewerFormat",
    "NotAQueue",
    "PluginChoice",
    "PutUncertain",
    "Queue",
    "QueueAbsent",
    "QueueError",
    "QueueGone",
    "QueueSettings",
    "SerializationError",
    "SettingsError",
    "ShutDown",
    "StoreError",
    "StoreFull",
    "StoreRefused",
    "StoreSettings",
    "SyncFailed",
    "TooLarge",
    "open",
    "parse",
]
