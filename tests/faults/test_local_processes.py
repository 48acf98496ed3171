"""Processes that die in the middle, are forked, or are stopped."""

import fcntl
import os
import signal
import threading
import time
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from pqueue.abc import SAME
from pqueue.errors import SegmentChanged
from pqueue_local import LocalBackend, LocalSettings, slots
from pqueue_local.owners import ByteOwners, FileOwners

SEAL = b"<seal>"


@pytest.fixture
def settings(tmp_path):
    return LocalSettings(path=tmp_path / "queue")


@pytest.fixture
def store(settings):
    return LocalBackend.open(settings, create=True)


@pytest.fixture
def other(store, settings):
    return LocalBackend.open(settings, create=True)


class Child:
    """A forked process that does `work(say)`; `heard` is the next byte that it said."""

    def __init__(self, work):
        self._read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on, where threads run
            self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                os.close(self._read)
                work(lambda byte: os.write(write, byte))
                code = 0
            finally:
                os._exit(code)
        os.close(write)

    def heard(self):
        return os.read(self._read, 1)

    def end(self, number=None):
        """Signal it, if so asked, and wait for its end; its exit status, negative for a signal."""
        if number is not None:
            os.kill(self.pid, number)
        _, status = os.waitpid(self.pid, 0)
        os.close(self._read)
        return os.waitstatus_to_exitcode(status)


def in_time(work):
    """Do it in a thread, so that a lock that was left behind fails the test instead of hanging it."""
    done = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    thread.join(20)
    assert done, "a lock was left behind"
    return done[0]


def dies_in(name, after):
    """In this process, die inside the named system call when the first bytes of what it writes are written."""
    call = getattr(os, name)

    def dying(fd, data, *at):
        call(fd, data[:after], *at)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, name, dying)


# -- death


@pytest.mark.parametrize("after", [0, 1, 8, 20, 32, 40, 3000])
@pytest.mark.parametrize("sync", [False, True])
def test_a_swapper_killed_in_its_write_replaces_all_or_nothing(store, other, settings, after, sync):
    """A torn slot is passed over, the lock is free, and its place and version are not in the way of the next."""
    data = b"x" * 2000
    document = store.swap("tail", b"0", None, sync=True)
    for number in range(5):

        def work(say, version=document.version):
            mine = LocalBackend.open(settings, create=False)
            dies_in("pwrite", after)
            mine.swap("tail", data, version, sync)

        assert Child(work).end() == -signal.SIGKILL
        found = in_time(lambda: other.load("tail"))
        if after > len(data):
            assert found.data == data
        else:
            assert found[:2] == document[:2]
            assert in_time(partial(store.load, "tail", document.version)) is SAME
        document = in_time(partial(store.swap, "tail", b"%d" % number, found.version, sync))
        assert other.load("tail")[:2] == document[:2]


@pytest.mark.parametrize("after", [0, 1, 4, 5])
def test_an_appender_killed_in_its_write_leaves_a_part_at_most(store, other, settings, after):
    """What is left is told to the next one, who gets the lock at once."""
    store.write("seg/a", b"head")

    def work(say):
        mine = LocalBackend.open(settings, create=False)
        dies_in("write", after)
        mine.appends.append("seg/a", 4, b"frame", False, SEAL)

    assert Child(work).end() == -signal.SIGKILL
    assert in_time(lambda: other.appends.settle("seg/a")) == 4 + after
    if after:
        with pytest.raises(SegmentChanged) as changed:
            store.appends.append("seg/a", 4, b"frame", sync=False, seal=SEAL)
        assert changed.value.behind == b"frame"[:after]


def test_a_maker_killed_at_any_step_leaves_no_document_or_a_whole_one(settings, store, other):
    """Rule 20: whoever comes next makes it, or finds it."""
    steps = [("posix_fallocate", 1), ("posix_fallocate", 2), ("posix_fallocate", 4), ("pwrite", 1), ("fdatasync", 1)]
    for name, count in [*steps, ("fsync", 1)]:

        def work(say, name=name, count=count):
            call, calls = getattr(os, name), []

            def dying(*args):
                calls.append(args)
                if len(calls) == count:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args)

            mine = LocalBackend.open(settings, create=False)
            setattr(os, name, dying)
            mine.swap("tail", b"made", None, sync=False)

        assert Child(work).end() == -signal.SIGKILL
        found = in_time(lambda: other.load("tail"))
        if found is None:
            found = in_time(lambda: other.swap("tail", b"made", None, sync=False))
        assert in_time(lambda: store.load("tail"))[:2] == (b"made", found.version)
        store.delete(["tail"])


def test_a_loader_syncs_the_name_of_a_document_whose_maker_died(store, settings, monkeypatch):
    """Rule 21: the file's name, too, may not have got to the disk."""

    def work(say):
        fsync, calls = os.fsync, []

        def dying(fd):
            calls.append(fd)
            os.kill(os.getpid(), signal.SIGKILL)
            fsync(fd)

        mine = LocalBackend.open(settings, create=False)
        os.fsync = dying
        mine.swap("tail", b"made", None, sync=True)

    assert Child(work).end() == -signal.SIGKILL
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink()) or fsync(fd))
    version = store.load("tail").version
    assert synced == [settings.path]
    assert LocalBackend.open(settings, create=False).load("tail", version) is SAME
    assert len(synced) == 1


def test_a_killed_writer_s_file_is_swept(settings, store):
    def work(say):
        mine = LocalBackend.open(settings, create=False)
        dies_in("write", 500)
        mine.write("seg/a", bytes(1000))

    assert Child(work).end() == -signal.SIGKILL
    assert len(list((settings.path / ".tmp").iterdir())) == 1
    assert list(store.list("")) == []
    LocalBackend.open(settings, create=True)
    assert list((settings.path / ".tmp").iterdir()) == []


@pytest.mark.parametrize("kind", [ByteOwners, FileOwners])
def test_a_killed_owner_is_dead_at_once(store, kind):
    owners = kind(store._folder)
    read, write = os.pipe()

    def work(say):
        mine = kind(store._folder)
        os.write(write, mine.own().encode())
        say(b".")
        time.sleep(60)

    child = Child(work)
    child.heard()
    owner = os.read(read, 100).decode()
    assert owners.alive(owner)
    child.end(signal.SIGKILL)
    assert not owners.alive(owner)
    os.close(read)
    os.close(write)


# -- forks


def descriptors_of(root):
    """This process's descriptors of files below the folder."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one by which they are listed
            target = path.readlink()
            if target.is_relative_to(root):
                found.append(target)
    return found


def test_a_fork_closes_what_it_inherits(store, settings):
    """Rule 31: at once, mapped files too."""
    document = store.swap("tail", b"one", None, sync=False)
    store.write("seg/a", b"head")
    store.read("seg/a")
    store.appends.append("seg/a", 4, b"frame", sync=False, seal=SEAL)
    store.owners.own()
    assert len(descriptors_of(settings.path)) == 5
    child = Child(lambda say: say(b"%d" % len(descriptors_of(settings.path))))
    assert child.heard() == b"0"
    assert child.end() == 0
    assert store.load("tail", document.version) is SAME
    store.appends.append("seg/a", 9, b"frame", sync=True, seal=SEAL)


def test_a_forked_child_goes_on_with_its_own_descriptors(store, other):
    document = store.swap("tail", b"one", None, sync=False)
    store.write("seg/a", b"head")
    store.appends.append("seg/a", 4, b"1", sync=False, seal=SEAL)
    mine = store.owners.own()

    def work(say):
        assert store.load("tail").version == document.version
        store.swap("tail", b"two", document.version, sync=True)
        store.appends.append("seg/a", 5, b"2", sync=True, seal=SEAL)
        assert store.read("seg/a") == b"head12"
        assert store.owners.alive(mine)
        say(store.owners.alive(store.owners.own()) and b"y")
        store.close()

    child = Child(work)
    assert child.heard() == b"y"
    assert child.end() == 0
    assert store.owners.alive(mine)
    assert other.owners.alive(mine)
    assert store.load("tail", document.version).data == b"two"
    assert store.read("seg/a") == b"head12"


@pytest.mark.parametrize("what", ["append", "swap"])
def test_a_fork_in_the_middle_neither_drops_nor_keeps_the_lock(store, settings, what):
    """A thread holds a lock while another one forks: the child's life and death leave it with the parent."""
    store.write("seg/a", b"head")
    document = store.swap("tail", b"one", None, sync=False)
    path = settings.path / ("seg/a" if what == "append" else "tail")

    def hold(say):
        inside, go = threading.Event(), threading.Event()
        name = "write" if what == "append" else "pwrite"
        call = getattr(os, name)

        def slowly(*args):
            inside.set()
            go.wait()
            return call(*args)

        setattr(os, name, slowly)
        if what == "append":
            args = ("seg/a", 4, b"frame", False, SEAL)
            threading.Thread(target=store.appends.append, args=args, daemon=True).start()
        else:
            threading.Thread(target=store.swap, args=("tail", b"two", document.version, False), daemon=True).start()
        inside.wait()
        setattr(os, name, call)
        grandchild = os.fork()
        if not grandchild:
            try:
                store.close()
                say(b"c")
                time.sleep(60)
            finally:
                os._exit(0)
        os.write(pids, b"%d" % grandchild)
        say(b"p")
        time.sleep(60)

    read, pids = os.pipe()
    child = Child(hold)
    assert {child.heard(), child.heard()} == {b"c", b"p"}
    grandchild = int(os.read(read, 20))
    try:
        with path.open("rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the child closed, and the parent has it still
        child.end(signal.SIGKILL)
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the parent is dead, and the child has not kept it
    finally:
        os.kill(grandchild, signal.SIGKILL)
        os.close(read)
        os.close(pids)


def test_a_fork_while_threads_hold_this_process_s_locks(store):
    """The child lacks the threads; it must not wait for them."""
    store.write("seg/a", b"head")
    document = store.swap("tail", b"one", None, sync=False)
    store.owners.own()
    with store._blobs._kept.lock, store._segments._segments.lock, store.owners.lock, store._documents["tail"].lock:

        def work(say):
            store.read("seg/a")
            store.appends.append("seg/a", 4, b"x", sync=False, seal=SEAL)
            store.swap("tail", b"two", document.version, sync=False)
            store.owners.own()
            say(b"y")

        child = Child(work)
    try:
        assert in_time(child.heard) == b"y"
    finally:
        child.end(signal.SIGKILL)


# -- many


@pytest.mark.parametrize("sync", [False, True])
def test_killed_at_random_instants(store, settings, sync):
    """Appenders and swappers killed again and again: what was told stands, whole, and the rest go on."""
    store.write("seg/a", b"")
    store.swap("tail", bytes(8), None, sync=True)

    def work(say):
        mine = LocalBackend.open(settings, create=False)
        size = mine.appends.settle("seg/a")
        document = mine.load("tail")
        say(b"s")
        while True:
            number = int.from_bytes(document.data[:8], "little") + 1
            try:
                mine.appends.append("seg/a", size, number.to_bytes(8, "little") * 64, sync, SEAL)
                size += 512
            except SegmentChanged as changed:
                size += len(changed.behind)
            document = mine.swap("tail", number.to_bytes(8, "little") * (1 + number % 500), document.version, sync)

    last = 0
    for delay in range(12):
        child = Child(work)
        assert child.heard() == b"s"
        time.sleep(0.002 * delay)
        assert child.end(signal.SIGKILL) == -signal.SIGKILL
        document = in_time(lambda: store.load("tail"))
        number = int.from_bytes(document.data[:8], "little")
        assert document.data == number.to_bytes(8, "little") * (len(document.data) // 8)
        assert number >= last
        last = number
        size = in_time(lambda: store.appends.settle("seg/a"))
        assert size // 512 >= number - delay
    assert last > 0
    assert (settings.path / "tail").stat().st_size == slots.SIZE
