"""What people write by hand instead: a queue on sqlite3, and the recipe."""

from __future__ import annotations

import marshal
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ormsgpack


class SqliteQueue:
    """WAL, synchronous=NORMAL, a plain integer primary key, one statement an item."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
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
        return ormsgpack.unpackb(rows[0][0])

    def get_many(self, count: int) -> list[Any]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            rows = self._db.execute("SELECT id, record FROM items ORDER BY id LIMIT ?", (count,)).fetchall()
            self._db.execute("DELETE FROM items WHERE id <= ?", (rows[-1][0],))
            self._db.execute("COMMIT")
        return [ormsgpack.unpackb(record) for _, record in rows]

    def close(self) -> None:
        self._db.close()


class Recipe:
    """The original's algorithm: a list for the tail and one for the head, dumped whole to numbered files."""

    def __init__(self, path: Path, cache_size: int = 512) -> None:
        self._path = path
        path.mkdir(parents=True, exist_ok=True)
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
