"""Documents in a folder: slots, syncs, deletion by hand."""

import os
import threading

import pytest

from pqueue.abc import SAME
from pqueue.errors import DocumentChanged, StoreError, StoreRefused
from pqueue_local import LocalBackend, LocalSettings, slots


@pytest.fixture
def settings(tmp_path):
    return LocalSettings(path=tmp_path / "queue")


@pytest.fixture
def store(settings):
    return LocalBackend.open(settings, create=True)


@pytest.fixture
def other(store, settings):
    return LocalBackend.open(settings, create=True)


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


@pytest.fixture
def syncs(monkeypatch):
    """The number of syncs so far, as the last of a list."""
    done = [0]
    sync = os.fdatasync

    def counted(fd):
        sync(fd)
        done[0] += 1

    monkeypatch.setattr(os, "fdatasync", counted)
    return done


@pytest.mark.parametrize("clients", [1, 2])
def test_the_newest_synced_version_stays_until_another_is_synced(store, other, settings, clients):
    """Rule 20: whatever a power cut does to the unsynced slots, the newest synced one is whole."""
    crew = [store, other][:clients]
    path = settings.path / "tail"
    version = store.swap("tail", b"0", None, sync=True).version
    synced = version
    for number in range(1, 60):
        client = crew[number % clients]
        if clients > 1:
            client.load("tail")
        sync = number % 7 == 0
        version = client.swap("tail", b"%d" % number, version, sync).version
        synced = version if sync else synced
        found = places(path)
        assert found[version].data == b"%d" % number
        assert synced in found
        assert found[version].synced <= synced


def test_a_version_is_lost_by_a_cut_only_if_nobody_asked_for_its_sync(store, settings):
    """What a cut leaves is the newest whole slot, and a new object goes on from it."""
    first = store.swap("tail", b"synced", None, sync=True)
    second = store.swap("tail", b"cut", first.version, sync=False)
    store.swap("tail", b"cut too", second.version, sync=False)
    path = settings.path / "tail"
    memory = bytearray(path.read_bytes())
    for slot in places(path).values():
        if slot.version > first.version:
            memory[slot.place * slots.STEP + slots.HEAD_SIZE] ^= 1
    path.write_bytes(memory)
    after = LocalBackend.open(settings, create=False)
    document = after.load("tail")
    assert document[:2] == (b"synced", first.version)
    again = after.swap("tail", b"on", document.version, sync=False)
    assert LocalBackend.open(settings, create=False).load("tail")[:2] == (b"on", again.version)
    assert first.version in places(path)


def die_before_the_sync(path, data, flags=slots.ASKED):
    """What a swapper leaves that is killed between its write and its sync; the version."""
    found = places(path)
    newest = found[max(found)]
    place = (newest.place + 1) % slots.COUNT
    raw = slots.pack(newest.version + 1, flags, newest.version, data)
    with path.open("r+b") as file:
        file.seek(place * slots.STEP)
        file.write(raw)
    return newest.version + 1


def test_a_loader_syncs_what_its_swapper_did_not(store, other, settings, syncs):
    """Rule 21: a version whose swapper died between its write and its sync is synced before anybody acts on it."""
    known = store.swap("tail", b"one", None, sync=True).version
    version = die_before_the_sync(settings.path / "tail", b"two")
    before = syncs[0]
    assert store.load("tail", known)[:2] == (b"two", version)
    assert syncs[0] == before + 1
    assert store.load("tail", version) is SAME
    assert other.load("tail").version == version
    assert syncs[0] == before + 1, "who synced it has noted that"


def test_after_a_failed_sync_a_loader_writes_again(store, settings, syncs):
    """Rule 20: where a sync of the file has failed before, another one would prove nothing."""
    known = store.swap("tail", b"one", None, sync=True).version
    version = die_before_the_sync(settings.path / "tail", b"two", slots.ASKED | slots.SUSPECT)
    before = syncs[0]
    document = store.load("tail", known)
    assert document.data == b"two"
    assert document.version > version
    assert syncs[0] == before + 1
    assert places(settings.path / "tail")[version].place != places(settings.path / "tail")[document.version].place
    assert LocalBackend.open(settings, create=False).load("tail")[:2] == document[:2]
    assert syncs[0] == before + 1


def test_a_swap_syncs_what_it_builds_on(store, settings, syncs):
    """A version that was to be synced is never left behind unsynced by one that need not be."""
    store.swap("tail", b"one", None, sync=True)
    unsynced = die_before_the_sync(settings.path / "tail", b"two")
    before = syncs[0]
    version = store.swap("tail", b"three", unsynced, sync=False).version
    assert syncs[0] == before + 1
    assert places(settings.path / "tail")[version].synced == unsynced
    assert unsynced in places(settings.path / "tail")


def test_an_unsynced_version_is_not_synced_by_loaders(store, other, syncs):
    version = store.swap("tail", b"one", None, sync=True).version
    store.swap("tail", b"two", version, sync=False)
    before = syncs[0]
    assert other.load("tail").data == b"two"
    assert syncs[0] == before


def test_a_document_deleted_by_hand_is_noticed(store, other, settings):
    """An `rm` does not tell: within a second at a load or an unsynced swap, at once at a synced one."""
    version = store.swap("tail", b"one", None, sync=False).version
    other.load("tail")
    (settings.path / "tail").unlink()
    with pytest.raises(DocumentChanged):
        store.swap("tail", b"two", version, sync=True)
    other._documents["tail"]._file.due = other._documents["tail"]._file.due_ms = 0  # a second later
    assert other.load("tail", version) is None
    assert other.load("tail") is None


def test_an_unsynced_swap_notices_within_a_second(store, settings):
    version = store.swap("tail", b"one", None, sync=False).version
    (settings.path / "tail").unlink()
    store._documents["tail"]._file.due_ms = 0
    with pytest.raises(DocumentChanged):
        store.swap("tail", b"two", version, sync=False)
    assert not (settings.path / "tail").exists()


def test_a_document_made_anew_by_hand_is_another(store, settings):
    version = store.swap("tail", b"one", None, sync=False).version
    (settings.path / "tail").unlink()
    again = LocalBackend.open(settings, create=False).swap("tail", b"one", None, sync=False).version
    assert again > version
    store._documents["tail"]._file.due = 0
    assert store.load("tail", version).version == again


def test_a_maker_who_waited_for_a_deleted_file_makes_another(store, other, settings, monkeypatch):
    """The file was deleted between its opening and its lock."""
    store.swap("tail", b"one", None, sync=False)
    other.load("tail")
    (settings.path / "tail").unlink()
    made = other.swap("tail", b"two", None, sync=False)
    assert LocalBackend.open(settings, create=False).load("tail")[:2] == made[:2]


@pytest.mark.parametrize("size", [0, 100, slots.SIZE - 1, slots.SIZE])
def test_a_half_made_document_is_not_there(store, settings, size):
    with (settings.path / "tail").open("wb") as file:
        file.truncate(size)
    assert store.load("tail") is None
    with pytest.raises(DocumentChanged):
        store.swap("tail", b"one", 5, sync=False)
    made = store.swap("tail", b"one", None, sync=False)
    assert store.load("tail", made.version) is SAME


def test_a_document_takes_little_room(store, settings):
    store.swap("tail", b"one", None, sync=False)
    assert (settings.path / "tail").stat().st_blocks * 512 <= 64 << 10


def test_a_document_that_is_too_large_is_refused(store):
    made = store.swap("tail", bytes(slots.ROOM), None, sync=False)
    with pytest.raises(StoreRefused, match="at most"):
        store.swap("tail", bytes(slots.ROOM + 1), made.version, sync=False)
    assert store.load("tail", made.version) is SAME


def test_a_json_document_is_a_plain_file(store, other, settings):
    made = store.swap("queue.json", b'{"a":1}', None, sync=True)
    assert (settings.path / "queue.json").read_bytes() == b'{"a":1}'
    assert other.load("queue.json")[:2] == made[:2]
    with pytest.raises(StoreRefused):
        store.swap("queue.json", b"{}", made.version, sync=True)
    other.delete(["queue.json"])
    again = store.swap("queue.json", b'{"a":1}', None, sync=True)
    assert other.load("queue.json", made.version)[:2] == again[:2]


def test_a_load_waits_for_a_slot_that_is_being_written(store, other, settings, monkeypatch):
    """A slot torn for longer than a few looks is waited for under the lock."""
    version = store.swap("tail", b"one" * 1000, None, sync=False).version
    other.load("tail")
    torn, go = threading.Event(), threading.Event()
    pwrite = os.pwrite

    def slowly(fd, raw, at):
        pwrite(fd, raw[:100], at)
        torn.set()
        go.wait(30)
        return pwrite(fd, raw[100:], at + 100) + 100

    monkeypatch.setattr(os, "pwrite", slowly)
    writer = threading.Thread(target=store.swap, args=("tail", b"two" * 1000, version, False))
    writer.start()
    torn.wait(30)
    threading.Timer(0.05, go.set).start()
    assert other.load("tail", version).data == b"two" * 1000
    writer.join()


def test_after_close_nothing_is_opened(store):
    store.swap("tail", b"one", None, sync=False)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.load("tail")
    with pytest.raises(StoreError, match="closed"):
        store.swap("tail", b"one", None, sync=False)
    with pytest.raises(StoreError, match="closed"):
        store.delete(["tail"])
