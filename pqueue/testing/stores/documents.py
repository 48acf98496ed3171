"""Documents: load and swap, alone and in races."""

import threading
import time
from contextlib import suppress
from functools import partial
from itertools import pairwise

import pytest

from pqueue.abc import SAME, Document, SegmentStore, StoreTime, Version
from pqueue.errors import DocumentChanged, QueueError
from pqueue.testing.stores.base import StoreSuite, loaded


def add_entries(store: SegmentStore, place: int, rounds: int) -> list[Document]:
    """Add so many entries to the tail, one a swap, against others who do the same; the swaps that returned."""
    won = []
    for number in range(rounds):
        entry = b"%d.%d" % (place, number)
        while True:
            document = loaded(store, "tail")
            if entry in document.data.splitlines():  # the attempt that was told "changed" had landed
                break
            with suppress(DocumentChanged):
                won.append(store.swap("tail", document.data + entry + b"\n", document.version, sync=False))
                break
    return won


def made_by(store: SegmentStore, name: str, data: bytes) -> Document | None:
    """The document, if it was this one who made it."""
    with suppress(DocumentChanged):
        return store.swap(name, data, None, sync=True)
    return None


def check_entries(final: Document, won: list[list[Document]], rounds: int) -> None:
    """Every entry is there once, and every swap that returned is part of what came of it."""
    entries = [b"%d.%d" % (place, number) for place in range(len(won)) for number in range(rounds)]
    assert sorted(final.data.splitlines()) == sorted(entries)
    swaps = [document for documents in won for document in documents]
    assert all(final.data.startswith(document.data) for document in swaps)
    assert len({document.version for document in swaps}) == len(swaps)


class DocumentTests(StoreSuite):
    """Documents: load and swap."""

    def test_what_is_not_there(self, store: SegmentStore) -> None:
        """A document that is not there loads as None."""
        assert store.load("tail") is None
        assert store.load("queue.json") is None

    def test_takes_documents_as_large_as_it_says(self, store: SegmentStore, other: SegmentStore) -> None:
        """A document of `document_bytes` is made, replaced, and loaded as it is."""
        large = bytes(range(256)) * (1 + store.document_bytes // 256)
        first = store.swap("tail", large[: store.document_bytes], None, sync=False)
        assert loaded(other, "tail").data == large[: store.document_bytes]
        store.swap("tail", large[1 : store.document_bytes], first.version, sync=False)
        assert loaded(other, "tail").data == large[1 : store.document_bytes]

    @pytest.mark.parametrize("sync", [False, True])
    def test_makes_and_replaces(self, store: SegmentStore, other: SegmentStore, *, sync: bool) -> None:
        """A swap makes a document or replaces it, returns it as it is then loaded, and all clients see it."""
        first = store.swap("tail", b"one", None, sync)
        assert first.data == b"one"
        assert loaded(store, "tail")[:2] == loaded(other, "tail")[:2] == first[:2]
        second = other.swap("tail", b"two", first.version, sync)
        assert second.data == b"two"
        assert loaded(store, "tail")[:2] == loaded(other, "tail")[:2] == second[:2]

    def test_a_swap_may_follow_a_swap(self, store: SegmentStore) -> None:
        """The version that a swap returned is good for the next one, with no load between."""
        version: Version | None = None
        for number in range(20):
            version = store.swap("tail", b"%d" % number, version, sync=False).version
        assert loaded(store, "tail")[:2] == (b"19", version)

    def test_the_known_version_is_the_same(self, store: SegmentStore, other: SegmentStore) -> None:
        """A load that names the newest version is answered with SAME."""
        first = store.swap("tail", b"one", None, sync=False)
        assert store.load("tail", first.version) is SAME
        assert other.load("tail", first.version) is SAME
        assert store.load("tail", loaded(other, "tail").version) is SAME

    def test_an_older_known_version_is_not_the_same(self, store: SegmentStore, other: SegmentStore) -> None:
        """A load that names an older version gets the document that another client swapped in."""
        first = store.swap("tail", b"one", None, sync=False)
        assert store.load("tail", first.version) is SAME
        second = other.swap("tail", b"two", first.version, sync=False)
        assert loaded(store, "tail", first.version)[:2] == second[:2]
        assert store.load("tail", second.version) is SAME

    def test_a_known_version_that_was_deleted(self, store: SegmentStore, other: SegmentStore) -> None:
        """A load that names a version of a deleted document is answered with None."""
        first = store.swap("tail", b"one", None, sync=False)
        other.delete(["tail"])
        assert store.load("tail", first.version) is None

    def test_a_stale_version_changes_nothing(self, store: SegmentStore, other: SegmentStore) -> None:
        """A swap that names an older version raises DocumentChanged and changes nothing."""
        first = store.swap("tail", b"one", None, sync=False)
        second = other.swap("tail", b"two", first.version, sync=False)
        with pytest.raises(DocumentChanged):
            store.swap("tail", b"three", first.version, sync=False)
        assert loaded(store, "tail")[:2] == loaded(other, "tail")[:2] == second[:2]

    def test_what_is_there_is_not_made(self, store: SegmentStore, other: SegmentStore) -> None:
        """A swap that expects nothing raises DocumentChanged where a document is."""
        first = store.swap("tail", b"one", None, sync=False)
        for client in (store, other):
            with pytest.raises(DocumentChanged):
                client.swap("tail", b"two", None, sync=False)
        assert loaded(store, "tail")[:2] == first[:2]

    def test_what_is_gone_is_not_replaced(self, store: SegmentStore, other: SegmentStore) -> None:
        """A swap that names a version raises DocumentChanged where no document is, and makes none."""
        first = store.swap("tail", b"one", None, sync=False)
        other.delete(["tail"])
        with pytest.raises(DocumentChanged):
            store.swap("tail", b"two", first.version, sync=False)
        assert store.load("tail") is None
        with pytest.raises(DocumentChanged):
            store.swap("head.default", b"one", first.version, sync=False)
        assert store.load("head.default") is None

    def test_equal_content_is_another_version(self, store: SegmentStore, other: SegmentStore) -> None:
        """A document that is swapped away and back again has a version of its own: no ABA."""
        first = store.swap("tail", b"A", None, sync=False)
        again = other.swap("tail", b"A", first.version, sync=False)
        between = other.swap("tail", b"B", again.version, sync=False)
        back = other.swap("tail", b"A", between.version, sync=False)
        assert len({first.version, again.version, between.version, back.version}) == 4
        with pytest.raises(DocumentChanged):
            store.swap("tail", b"C", first.version, sync=False)
        assert loaded(store, "tail", first.version).version == back.version

    def test_versions_outlive_deletion(self, store: SegmentStore, other: SegmentStore) -> None:
        """A document made anew, even of equal content, never has a version that it had before."""
        versions = []
        for _ in range(5):
            document = store.swap("tail", b"A", None, sync=False)
            versions += [document.version, store.swap("tail", b"A", document.version, sync=False).version]
            other.delete(["tail"])
        assert len(set(versions)) == len(versions)
        last = other.swap("tail", b"A", None, sync=False)
        assert loaded(store, "tail", versions[0]).version == last.version
        with pytest.raises(DocumentChanged):
            store.swap("tail", b"B", versions[0], sync=False)

    def test_documents_are_apart(self, store: SegmentStore) -> None:
        """A swap of one document leaves the others and their versions alone."""
        tail = store.swap("tail", b"tail", None, sync=False)
        head = store.swap("head.default", b"head", None, sync=False)
        store.swap("head.default", b"head again", head.version, sync=False)
        assert store.load("tail", tail.version) is SAME
        with pytest.raises(DocumentChanged):
            store.swap("tail", b"wrong", None, sync=False)

    def test_grows_and_shrinks(self, store: SegmentStore, other: SegmentStore) -> None:
        """A document has exactly the bytes of its last swap, none at all included."""
        version: Version | None = None
        for size in (0, 1, 16_000, 3, 300_000, 20_000, 0, 40_000, 5):
            data = bytes(range(256)) * (size // 256) + b"\xff" * (size % 256)
            version = store.swap("tail", data, version, sync=False).version
            assert loaded(store, "tail").data == loaded(other, "tail").data == data
            assert other.load("tail", version) is SAME

    def test_json_documents_are_made_once(self, store: SegmentStore, other: SegmentStore) -> None:
        """A document whose name ends in .json is made once, then never replaced."""
        made = store.swap("queue.json", b"{}", None, sync=True)
        assert loaded(other, "queue.json")[:2] == made[:2]
        assert other.load("queue.json", made.version) is SAME
        with pytest.raises(DocumentChanged):
            other.swap("queue.json", b"{1}", None, sync=True)
        with pytest.raises(QueueError):
            store.swap("queue.json", b"{2}", made.version, sync=True)
        assert loaded(store, "queue.json").data == b"{}"

    def test_tells_the_time(self, store: SegmentStore, other: SegmentStore) -> None:
        """Every document comes with the store's time: whole milliseconds that do not run backwards."""
        times = [store.swap("tail", b"1", None, sync=False).now]
        for number in range(10):
            client = (store, other)[number % 2]
            times.append(loaded(client, "tail").now)
            times.append(client.swap("tail", b"%d" % number, loaded(client, "tail").version, sync=False).now)
        assert all(isinstance(now, StoreTime) and type(now.ms) is int and type(now.boot) is str for now in times)
        assert len({now.boot for now in times}) == 1
        for earlier, later in pairwise(times):
            assert later.ms >= earlier.ms - self.clock_slack_ms

    def test_the_time_is_that_of_the_answer(self, store: SegmentStore) -> None:
        """The time goes on between two loads of a document that nobody swapped."""
        made = store.swap("tail", b"1", None, sync=False)
        until = time.monotonic() + self.patience
        while loaded(store, "tail").now.ms <= made.now.ms:
            assert time.monotonic() < until, "the store's clock stands still"


class DocumentRaceTests(StoreSuite):
    """Documents that many swap and load at once."""

    def test_one_of_many_makes_it(self, store: SegmentStore, other: SegmentStore) -> None:
        """Of those that make a document at once exactly one succeeds, and its content is there."""
        for number in range(5):
            name = f"head.{number}"

            makers = [
                partial(made_by, client, name, b"%d" % place)
                for place, client in enumerate([store, other] * self.threads)
            ]
            made = [document for document in self.race(*makers) if document]
            assert len(made) == 1
            assert loaded(store, name)[:2] == loaded(other, name)[:2] == made[0][:2]

    def test_no_swap_is_lost(self, store: SegmentStore, other: SegmentStore) -> None:
        """Many add to one document at once: each addition is kept once, and each winner built on the one before."""
        store.swap("tail", b"", None, sync=False)
        workers = [partial(add_entries, (store, other)[place % 2], place, self.rounds) for place in range(self.threads)]
        won = self.race(*workers)
        check_entries(loaded(store, "tail"), won, self.rounds)

    def test_a_load_sees_what_returned_before(self, store: SegmentStore, other: SegmentStore) -> None:
        """A load begun after a swap returned sees it or a later one, whole; SAME is said of the newest only."""
        first = store.swap("tail", b"0 ", None, sync=False)
        numbers: dict[Version, int] = {first.version: 0}
        reached = 0
        done = threading.Event()

        def text(number: int) -> bytes:
            return b"%d " % number * (1 + number % 7 * 300)

        def write() -> None:
            nonlocal reached
            version = first.version
            try:
                for number in range(1, 4 * self.rounds + 1):
                    version = store.swap("tail", text(number), version, sync=False).version
                    numbers[version] = number
                    reached = number
            finally:
                done.set()

        def read(client: SegmentStore) -> None:
            last, known = 0, first.version
            while not done.is_set():
                floor = max(last, reached)
                answer = client.load("tail", known)
                if isinstance(answer, Document):
                    last, known = int(answer.data.split()[0]), answer.version
                    assert answer.data == text(last)
                assert last >= floor

        self.race(write, lambda: read(store), lambda: read(other))
        assert numbers[loaded(other, "tail").version] == 4 * self.rounds
