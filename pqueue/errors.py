"""One tree of errors under `QueueError`; a class of its own only where a caller would act differently.

Each class says in `retry` whether the same call, made again later, can help.
"""

from __future__ import annotations

import queue
from typing import ClassVar


class QueueError(Exception):
    """Everything this project raises."""

    retry: ClassVar[bool] = False

    put_so_far: int | None = None
    """Set by `put_stream`: the first so many items are in the queue."""


# -- opening ----------------------------------------------------------------------------------------------------------


class SettingsError(QueueError, ValueError):
    """A setting, plug-in or value is unknown, or is not what the queue was made with."""

    setting: str = ""
    """The field of `QueueSettings` that it is about, where it is not said yet who set that."""


class QueueAbsent(QueueError):
    """No queue is there, and the opener may not create one."""


class NotAQueue(QueueError):
    """Something else is there, or a queue of which a document is missing."""


class AnotherQueue(QueueError):
    """The queue under this address is not the one that was opened: it was deleted and made anew."""


class NewerFormat(QueueError):
    """Written by a newer version that says older ones must not touch it."""


class QueueGone(QueueError):
    """The queue was removed while it was open, or its tombstone is all that is left."""


# -- the store --------------------------------------------------------------------------------------------------------


class StoreError(QueueError):
    """The store did not do as asked, or did not answer; if it was a write, its outcome may be unknown."""

    retry = True


class StoreRefused(StoreError):
    """The store said no, in so many words: permission, a bucket that is not there, a file system without locks."""

    retry = False


class StoreFull(StoreError):
    """No room; nothing was written. Getting still works and gives room back."""


class BlobMissing(StoreError):
    """No blob of this name is there."""

    retry = False


class DocumentChanged(QueueError):
    """A swap's version no longer holds: somebody else won, or an earlier attempt of this very call landed unheard."""

    retry = True


class SegmentChanged(QueueError):
    """An append's size did not match: `behind` holds the bytes from there on, read under the lock."""

    retry = True

    def __init__(self, behind: bytes) -> None:
        super().__init__(f"the segment has grown by {len(behind)} bytes; append behind them")
        self.behind = behind


class SyncFailed(StoreError):
    """The frame is written and sealed, but the disk did not confirm it: it may or may not survive a power cut."""

    retry = False


class Landed(QueueError):
    """An interrupt (`__cause__`) came when `append` or `swap` had already happened; `result` is what it would return."""

    def __init__(self, result: object) -> None:
        super().__init__("interrupted after the effect: the call has happened")
        self.result = result


# -- producing and consuming ------------------------------------------------------------------------------------------


class SerializationError(QueueError, ValueError):
    """The serializer refuses this item, or can't read this record; the queue is unchanged or moved past it."""


class TooLarge(QueueError, ValueError):
    """More bytes in one commit than the queue's `max_commit_bytes`; nothing was written."""


class PutUncertain(QueueError):
    """The put's outcome is unknown: it may be in the queue or may still get in. Put again only if twice is harmless."""


class ClaimLost(QueueError):
    """The lease ran out or somebody else owns the item now; nothing was removed."""


class CorruptSegment(QueueError):
    """Bytes of a segment do not check out: its name, position and offsets are in the message, the rest is delivered."""


class Empty(QueueError, queue.Empty):
    """Nothing to hand out now."""

    retry = True


class Full(QueueError, queue.Full):
    """`maxsize` is reached."""

    retry = True


_ShutDownBase: type[Exception] = getattr(queue, "ShutDown", Exception)


class ShutDown(QueueError, _ShutDownBase):  # type: ignore[misc, valid-type]  # queue.ShutDown is there from 3.13 on
    """This object was closed or shut down."""
