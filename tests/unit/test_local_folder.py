"""Names, modes, files that appear whole, and owners by file."""

import fcntl
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pqueue.abc import Blob
from pqueue.errors import BlobMissing, DocumentChanged, StoreRefused
from pqueue_local import LocalBackend, LocalSettings, clock, probe
from pqueue_local.owners import ByteOwners, FileOwners, FolderOwners, owners_of


@pytest.fixture
def settings(tmp_path):
    return LocalSettings(path=tmp_path / "queue")


@pytest.fixture
def store(settings):
    return LocalBackend.open(settings, create=True)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    "name", ["../x", "seg/../x", "/etc/x", "seg//x", "seg/", "seg/.x", ".tmp/x", "seg/x\0", "x", ""]
)
def test_no_blob_leaves_the_folder(store, name):
    for call in (lambda: store.write(name, b"x"), lambda: store.read(name), lambda: store.appends.settle(name)):
        with pytest.raises(StoreRefused):
            call()


@pytest.mark.parametrize("name", ["..", ".x", "owners", "a/b", "", "x\0"])
def test_no_document_leaves_the_folder(store, name):
    for call in (lambda: store.load(name), lambda: store.swap(name, b"x", None, sync=False)):
        with pytest.raises(StoreRefused):
            call()


def test_no_listing_leaves_the_folder(store):
    with pytest.raises(StoreRefused):
        store.list("../")


def test_directories_are_made_where_they_are_missing(store, settings):
    (settings.path / "seg").rmdir()
    (settings.path / ".tmp").rmdir()
    store.write("seg/a", b"x")
    store.write("more/and/more", b"x")
    assert [blob.name for blob in store.list("")] == ["more/and/more", "seg/a"]


def test_a_folder_that_was_removed_is_not_made_again(store, settings):
    settings.path.rename(settings.path.with_name("gone"))
    with pytest.raises(Exception, match="open the queue anew"):
        store.write("seg/a", b"x")
    assert not settings.path.exists()


@pytest.mark.parametrize(("given", "files"), [(0o700, 0o600), (0o770, 0o660), (0o2775, 0o664)])
def test_everything_has_the_folder_s_mode_whatever_the_umask(tmp_path, given, files):
    before = os.umask(0o077)
    try:
        store = LocalBackend.open(LocalSettings(path=tmp_path / "queue", mode=given), create=True)
        other = LocalBackend.open(LocalSettings(path=tmp_path / "queue"), create=True)  # knows of no mode
        store.write("seg/a", b"x")
        other.write("seg/b", b"x")
        other.write("more/c", b"x")
        store.swap("tail", b"x", None, sync=False)
        other.swap("queue.json", b"x", None, sync=True)
        store.owners.own()
    finally:
        os.umask(before)
    root = tmp_path / "queue"
    assert mode(root) == mode(root / "seg") == mode(root / "more") == given
    assert {mode(path) for path in root.rglob("*") if path.is_file()} == {files}
    assert sum(path.is_file() for path in root.rglob("*")) == 6


def test_a_repeated_write_that_lands_late_leaves_what_has_grown(store):
    """Rule 21, and the contract of `write`: harmless, even after frames were appended."""
    store.write("seg/a", b"head")
    store.appends.append("seg/a", 4, b"frame", sync=False, seal=b"")
    store.write("seg/a", b"head")
    assert store.read("seg/a") == b"headframe"


def test_what_a_dead_writer_left_is_swept_and_what_a_living_one_writes_is_not(store, settings):
    dead, alive = settings.path / ".tmp" / f"1-{'d' * 16}", settings.path / ".tmp" / f"1-{'a' * 16}"
    for path in (dead, alive):
        path.write_bytes(b"x" * 1000)
    with alive.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        LocalBackend.open(settings, create=True)
        assert not dead.exists()
        assert alive.exists()


def test_a_writer_whose_file_was_swept_before_its_lock_takes_another(store, settings, monkeypatch):
    flock = fcntl.flock
    calls = []

    def late(fd, operation):
        if not calls:
            calls.append(fd)
            LocalBackend.open(settings, create=True)
            assert list((settings.path / ".tmp").iterdir()) == []
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    store.write("seg/a", b"x")
    assert store.read("seg/a") == b"x"


def test_no_temporary_file_is_left(store, settings):
    store.write("seg/a", b"x")
    store.write("seg/a", b"x")
    store.swap("queue.json", b"x", None, sync=True)
    with pytest.raises(DocumentChanged):
        store.swap("queue.json", b"x", None, sync=True)
    store.probe()
    assert list((settings.path / ".tmp").iterdir()) == []


def test_what_is_hidden_is_not_listed(store, settings):
    store.write("seg/a", b"xy")
    (settings.path / ".tmp" / "b").write_bytes(b"x")
    (settings.path / "seg" / ".b").write_bytes(b"x")
    store.owners.own()
    assert list(store.list("")) == [Blob("seg/a", 2)]


def test_what_is_deleted_while_it_is_listed_is_left_out(store):
    store.write("seg/a", b"x")
    store.write("seg/b", b"x")
    listing = store.list("seg/")
    assert next(listing).name == "seg/a"
    store.delete(["seg/b"])
    assert list(listing) == []


def test_a_blob_read_before_it_was_deleted_by_hand_is_missing(store, settings):
    store.write("seg/a", b"x")
    assert store.read("seg/a") == b"x"
    (settings.path / "seg" / "a").unlink()
    with pytest.raises(BlobMissing):
        store.read("seg/a")


def test_few_descriptors_are_kept(store):
    for number in range(50):
        store.write(f"seg/{number}", b"x")
        store.read(f"seg/{number}")
        store.appends.append(f"seg/{number}", 1, b"x", sync=False, seal=b"")
    before = len(list(Path("/proc/self/fd").iterdir()))
    store.close()
    assert 0 < before - len(list(Path("/proc/self/fd").iterdir())) <= 8


def test_a_file_system_without_locks_is_refused(store, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda fd, operation: None)
    with pytest.raises(StoreRefused, match="locks"):
        store.probe()


def test_a_process_that_is_just_starting_is_waited_for(store, monkeypatch):
    """It has this one's descriptors, and with them its locks, until it is another program."""
    close = FolderOwners.close
    held = []

    def closed(owners):
        held.extend(os.dup(one.fd) for one in owners._mine.values())
        close(owners)
        threading.Timer(0.2, lambda: [os.close(fd) for fd in held]).start()

    monkeypatch.setattr(FolderOwners, "close", closed)
    store.probe()
    assert held


def test_a_file_system_where_a_lock_outlives_its_owner_is_refused(store, monkeypatch):
    monkeypatch.setattr(probe, "_PATIENCE", 0.05)
    monkeypatch.setattr(FolderOwners, "close", lambda _: None)
    with pytest.raises(StoreRefused, match="locks of a process"):
        store.probe()


@pytest.mark.parametrize("kind", [ByteOwners, FileOwners])
def test_owners(store, kind):
    one, other = kind(store._folder), kind(store._folder)
    mine, theirs = one.own(), other.own()
    assert all(owners.alive(owner) for owners in (one, other) for owner in (mine, theirs))
    one.close()
    assert not other.alive(mine)
    assert other.alive(theirs)
    assert not one.alive(mine)


@pytest.mark.parametrize("kind", [ByteOwners, FileOwners])
def test_an_owner_of_another_boot_is_dead(store, kind, monkeypatch):
    """Rule 30, even where its byte is locked again by chance."""
    one, other = kind(store._folder), kind(store._folder)
    owner = one.own()
    boot, _, number = owner.rpartition("-")
    assert other.alive(owner)
    assert not other.alive(f"{boot[:-1]}x-{number}")
    assert not one.alive(f"{boot[:-1]}x-{number}")
    for strange in ("", "x", boot, f"{boot}-", f"{boot}-xyz", f"{boot}-{'f' * 17}", f"{boot}-{'F' * 16}"):
        assert not other.alive(strange)


@pytest.mark.parametrize("kind", [ByteOwners, FileOwners])
def test_a_number_that_is_taken_is_not_given(store, kind, monkeypatch):
    one, other = kind(store._folder), kind(store._folder)
    owner = one.own()
    number = int(owner.rpartition("-")[2], 16)
    draws = iter([number, 5])
    monkeypatch.setattr("secrets.randbits", lambda bits: next(draws))
    assert other.own().endswith("-0000000000000005")


def test_owners_by_file_leave_no_litter(store, settings):
    owners = FileOwners(store._folder)
    owner = owners.own()
    assert len(list((settings.path / ".owners").iterdir())) == 1
    owners.drop()  # as death does
    assert not FileOwners(store._folder).alive(owner)
    assert list((settings.path / ".owners").iterdir()) == []
    owners.own()
    owners.close()
    assert list((settings.path / ".owners").iterdir()) == []


def test_linux_locks_bytes(store):
    assert isinstance(owners_of(store._folder), ByteOwners)


def test_the_clock_counts_from_the_boot():
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = clock.now()
    assert before - 0.002 <= now.ms / 1000 <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert len(now.boot) == 36


def test_without_a_boot_id_the_folder_is_refused(monkeypatch, tmp_path):
    clock.boot.cache_clear()
    monkeypatch.setattr(clock, "_BOOT_ID", tmp_path / "none")
    with pytest.raises(StoreRefused, match="mount /proc"):
        LocalBackend.open(LocalSettings(path=tmp_path / "queue"), create=True)


def test_a_process_with_no_descriptor_left_is_told(tmp_path):
    code = f"""
import os, resource, pqueue
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
for limit in range(20, 33):
    files = [os.open("/", os.O_RDONLY) for _ in range(limit)]
    try:
        pqueue.open({str(tmp_path / "q")!r} + str(limit)).close()
    except pqueue.StoreError as error:
        assert "oo many" in str(error), error
        told = True
    for fd in files:
        os.close(fd)
assert told
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
