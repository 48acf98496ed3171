"""Blobs: write, read, list, delete."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pqueue.abc import Blob, SegmentStore
from pqueue.errors import BlobMissing
from pqueue.testing.stores.base import StoreSuite

EVERY_BYTE = bytes(range(256)) + b"\r\n\x00\xff"


class BlobTests(StoreSuite):
    """Blobs: write, read, list, delete."""

    def test_reads_what_was_written(self, store: SegmentStore) -> None:
        """A blob is read as it was written, every byte of it."""
        store.write("seg/a", EVERY_BYTE)
        assert store.read("seg/a") == EVERY_BYTE

    @pytest.mark.parametrize(
        ("start", "end"),
        [(0, 4), (3, 7), (6, 10), (3, None), (0, 10), (9, 10), (4, 4), (0, 0), (10, 10)],
    )
    def test_reads_a_range(self, store: SegmentStore, start: int, end: int | None) -> None:
        """A range holds the bytes from its start up to and without its end."""
        store.write("seg/a", b"0123456789")
        assert store.read("seg/a", start, end) == b"0123456789"[start:end]

    @pytest.mark.parametrize(("start", "end"), [(0, 11), (7, 1000), (10, 20), (10, None), (11, 12), (5000, None)])
    def test_reads_short_past_the_end(self, store: SegmentStore, start: int, end: int | None) -> None:
        """A range that leaves the blob holds what there is of it, perhaps nothing."""
        store.write("seg/a", b"0123456789")
        assert store.read("seg/a", start, end) == b"0123456789"[start:end]

    @pytest.mark.parametrize(("start", "end"), [(0, None), (0, 5), (0, 0), (3, None), (3, 3)])
    def test_keeps_empty_blobs(self, store: SegmentStore, start: int, end: int | None) -> None:
        """A blob without bytes is there, reads as nothing, and is listed."""
        store.write("seg/a", b"")
        assert store.read("seg/a", start, end) == b""
        assert list(store.list("seg/")) == [Blob("seg/a", 0)]

    @pytest.mark.parametrize(("start", "end"), [(0, None), (0, 5), (3, None), (0, 0), (3, 3)])
    def test_reading_a_missing_blob(self, store: SegmentStore, start: int, end: int | None) -> None:
        """Reading a blob that is not there raises BlobMissing, even if no byte of it was asked for."""
        with pytest.raises(BlobMissing):
            store.read("seg/a", start, end)

    def test_keeps_large_blobs(self, store: SegmentStore, other: SegmentStore) -> None:
        """A blob of many MiB is kept whole, and any range of it is read."""
        data = bytes(range(251)) * (self.large // 251 + 1)
        store.write("seg/large", data)
        assert other.read("seg/large") == data
        middle = self.large // 2 + 13
        assert other.read("seg/large", middle, middle + 100_000) == data[middle : middle + 100_000]
        assert list(other.list("seg/")) == [Blob("seg/large", len(data))]

    def test_writing_again(self, store: SegmentStore, other: SegmentStore) -> None:
        """A write may be repeated, by another client too, and after the blob was read or deleted."""
        store.write("seg/a", b"same")
        store.write("seg/a", b"same")
        other.write("seg/a", b"same")
        assert store.read("seg/a") == other.read("seg/a") == b"same"
        assert list(store.list("seg/")) == [Blob("seg/a", 4)]
        store.delete(["seg/a"])
        other.write("seg/a", b"same")
        assert store.read("seg/a") == b"same"

    def test_writers_of_one_name_race(self, store: SegmentStore, other: SegmentStore) -> None:
        """While several write the same bytes under one name, a reader finds all of them or no blob."""
        data = EVERY_BYTE * 1000
        done = threading.Event()

        def write() -> None:
            try:
                for _ in range(self.rounds):
                    store.write("seg/a", data)
                    assert store.read("seg/a") == data
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                try:
                    found = other.read("seg/a")
                except BlobMissing:
                    continue
                assert found == data

        self.race(*[write] * self.threads, read)

    def test_what_is_listed_is_whole(self, store: SegmentStore, other: SegmentStore) -> None:
        """A blob that is listed has its whole size and content, while others are being written."""
        data = EVERY_BYTE * 1000
        done = threading.Event()

        def write() -> None:
            try:
                for number in range(self.rounds):
                    store.write(f"seg/{number:06}", data)
            finally:
                done.set()

        def look() -> None:
            while not done.is_set():
                for blob in other.list("seg/"):
                    assert blob.size == len(data)
                    assert other.read(blob.name) == data

        self.race(write, look)
        assert len(list(other.list("seg/"))) == self.rounds

    def test_lists_by_prefix(self, store: SegmentStore) -> None:
        """A listing holds exactly the names that begin with the prefix, which may end inside a name."""
        for name in ("seg/a", "seg/ab", "seg/abc", "seg/b", "log/a", "dead/000000000001"):
            store.write(name, b"x")
        assert [blob.name for blob in store.list("seg/")] == ["seg/a", "seg/ab", "seg/abc", "seg/b"]
        assert [blob.name for blob in store.list("seg/ab")] == ["seg/ab", "seg/abc"]
        assert [blob.name for blob in store.list("log/")] == ["log/a"]
        assert [blob.name for blob in store.list("seg/abcd")] == []
        assert [blob.name for blob in store.list("none/")] == []
        assert len(list(store.list(""))) == 6

    def test_lists_behind_a_name(self, store: SegmentStore) -> None:
        """With `after`, a listing holds what sorts behind it; `after` itself need not be there."""
        for name in ("seg/a", "seg/b", "seg/d"):
            store.write(name, b"x")
        assert [blob.name for blob in store.list("seg/", "seg/a")] == ["seg/b", "seg/d"]
        assert [blob.name for blob in store.list("seg/", "seg/c")] == ["seg/d"]
        assert [blob.name for blob in store.list("seg/", "seg/d")] == []
        assert [blob.name for blob in store.list("seg/", "seg/")] == ["seg/a", "seg/b", "seg/d"]
        assert [blob.name for blob in store.list("seg/", "log/z")] == ["seg/a", "seg/b", "seg/d"]
        assert [blob.name for blob in store.list("seg/", "tail")] == []

    def test_lists_in_ascending_order(self, store: SegmentStore) -> None:
        """Names come in the order of their characters' codes, whenever they were written."""
        names = ["seg/10-b", "seg/9", "seg/1", "seg/10-a", "seg/B", "seg/a", "seg/0", "seg/10", "seg/1-", "seg/1_"]
        for name in names:
            store.write(name, b"")
        assert [blob.name for blob in store.list("seg/")] == sorted(names)

    def test_lists_sizes(self, store: SegmentStore) -> None:
        """A listing tells the size of each blob."""
        sizes = {f"seg/{size}": size for size in (0, 1, 999, 70_000)}
        for name, size in sizes.items():
            store.write(name, b"x" * size)
        assert dict(store.list("seg/")) == sizes

    def test_does_not_list_documents(self, store: SegmentStore) -> None:
        """A listing holds blobs only."""
        store.swap("tail", b"1", None, sync=False)
        store.swap("head.default", b"1", None, sync=False)
        store.swap("queue.json", b"{}", None, sync=True)
        store.write("seg/a", b"x")
        assert [blob.name for blob in store.list("")] == ["seg/a"]
        assert [blob.name for blob in store.list("tail")] == []

    def test_lists_and_deletes_many(self, store: SegmentStore, other: SegmentStore) -> None:
        """Names that fill pages are all listed, even if others are deleted meanwhile; one call deletes them all."""
        names = [f"seg/{number:012}-0a1b2c3d" for number in range(self.many)]
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(lambda name: store.write(name, b"x"), names))
        assert [blob.name for blob in other.list("seg/")] == names
        half = self.many // 2
        assert [blob.name for blob in other.list("seg/", names[half])] == names[half + 1 :]
        listing = other.list("seg/")
        found = [next(listing).name for _ in range(10)]
        store.delete(names[:half:2])
        found += [blob.name for blob in listing]
        assert found == sorted(set(found)), "in order, each once"
        assert set(names) - set(names[:half:2]) <= set(found), "none that stayed was missed"
        other.delete(iter(names[:-1]))
        assert [blob.name for blob in store.list("seg/")] == names[-1:]

    def test_a_listing_misses_nothing_that_stays(self, store: SegmentStore, other: SegmentStore) -> None:
        """While others come and go, a listing holds each name once, in order, and all those that stay."""
        stay = {f"seg/{number:06}" for number in range(0, 100, 2)}
        come = [f"seg/{number:06}" for number in range(1, 100, 2)]
        for name in stay:
            store.write(name, b"x")
        done = threading.Event()

        def churn() -> None:
            try:
                for _ in range(3):
                    for name in come:
                        store.write(name, b"x")
                    store.delete(come)
            finally:
                done.set()

        def look() -> None:
            while not done.is_set():
                names = [blob.name for blob in other.list("seg/")]
                assert names == sorted(set(names))
                assert stay <= set(names) <= stay | set(come)

        self.race(churn, look)

    def test_deletes_blobs_and_documents(self, store: SegmentStore, other: SegmentStore) -> None:
        """One call deletes blobs and documents; what is absent, or named twice, is no error."""
        store.write("seg/a", b"a")
        store.write("seg/b", b"b")
        store.write("seg/c", b"c")
        document = store.swap("tail", b"1", None, sync=False)
        store.delete(name for name in ("seg/a", "seg/none", "none/a", "tail", "head.none", "seg/b", "seg/a"))
        assert [blob.name for blob in other.list("")] == ["seg/c"]
        assert store.load("tail") is None
        assert other.load("tail", document.version) is None
        for client in (store, other):
            with pytest.raises(BlobMissing):
                client.read("seg/a")

    def test_deleting_nothing(self, store: SegmentStore) -> None:
        """No names, no error, nothing gone."""
        store.write("seg/a", b"a")
        store.delete([])
        store.delete(["seg/none"])
        assert store.read("seg/a") == b"a"

    def test_a_blob_that_another_deleted_is_missing(self, store: SegmentStore, other: SegmentStore) -> None:
        """A client that has read a blob finds it missing once another client has deleted it."""
        store.write("seg/a", b"a")
        assert store.read("seg/a") == b"a"
        other.delete(["seg/a"])
        with pytest.raises(BlobMissing):
            store.read("seg/a")
