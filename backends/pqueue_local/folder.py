"""The folder itself: making it, and the paths in it."""

import errno
import os
import re
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from pqueue.errors import NotAQueue, QueueAbsent, StoreRefused
from pqueue.names import HEAD, META, TAIL
from pqueue_local import disk
from pqueue_local.foreign import translated
from pqueue_local.mounts import refuse_network
from pqueue_local.slots import SIZE
from pqueue_local.temporary import NAME, Temporary, sweep

OWNERS = "owners"
_BLOBS = ("seg", "log", "dead")
_TEMPORARY = ".tmp"
_NONE = re.compile(r"(?!)")
_SHAPES = {
    **dict.fromkeys(_BLOBS, _NONE),
    _TEMPORARY: NAME,
    ".wakes": re.compile(r"bell|[w+][0-9]+-[0-9a-f]{16}"),
}
"""What may lie in its directories before there is a tail."""
_HARMLESS = (META, "lost+found", ".gitignore", ".gitkeep", ".DS_Store")
_PART = re.compile(r"[^./\0][^/\0]*")  # no name leaves the folder, or is hidden as the temporary ones are


class Folder:
    """An opened folder. Not a queue yet: that is what its documents make of it."""

    def __init__(self, root: Path, mode: int) -> None:
        self.root = root
        self.file_mode = mode & 0o666
        self.closed = False
        self.strangers: Sequence[str] = ()
        """What lay in it when it was opened that is no queue's, where no queue was."""
        self._mode = mode

    @classmethod
    def open(cls, path: Path, mode: int, *, create: bool) -> Self:
        """Look at the folder and, with `create`, make what is missing of it.

        Raises:
            QueueAbsent: it is not there.
            NotAQueue: a file is there.
            StoreRefused: it is there and may not be used, or is on a file system that can't keep a queue.
        """
        _refuse_platform()
        root = path.expanduser().absolute()
        with translated(f"open the folder {root}"):
            refuse_network(root)
            if not _is_there(root):
                if not create:
                    raise QueueAbsent(f"no folder {root}; open it with create=True to make one")
                root.parent.mkdir(parents=True, exist_ok=True)
                _make_directory(root, mode)
            with suppress(FileNotFoundError):  # whoever made the folder said who else may use it
                mode = stat.S_IMODE((root / _BLOBS[0]).stat().st_mode)
            folder = cls(root, mode)
            folder.strangers = _strangers(root)
            if create and not folder.strangers:
                for name in (*_BLOBS, _TEMPORARY):
                    _make_directory(root / name, mode)
                sweep(root / _TEMPORARY)
        return folder

    def check_open(self) -> None:
        """Refuse what comes after `close`."""
        if self.closed:
            raise StoreRefused("this store was closed; open it again")

    def blob(self, name: str) -> Path:
        """The path of a blob."""
        return self._path(name, documents=False)

    def document(self, name: str) -> Path:
        """The path of a document."""
        return self._path(name, documents=True)

    def directory(self, prefix: str) -> str:
        """The directory, as a name, that holds all names with this prefix."""
        name = prefix.rpartition("/")[0]
        if name:
            self._path(f"{name}/-", documents=False)
        return name

    def _path(self, name: str, *, documents: bool) -> Path:
        self.check_open()
        parts = name.split("/")
        if (len(parts) == 1) != documents or name == OWNERS or not all(_PART.fullmatch(part) for part in parts):
            raise StoreRefused(
                f"{name!r} names no {'document' if documents else 'blob'}: blobs have a slash, documents none; no part"
                " of a name is empty or begins with a dot"
            )
        return self.root / name

    def make_directories(self, path: Path) -> None:
        """Make the directories below the root, but not the root, that a file of this path needs."""
        for part in reversed(path.relative_to(self.root).parents[:-1]):
            _make_directory(self.root / part, self._mode)

    def temporary(self, data: bytes) -> Temporary:
        """A file with this content, on the disk, that has no name yet but one that nobody looks for."""
        return Temporary(self.root / _TEMPORARY, data, self.file_mode, self.make_directories)


def _refuse_platform() -> None:
    if sys.platform == "win32":
        raise StoreRefused("a queue in a folder needs Linux or macOS; on Windows keep the queue in a bucket, or in WSL")
    if sys.byteorder != "little":
        raise StoreRefused("a queue in a folder needs a little-endian machine; keep the queue in a bucket")


def _is_there(root: Path) -> bool:
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        is_folder = False
    if not is_folder:
        raise NotAQueue(f"{root} is, or is below, a file; name a folder")
    return True


def _strangers(root: Path) -> Sequence[str]:
    """What is there, if no tail is, that can't be of a queue which somebody is just making."""
    with suppress(FileNotFoundError):
        if (root / TAIL).stat().st_size == SIZE:
            return ()
    return sorted(path.name for path in root.iterdir() if not _is_ours(path))


def _is_ours(path: Path) -> bool:
    """Whether it may lie in a folder where a queue is half made; a document that does is judged by whoever reads it."""
    try:
        if path.name in _SHAPES:
            return path.is_dir() and all(_SHAPES[path.name].fullmatch(one) for one in os.listdir(path))  # noqa: PTH208
        if path.name == OWNERS:
            return path.is_dir() or not path.stat().st_size
        if path.name in (TAIL, HEAD):
            return path.is_file() and _is_document(path)
    except FileNotFoundError:  # somebody else's doing, just now
        return True
    return path.name in _HARMLESS


def _is_document(path: Path) -> bool:
    """Whether it has a document's size, or is on its way there: whoever makes it gives it room bit by bit, all zeros."""
    size = path.stat().st_size
    return size == SIZE or (size < SIZE and not path.read_bytes().strip(b"\0"))


def _make_directory(path: Path, mode: int) -> None:
    """Make it, durably, if it is not there."""
    try:
        path.mkdir(mode)
    except FileExistsError as error:
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from error
        return
    path.chmod(mode)  # mkdir leaves out what the umask says, and the sticky bits
    disk.sync_directory(path.parent)
