"""Opening, probing, closing, and what a store declares."""

from contextlib import suppress

import pytest

from pqueue.abc import SegmentStore, StoreSettings
from pqueue.errors import QueueError, SettingsError
from pqueue.testing.stores.base import StoreFactory, StoreSuite, loaded


class PlaceTests(StoreSuite):
    """Opening, probing, closing, and what a store declares."""

    def test_declares_what_its_suite_tests(self, store: SegmentStore) -> None:
        """A store sets `appends`, `owners` and `wakes` exactly where its suite tests them."""
        assert (store.appends is not None) == self.appends, "AppendingStoreTests tests a store that sets `appends`"
        assert (store.owners is not None) == self.owners, "OwnersTests tests a store that sets `owners`"
        assert (store.wakes is not None) == self.wakes, "WakesTests tests a store that sets `wakes`"

    def test_settings_name_the_backend(self, store: SegmentStore) -> None:
        """The settings' model fixes `backend`, so that a mapping of settings tells which backend it is for."""
        assert issubclass(store.Settings, StoreSettings)
        assert isinstance(store.Settings.model_fields["backend"].default, str)

    def test_refuses_the_url_of_another(self, store: SegmentStore) -> None:
        """A URL whose scheme is not one of the backend's raises SettingsError."""
        with pytest.raises(SettingsError):
            type(store).from_url("no-such-scheme://place")

    def test_refuses_a_secret_in_a_url(self, store: SegmentStore) -> None:
        """A URL that holds a password raises SettingsError, and the error does not repeat it."""
        for scheme in store.schemes:
            with pytest.raises(SettingsError) as caught:
                type(store).from_url(f"{scheme}://user:hunter2@place/name")
            assert "hunter2" not in str(caught.value)

    def test_a_probe_leaves_nothing_behind(self, store: SegmentStore) -> None:
        """After a probe the place is as empty as before."""
        store.probe()
        assert list(store.list("")) == []
        assert [store.load(name) for name in ("tail", "head.default", "queue.json")] == [None] * 3

    def test_two_clients_see_one_another(self, store: SegmentStore, other: SegmentStore) -> None:
        """What one client wrote, swapped or deleted, the other sees at once."""
        store.write("seg/a", b"a")
        other.write("seg/b", b"b")
        document = store.swap("tail", b"1", None, sync=False)
        assert other.read("seg/a") == b"a"
        assert [blob.name for blob in store.list("seg/")] == ["seg/a", "seg/b"]
        assert loaded(other, "tail").data == b"1"
        other.swap("tail", b"2", document.version, sync=False)
        assert loaded(store, "tail").data == b"2"
        other.delete(["seg/a", "tail"])
        assert [blob.name for blob in store.list("seg/")] == ["seg/b"]
        assert store.load("tail") is None

    def test_what_is_stored_outlives_its_client(self, open_store: StoreFactory) -> None:
        """A place that every client has closed still holds what they stored."""
        first = open_store()
        first.write("seg/a", b"a")
        document = first.swap("tail", b"1", None, sync=True)
        first.close()
        second = open_store()
        assert second.read("seg/a") == b"a"
        assert loaded(second, "tail").version == document.version

    def test_closing_twice_does_nothing(self, store: SegmentStore) -> None:
        """A second close does nothing."""
        store.close()
        store.close()

    def test_closing_one_client_leaves_the_others_working(self, store: SegmentStore, other: SegmentStore) -> None:
        """A client goes on when another one of the same place is closed."""
        document = store.swap("tail", b"1", None, sync=False)
        other.swap("tail", b"2", document.version, sync=False)
        other.close()
        store.write("seg/a", b"a")
        assert store.read("seg/a") == b"a"
        assert loaded(store, "tail").data == b"2"

    def test_foreign_errors_stay_inside_after_close(self, store: SegmentStore) -> None:
        """A call on a closed client works or raises a QueueError, nothing else."""
        store.write("seg/a", b"a")
        document = store.swap("tail", b"1", None, sync=False)
        store.close()
        with suppress(QueueError):
            store.write("seg/b", b"b")
        with suppress(QueueError):
            store.read("seg/a")
        with suppress(QueueError):
            list(store.list("seg/"))
        with suppress(QueueError):
            store.load("tail", document.version)
        with suppress(QueueError):
            store.swap("tail", b"2", document.version, sync=True)
        with suppress(QueueError):
            store.delete(["seg/a", "tail"])
