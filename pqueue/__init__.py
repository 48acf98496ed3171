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
from pqueue.letters import Letter
from pqueue.message import Message
from pqueue.queue import Queue
from pqueue.retry import RetryDelay
from pqueue.settings import PluginChoice, QueueSettings
from pqueue.share import Batch
from pqueue.stats import Stats
from pqueue.where import parse
from pqueue.work import Reject, Unfit, Worked, work

__all__ = [
    "AnotherQueue",
    "Batch",
    "ClaimLost",
    "CorruptSegment",
    "Empty",
    "Full",
    "Letter",
    "Message",
    "NewerFormat",
    "NotAQueue",
    "PluginChoice",
    "PutUncertain",
    "Queue",
    "QueueAbsent",
    "QueueError",
    "QueueGone",
    "QueueSettings",
    "Reject",
    "RetryDelay",
    "SerializationError",
    "SettingsError",
    "ShutDown",
    "Stats",
    "StoreError",
    "StoreFull",
    "StoreRefused",
    "StoreSettings",
    "SyncFailed",
    "TooLarge",
    "Unfit",
    "Worked",
    "open",
    "parse",
    "work",
]
