"""Waiters in any process: each announces itself in a mapped byte, and is woken through a FIFO of its own.

Below `.wakes` lie `bell`, a page whose first byte says that somebody may be waiting, and a FIFO for each thread that has
ever waited and whose store is still open. Nothing is durable, and nothing of it is needed: where it is lost, or where
there is no room for it, a wait is a slow poll.
"""

import errno
import logging
import mmap
import os
import secrets
import select
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pqueue.abc import Wakes
from pqueue.errors import StoreError
from pqueue_local import disk
from pqueue_local.descriptors import Descriptor, Holder
from pqueue_local.folder import Folder
from pqueue_local.foreign import translated

log = logging.getLogger("pqueue")

_DIRECTORY = ".wakes"
_SIZE = mmap.PAGESIZE
_UNKNOWN = b"\1"
"""Stands for a bell that is not open yet: somebody may be waiting."""
_BORN = "+"
"""A FIFO's name begins with it until its waiter has it open: until then it looks like a dead one's."""
_LITTER = 60.0
"""Seconds after which one that is still being born is litter."""
_POLL = 0.05
"""Seconds between two looks where there can be no FIFO."""
_KEPT = 16
"""Waiters' FIFOs kept open for waking."""
_LONGEST = 1e6
"""Seconds: more than poll(2) can count would be an error."""


class _Bell(Descriptor):
    """The page, open and mapped."""

    __slots__ = ("memory",)

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        if os.fstat(fd).st_size < _SIZE:
            _fill(fd)  # a page without room on the disk would be a SIGBUS
        # Not closed by hand, since a thread may be looking at it: it goes with its last user.
        self.memory = mmap.mmap(fd, _SIZE, mmap.MAP_SHARED, mmap.PROT_READ)

    def set(self, value: int) -> None:
        """Write the byte. Not through the mapping: the call is a barrier, which a bare store before a load is not."""
        os.pwrite(self.fd, bytes((value,)), 0)


class _Fifo(Descriptor):
    """One waiter's FIFO, open for both: with no reader but itself it is alive, and with no writer it is not at its end."""

    __slots__ = ("path", "poll")

    def __init__(self, fd: int, path: Path) -> None:
        super().__init__(fd)
        self.path = path
        self.poll = select.poll()
        self.poll.register(fd, select.POLLIN)

    def drain(self) -> None:
        """Forget earlier wakes."""
        while self.poll.poll(0):
            os.read(self.fd, 1 << 16)

    def ring(self) -> None:
        """Wake its own waiter."""
        with suppress(BlockingIOError):
            os.write(self.fd, b"\0")


class FolderWakes(Holder, Wakes):
    """The waiters of a folder.

    A waiter opens its FIFO, sets the byte, asks whether it is ready, and sleeps. Who notifies and finds the byte set
    clears it and writes to every FIFO; whoever comes to wait after that sets it again. So a notify costs a read of
    memory where nobody waits, and of many in a row only the first costs more.

    Killed exactly between the two, a notifier leaves its waiters to their slow poll.
    """

    def __init__(self, folder: Folder) -> None:
        super().__init__()
        self._folder = folder
        self._directory = folder.root / _DIRECTORY
        self._place = os.fspath(self._directory)
        self._bell: _Bell | None = None
        self._byte: mmap.mmap | bytes = _UNKNOWN
        self._idle: list[_Fifo] = []
        self._mine: set[_Fifo] = set()
        self._known: dict[str, Descriptor] = {}
        """Waiters' FIFOs, open for waking, by name."""
        self._closed = False

    def notify(self) -> None:
        """As `Wakes.notify`; never raises but where the store is closed: a waiter that is not reached polls."""
        if self._byte[0]:
            self._ring()

    def wait(self, ready: Callable[[], bool], timeout: float) -> bool:
        """As `Wakes.wait`."""
        self._folder.check_open()
        try:
            with translated("wait for others"):
                bell = self._open()
                fifo = self._take()
                fifo.drain()
                bell.set(1)
        except StoreError as error:
            log.debug("waiting by looking again and again: %s", error)
            return self._look(ready, timeout)
        try:
            if ready():
                return True
            if not self._closed:
                return bool(fifo.poll.poll(1000 * min(timeout, _LONGEST)))
            return True
        finally:
            with self.lock:
                if not self._closed and fifo in self._mine:
                    self._idle.append(fifo)

    def close(self) -> None:
        """Wake this object's waiters and remove their FIFOs."""
        with self.lock:
            self._closed = True
            mine, self._mine, self._idle = self._mine, set(), []
            self._bell, self._byte, self._known = None, _UNKNOWN, {}
        for fifo in mine:
            with suppress(OSError):
                fifo.ring()
                fifo.path.unlink(missing_ok=True)

    def drop(self) -> None:
        """In a forked child: the FIFOs are its parent's."""
        self._bell, self._byte, self._known = None, _UNKNOWN, {}
        self._idle, self._mine = [], set()

    # -- waking -------------------------------------------------------------------------------------------------------

    def _ring(self) -> None:
        self._folder.check_open()
        try:
            with translated("wake others"):
                bell = self._bell or self._open()
                if not bell.memory[0]:
                    return
                try:
                    bell.set(0)
                    self._wake_all()
                except BaseException:
                    bell.set(1)  # interrupted: those that were not reached are the next one's
                    raise
        except StoreError as error:
            log.debug("waiters could not be woken, they will look by themselves: %s", error)

    def _wake_all(self) -> None:
        # First those that are known, and then by names, not by Path objects, which take as long to make as all the rest:
        # somebody is being kept waiting.
        known = self._known
        rung = {name for name, fifo in tuple(known.items()) if self._rang(name, fifo)}
        for name in os.listdir(self._place):  # noqa: PTH208
            if name[0] == "w" and name not in rung:
                fifo = _opened(f"{self._place}/{name}")
                if fifo is not None:
                    if len(known) < _KEPT:
                        known[name] = fifo
                    self._rang(name, fifo)

    def _rang(self, name: str, fifo: Descriptor) -> bool:
        """Wake its waiter; False where that is dead."""
        try:
            os.write(fifo.fd, b"\0")
        except BlockingIOError:
            pass  # full of wakes
        except BrokenPipeError:
            self._known.pop(name, None)
            (self._directory / name).unlink(missing_ok=True)
            return False
        return True

    # -- what is open -------------------------------------------------------------------------------------------------

    def _open(self) -> _Bell:
        bell = self._bell
        if bell is None or not os.fstat(bell.fd).st_nlink:
            path = self._directory / "bell"
            try:
                fd = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                fd = self._make_bell(path)
            bell = _Bell(fd)
            with self.lock:
                if not self._closed:
                    self._bell, self._byte = bell, bell.memory
        return bell

    def _make_bell(self, path: Path) -> int:
        if not self._directory.exists():
            self._folder.make_directories(path)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, self._folder.file_mode)
        except FileExistsError:
            return os.open(path, os.O_RDWR)
        os.fchmod(fd, self._folder.file_mode)
        return fd

    def _take(self) -> _Fifo:
        with self.lock:
            if self._idle:
                return self._idle.pop()
        fifo = self._make()
        with self.lock:
            if not self._closed:
                self._mine.add(fifo)
                return fifo
        fifo.path.unlink(missing_ok=True)
        return fifo

    def _make(self) -> _Fifo:
        self._sweep()
        while True:
            name = f"{os.getpid()}-{secrets.token_hex(8)}"
            born = self._directory / f"{_BORN}{name}"
            os.mkfifo(born, self._folder.file_mode)
            try:
                born.chmod(self._folder.file_mode)
                fifo = _Fifo(os.open(born, os.O_RDWR | os.O_NONBLOCK), self._directory / f"w{name}")
                born.rename(fifo.path)
            except FileNotFoundError:
                continue  # swept: this process slept for a minute
            return fifo

    def _sweep(self) -> None:
        """Remove what waiters left that died before their FIFO was open."""
        for path in self._directory.iterdir():
            if path.name.startswith(_BORN):
                with suppress(FileNotFoundError):
                    if time.time() - path.lstat().st_mtime > _LITTER:
                        path.unlink()

    def _look(self, ready: Callable[[], bool], timeout: float) -> bool:
        until = time.monotonic() + timeout
        while True:
            if ready() or self._closed:
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, _POLL))


def _fill(fd: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, _SIZE)
    elif os.pwrite(fd, bytes(_SIZE - 1), 1) != _SIZE - 1:
        disk.cut_short()


def _opened(path: str) -> Descriptor | None:
    """A waiter's FIFO; None where there is none, or its waiter is dead: then it is removed."""
    try:
        fifo = Descriptor(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW))
    except (FileNotFoundError, PermissionError):
        return None  # gone just now; or another user's whom nobody can wake, who looks by himself
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        Path(path).unlink(missing_ok=True)
        return None
    return fifo if stat.S_ISFIFO(os.fstat(fifo.fd).st_mode) else None
