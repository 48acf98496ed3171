"""The operating system's errors to ours: the one place of this backend."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pqueue.errors import Landed, StoreError, StoreFull, StoreRefused

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = {
    errno.EACCES: "give this user the right to read and write there",
    errno.EPERM: "give this user the right to read and write there",
    errno.EROFS: "mount the file system for writing, or keep the queue elsewhere",
    errno.ENOLCK: "this file system has no locks; keep the queue on a local one",
    errno.EOPNOTSUPP: "this file system can't keep a queue; use a local one such as ext4, xfs, btrfs or apfs",
    errno.ENODEV: "this file system can't map files; use a local one such as ext4, xfs, btrfs or apfs",
    errno.ENOTDIR: "a file stands where a folder should; move it away",
    errno.EISDIR: "a folder stands where a file should; move it away",
    errno.ETXTBSY: "a program that is running stands where a queue's file should; name another folder",
    errno.ELOOP: "too many symbolic links",
    errno.ENAMETOOLONG: "use a shorter path",
}
_FAILED = {
    errno.ENOENT: "the queue's folder, or a part of it, is gone; open the queue anew",
    errno.EMFILE: "this process has too many files open; raise `ulimit -n`",
    errno.ENFILE: "this machine has too many files open",
    errno.EIO: "the disk failed; look at the kernel's log",
}


def foreign(error: BaseException) -> bool:
    """Whether the operating system said so, rather than a signal's handler that raises, say, TimeoutError."""
    return isinstance(error, OSError) and error.errno is not None


def ours(error: OSError, doing: str) -> StoreError:
    """The error to raise from `error`, met while `doing`."""
    said = f"{doing}: {error.strerror or type(error).__name__}"
    code = error.errno or 0
    if code in FULL:
        return StoreFull(f"{said}; free some room, or raise the quota or the limit: what is stored can still be got")
    if code in _REFUSED:
        return StoreRefused(f"{said}; {_REFUSED[code]}")
    return StoreError(f"{said}; {_FAILED.get(code, 'try again, and look at the disk if that does not help')}")


def surface(error: BaseException, doing: str, result: object, *, stands: bool) -> None:
    """Tell a caller of `error`; return where the system complained of what stands all the same.

    Raises:
        Landed: it is an interrupt, and what was asked for stands.
        StoreError: the system said no, and nothing stands.
    """
    if isinstance(error, OSError) and foreign(error):
        if not stands:
            raise ours(error, doing) from error
    elif stands:
        raise Landed(result) from error
    else:
        raise error


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise ours for what the operating system raises inside."""
    try:
        yield
    except OSError as error:
        if not foreign(error):
            raise
        raise ours(error, doing) from error
