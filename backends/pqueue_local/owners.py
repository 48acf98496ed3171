"""Identities that the operating system drops with the process (rule 30)."""

import errno
import os
import re
import secrets
import struct
import sys
from abc import abstractmethod
from pathlib import Path

from pqueue.abc import Owners
from pqueue.errors import StoreError
from pqueue_local.clock import boot
from pqueue_local.descriptors import Descriptor, Holder
from pqueue_local.folder import OWNERS, Folder
from pqueue_local.foreign import translated

if sys.platform != "win32":
    import fcntl

_DRAWS = 8
_NUMBER = re.compile("[0-9a-f]{16}")


class FolderOwners(Holder, Owners):
    """What both kinds share: an identity is the boot's id and a random number; another boot's owners are dead."""

    def __init__(self, folder: Folder) -> None:
        super().__init__()
        self._folder = folder
        self._mine: dict[int, Descriptor] = {}

    def own(self) -> str:
        """As `Owners.own`."""
        self._folder.check_open()
        with translated("take an identity"), self.lock:
            for _ in range(_DRAWS):
                number = secrets.randbits(62)
                taken = self._take(number)
                if taken is not None:
                    self._mine[number] = taken
                    return f"{boot()}-{number:016x}"
        raise StoreError("no identity was free; try again")

    def alive(self, owner: str) -> bool:
        """As `Owners.alive`."""
        self._folder.check_open()
        booted, _, number = owner.rpartition("-")
        if booted != boot() or not _NUMBER.fullmatch(number):
            return False
        with translated(f"look whether {owner} lives"), self.lock:
            place = int(number, 16)
            return place in self._mine or self._taken(place)

    def close(self) -> None:
        """End all identities of this object."""
        self.drop()

    def drop(self) -> None:
        """Let go of all descriptors; what a fork's parent holds through them goes on."""
        with self.lock:
            self._mine.clear()

    @abstractmethod
    def _take(self, number: int) -> Descriptor | None:
        """Hold this number until the descriptor is closed; None where another one does."""

    @abstractmethod
    def _taken(self, number: int) -> bool:
        """Whether another object, here or in another process, holds this number."""


class ByteOwners(FolderOwners):
    """One file, one byte each at a random offset, locked by open file description: Linux."""

    _file: Descriptor | None = None

    def drop(self) -> None:
        """Let go of all descriptors; what a fork's parent holds through them goes on."""
        super().drop()
        self._file = None

    def _take(self, number: int) -> Descriptor | None:
        file = self._open()
        try:
            _byte_lock(file.fd, _SET, number)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return None
        return file

    def _taken(self, number: int) -> bool:
        return _byte_lock(self._open().fd, _GET, number) != _UNLOCKED

    def _open(self) -> Descriptor:
        if self._file is None:
            self._file = _open(self._folder.root / OWNERS, self._folder.file_mode)
        return self._file


class FileOwners(FolderOwners):
    """A file each, under its flock: elsewhere."""

    def close(self) -> None:
        """End all identities of this object, and remove their files; a dead process's go when somebody looks."""
        with translated("end identities"), self.lock:
            for number in self._mine:
                self._path(number).unlink(missing_ok=True)
        super().close()

    def _take(self, number: int) -> Descriptor | None:
        path = self._path(number)
        try:
            file = _open(path, self._folder.file_mode)
        except FileNotFoundError:
            self._folder.make_directories(path)
            file = _open(path, self._folder.file_mode)
        try:
            fcntl.flock(file.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        return file

    def _taken(self, number: int) -> bool:
        path = self._path(number)
        try:
            file = Descriptor(os.open(path, os.O_RDONLY))
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        path.unlink(missing_ok=True)
        return False

    def _path(self, number: int) -> Path:
        return self._folder.root / f".{OWNERS}" / f"{number:016x}"


if sys.platform == "linux":
    _SET, _GET = fcntl.F_OFD_SETLK, fcntl.F_OFD_GETLK
    _LOCKED, _UNLOCKED = fcntl.F_WRLCK, fcntl.F_UNLCK
else:
    _SET = _GET = _LOCKED = _UNLOCKED = -1

_FLOCK = struct.Struct("@hhqqi0q")  # struct flock where off_t has 64 bits and is aligned: type, whence, start, length


def _byte_lock(fd: int, command: int, at: int) -> int:
    """Ask for one byte's lock; the type of the lock that is in the way, for `_GET`."""
    answer = fcntl.fcntl(fd, command, _FLOCK.pack(_LOCKED, os.SEEK_SET, at, 1, 0))
    kind: int = _FLOCK.unpack(answer)[0]
    return kind


def _open(path: Path, mode: int) -> Descriptor:
    try:
        return Descriptor(os.open(path, os.O_RDWR))
    except FileNotFoundError:
        try:
            file = Descriptor(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode))
        except FileExistsError:
            return Descriptor(os.open(path, os.O_RDWR))
        os.fchmod(file.fd, mode)
        return file


def owners_of(folder: Folder) -> FolderOwners:
    """The kind that this system can."""
    return ByteOwners(folder) if sys.platform == "linux" and sys.maxsize > 1 << 32 else FileOwners(folder)
