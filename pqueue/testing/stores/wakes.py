"""Wakes: whoever waits is woken."""

import threading
import time
from collections.abc import Callable
from typing import ClassVar

from pqueue.abc import SegmentStore, Wakes
from pqueue.testing.stores.base import StoreSuite


def bell(store: SegmentStore) -> Wakes:
    """The store's side that wakes."""
    assert store.wakes is not None
    return store.wakes


def woken(store: SegmentStore, ready: Callable[[], bool], timeout: float) -> bool:
    """Whether a wait ended before its timeout: woken or ready."""
    began = time.monotonic()
    return bell(store).wait(ready, timeout) and time.monotonic() - began < timeout


class WakesTests(StoreSuite):
    """Wakes: whoever waits is woken. A wake that is lost shows as a wait that lasts until its timeout."""

    wakes: ClassVar[bool] = True

    def test_does_not_sleep_when_ready(self, store: SegmentStore) -> None:
        """A waiter that is ready returns True at once."""
        assert woken(store, lambda: True, self.patience)

    def test_a_wait_ends(self, store: SegmentStore, other: SegmentStore) -> None:
        """A wait that nobody ends returns False after its timeout, which may be nothing."""
        assert not bell(store).wait(lambda: False, 0)
        assert not bell(other).wait(lambda: False, 0.02)

    def test_notifying_nobody(self, store: SegmentStore, other: SegmentStore) -> None:
        """Where nobody waits, a notify does nothing."""
        for _ in range(100):
            bell(store).notify()
            bell(other).notify()

    def test_wakes_all_waiters(self, store: SegmentStore, other: SegmentStore) -> None:
        """One notify wakes every waiter that has registered, its own client's and others'."""
        asked = threading.Semaphore(0)

        def wait(client: SegmentStore) -> bool:
            def ready() -> bool:
                asked.release()
                return False

            return woken(client, ready, self.patience / 2)

        def wake() -> bool:
            for _ in range(2 * self.threads):
                assert asked.acquire(timeout=self.patience / 2)
            bell(store).notify()
            return True

        waiters = [lambda client=client: wait(client) for client in [store, other] * self.threads]
        assert all(self.race(*waiters, wake))

    def test_registers_before_it_asks(self, store: SegmentStore, other: SegmentStore) -> None:
        """A notify that comes while the waiter asks whether it is ready is not lost."""
        for waker in (store, other):

            def ready(waker: SegmentStore = waker) -> bool:
                bell(waker).notify()
                return False

            assert woken(store, ready, self.patience / 2)

    def test_wakes_again_and_again(self, store: SegmentStore, other: SegmentStore) -> None:
        """Two that wake one another in turn never miss a wake."""
        turn = 0
        last = 4 * self.rounds

        def play(client: SegmentStore, mine: int) -> None:
            nonlocal turn

            def my_turn() -> bool:
                return turn % 2 == mine or turn >= last

            while turn < last:
                if turn % 2 == mine:
                    turn += 1
                    bell(client).notify()
                else:
                    assert woken(client, my_turn, self.patience / 2)

        self.race(lambda: play(store, 0), lambda: play(other, 1))
