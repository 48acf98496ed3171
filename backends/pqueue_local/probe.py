"""Trying that a folder's file system keeps what the queue rests on."""

import mmap
import os
import sys
import time

from pqueue.errors import StoreRefused
from pqueue_local import slots
from pqueue_local.folder import Folder
from pqueue_local.foreign import translated
from pqueue_local.owners import FolderOwners, owners_of

if sys.platform != "win32":
    import fcntl


_PATIENCE = 5.0
"""Seconds."""


def probe(folder: Folder) -> None:
    """Try locks, links, mapped pages and owners; leaves nothing behind.

    Raises:
        StoreRefused: one of them does not work here.
    """
    with translated(f"try the folder {folder.root}"):
        with folder.temporary(bytes(slots.HEAD_SIZE)) as temporary:
            fd = os.open(temporary.path, os.O_RDWR)
            try:
                _need("locks", _is_locked(fd))
                _need("mapped pages", _is_seen(fd))
            finally:
                os.close(fd)
            second = temporary.path.with_name(f"{temporary.path.name}-link")
            try:
                _need("hard links", temporary.link(second) and temporary.is_at(second))
            finally:
                second.unlink(missing_ok=True)
        one, other = owners_of(folder), owners_of(folder)
        owner = one.own()
        _need("locks of a process", other.alive(owner))
        one.close()
        _need("locks of a process", _ends(other, owner))


def _ends(owners: FolderOwners, owner: str) -> bool:
    """Whether it is dead: soon, since a process that another thread starts has our descriptors until it is another program."""
    until = time.monotonic() + _PATIENCE
    while owners.alive(owner):
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the temporary file's own descriptor has it
    except BlockingIOError:
        return True
    return False


def _is_seen(fd: int) -> bool:
    with mmap.mmap(fd, slots.HEAD_SIZE, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
        before = memory[:]
        os.pwrite(fd, b"\xff", 0)
        return memory[:] == b"\xff" + before[1:]


def _need(what: str, works: bool) -> None:
    if not works:
        raise StoreRefused(f"this file system does not keep {what}; use a local one such as ext4, xfs, btrfs or apfs")
