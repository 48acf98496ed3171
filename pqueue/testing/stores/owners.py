"""Owners: identities that go with their process."""

from typing import ClassVar

from pqueue.abc import Owners, SegmentStore
from pqueue.testing.stores.base import StoreSuite


def registry(store: SegmentStore) -> Owners:
    """The store's side that knows who lives."""
    assert store.owners is not None
    return store.owners


class OwnersTests(StoreSuite):
    """Owners: identities that go with their process."""

    owners: ClassVar[bool] = True

    def test_an_owner_lives(self, store: SegmentStore, other: SegmentStore) -> None:
        """An identity is alive from `own` on, as its own client and others see it."""
        owner = registry(store).own()
        assert isinstance(owner, str)
        assert registry(store).alive(owner)
        assert registry(other).alive(owner)

    def test_every_identity_is_new(self, store: SegmentStore, other: SegmentStore) -> None:
        """No two calls give the same identity, and all of a client's are alive together."""
        owners = [registry(client).own() for client in (store, other) for _ in range(10)]
        assert len(set(owners)) == 20
        assert all(registry(store).alive(owner) and registry(other).alive(owner) for owner in owners)

    def test_an_owner_dies_with_its_client(self, store: SegmentStore, other: SegmentStore) -> None:
        """Closing a client ends its identities, and nobody else's."""
        mine, another = registry(store).own(), registry(other).own()
        other.close()
        assert not registry(store).alive(another)
        assert registry(store).alive(mine)

    def test_a_dead_identity_is_not_given_again(self, store: SegmentStore, other: SegmentStore) -> None:
        """An identity whose client was closed stays dead, whoever comes after it."""
        dead = registry(other).own()
        other.close()
        assert dead not in {registry(store).own() for _ in range(10)}
        assert not registry(store).alive(dead)

    def test_identities_are_taken_at_once(self, store: SegmentStore, other: SegmentStore) -> None:
        """Threads that ask at once get identities of their own."""
        takers = [
            lambda client=client: [registry(client).own() for _ in range(self.rounds)]
            for client in [store, other] * self.threads
        ]
        owners = [owner for taken in self.race(*takers) for owner in taken]
        assert len(set(owners)) == 2 * self.threads * self.rounds
        assert all(registry(store).alive(owner) for owner in owners)
