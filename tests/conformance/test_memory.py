import os
import signal
import threading
import warnings
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from pqueue.abc import SAME
from pqueue.errors import QueueAbsent, SettingsError, StoreRefused
from pqueue.testing.stores import AppendingStoreTests, OwnersTests, SegmentStoreTests, StoreFactory, WakesTests
from pqueue_memory import MemoryBackend, MemorySettings, forget


class TestMemory(AppendingStoreTests, OwnersTests, WakesTests):
    @pytest.fixture
    def store_factory(self) -> Iterator[StoreFactory]:
        settings = MemorySettings(name="conformance")
        yield lambda: MemoryBackend.open(settings, create=True)
        forget("conformance")


class TestMemoryWithoutAppends(SegmentStoreTests, OwnersTests, WakesTests):
    @pytest.fixture
    def store_factory(self) -> Iterator[StoreFactory]:
        settings = MemorySettings(name="conformance", appends=False)
        yield lambda: MemoryBackend.open(settings, create=True)
        forget("conformance")


@pytest.fixture
def name() -> Iterator[str]:
    yield "apart"
    forget("apart")


def test_a_place_is_there_once_it_was_made(name: str):
    with pytest.raises(QueueAbsent, match="apart"):
        MemoryBackend.open(MemorySettings(name=name), create=False)
    MemoryBackend.open(MemorySettings(name=name), create=True).write("seg/a", b"a")
    assert MemoryBackend.open(MemorySettings(name=name), create=False).read("seg/a") == b"a"


def test_names_are_apart(name: str):
    MemoryBackend.open(MemorySettings(name=name), create=True).write("seg/a", b"a")
    with pytest.raises(QueueAbsent):
        MemoryBackend.open(MemorySettings(name=name + "/other"), create=False)


def test_a_forgotten_name_is_a_new_place_whose_versions_never_were(name: str):
    old = MemoryBackend.open(MemorySettings(name=name), create=True)
    before = old.swap("tail", b"1", None, sync=False)
    forget(name)
    with pytest.raises(QueueAbsent):
        MemoryBackend.open(MemorySettings(name=name), create=False)
    new = MemoryBackend.open(MemorySettings(name=name), create=True)
    assert new.load("tail") is None
    assert new.swap("tail", b"1", None, sync=False).version != before.version
    assert old.load("tail", before.version) is SAME
    forget(name)
    forget(name)


def test_reads_urls():
    assert MemoryBackend.from_url("memory://jobs") == {"backend": "memory", "name": "jobs"}
    assert MemoryBackend.from_url("memory://Jobs/mail/?appends=false") == {"backend": "memory", "name": "Jobs/mail"}
    for url in ("memory://", "memory:///", "memory://[x", "file://jobs", "memory://jobs#part", "memory://me@jobs"):
        with pytest.raises(SettingsError):
            MemoryBackend.from_url(url)


def test_settings_are_checked():
    for wrong in ({"name": ""}, {"name": "a", "other": 1}, {"name": "a", "backend": "local"}, {}):
        with pytest.raises(ValidationError):
            MemorySettings(**wrong)


def test_a_closed_client_refuses(name: str):
    store = MemoryBackend.open(MemorySettings(name=name), create=True)
    store.close()
    with pytest.raises(StoreRefused, match="closed"):
        store.load("tail")


def test_a_forked_child_goes_on_with_a_copy(name: str):
    store = MemoryBackend.open(MemorySettings(name=name), create=True)
    store.write("seg/a", b"a")
    locked, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with store._place.lock:
            locked.set()
            forked.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait()
    child = fork()
    if child == 0:
        signal.alarm(30)
        try:
            store.write("seg/b", store.read("seg/a") * 2)
            store.notify()
            os._exit(0 if store.read("seg/b") == b"aa" else 1)
        finally:
            os._exit(2)
    forked.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [blob.name for blob in store.list("")] == ["seg/a"]


def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
        return os.fork()
