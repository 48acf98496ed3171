"""Disks that fill, refuse or fail under a folder."""

import errno
import os
import resource
import subprocess
from contextlib import contextmanager

import pytest

from pqueue.abc import SAME
from pqueue.errors import BlobMissing, SegmentChanged, StoreError, StoreFull, StoreRefused, SyncFailed
from pqueue_local import LocalBackend, LocalSettings, slots

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


@contextmanager
def limit(size):
    """Let this process make no larger file; only where it writes none but the test's own."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fails(monkeypatch, name, *errors):
    """Let a system call fail with these, one after the other (None: let it work), and work from then on."""
    coming = iter(errors)
    call = getattr(os, name)

    def failing(*args, **more):
        code = next(coming, None)
        if code is not None:
            raise OSError(code, os.strerror(code))
        return call(*args, **more)

    monkeypatch.setattr(os, name, failing)


# -- appends


def test_a_short_append_is_cut_back(store, other):
    """Rule 22: the disk took a part; nothing was written, and the segment stays open."""
    store.write("seg/a", b"head")
    with limit(50):
        with pytest.raises(StoreFull, match="free some room"):
            store.appends.append("seg/a", 4, bytes(100), sync=False, seal=SEAL)
        assert other.read("seg/a") == b"head"
        store.appends.append("seg/a", 4, bytes(40), sync=False, seal=SEAL)
        with pytest.raises(StoreFull):
            other.appends.append("seg/a", 44, bytes(7), sync=True, seal=SEAL)
        other.appends.append("seg/a", 44, bytes(6), sync=True, seal=SEAL)
        with pytest.raises(StoreFull):
            other.appends.append("seg/a", 50, b"x", sync=False, seal=SEAL)
        assert other.appends.settle("seg/a") == 50


def test_what_is_as_large_as_may_be_is_deleted(store):
    store.write("seg/a", bytes(50))
    with limit(50):
        store.delete(["seg/a"])
        with pytest.raises(BlobMissing):
            store.read("seg/a")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_as_full(store, monkeypatch, code):
    store.write("seg/a", b"head")
    with monkeypatch.context() as patch:
        fails(patch, "write", code)
        with pytest.raises(StoreFull):
            store.appends.append("seg/a", 4, b"frame", sync=False, seal=SEAL)
    store.appends.append("seg/a", 4, b"frame", sync=False, seal=SEAL)


def test_a_failed_append_leaves_its_torn_bytes(store, other, monkeypatch):
    """Rule 22: behind them no append's `at` matches any more."""
    store.write("seg/a", b"head")
    write = os.write

    def failing(fd, data):
        write(fd, data[:2])
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing)
        with pytest.raises(StoreError, match="kernel's log") as caught:
            store.appends.append("seg/a", 4, b"frame", sync=False, seal=SEAL)
    assert not isinstance(caught.value, StoreFull | SyncFailed)
    with pytest.raises(SegmentChanged) as changed:
        other.appends.append("seg/a", 4, b"frame", sync=False, seal=SEAL)
    assert changed.value.behind == b"fr"


def test_an_append_that_stands_in_spite_of_an_error_has_happened(store, other, monkeypatch):
    store.write("seg/a", b"head")
    write = os.write

    def failing(fd, data):
        write(fd, data)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", failing)
    store.appends.append("seg/a", 4, b"frame", sync=False, seal=SEAL)
    assert other.read("seg/a") == b"headframe"


def test_an_append_that_can_not_be_looked_at_is_uncertain(store, monkeypatch):
    store.write("seg/a", b"head")

    def failing(*_):
        fails(monkeypatch, "lseek", errno.EIO)  # from here on
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(SyncFailed, match="unknown"):
        store.appends.append("seg/a", 4, b"frame", sync=False, seal=SEAL)


def test_a_failed_sync_seals(store, other, monkeypatch):
    """Rule 25: the frame stays, and nobody appends behind it."""
    store.write("seg/a", b"head")
    fails(monkeypatch, "fdatasync", errno.EIO)
    with pytest.raises(SyncFailed, match="look at the disk"):
        store.appends.append("seg/a", 4, b"frame", sync=True, seal=SEAL)
    with pytest.raises(SegmentChanged) as changed:
        other.appends.append("seg/a", 9, b"more", sync=False, seal=SEAL)
    assert changed.value.behind == SEAL
    assert other.read("seg/a") == b"headframe" + SEAL


def test_where_no_seal_fits_a_torn_byte_bars_the_segment(store, other, monkeypatch):
    store.write("seg/a", b"head")
    fails(monkeypatch, "fdatasync", errno.EIO)
    fails(monkeypatch, "write", None, errno.ENOSPC)
    with pytest.raises(SyncFailed):
        store.appends.append("seg/a", 4, b"frame", sync=True, seal=SEAL)
    with pytest.raises(SegmentChanged) as changed:
        other.appends.append("seg/a", 9, b"more", sync=False, seal=SEAL)
    assert len(changed.value.behind) == 1


def test_a_segment_removed_by_hand_is_noticed(store, settings):
    """At once by a synced append, within a second by another."""
    for sync in (True, False):
        store.write("seg/a", b"head")
        store.appends.append("seg/a", 4, b"frame", sync=False, seal=SEAL)
        (settings.path / "seg" / "a").unlink()
        if not sync:
            store._segments._kept("seg/a").due = 0
        with pytest.raises(BlobMissing):
            store.appends.append("seg/a", 9, b"frame", sync, SEAL)


# -- documents


def places(path):
    """The whole slots of a document's file, by version."""
    memory = path.read_bytes()
    found = {}
    for start in range(0, slots.NOTE, slots.STEP):
        length = int.from_bytes(memory[start + 8 : start + 12], "little")
        slot = slots.parse(memory[start : start + slots.HEAD_SIZE + length], start // slots.STEP)
        if slot:
            found[slot.version] = slot
    return found


def test_a_failed_sync_of_a_document_is_answered_by_another_slot(store, other, settings, monkeypatch):
    """Rule 20: the same content as the next version, elsewhere, synced."""
    first = store.swap("tail", b"one", None, sync=True)
    syncs = []
    fdatasync = os.fdatasync

    def failing(fd):
        syncs.append(max(places(settings.path / "tail")))
        if len(syncs) == 1:
            raise OSError(errno.EIO, "Input/output error")
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", failing)
    second = store.swap("tail", b"two", first.version, sync=True)
    assert syncs == [first.version + 1, first.version + 2]
    assert second[:2] == (b"two", first.version + 2)
    found = places(settings.path / "tail")
    assert found[first.version + 1].data == found[first.version + 2].data == b"two"
    assert other.load("tail")[:2] == second[:2]
    assert len(syncs) == 2
    third = store.swap("tail", b"three", second.version, sync=False)
    assert second.version in places(settings.path / "tail")
    assert third.version == second.version + 1


def test_a_sync_that_fails_again_is_uncertain_and_not_believed_later(store, other, settings, monkeypatch):
    first = store.swap("tail", b"one", None, sync=True)
    with monkeypatch.context() as patch:
        fails(patch, "fdatasync", errno.EIO, errno.EIO)
        with pytest.raises(SyncFailed, match="others may see"):
            store.swap("tail", b"two", first.version, sync=True)
    assert first.version in places(settings.path / "tail")
    failed = max(places(settings.path / "tail"))
    seen = other.load("tail")
    assert seen.data == b"two"
    assert seen.version > failed, "a sync of the same pages would have proved nothing"
    assert store.load("tail")[:2] == seen[:2]
    assert store.swap("tail", b"three", seen.version, sync=True).data == b"three"


def test_a_loader_whose_sync_fails_raises(store, other, monkeypatch):
    first = store.swap("tail", b"one", None, sync=True)
    with monkeypatch.context() as patch:
        fails(patch, "fdatasync", *[errno.EIO] * 4)
        with pytest.raises(SyncFailed):
            store.swap("tail", b"two", first.version, sync=True)
        with pytest.raises(StoreError, match="load tail"):
            other.load("tail")
    assert other.load("tail").data == b"two"


def test_a_swap_that_does_not_fit_replaces_nothing(store, other, settings):
    """A large document on a full disk: the old one stays, and small ones go on."""
    document = store.swap("tail", b"one", None, sync=False)
    document = store.swap("tail", b"two", document.version, sync=False)
    with limit(2 * slots.STEP + 100):
        seen = set()
        for _ in range(4):
            try:
                document = store.swap("tail", b"x" * 200, document.version, sync=False)
            except StoreFull:
                seen.add("full")
            assert store.load("tail", document.version) is SAME
            assert other.load("tail")[:2] == document[:2]
            document = store.swap("tail", b"y" * 60, document.version, sync=False)
            assert other.load("tail")[:2] == document[:2]
    assert seen == {"full"}
    assert other.swap("tail", b"z" * 200, document.version, sync=False).data == b"z" * 200


def test_a_short_slot_replaces_nothing(store, other, monkeypatch):
    document = store.swap("tail", b"one", None, sync=False)
    other.load("tail")
    pwrite = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda fd, raw, at: pwrite(fd, raw[:40], at))
        with pytest.raises(StoreFull):
            store.swap("tail", b"two" * 100, document.version, sync=False)
    assert other.load("tail", document.version) is SAME
    assert other.load("tail")[:2] == document[:2]
    again = other.swap("tail", b"three", document.version, sync=False)
    assert again.version > document.version + 1, "the torn slot bears the version between"
    assert store.load("tail", document.version)[:2] == again[:2]


def test_a_document_that_does_not_fit_is_not_made(store):
    with limit(slots.STEP):
        with pytest.raises(StoreFull):
            store.swap("tail", b"one", None, sync=False)
        assert store.load("tail") is None
    store.swap("tail", b"one", None, sync=False)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_where_nothing_can_be_allocated_zeros_are_written(store, settings, monkeypatch, code):
    fails(monkeypatch, "posix_fallocate", code, code, code, code)
    document = store.swap("tail", b"one", None, sync=False)
    assert (settings.path / "tail").stat().st_blocks * 512 >= 3 * slots.FRONT
    assert store.load("tail", document.version) is SAME


# -- blobs


def test_a_write_that_does_not_fit_leaves_nothing(store, settings):
    with limit(1000):
        with pytest.raises(StoreFull):
            store.write("seg/a", bytes(1001))
        with pytest.raises(StoreFull):
            store.swap("queue.json", bytes(1001), None, sync=True)
    assert list(store.list("")) == []
    assert store.load("queue.json") is None
    assert list((settings.path / ".tmp").iterdir()) == []


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_a_write_whose_sync_fails_raises(store, settings, monkeypatch, call):
    fails(monkeypatch, call, errno.EIO)
    with pytest.raises(StoreError, match="kernel's log"):
        store.write("seg/a", b"x")
    assert list((settings.path / ".tmp").iterdir()) == []
    store.write("seg/a", b"x")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_what_may_not_be_written_is_refused(store, monkeypatch, code):
    store.write("seg/a", b"head")
    document = store.swap("tail", b"one", None, sync=False)
    for name in ("write", "pwrite"):
        fails(monkeypatch, name, code)
    with pytest.raises(StoreRefused):
        store.appends.append("seg/a", 4, b"x", sync=False, seal=SEAL)
    with pytest.raises(StoreRefused):
        store.swap("tail", b"two", document.version, sync=False)


def test_a_handler_s_own_error_passes(store, monkeypatch):
    """A signal's handler may raise TimeoutError, which is an OSError but not the system's."""

    def timeout(fd, data):
        raise TimeoutError("the caller's own")

    store.write("seg/a", b"head")
    monkeypatch.setattr(os, "write", timeout)
    with pytest.raises(TimeoutError):
        store.appends.append("seg/a", 4, b"x", sync=False, seal=SEAL)
    with pytest.raises(TimeoutError):
        store.write("seg/b", b"x")


# -- a whole disk


@pytest.fixture
def small_disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], check=False).returncode:
        pytest.skip("may not mount a file system")
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


def test_on_a_full_disk_consuming_goes_on_and_gives_room_back(small_disk):
    store = LocalBackend.open(LocalSettings(path=small_disk / "queue"), create=True)
    tail = store.swap("tail", b"0", None, sync=True)
    head = store.swap("head.default", b"0", None, sync=True)
    store.write("seg/a", b"")
    store.write("seg/b", b"")
    size = 0
    with pytest.raises(StoreFull):
        while True:
            store.appends.append("seg/a", size, bytes(10_000), sync=False, seal=SEAL)
            size += 10_000
    with pytest.raises(StoreFull):
        while True:
            store.appends.append("seg/a", size, b"x", sync=True, seal=SEAL)
            size += 1
    assert store.appends.settle("seg/a") == size
    with pytest.raises(StoreFull):
        store.write("seg/c", bytes(10_000))
    with pytest.raises(StoreFull):
        store.appends.append("seg/b", 0, b"x", sync=False, seal=SEAL)
    for number in range(20):
        data = b"%d" % number * (slots.FRONT // 2 - 100)
        head = store.swap("head.default", data, head.version, sync=number % 2 == 0)
        tail = store.swap("tail", data, tail.version, sync=number % 2 == 0)
    with pytest.raises(StoreFull):
        store.swap("head.default", b"x" * slots.FRONT * 4, head.version, sync=False)
    assert store.load("head.default", head.version) is SAME
    assert len(store.read("seg/a")) == size
    store.delete(["seg/a"])
    store.close()
    store = LocalBackend.open(LocalSettings(path=small_disk / "queue"), create=False)
    store.appends.append("seg/b", 0, bytes(100_000), sync=True, seal=SEAL)
    assert store.load("head.default").data == data
    store.close()
