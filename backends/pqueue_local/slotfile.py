"""A document's file, open and mapped."""

import errno
import mmap
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Self

from pqueue_local import disk, slots
from pqueue_local.descriptors import Descriptor
from pqueue_local.folder import Folder
from pqueue_local.slots import Slot

if sys.platform != "win32":
    import fcntl

LOOK_EVERY = 1.0
"""Seconds after which it is looked whether the file still has a name."""

_NOTHING = (0, -1, 0, -1)


class SlotFile(Descriptor):
    """The descriptor, the mapping, and the lock of the threads that share them, and with them the flock."""

    __slots__ = ("_folder", "_name_synced", "due", "last", "lock", "memory", "suspect", "words")

    def __init__(self, fd: int, folder: Folder) -> None:
        super().__init__(fd)
        self.lock = threading.Lock()
        self.memory = mmap.mmap(fd, slots.SIZE, mmap.MAP_SHARED, mmap.PROT_READ)
        self.words = memoryview(self.memory).cast("Q")
        self.due = 0.0
        self.suspect = False
        """Whether a sync through this descriptor has failed, or was not heard of."""
        self.last = _NOTHING
        """What this object loaded or swapped last: version, its slot, the newest version known to be synced, its slot.
        Replaced as a whole, so that threads may read it without the lock."""
        self._folder = folder
        self._name_synced = False

    def shut(self) -> None:
        """Close it now, the mapping's descriptor too."""
        super().shut()
        if hasattr(self, "words"):
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

    def linked(self) -> bool:
        """Whether the file still has a name."""
        self.due = monotonic() + LOOK_EVERY
        return os.fstat(self.fd).st_nlink > 0

    def synced(self) -> int:
        """The newest version that is known to be synced, to this object or to somebody who noted it."""
        return max(self.last[2], self.words[slots.NOTE_WORD])

    def owes_sync(self, slot: Slot) -> bool:
        """Whether this version's swap asked for a sync of which nothing is known."""
        return bool(slot.flags & slots.ASKED) and slot.version > self.synced()

    def remember(self, slot: Slot) -> None:
        """Take this version as the one that this object knows; its sync is not owed."""
        synced = slot.version if slot.flags & slots.ASKED else max(self.synced(), slot.synced)
        found = slots.versions(self.words)
        self.last = (slot.version, slot.place, synced, found.index(synced) if synced in found else -1)

    def put(self, data: bytes, version: int, flags: int, after: tuple[int, int, int, int]) -> Slot:
        """Write the version into a slot that may be written over, given what `last` said; under the lock."""
        before, newest, synced, guarded = after
        place = slots.oldest(slots.versions(self.words), before, newest, guarded)
        self.suspect = False  # these pages are new: the next sync is about them
        raw = slots.pack(version, flags, synced, data)
        write_slot(self.fd, raw, place)
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
        self.remember(slot._replace(flags=0))
        version = slots.following(slots.versions(self.words), slot.version)
        again = self.put(slot.data, version, slots.ASKED | slots.SUSPECT, self.last)
        self.sync()
        self._note(again.version)
        return again

    def _note(self, version: int) -> None:
        with suppress(OSError):  # without it others sync once more
            os.pwrite(self.fd, version.to_bytes(8, "little"), slots.NOTE)


def write_slot(fd: int, raw: bytes, place: int) -> None:
    """Write a slot's bytes, in one call."""
    written = os.pwrite(fd, raw, place * slots.STEP)
    if written != len(raw):
        disk.cut_short()


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
