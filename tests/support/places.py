"""The five stores that every queue test runs on, through what a stranger's would use."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import pqueue
from pqueue import plugins

KINDS = ("memory", "memory-blobs", "folder", "folder-blobs", "bucket")
"""Memory and folder with and without appends, and a bucket of a real server."""


@dataclass
class Place:
    """One fresh place for a queue."""

    kind: str
    store: dict[str, Any]

    @property
    def appends(self) -> bool:
        """Whether segments grow here."""
        return self.kind in ("memory", "folder")

    def open(self, **settings: Any) -> pqueue.Queue[Any]:
        """A queue object; like every process that a test starts."""
        return pqueue.open({"store": self.store}, **{"ack_linger": 0, **settings})

    def again(self) -> Place:
        """A fresh place of the same kind."""
        where = {"memory": "name", "folder": "path", "bucket": "prefix"}[self.kind.split("-")[0]]
        return Place(self.kind, {**self.store, where: f"{self.store[where]}-{uuid.uuid4().hex}"})

    def connect(self) -> Any:
        """The bare store."""
        backend = plugins.backend(self.store["backend"])
        return backend.open(backend.Settings(**self.store), create=True)


def make(kind: str, tmp_path: Any, server: Any) -> Place:
    """A place of this kind."""
    name = uuid.uuid4().hex
    if kind.startswith("memory"):
        return Place(kind, {"backend": "memory", "name": name, "appends": kind == "memory"})
    if kind.startswith("folder"):
        return Place(kind, {"backend": "local", "path": str(tmp_path / name), "appends": kind == "folder"})
    return Place(kind, {"backend": "s3", **server().settings(prefix=f"queues/{name}")})
