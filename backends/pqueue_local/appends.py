"""Segments that grow: appends under the segment's flock."""

import os
import sys
import threading
from contextlib import suppress
from time import monotonic

from pqueue.abc import Appends, Insist
from pqueue.errors import BlobMissing, QueueError, SegmentChanged, StoreError, SyncFailed
from pqueue_local import disk
from pqueue_local.descriptors import Cache, Descriptor
from pqueue_local.disk import AT_ONCE
from pqueue_local.folder import Folder
from pqueue_local.foreign import FULL, foreign, surface, translated

if sys.platform != "win32":
    import fcntl

_KEPT = 4
_LOOK_EVERY = 1.0
"""Seconds after which an append looks whether its segment still has a name; it costs as much as the lock."""


class _Segment(Descriptor):
    """A segment's descriptor, and the lock of the threads that share it, and with it the flock."""

    __slots__ = ("due", "lock")

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.lock = threading.Lock()
        self.due = 0.0


class Segments(Appends):
    """The segments of a folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._segments: Cache[_Segment] = Cache(_KEPT)
        self._kept = self._segments.get

    def append(  # noqa: C901  # in one piece
        self, name: str, at: int, data: bytes, sync: bool, seal: bytes, insist: Insist | None = None
    ) -> None:
        """As `Appends.append`; of a size below `at`, `SegmentChanged` brings no bytes.

        `SyncFailed` is also raised where the outcome is unknown, because looking at it failed.
        """
        segment = self._kept(name) or self._open(name)
        fd = segment.fd
        begun = syncing = stands = False
        try:
            # rule 22, in one piece, since every put comes through here and each call costs as much as the lock. The
            # thread lock by `with`, which no interrupt gets into; the flock by hand: to let go of one that was not had
            # does nothing.
            with segment.lock:
                try:
                    try:
                        fcntl.flock(fd, AT_ONCE)
                    except BlockingIOError:
                        disk.lock_soon(fd)
                    if sync or monotonic() >= segment.due:
                        size = self._look_for(name, segment).st_size
                    else:
                        size = os.lseek(fd, 0, os.SEEK_END)
                    if size != at:
                        data, seal = self._changed(name, segment, at, size, insist)
                        at = size
                    begun = True
                    if os.write(fd, data) != len(data):
                        disk.cut_short()
                    if sync:
                        syncing = True
                        disk.datasync(fd)
                    stands = True
                except BaseException as error:
                    if begun:
                        try:
                            stands = _outcome(fd, name, at, data, sync, seal, error, syncing=syncing)
                        except QueueError:
                            raise
                        except BaseException:  # noqa: BLE001  # interrupted again
                            stands = _outcome(fd, name, at, data, sync, seal, error, syncing=syncing)
                    raise
                finally:
                    fcntl.flock(fd, fcntl.LOCK_UN)
        except BaseException as error:  # noqa: BLE001  # raised again by `surface`
            surface(error, f"append to {name}", None, stands=stands)

    def settle(self, name: str) -> int:
        """As `Appends.settle`."""
        segment = self._kept(name) or self._open(name)
        with translated(f"measure {name}"), segment.lock:
            try:
                fcntl.flock(segment.fd, fcntl.LOCK_EX)
                return self._look_for(name, segment).st_size
            finally:
                fcntl.flock(segment.fd, fcntl.LOCK_UN)

    def forget(self, name: str) -> None:
        """Let go of a segment's descriptor."""
        self._segments.forget(name)

    def close(self) -> None:
        """Let go of descriptors."""
        self._segments.drop()

    def _open(self, name: str) -> _Segment:
        path = self._folder.blob(name)
        with translated(f"open {name}"):
            try:
                return self._segments.add(name, _Segment(os.open(path, os.O_RDWR | os.O_APPEND)))
            except FileNotFoundError as error:
                raise BlobMissing(f"{name} is not there") from error

    def _changed(self, name: str, segment: _Segment, at: int, size: int, insist: Insist | None) -> tuple[bytes, bytes]:
        """What to append there instead."""
        self._look_for(name, segment)
        behind = disk.read_range(segment.fd, at, size) if at < size else b""
        instead = insist(behind) if insist and behind else None
        if instead is None:
            raise SegmentChanged(behind)
        return instead

    def _look_for(self, name: str, segment: _Segment) -> os.stat_result:
        """Check that the segment still has a name, so that no append is lost in a file that nobody can open."""
        found = os.fstat(segment.fd)
        if not found.st_nlink:
            self._segments.forget(name)
            raise BlobMissing(f"{name} was deleted")
        segment.due = monotonic() + _LOOK_EVERY
        return found


def _outcome(
    fd: int, name: str, at: int, data: bytes, sync: bool, seal: bytes, error: BaseException, *, syncing: bool
) -> bool:
    """Whether an append that met `error` has happened, as durable as asked; looked at before its lock is let go.

    Raises:
        SyncFailed: the data stands, sealed; or nobody knows.
        StoreError: it did not happen, and torn bytes stand at `at`.
    """
    # rule 32. Nobody else had the lock since the size was `at`: what is there now is ours.
    end = at + len(data)
    try:
        size = os.lseek(fd, 0, os.SEEK_END)
        whole = size >= end and disk.read_range(fd, at, end) == data
    except OSError as blind:
        raise SyncFailed(f"append to {name}: outcome unknown, since the segment can't be read ({blind})") from error
    if not whole:
        if size > at:
            _undo(fd, name, at, error)
        return False
    if sync:
        failed = syncing and foreign(error)
        if not failed and size == end:  # bytes behind: the seal of an outcome that was interrupted
            try:
                disk.datasync(fd)
            except OSError as refused:
                error = refused
            else:
                return True
        _seal(fd, seal, end)
        raise SyncFailed(
            f"append to {name}: written, but the disk did not confirm it ({error}); look at the disk, and put again"
            " only if twice is harmless"
        ) from error
    return True


def _undo(fd: int, name: str, at: int, error: BaseException) -> None:
    """Take torn bytes back, unless a failure left them that the next write may meet too."""
    # rule 22: a short write never was. Any other error leaves its torn bytes, behind which nothing matches.
    if isinstance(error, OSError) and foreign(error) and error.errno not in FULL:
        return
    try:
        os.ftruncate(fd, at)
    except OSError as stuck:
        raise StoreError(f"append to {name}: torn bytes could not be cut off; put again") from stuck


def _seal(fd: int, seal: bytes, end: int) -> None:
    """Bar the segment behind `end`: rule 25."""
    if os.lseek(fd, 0, os.SEEK_END) > end:
        return
    try:
        os.write(fd, seal)
    except OSError:
        with suppress(OSError):  # then nothing is left to try
            os.ftruncate(fd, end + 1)  # a torn byte, which needs no room
