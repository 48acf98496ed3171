"""What people write by hand instead: a queue on sqlite3, the recipe, and the bare system calls that bound a synced put."""

from __future__ import annotations

import fcntl
import marshal
import mmap
import os
import select
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from struct import Struct
from typing import Any, ClassVar

import ormsgpack

import pqueue

_BARE = Struct("<QQ")
HEADER = bytes(16)
"""As many bytes as a frame's header has, so that both write the same."""


class SqliteQueue:
    """A table; one statement an item, `executemany` for many; items by ormsgpack, as ours."""

    name: ClassVar[str] = "sqlite3 by hand"
    settings: ClassVar[str] = (
        "journal_mode=WAL, synchronous=NORMAL (FULL where synced), a plain integer primary key, one statement an item, "
        f"executemany by 1000; SQLite {sqlite3.sqlite_version}"
    )
    package: ClassVar[str] = "sqlite3"
    pace: ClassVar[float] = 1.0

    def __init__(self, path: Path, *, synced: bool = False) -> None:
        self._db = sqlite3.connect(path / "items.db", isolation_level=None, check_same_thread=False, timeout=60)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
        self._db.execute("CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, record BLOB NOT NULL)")
        self._lock = threading.Lock()

    def put(self, item: Any) -> None:
        record = ormsgpack.packb(item)
        with self._lock:
            self._db.execute("INSERT INTO items (record) VALUES (?)", (record,))

    def put_many(self, items: Sequence[Any]) -> None:
        records = [(ormsgpack.packb(item),) for item in items]
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO items (record) VALUES (?)", records)
            self._db.execute("COMMIT")

    def get(self) -> Any:
        with self._lock:
            rows = self._db.execute(
                "DELETE FROM items WHERE id = (SELECT min(id) FROM items) RETURNING record"
            ).fetchall()
        if not rows:
            raise pqueue.Empty
        return ormsgpack.unpackb(rows[0][0])

    def get_many(self, count: int) -> list[Any]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            rows = self._db.execute("SELECT id, record FROM items ORDER BY id LIMIT ?", (count,)).fetchall()
            if rows:
                self._db.execute("DELETE FROM items WHERE id <= ?", (rows[-1][0],))
            self._db.execute("COMMIT")
        if not rows:
            raise pqueue.Empty
        return [ormsgpack.unpackb(record) for _, record in rows]

    def close(self) -> None:
        self._db.close()


class Recipe:
    """The original's algorithm: a list for the tail and one for the head, dumped whole to numbered files."""

    name: ClassVar[str] = "the recipe"
    settings: ClassVar[str] = "cache_size 512, marshal, no sync; a kill loses what is in its lists"
    package: ClassVar[str] = "marshal"
    pace: ClassVar[float] = 1.0

    def __init__(self, path: Path, cache_size: int = 512) -> None:
        self._path = path
        self._size = cache_size
        self._lock = threading.Lock()
        self._head, self._tail = 0, 1
        self._head_cache: list[Any] = []
        self._tail_cache: list[Any] = []

    def put(self, item: Any) -> None:
        with self._lock:
            self._tail_cache.append(item)
            if len(self._tail_cache) >= self._size:
                self._dump(self._tail, self._tail_cache)
                self._tail_cache = []
                self._tail += 1
                self._index()

    def get(self) -> Any:
        with self._lock:
            if not self._head_cache:
                (self._path / str(self._head)).unlink(missing_ok=True)
                self._head += 1
                if self._head == self._tail:
                    self._head_cache, self._tail_cache = self._tail_cache, []
                    self._tail += 1
                else:
                    self._head_cache = marshal.loads((self._path / str(self._head)).read_bytes())
                self._head_cache.reverse()
                self._index()
            return self._head_cache.pop()

    def _dump(self, number: int, items: list[Any]) -> None:
        new = self._path / "new"
        new.write_bytes(marshal.dumps(items))
        new.rename(self._path / str(number))

    def _index(self) -> None:
        new = self._path / "new"
        new.write_text(f"{self._head} {self._tail}")
        new.replace(self._path / "index")

    def close(self) -> None:
        pass


class BareFiles:
    """The least that a queue of two files can be in Python: a locked append for a put, a locked position for a get.

    No checksum, no claim, no look at whether the files are still there, no thread but one; a write that was cut short ends it.
    """

    name: ClassVar[str] = "bare files"
    settings: ClassVar[str] = (
        "flock and write for a put; flock, a mapped position and its pwrite for a get; nothing checked"
    )
    package: ClassVar[str] = "ormsgpack"
    pace: ClassVar[float] = 1.0

    def __init__(self, path: Path) -> None:
        self._log = os.open(path / "log", os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        self._slot = os.open(path / "slot", os.O_CREAT | os.O_RDWR, 0o600)
        if not os.fstat(self._slot).st_size:
            os.pwrite(self._slot, bytes(8), 0)
        self._position = mmap.mmap(self._slot, 8)
        self._start = self._whole = 0
        self._read = b""

    def put(self, item: Any) -> None:
        self._append(ormsgpack.packb(item), 1)

    def _append(self, body: bytes, count: int) -> None:
        frame = _BARE.pack(len(body), count) + body
        fcntl.flock(self._log, fcntl.LOCK_EX)
        os.write(self._log, frame)
        fcntl.flock(self._log, fcntl.LOCK_UN)

    def get(self) -> Any:
        return ormsgpack.unpackb(self._taken()[0])

    def _taken(self) -> tuple[bytes, int]:
        """The next frame's body and count; the position is behind it then."""
        fcntl.flock(self._slot, fcntl.LOCK_EX)
        try:
            start = int.from_bytes(self._position, "little")
            at = start - self._start
            if not 0 <= at < self._whole:
                self._read_ahead(start)
                at = 0
            size, count = _BARE.unpack_from(self._read, at)
            end = at + 16 + size
            os.pwrite(self._slot, (self._start + end).to_bytes(8, "little"), 0)
        finally:
            fcntl.flock(self._slot, fcntl.LOCK_UN)
        return self._read[at + 16 : end], count

    def _read_ahead(self, start: int) -> None:
        """Some frames from `start` on."""
        self._start, self._whole = start, 0
        self._read = os.pread(self._log, 1 << 18, start)
        while len(self._read) >= self._whole + 16:
            end = self._whole + 16 + _BARE.unpack_from(self._read, self._whole)[0]
            if end > len(self._read):
                break
            self._whole = end
        if not self._whole:
            raise pqueue.Empty

    def close(self) -> None:
        self._position.close()
        os.close(self._slot)
        os.close(self._log)


class BareBatches(BareFiles):
    """The same by the batch: what was put at once is got at once."""

    settings: ClassVar[str] = (
        "flock and write for each put_many; get_many takes what one of them put, unpacked in one piece"
    )

    def put_many(self, items: Sequence[Any]) -> None:
        self._append(b"".join([ormsgpack.packb(item) for item in items]), len(items))

    def get_many(self, count: int) -> list[Any]:
        body, found = self._taken()
        if found != count:
            raise ValueError(f"{found} were put at once, not {count}")
        items: list[Any] = ormsgpack.unpackb(b"\xdd" + found.to_bytes(4, "big") + body)
        return items


class BarePipe:
    """The least that an item from process to process can take: 32 bytes in a pipe, which keeps nothing."""

    name: ClassVar[str] = "a bare pipe"
    settings: ClassVar[str] = "a FIFO, poll, 32 bytes an item; nothing is kept"

    def __init__(self, path: Path) -> None:
        with suppress(FileExistsError):
            os.mkfifo(path / "pipe", 0o600)
        self._fd = os.open(path / "pipe", os.O_RDWR | os.O_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def put(self, item: str) -> None:
        os.write(self._fd, item.encode().ljust(32))

    def get(self, timeout: float) -> str:
        if not self._poll.poll(1000 * timeout):
            raise pqueue.Empty
        return os.read(self._fd, 32).decode()

    def close(self) -> None:
        os.close(self._fd)


class BareAppend:
    """The least that a synced put can be: one write at a file's end, and its fdatasync. No lock, no checksum."""

    name: ClassVar[str] = "write + fdatasync"
    settings: ClassVar[str] = "the bare system calls, for the record and 16 bytes more"

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def put(self, item: Any) -> None:
        os.write(self._fd, HEADER + ormsgpack.packb(item))
        os.fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


class GroupCommit:
    """The least that shared commits can be: one thread takes all that waits, writes and syncs it, and wakes each waiter."""

    name: ClassVar[str] = "a bare leader loop"
    settings: ClassVar[str] = "one thread writes and fdatasyncs for all that wait; a lock for each waiter"

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._waiting: SimpleQueue[tuple[bytes, threading.Lock] | None] = SimpleQueue()
        self._leader = threading.Thread(target=self._lead)
        self._leader.start()

    def put(self, item: Any) -> None:
        gate = threading.Lock()
        gate.acquire()
        self._waiting.put((HEADER + ormsgpack.packb(item), gate))
        gate.acquire()

    def _lead(self) -> None:
        while (first := self._waiting.get()) is not None:
            group = [first]
            while not self._waiting.empty() and (more := self._waiting.get()) is not None:
                group.append(more)
            os.write(self._fd, b"".join([frame for frame, _ in group]))
            os.fdatasync(self._fd)
            for _, gate in group:
                gate.release()

    def close(self) -> None:
        """Once nobody puts any more."""
        self._waiting.put(None)
        self._leader.join()
        os.close(self._fd)
