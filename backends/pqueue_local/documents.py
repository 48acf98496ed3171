"""Documents that are swapped: three slots in a file (rules 20 and 21)."""

import os
import sys
from time import monotonic, time_ns

from zlib_ng.zlib_ng import crc32

from pqueue.abc import SAME, Document, Same, Version
from pqueue.errors import DocumentChanged, QueueError, StoreRefused, SyncFailed
from pqueue_local import disk, slots
from pqueue_local.clock import now
from pqueue_local.descriptors import Holder
from pqueue_local.disk import AT_ONCE
from pqueue_local.folder import Folder
from pqueue_local.foreign import foreign, ours, surface, translated
from pqueue_local.slotfile import Last, SlotFile
from pqueue_local.slots import ASKED, ROOM, STEP, TURN, Slot, pack_check, pack_head
from pqueue_local.turns import Turn

if sys.platform != "win32":
    import fcntl

_TURN = TURN // 8
_TRIES = 8
"""Lock-free looks at a slot that is being written; then it is waited for under the lock."""

new = tuple.__new__  # a NamedTuple's own takes twice as long


class _Owed(Exception):  # answered with waiting
    """Somebody else's turn is heeded first."""


class _Gone(Exception):  # says what happened to a file, and is answered with another
    """The file lost its name after it was opened."""


class SlotDocument(Holder):
    """One document of a folder."""

    def __init__(self, folder: Folder, name: str) -> None:
        super().__init__()
        self._folder = folder
        self._name = name
        self._path = folder.document(name)
        self._file: SlotFile | None = None
        self._turn = Turn()

    def drop(self) -> None:
        """Let go of the file."""
        self._file = None

    # -- loading

    def load(self, known: Version | None) -> Document | Same | None:
        """As `SegmentStore.load`."""
        file = self._file
        if file is not None and monotonic() < file.due:
            last = file.last
            # Every slot: what `last` says of their places may be older than what another process has done since.
            if last[0] == known and max(file.versions.tolist()) == known:
                return SAME
            found = file.versions.tolist()
            try:
                slot = file.read(found.index(max(found)))
            except OSError as error:
                if not foreign(error):
                    raise
                raise ours(error, f"load {self._name}") from error
            if slot is not None and not file.owes_sync(slot):
                file.remember(slot)
                return SAME if slot.version == known else Document(slot.data, slot.version, now())
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
                        slot = file.newest()
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
                    self._folder.check_open()
                    self._file = file = SlotFile.open(self._folder, self._path, create=create)
        return file

    # -- swapping

    def _opened(self, version: Version | None) -> SlotFile:
        with translated(f"swap {self._name}"):
            file = self._open(create=version is None)
        if file is None:
            raise DocumentChanged(f"{self._name} is not there")
        return file

    def swap(  # noqa: C901, PLR0912, PLR0915  # in one piece and locked as `append` is, for the same reasons
        self, data: bytes, version: Version | None, sync: bool, heeds: bool = True
    ) -> Document:
        """As `SegmentStore.swap`; `SyncFailed` where it is swapped and seen, but the disk does not confirm it.

        `heeds`: whether it waits, once, for somebody who has lost for long.
        """
        file = self._file
        if file is None or version is None:
            file = self._opened(version)
            sync = sync or version is None
        if len(data) > ROOM:
            raise StoreRefused(f"{self._name} would have {len(data)} bytes; a document in a folder has {ROOM} at most")
        begun = 0
        done: Document | None = None
        fd = file.fd
        try:
            with file.lock:
                try:
                    try:
                        fcntl.flock(fd, AT_ONCE)
                    except BlockingIOError:
                        disk.lock_soon(fd)
                    if heeds and file.words[_TURN] and self._turn.owes(file):
                        raise _Owed  # noqa: TRY301  # the lock is to be released first
                    time = now()
                    # rule 20, where nothing has changed since this object's last load or swap
                    newest, _, target, synced, guarded = file.last
                    swapped = newest + 1
                    one, two, three = file.versions.tolist()
                    seen = one <= newest and two <= newest and three <= newest
                    if sync or newest != version or not seen or time[1] >= file.due_ms:
                        newest, _, target, synced, guarded = self._examine(file, version)
                        swapped = slots.following(file.versions.tolist(), newest)
                    begun = swapped
                    head = pack_head(swapped, len(data), ASKED if sync else 0, synced)
                    raw = head + pack_check(crc32(data, crc32(head)), 0) + data
                    if os.pwrite(fd, raw, target * STEP) != len(raw):
                        disk.cut_short()
                    if sync:
                        slot = self._confirm(file, Slot(target, swapped, ASKED, synced, data))
                        file.remember(slot)
                        swapped = slot.version
                        time = now()
                    else:
                        file.last = (swapped, target, 3 - target - guarded, synced, guarded)
                    if self._turn.losses:
                        self._turn.won(file)
                    done = new(Document, (data, swapped, time))
                except (SyncFailed, _Owed):
                    raise
                except DocumentChanged:
                    self._turn.lost(file)
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
        except _Owed:
            self._turn.give(file)
            return self.swap(data, version, sync, heeds=False)
        except _Gone:
            self._file = None
            if version is None:
                return self.swap(data, None, sync)
            raise DocumentChanged(f"{self._name} was deleted") from None
        except BaseException as error:  # noqa: BLE001  # raised again by `surface`
            surface(error, f"swap {self._name}", done, stands=done is not None)
        assert done is not None
        return done

    def _examine(self, file: SlotFile, version: Version | None) -> Last:
        """What `file.last` should say for a swap of `version`, by a look at everything; under the lock.

        Raises:
            DocumentChanged: the version does not hold.
        """
        if not file.linked():
            raise _Gone
        slot = file.newest()
        if slot is None:
            if version is not None:
                raise DocumentChanged(f"{self._name} is not there")
            # A document made anew goes on behind all versions of the one before: no clock counts as fast as this.
            return time_ns(), -1, 0, 0, -1
        if file.owes_sync(slot):
            slot = file.confirm(slot)
        if slot.version != version:
            raise DocumentChanged(
                f"{self._name} is already there" if version is None else f"{self._name} was swapped; load it again"
            )
        return file.remember(slot)

    def _outcome(self, file: SlotFile, begun: int, sync: bool) -> Document | None:
        """The document that a swap made which met an exception, as durable as asked, if it did."""
        # rule 20, as 32: nobody else had the lock since, so a version from `begun` on is ours
        slot = file.newest()
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
            self._folder.check_open()
            self._file = None
            file = SlotFile.open(self._folder, self._path, create=False)
            if file is None:
                self._path.unlink(missing_ok=True)
                return
            with file.lock:
                try:
                    fcntl.flock(file.fd, fcntl.LOCK_EX)
                    self._path.unlink(missing_ok=True)
                    # Whoever has the file open sees by this, without asking for its name each time, that it is gone.
                    for place in range(slots.COUNT):
                        os.pwrite(file.fd, slots.GONE, place * STEP)
                finally:
                    fcntl.flock(file.fd, fcntl.LOCK_UN)


def _peek(file: SlotFile) -> Slot | None:
    """The newest slot, without the lock; None where that one is being written, or none is there."""
    for _ in range(_TRIES):
        found = file.versions.tolist()
        slot = file.read(found.index(max(found)))
        if slot is not None:
            return slot
    return None
