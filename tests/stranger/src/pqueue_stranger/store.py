"""The backend `sqlite`: blobs and documents as the rows of one SQLite file, for the processes of one machine."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from pqueue.abc import SAME, Blob, Document, Same, SegmentStore, StoreSettings, StoreTime, Version
from pqueue.errors import (
    BlobMissing,
    DocumentChanged,
    Landed,
    QueueAbsent,
    SettingsError,
    StoreError,
    StoreFull,
    StoreRefused,
)

TABLES = (
    "CREATE TABLE IF NOT EXISTS blobs (name TEXT PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, data BLOB NOT NULL, version TEXT NOT NULL)",
)
LARGEST = 2**31 - 1
"""Bytes: what SQLite can count."""
PATIENCE = 60.0
"""Seconds to wait for another process's transaction."""


class SqliteSettings(StoreSettings):
    """Which file."""

    backend: Literal["sqlite"] = "sqlite"
    path: Path


class SqliteBackend(SegmentStore):
    """A store in one SQLite file. Every call is one transaction, on a power cut too, on a connection of its own."""

    Settings = SqliteSettings
    schemes: ClassVar = ("sqlite",)

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closed = False

    @classmethod
    def from_url(cls, url: str) -> Mapping[str, Any]:
        """The settings of `sqlite:///var/jobs.db`."""
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise SettingsError("not a URL of the form sqlite:///PATH") from error
        if parts.scheme not in cls.schemes or parts.netloc or not parts.path.strip("/"):
            raise SettingsError("not a URL of the form sqlite:///PATH")  # without the URL: it may hold a password
        return {"backend": "sqlite", "path": unquote(parts.path)}

    @classmethod
    def open(cls, settings: SqliteSettings, *, create: bool) -> Self:
        """Use the file; with `create`, make it."""
        path = settings.path.absolute()
        if not path.exists() and not create:
            raise QueueAbsent(f"{path} is not there")
        store = cls(path)
        with store._transaction() as db:
            for table in TABLES:
                db.execute(table)
        return store

    def close(self) -> None:
        """Nothing is held between calls; every later one raises StoreRefused."""
        self._closed = True

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it happens, or nothing. The only place where SQLite's errors pass by."""
        if self._closed:
            raise StoreRefused("this store was closed: open it again")
        try:
            with _no_fork:
                # None: transactions begin where we say so. SQLite's own default syncs the file on every commit.
                db = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)
                try:
                    db.execute("BEGIN IMMEDIATE")
                    yield db
                    db.execute("COMMIT")
                finally:
                    db.close()  # rolls back what was not committed
        except sqlite3.Error as error:
            raise _ours(error, self._path) from error

    # -- blobs; what each method promises stands in pqueue.abc

    def write(self, name: str, data: bytes) -> None:
        with self._transaction() as db:
            db.execute("REPLACE INTO blobs VALUES (?, ?)", (name, data))

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        with self._transaction() as db:
            size = (LARGEST if end is None else max(end, start)) - start
            row = db.execute("SELECT substr(data, ?, ?) FROM blobs WHERE name = ?", (start + 1, size, name)).fetchone()
        if row is None:
            raise BlobMissing(f"{name} is not in {self._path}")
        return row[0] or b""  # SQLite has nothing at all to say of no bytes

    def list(self, prefix: str, after: str = "") -> Iterator[Blob]:
        with self._transaction() as db:
            rows = db.execute(
                "SELECT name, length(data) FROM blobs WHERE name > ? AND substr(name, 1, ?) = ? ORDER BY name",
                (after, len(prefix), prefix),
            ).fetchall()
        return (Blob(name, size) for name, size in rows)

    def delete(self, names: Iterable[str]) -> None:
        rows = [(name,) for name in names]
        with self._transaction() as db:
            db.executemany("DELETE FROM blobs WHERE name = ?", rows)
            db.executemany("DELETE FROM documents WHERE name = ?", rows)

    # -- documents

    def load(self, document: str, known: Version | None = None) -> Document | Same | None:
        with self._transaction() as db:
            row = db.execute("SELECT data, version FROM documents WHERE name = ?", (document,)).fetchone()
        if row is None:
            return None
        return SAME if row[1] == known else Document(bytes(row[0]), row[1], _now())

    def swap(self, document: str, data: bytes, version: Version | None, sync: bool) -> Document:
        if version is not None and document.endswith(".json"):
            raise StoreRefused(f"{document} is made once and never replaced")
        new = Document(bytes(data), uuid4().hex, _now())  # a version that never was, whatever is deleted meanwhile
        try:
            with self._transaction() as db:
                row = db.execute("SELECT version FROM documents WHERE name = ?", (document,)).fetchone()
                if version != (row[0] if row else None):
                    raise DocumentChanged(f"{document}: version {version} no longer holds")
                db.execute("REPLACE INTO documents VALUES (?, ?, ?)", (document, data, new.version))
        except (KeyboardInterrupt, SystemExit) as interrupt:  # perhaps after the commit
            if self.load(document, new.version) is SAME:
                raise Landed(new) from interrupt
            raise
        return new


def _ours(error: sqlite3.Error, path: Path) -> StoreError:
    """Our error for one of SQLite's."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_FULL"):
        return StoreFull(f"no room for {path}: {error}")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return StoreRefused(f"{path} can't be used: {error} ({name})")
    return StoreError(f"{path} did not do as asked: {error} ({name or type(error).__name__})")


def _now() -> StoreTime:
    """The machine's time since it was booted, which no one sets back."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return StoreTime(boot, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000)


# A child that is forked in the middle of a transaction would believe that it holds SQLite's locks, too.
_no_fork = threading.RLock()
os.register_at_fork(before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_no_fork.release)
