"""Blobs that grow."""

import threading
from functools import partial
from typing import ClassVar, NamedTuple

import pytest

from pqueue.abc import Appends, Blob, SegmentStore
from pqueue.errors import BlobMissing, SegmentChanged
from pqueue.testing.stores.base import StoreSuite

SEAL = b"<seal>"


def growing(store: SegmentStore) -> Appends:
    """The store's side that appends."""
    assert store.appends is not None
    return store.appends


class Grown(NamedTuple):
    """What one appender met, as offsets and bytes."""

    stands: list[tuple[int, bytes]]
    """What it appended."""
    told: list[tuple[int, bytes]]
    """What it was told that stands behind an offset."""


def grow(store: SegmentStore, place: int, rounds: int) -> Grown:
    """Append so often to the blob `seg/a`, against others who do the same."""
    at = 0
    grown = Grown([], [])
    for number in range(rounds):
        data = b"%d.%d:" % (place, number) + bytes([65 + place]) * (number * 37 % 3000)
        while True:
            try:
                growing(store).append("seg/a", at, data, number % 10 == 0, SEAL)
            except SegmentChanged as changed:
                grown.told.append((at, changed.behind))
                at += len(changed.behind)
            else:
                grown.stands.append((at, data))
                at += len(data)
                break
    return grown


def check_grown(final: bytes, grown: list[Grown], rounds: int) -> None:
    """The blob is made of all that was appended, each where it was put, and nobody was told a lie."""
    stands = sorted(put for each in grown for put in each.stands)
    assert len(stands) == rounds * len(grown)
    assert final == b"".join(data for _, data in stands)
    for at, data in stands + [behind for each in grown for behind in each.told]:
        assert final[at : at + len(data)] == data


class AppendTests(StoreSuite):
    """Blobs that grow."""

    appends: ClassVar[bool] = True

    @pytest.mark.parametrize("sync", [False, True])
    def test_appends_at_the_end(self, store: SegmentStore, other: SegmentStore, *, sync: bool) -> None:
        """What is appended at the blob's size is there on return, for all clients, and nothing else is."""
        store.write("seg/a", b"head")
        growing(store).append("seg/a", 4, b"one", sync, SEAL)
        growing(other).append("seg/a", 7, b"\x00\xff\r\n", sync, SEAL)
        growing(store).append("seg/a", 11, b"three", sync, SEAL)
        for client in (store, other):
            assert client.read("seg/a") == b"headone\x00\xff\r\nthree"
            assert client.read("seg/a", 7, 11) == b"\x00\xff\r\n"
            assert client.read("seg/a", 11) == b"three"
            assert client.read("seg/a", 16) == b""
            assert growing(client).settle("seg/a") == 16
            assert list(client.list("seg/")) == [Blob("seg/a", 16)]

    def test_appends_to_an_empty_blob(self, store: SegmentStore) -> None:
        """A blob born without bytes grows too."""
        store.write("seg/a", b"")
        assert growing(store).settle("seg/a") == 0
        growing(store).append("seg/a", 0, b"one", sync=False, seal=SEAL)
        assert store.read("seg/a") == b"one"

    def test_appends_much(self, store: SegmentStore, other: SegmentStore) -> None:
        """An append of many MiB is kept whole, and told whole to one that comes too late."""
        store.write("seg/a", b"head")
        data = bytes(range(251)) * (self.large // 251 + 1)
        growing(store).append("seg/a", 4, data, sync=False, seal=SEAL)
        assert other.read("seg/a") == b"head" + data
        with pytest.raises(SegmentChanged) as caught:
            growing(other).append("seg/a", 4, b"late", sync=False, seal=SEAL)
        assert caught.value.behind == data

    def test_a_size_that_is_passed(self, store: SegmentStore, other: SegmentStore) -> None:
        """An append below the size raises SegmentChanged with the bytes from there on, and writes nothing."""
        store.write("seg/a", b"head")
        growing(store).append("seg/a", 4, b"one", sync=False, seal=SEAL)
        for at, behind in ((4, b"one"), (6, b"e"), (0, b"headone")):
            with pytest.raises(SegmentChanged) as caught:
                growing(other).append("seg/a", at, b"two", sync=False, seal=SEAL)
            assert caught.value.behind == behind
        assert store.read("seg/a") == b"headone"
        growing(other).append("seg/a", 7, b"two", sync=False, seal=SEAL)
        assert store.read("seg/a") == b"headonetwo"

    def test_insists(self, store: SegmentStore, other: SegmentStore) -> None:
        """One that comes too late is told what stands there, and what it makes of that is appended in the same hold."""
        store.write("seg/a", b"head")
        growing(other).append("seg/a", 4, b"one", sync=False, seal=SEAL)
        told: list[bytes] = []

        def insist(behind: bytes) -> tuple[bytes, bytes] | None:
            told.append(behind)
            return b"<" + behind + b">", SEAL

        for sync in (False, True):
            growing(store).append("seg/a", 4, b"late", sync, SEAL, insist)
        assert told == [b"one", b"one<one>"]
        assert other.read("seg/a") == b"headone<one><one<one>>"
        size = growing(other).settle("seg/a")
        growing(store).append("seg/a", size, b".", sync=False, seal=SEAL, insist=insist)
        assert len(told) == 2, "asked, though nothing had changed"
        assert other.read("seg/a", size) == b"."

    def test_insists_on_nothing(self, store: SegmentStore, other: SegmentStore) -> None:
        """Where it makes nothing of it, or fails, nothing is appended, and others may go on."""
        store.write("seg/a", b"head")
        growing(other).append("seg/a", 4, b"one", sync=False, seal=SEAL)
        with pytest.raises(SegmentChanged) as caught:
            growing(store).append("seg/a", 4, b"late", sync=False, seal=SEAL, insist=lambda _: None)
        assert caught.value.behind == b"one"

        def fails(_: bytes) -> tuple[bytes, bytes] | None:
            raise KeyError

        with pytest.raises(KeyError):
            growing(store).append("seg/a", 4, b"late", sync=False, seal=SEAL, insist=fails)
        with pytest.raises(SegmentChanged) as caught:
            growing(store).append("seg/a", 9, b"beyond", sync=False, seal=SEAL, insist=fails)
        assert caught.value.behind == b""
        growing(other).append("seg/a", 7, b"two", sync=False, seal=SEAL)
        assert store.read("seg/a") == b"headonetwo"

    def test_a_size_that_is_not_reached(self, store: SegmentStore) -> None:
        """An append above the size raises SegmentChanged with no bytes, and leaves no hole."""
        store.write("seg/a", b"head")
        with pytest.raises(SegmentChanged) as caught:
            growing(store).append("seg/a", 5, b"one", sync=False, seal=SEAL)
        assert caught.value.behind == b""
        assert store.read("seg/a") == b"head"
        assert growing(store).settle("seg/a") == 4

    def test_what_is_missing_does_not_grow(self, store: SegmentStore, other: SegmentStore) -> None:
        """Appending to a blob that is not there, or asking for its size, raises BlobMissing and makes none."""
        for at in (0, 4):
            with pytest.raises(BlobMissing):
                growing(store).append("seg/a", at, b"one", sync=False, seal=SEAL)
        with pytest.raises(BlobMissing):
            growing(store).settle("seg/a")
        assert list(other.list("seg/")) == []

    def test_what_another_deleted_does_not_grow(self, store: SegmentStore, other: SegmentStore) -> None:
        """A client that has appended to a blob finds it missing once another client has deleted it."""
        store.write("seg/a", b"head")
        growing(store).append("seg/a", 4, b"one", sync=False, seal=SEAL)
        assert growing(store).settle("seg/a") == 7
        other.delete(["seg/a"])
        with pytest.raises(BlobMissing):
            growing(store).append("seg/a", 7, b"two", sync=False, seal=SEAL)
        with pytest.raises(BlobMissing):
            growing(store).settle("seg/a")
        assert list(other.list("seg/")) == []

    def test_blobs_grow_apart(self, store: SegmentStore) -> None:
        """An append to one blob leaves the others alone."""
        store.write("seg/a", b"a")
        store.write("seg/b", b"b")
        growing(store).append("seg/a", 1, b"1", sync=False, seal=SEAL)
        growing(store).append("seg/b", 1, b"2", sync=False, seal=SEAL)
        assert (store.read("seg/a"), store.read("seg/b")) == (b"a1", b"b2")

    def test_no_append_is_lost(self, store: SegmentStore, other: SegmentStore) -> None:
        """Many append at once: what returned stands whole where it was put, and losers were told the truth."""
        store.write("seg/a", b"")
        workers = [partial(grow, (store, other)[place % 2], place, 4 * self.rounds) for place in range(self.threads)]
        grown = self.race(*workers)
        check_grown(other.read("seg/a"), grown, 4 * self.rounds)

    def test_readers_see_a_prefix(self, store: SegmentStore, other: SegmentStore) -> None:
        """Of a growing blob a reader sees a prefix, with all that had returned when the read began."""
        store.write("seg/a", b"")
        data = b"".join(b"%06d " % number * (1 + number % 50) for number in range(8 * self.rounds))
        reached = 0
        done = threading.Event()

        def append() -> None:
            nonlocal reached
            try:
                while reached < len(data):
                    step = data[reached : reached + 1 + reached % 1000]
                    growing(store).append("seg/a", reached, step, sync=False, seal=SEAL)
                    reached += len(step)
            finally:
                done.set()

        def read(client: SegmentStore) -> None:
            start = 0
            while not done.is_set():
                floor = reached
                found = client.read("seg/a", start)
                assert data[start : start + len(found)] == found
                assert start + len(found) >= floor
                assert growing(client).settle("seg/a") >= floor
                sizes = [blob.size for blob in client.list("seg/")]
                assert len(sizes) == 1
                assert floor <= sizes[0] <= len(data)
                start = floor // 2

        self.race(append, lambda: read(store), lambda: read(other))
        assert store.read("seg/a") == other.read("seg/a") == data
