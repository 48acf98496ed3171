"""System calls with their loops and platforms."""

import errno
import os
import sys
from pathlib import Path
from typing import NoReturn

if sys.platform != "win32":
    import fcntl

_PIECE = 1 << 30  # one call moves 2 GiB at most


AT_ONCE = fcntl.LOCK_EX | fcntl.LOCK_NB if sys.platform != "win32" else 0
_TRIES = 10
"""A lock is held for some 4 µs, and a try takes 1; whoever sleeps instead is woken 50 µs later, with all it needs gone from the
processor's caches."""


def lock_soon(fd: int) -> None:
    """Take a flock that another process has just now: by looking again, and only then by sleeping."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(fd, AT_ONCE)
        except BlockingIOError:
            continue
        return
    fcntl.flock(fd, fcntl.LOCK_EX)


def datasync(fd: int) -> None:
    """Bring the file's bytes and size to the disk itself."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync leaves them in the drive's cache there
    else:
        os.fdatasync(fd)


def sync_directory(path: Path) -> None:
    """Bring the directory's names to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of it, in as many calls as that takes."""
    with memoryview(data) as view:
        at = 0
        while at < len(view):
            at += os.write(fd, view[at : at + _PIECE])


def cut_short() -> NoReturn:
    """Raise what a write that was cut short means: the next one would be told so."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_range(fd: int, start: int, end: int) -> bytes:
    """The bytes [start, end), fewer past the file's end."""
    data = os.pread(fd, min(end - start, _PIECE), start)
    if len(data) == end - start or not data:
        return data
    pieces = [data]
    at = start + len(data)
    while at < end and (piece := os.pread(fd, min(end - at, _PIECE), at)):
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)
