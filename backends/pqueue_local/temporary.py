"""Files that appear whole: written and synced under a name that nobody looks for, then given their own."""

import os
import re
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from pqueue_local import disk
from pqueue_local.descriptors import Descriptor

if sys.platform != "win32":
    import fcntl

NAME = re.compile(r"[0-9]+-[0-9a-f]{16}")
"""Of such a file."""


class Temporary:
    """A context in which the file is whole and on the disk; after it, what `link` named is all that is left.

    Its flock is held throughout, which tells it from what a dead writer left.
    """

    def __init__(self, directory: Path, data: bytes, mode: int, make_directories: Callable[[Path], None]) -> None:
        self.path = directory
        self._directory = directory
        self._data = data
        self._mode = mode
        self._make_directories = make_directories
        self._file = Descriptor(-1)

    def __enter__(self) -> Self:
        while True:
            self.path = self._directory / f"{os.getpid()}-{secrets.token_hex(8)}"
            self._file = Descriptor(self._create())
            try:
                fcntl.flock(self._file.fd, fcntl.LOCK_EX)
                if self.stat().st_nlink:
                    os.fchmod(self._file.fd, self._mode)  # open leaves out what the umask says
                    disk.write_all(self._file.fd, self._data)
                    disk.datasync(self._file.fd)
                    return self
            except BaseException:
                self._remove()
                raise
            self._remove()  # swept between its making and its lock

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._remove()

    def link(self, path: Path) -> bool:
        """Give it this name, unless that is taken: then False."""
        try:
            try:
                path.hardlink_to(self.path)
            except FileNotFoundError:
                self._make_directories(path)
                path.hardlink_to(self.path)
        except FileExistsError:
            return False
        # Let go at once, and not only by closing: a child forked meanwhile shares the lock, and by this name others
        # wait for it from now on.
        fcntl.flock(self._file.fd, fcntl.LOCK_UN)
        return True

    def stat(self) -> os.stat_result:
        """What the file is."""
        return os.fstat(self._file.fd)

    def is_at(self, path: Path) -> bool:
        """Whether the file of this name is this one."""
        try:
            return os.path.samestat(path.stat(), self.stat())
        except FileNotFoundError:
            return False

    def _create(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        try:
            return os.open(self.path, flags, self._mode)
        except FileNotFoundError:
            self._make_directories(self.path)
            return os.open(self.path, flags, self._mode)

    def _remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        finally:
            self._file.shut()


def sweep(directory: Path) -> None:
    """Remove what dead writers left in the directory."""
    for path in directory.iterdir():
        if not NAME.fullmatch(path.name):
            continue  # not ours
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except (FileNotFoundError, PermissionError):  # gone, or another user's that is just being made
            continue
        try:
            with suppress(BlockingIOError):  # its writer lives
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
        finally:
            os.close(fd)
