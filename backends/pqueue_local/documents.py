"""Documents that are swapped: three slots in a file (rules 20 and 21)."""

import sys
import time
from time import monotonic

from pqueue.abc import SAME, Document, Same, Version
from pqueue.errors import DocumentChanged, QueueError, StoreRefused, SyncFailed
from pqueue_local import slots
from pqueue_local.clock import now
from pqueue_local.descriptors import Holder
from pqueue_local.folder import Folder
from pqueue_local.foreign import foreign, surface, translated
from pqueue_local.slotfile import SlotFile, write_slot
from pqueue_local.slots import ASKED, HEAD_SIZE, ROOM, STRIDE, Slot

if sys.platform != "win32":
    import fcntl

_TRIES = 8
"""Lock-free looks at a slot that is being written; then it is waited for under the lock."""


class _Gone(Exception):  # noqa: N818  # says what happened to a file, and is answered with another
    """The file lost its name after it was opened."""


class SlotDocument(Holder):
    """One document of a folder."""

    def __init__(self, folder: Folder, name: str) -> None:
        super().__init__()
        self._folder = folder
        self._name = name
        self._path = folder.document(name)
        self._file: SlotFile | None = None

    def drop(self) -> None:
        """Let go of the file."""
        self._file = None

    # -- loading

    def load(self, known: Version | None) -> Document | Same | None:
        """As `SegmentStore.load`."""
        file = self._file
        if file is not None:
            newest, words = file.last[0], file.words
            if newest == known == max(words[0], words[STRIDE], words[2 * STRIDE]) and monotonic() < file.due:
                return SAME
        return self._load(known)

    def _load(self, known: Version | None) -> Document | Same | None:
        with translated(f"load {self._name}"):
            while True:
                file = self._open(create=False)
                if file is None:
                    return None
                if file.linked():
                    break
                self._file = None
            slot = _peek(file)
            # rule 21: whoever swapped it in may not have got to the sync, or be dead
            if slot is None or file.owes_sync(slot):
                with file.lock:
                    try:
                        fcntl.flock(file.fd, fcntl.LOCK_EX)
                        slot = slots.newest(file.memory)
                        if slot is not None and file.owes_sync(slot):
                            slot = file.confirm(slot)
                    finally:
                        fcntl.flock(file.fd, fcntl.LOCK_UN)
            if slot is None:
                return None
            file.remember(slot)
        return SAME if slot.version == known else Document(slot.data, slot.version, now())

    def _open(self, *, create: bool) -> SlotFile | None:
        file = self._file
        if file is None:
            with self.lock:
                file = self._file
                if file is None:
                    self._path = self._folder.document(self._name)
                    self._file = file = SlotFile.open(self._folder, self._path, create=create)
        return file

    # -- swapping

    def swap(self, data: bytes, version: Version | None, sync: bool) -> Document:
        """As `SegmentStore.swap`; `SyncFailed` where it is swapped and seen, but the disk does not confirm it."""
        if len(data) > ROOM:
            raise StoreRefused(f"{self._name} would have {len(data)} bytes; a document in a folder has {ROOM} at most")
        while True:
            with translated(f"swap {self._name}"):
                file = self._open(create=version is None)
            if file is None:
                raise DocumentChanged(f"{self._name} is not there")
            try:
                return self._swap(file, data, version, sync or version is None)
            except _Gone:
                self._file = None
                if version is not None:
                    raise DocumentChanged(f"{self._name} was deleted") from None

    def _swap(self, file: SlotFile, data: bytes, version: Version | None, sync: bool) -> Document:
        begun = 0
        done: Document | None = None
        fd, words = file.fd, file.words
        try:
            with file.lock:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX)
                    last = file.last
                    newest = last[0]
                    found = words[0], words[STRIDE], words[2 * STRIDE]
                    swapped = newest + 1
                    if sync or newest != version or newest != max(found) or monotonic() >= file.due:
                        last = self._examine(file, version)
                        newest = last[0]
                        found = slots.versions(words)
                        swapped = slots.following(found, newest)
                    _, place, synced, guarded = last
                    # rule 20: into the oldest, never over the newest synced one
                    target = 3 - place - guarded if -1 != guarded != place else slots.oldest(found, newest, place)
                    begun = swapped
                    write_slot(fd, slots.pack(swapped, ASKED if sync else 0, synced, data), target)
                    if sync:
                        slot = self._confirm(file, Slot(target, swapped, ASKED, synced, data))
                        file.remember(slot)
                        swapped = slot.version
                    else:
                        file.last = (swapped, target, synced, guarded)
                    done = Document(data, swapped, now())
                except SyncFailed:
                    raise
                except BaseException:
                    if begun:
                        try:
                            done = self._outcome(file, begun, sync)
                        except QueueError:
                            raise
                        except BaseException:  # noqa: BLE001  # interrupted again
                            done = self._outcome(file, begun, sync)
                    raise
                finally:
                    fcntl.flock(fd, fcntl.LOCK_UN)
        except BaseException as error:  # noqa: BLE001  # raised again by `surface`
            surface(error, f"swap {self._name}", done, stands=done is not None)
        assert done is not None
        return done

    def _examine(self, file: SlotFile, version: Version | None) -> tuple[int, int, int, int]:
        """What `file.last` should say for a swap of `version`, by a look at everything; under the lock.

        Raises:
            DocumentChanged: the version does not hold.
        """
        if not file.linked():
            raise _Gone
        slot = slots.newest(file.memory)
        if slot is None:
            if version is not None:
                raise DocumentChanged(f"{self._name} is not there")
            # A document made anew goes on behind all versions of the one before: no clock counts as fast as this.
            return time.time_ns(), -1, 0, -1
        if file.owes_sync(slot):
            slot = file.confirm(slot)
        if slot.version != version:
            raise DocumentChanged(
                f"{self._name} is already there" if version is None else f"{self._name} was swapped; load it again"
            )
        file.remember(slot)
        return file.last

    def _outcome(self, file: SlotFile, begun: int, sync: bool) -> Document | None:
        """The document that a swap made which met an exception, as durable as asked, if it did."""
        # rule 20, as 32: nobody else had the lock since, so a version from `begun` on is ours
        slot = slots.newest(file.memory)
        if slot is None or slot.version < begun:
            return None
        if sync and file.owes_sync(slot):
            slot = self._confirm(file, slot)
        file.remember(slot)
        return Document(slot.data, slot.version, now())

    def _confirm(self, file: SlotFile, slot: Slot) -> Slot:
        try:
            return file.confirm(slot)
        except OSError as error:
            if not foreign(error):
                raise
            raise SyncFailed(
                f"{self._name}: swapped, and others may see it, but the disk did not confirm it ({error}); look at the"
                " disk, and load the document before anything else"
            ) from error

    # -- deleting

    def delete(self) -> None:
        """Remove the document, if it is there."""
        with translated(f"delete {self._name}"), self.lock:
            self._file = None
            file = SlotFile.open(self._folder, self._folder.document(self._name), create=False)
            if file is None:
                self._path.unlink(missing_ok=True)
                return
            with file.lock:
                try:
                    fcntl.flock(file.fd, fcntl.LOCK_EX)
                    self._path.unlink(missing_ok=True)
                    # Whoever has the file open sees by this, without asking for its name each time, that it is gone.
                    for place in range(slots.COUNT):
                        write_slot(file.fd, bytes(HEAD_SIZE), place)
                finally:
                    fcntl.flock(file.fd, fcntl.LOCK_UN)


def _peek(file: SlotFile) -> Slot | None:
    """The newest slot, without the lock; None where that one is being written, or none is there."""
    for _ in range(_TRIES):
        found = slots.versions(file.words)
        slot = slots.read(file.memory, found.index(max(found)))
        if slot is not None:
            return slot
    return None
