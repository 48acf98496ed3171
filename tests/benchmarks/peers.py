"""Other queues, each behind the same few methods, so that a round is the same work for all of them.

`put`, `get`, `put_many`, `get_many`, `close`; where they have acknowledgements, `receive` and `ack`. `get` raises `pqueue.Empty`
where nothing is there. A peer gets an empty folder of its own.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import ormsgpack

import pqueue
from tests.benchmarks.handmade import Recipe, SqliteQueue


class Peer:
    """What those share that can't do many at once."""

    name: ClassVar[str]
    package: ClassVar[str]
    """The module that has to be there."""
    settings: ClassVar[str]
    pace: ClassVar[float] = 1.0
    """What part of a round's items it gets, being slower: a rate needs no more."""

    def put(self, item: Any) -> None:
        raise NotImplementedError

    def get(self) -> Any:
        raise NotImplementedError

    def put_many(self, items: Sequence[Any]) -> None:
        for item in items:
            self.put(item)

    def get_many(self, count: int) -> list[Any]:
        return [self.get() for _ in range(count)]


class Queuelib(Peer):
    name = "queuelib"
    package = "queuelib"
    settings = "FifoDiskQueue, ormsgpack; not for threads or processes; its position is written by close only"

    def __init__(self, path: Path) -> None:
        from queuelib import FifoDiskQueue

        self._queue = FifoDiskQueue(str(path / "queue"))

    def put(self, item: Any) -> None:
        self._queue.push(ormsgpack.packb(item))

    def get(self) -> Any:
        record = self._queue.pop()
        if record is None:
            raise pqueue.Empty
        return ormsgpack.unpackb(record)

    def close(self) -> None:
        self._queue.close()


class PersistQueue(Peer):
    """Without acknowledgements."""

    name = "persist-queue"
    package = "persistqueue"
    settings = "SQLiteQueue, auto_commit, multithreading, pickle, WAL, SQLite's default synchronous=FULL"
    pace = 0.1

    def __init__(self, path: Path, *, synced: bool = False) -> None:
        from persistqueue import SQLiteQueue

        self._queue = SQLiteQueue(str(path), auto_commit=True, multithreading=True)

    def put(self, item: Any) -> None:
        self._queue.put(item)

    def get(self) -> Any:
        return self._queue.get(block=False)

    def close(self) -> None:
        self._queue.close()


class AckQueue(Peer):
    """persist-queue, with acknowledgements."""

    name = "persist-queue's ack queue"
    package = "persistqueue"
    settings = "SQLiteAckQueue, auto_commit, pickle, WAL, SQLite's default synchronous=FULL"
    pace = 0.05

    def __init__(self, path: Path) -> None:
        from persistqueue import SQLiteAckQueue

        self._queue = SQLiteAckQueue(str(path), auto_commit=True)

    def put(self, item: Any) -> None:
        self._queue.put(item)

    def receive(self) -> Any:
        return self._queue.get(block=False, raw=True)

    def ack(self, message: Any) -> None:
        self._queue.ack(message)

    def close(self) -> None:
        self._queue.close()


class Lite(Peer):
    """litequeue: an item is popped, which locks it, and done."""

    name = "litequeue"
    package = "litequeue"
    settings = "its defaults (WAL, synchronous=NORMAL; FULL where synced), items as JSON; get is pop and done"
    pace = 0.05

    def __init__(self, path: Path, *, synced: bool = False) -> None:
        from litequeue import LiteQueue

        self._queue = LiteQueue(str(path / "queue.db"))
        if synced:
            self._queue.conn.execute("PRAGMA synchronous=FULL")

    def put(self, item: Any) -> None:
        self._queue.put(json.dumps(item))

    def receive(self) -> Any:
        message = self._queue.pop()
        if message is None:
            raise pqueue.Empty
        return message

    def ack(self, message: Any) -> None:
        self._queue.done(message.message_id)

    def get(self) -> Any:
        message = self.receive()
        self.ack(message)
        return json.loads(message.data)

    def close(self) -> None:
        self._queue.conn.close()


class DiskCache(Peer):
    name = "diskcache"
    package = "diskcache"
    settings = "Deque, its defaults (WAL, synchronous=NORMAL; FULL where synced), pickle"
    pace = 0.2

    def __init__(self, path: Path, *, synced: bool = False) -> None:
        from diskcache import Cache, Deque

        self._cache = Cache(str(path), eviction_policy="none", sqlite_synchronous=2 if synced else 1)
        self._deque = Deque.fromcache(self._cache)

    def put(self, item: Any) -> None:
        self._deque.append(item)

    def get(self) -> Any:
        try:
            return self._deque.popleft()
        except IndexError:
            raise pqueue.Empty from None

    def close(self) -> None:
        self._cache.close()


class Huey(Peer):
    """huey's queue without its tasks. It has no acknowledgements: what is dequeued is deleted."""

    name = "huey"
    package = "huey"
    settings = "SqliteStorage, its defaults (WAL; fsync where synced), ormsgpack; no acknowledgement, dequeue deletes"
    pace = 0.2

    def __init__(self, path: Path, *, synced: bool = False) -> None:
        from huey.storage import SqliteStorage

        self._storage = SqliteStorage(filename=str(path / "huey.db"), fsync=synced or None)

    def put(self, item: Any) -> None:
        self._storage.enqueue(ormsgpack.packb(item))

    def get(self) -> Any:
        record = self._storage.dequeue()
        if record is None:
            raise pqueue.Empty
        return ormsgpack.unpackb(record)

    def receive(self) -> Any:
        return self.get()

    def ack(self, message: Any) -> None:
        pass

    def close(self) -> None:
        self._storage.close()


class Polled:
    """One that can't wait, waited for as people do."""

    PAUSE = 0.001

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self.put, self.close = queue.put, queue.close
        if hasattr(queue, "put_many"):
            self.put_many = queue.put_many

    def get(self, timeout: float = float("inf")) -> Any:
        until = time.monotonic() + timeout
        while True:
            try:
                return self._queue.get()
            except pqueue.Empty:
                if time.monotonic() >= until:
                    raise
                time.sleep(self.PAUSE)


Kind = Any
"""A class as those above, or one of those by hand."""

EVERY: tuple[Kind, ...] = (SqliteQueue, Recipe, Queuelib, PersistQueue, AckQueue, Lite, DiskCache, Huey)


def installed(kind: Kind) -> bool:
    return importlib.util.find_spec(kind.package) is not None


def said(kind: Kind) -> str:
    """Its settings, with its version."""
    if kind.__base__ is not Peer or not installed(kind):
        return str(kind.settings)
    return f"{version(kind.package.replace('persistqueue', 'persist-queue'))}, {kind.settings}"
