"""A document's file, open and mapped."""

import errno
import mmap
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from struct import Struct
from time import monotonic
from typing import Self

from pqueue_local import disk, slots
from pqueue_local.clock import now
from pqueue_local.descriptors import Descriptor
from pqueue_local.folder import Folder
from pqueue_local.slots import Slot

if sys.platform != "win32":
    import fcntl

LOOK_EVERY_MS = 1000
"""Milliseconds after which it is looked whether the file still has a name."""


Last = tuple[int, int, int, int, int]
"""What an object loaded or swapped last, bare since every swap makes one: its version and slot; the slot that the next
version goes into; the newest version known to be synced, and its slot.

The next version goes there whoever swaps it: by rule 20, and since all know the same of what is synced. So one read of
that slot's version tells whether anybody has swapped."""
_length = Struct("<I").unpack_from
_NOTHING: Last = (0, -1, 0, 0, -1)


class SlotFile(Descriptor):
    """The descriptor, the mapping, and the lock of the threads that share them, and with them the flock."""

    __slots__ = ("_folder", "_name_synced", "due", "due_ms", "last", "lock", "memory", "suspect", "versions", "words")

    def __init__(self, fd: int, folder: Folder) -> None:
        super().__init__(fd)
        self.lock = threading.Lock()
        self.memory = mmap.mmap(fd, slots.SIZE, mmap.MAP_SHARED, mmap.PROT_READ)
        self.words = memoryview(self.memory).cast("Q")
        self.versions = self.words[: slots.NOTE // 8 : slots.STEP // 8]
        """The slots' versions, whole or torn."""
        self.due_ms = 0
        self.due = 0.0
        self.suspect = False
        """Whether a sync through this descriptor has failed, or was not heard of."""
        self.last = _NOTHING
        """Replaced as a whole, so that threads may read it without the lock."""
        self._folder = folder
        self._name_synced = False

    def shut(self) -> None:
        """Close it now, the mapping's descriptor too."""
        super().shut()
        if hasattr(self, "versions"):
            self.versions.release()
            self.words.release()
            self.memory.close()

    @classmethod
    def open(cls, folder: Folder, path: Path, *, create: bool) -> Self | None:
        """Open the file; None where there is none, or only the beginnings of one.

        With `create`, make it, without a document in it yet: rule 20's first steps. Several may do so at once.
        """
        try:
            fd = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            if not create:
                return None
            fd = _make(path, folder.file_mode)
        try:
            if os.fstat(fd).st_size < slots.SIZE:
                if not create:
                    os.close(fd)
                    return None
                _reserve(fd)
        except OSError:
            os.close(fd)
            raise
        return cls(fd, folder)

    def read(self, place: int) -> Slot | None:
        """The slot, if it is whole."""
        start = place * slots.STEP
        end = start + slots.HEAD_SIZE + _length(self.memory, start + slots.LENGTH)[0]
        if end - start <= slots.FRONT:
            return slots.parse(self.memory[start:end], place)
        # Behind what is allocated a torn slot may have holes; to read one through the mapping costs a page where files
        # are kept in memory, and without one to have the process.
        return slots.parse(os.pread(self.fd, min(end - start, slots.STEP), start), place)

    def newest(self) -> Slot | None:
        """The newest whole slot; under the lock, since a torn one's writer is dead then."""
        found = self.versions.tolist()
        for place in sorted(range(slots.COUNT), key=found.__getitem__, reverse=True):
            slot = self.read(place)
            if slot is not None:
                return slot
        return None

    def linked(self) -> bool:
        """Whether the file still has a name."""
        self.due_ms = now().ms + LOOK_EVERY_MS
        self.due = monotonic() + LOOK_EVERY_MS / 1000
        return os.fstat(self.fd).st_nlink > 0

    def synced(self) -> int:
        """The newest version that is known to be synced, to this object or to somebody who noted it."""
        return max(self.last[3], self.words[slots.NOTE // 8])

    def owes_sync(self, slot: Slot) -> bool:
        """Whether this version's swap asked for a sync of which nothing is known."""
        return bool(slot.flags & slots.ASKED) and slot.version > self.synced()

    def remember(self, slot: Slot, *, synced: bool = True) -> Last:
        """Take this version as the one that this object knows; it is `synced` if its swap asked for that."""
        at = slot.version if synced and slot.flags & slots.ASKED else max(self.synced(), slot.synced)
        found = self.versions.tolist()
        guarded = found.index(at) if at in found else slot.place  # no rule loses the synced one; a bad disk may
        # rule 20: into the oldest, never over the newest synced one
        target = slots.oldest(found, slot.version, slot.place, guarded)
        self.last = last = (slot.version, slot.place, target, at, guarded)
        return last

    def put(self, data: bytes, flags: int, after: Last) -> Slot:
        """Write the version that follows; under the lock."""
        before, _, place, synced, _ = after
        version = slots.following(self.versions.tolist(), before)
        raw = slots.pack(version, flags, synced, data)
        if os.pwrite(self.fd, raw, place * slots.STEP) != len(raw):
            disk.cut_short()
        self.suspect = False  # these pages are new: the next sync is about them
        return Slot(place, version, flags, synced, data)

    def sync(self) -> None:
        """Bring all that was written to the disk, and the file's name, if this object has not yet."""
        self.suspect, suspect = True, self.suspect
        disk.datasync(self.fd)
        if not self._name_synced:
            disk.sync_directory(self._folder.root)
            self._name_synced = True
        self.suspect = suspect

    def confirm(self, slot: Slot) -> Slot:
        """See to it that the newest version is synced; under the lock. What is then the newest: of the same content.

        Raises:
            OSError: the disk does not confirm it.
        """
        if not (self.suspect or slot.flags & slots.SUSPECT):
            try:
                self.sync()
            except OSError as error:
                if error.errno is None:
                    raise
            else:
                self._note(slot.version)
                return slot
        # rule 20: after a failed sync the pages may be dropped and count as clean, so another sync would succeed and
        # prove nothing. Who finds this version, and not that it is synced, does the same again.
        again = self.put(slot.data, slots.ASKED | slots.SUSPECT, self.remember(slot, synced=False))
        self.sync()
        self._note(again.version)
        return again

    def _note(self, version: int) -> None:
        with suppress(OSError):  # without it others sync once more
            os.pwrite(self.fd, version.to_bytes(8, "little"), slots.NOTE)


def _make(path: Path, mode: int) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return os.open(path, os.O_RDWR)
    os.fchmod(fd, mode)  # open leaves out what the umask says
    return fd


def _reserve(fd: int) -> None:
    """Give the file its size, and room for small documents; the size comes last, and until then it holds nothing."""
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        if os.fstat(fd).st_size < slots.SIZE:
            for place in range(slots.COUNT):
                _allocate(fd, place * slots.STEP, slots.FRONT)
            _allocate(fd, slots.NOTE, slots.SIZE - slots.NOTE)
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def _allocate(fd: int, start: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, start, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        else:
            return
    if os.pwrite(fd, bytes(size), start) != size:
        disk.cut_short()
