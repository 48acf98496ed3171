"""The requests that one open store has sent, counted as they leave: by kind, each attempt."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3 import S3Client

EVENT: Final = "before-send.s3"
"""What botocore tells of each attempt, its own repetitions included."""
KINDS: Final = {
    "PutObject": "PUT",
    "GetObject": "GET",
    "ListObjectsV2": "LIST",
    "DeleteObject": "DELETE",
    "DeleteObjects": "DELETE",
    "HeadBucket": "HEAD",  # by which botocore finds a bucket's region
}


class Sent:
    """Counts what a thread sends between `begin` and `end`; else somebody else uses a client of his own."""

    def __init__(self) -> None:
        self._here = threading.local()
        self.forked()

    def forked(self) -> None:
        """In the child: begin at nothing. Another thread may have held the lock."""
        self._lock = threading.RLock()  # a signal's handler may send requests, too
        self._counts: Counter[str] = Counter()

    def watch(self, client: S3Client) -> None:
        """Hear of what this client sends."""
        client.meta.events.register(EVENT, self._count, unique_id=self._id)

    def unwatch(self, client: S3Client) -> None:
        """Hear of it no more."""
        client.meta.events.unregister(EVENT, self._count, unique_id=self._id)

    def begin(self) -> None:
        """From now on what this thread sends counts."""
        self._here.sending = True

    def end(self) -> None:
        """It counts no more."""
        self._here.sending = False

    def told(self) -> Mapping[str, int]:
        """How many by kind, so far."""
        with self._lock:
            return dict(self._counts)

    @property
    def _id(self) -> str:
        return f"pqueue-sent-{id(self)}"

    def _count(self, event_name: str, **_: object) -> None:
        if getattr(self._here, "sending", False):
            operation = event_name.rpartition(".")[2]
            with self._lock:
                self._counts[KINDS.get(operation, operation)] += 1
