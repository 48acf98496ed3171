"""What holds between processes, and what the death of one leaves behind.

For stores that other processes reach. The tests fork: the children open clients of their own from the fixture.
"""

import os
import threading
from contextlib import suppress

from pqueue.abc import SegmentStore
from pqueue.errors import DocumentChanged
from pqueue.testing.stores.appends import SEAL, Grown, check_grown, grow, growing
from pqueue.testing.stores.base import StoreFactory, loaded
from pqueue.testing.stores.children import FORK, ProcessSuite, Send
from pqueue.testing.stores.documents import add_entries, check_entries, made_by
from pqueue.testing.stores.owners import registry
from pqueue.testing.stores.wakes import bell, woken


class ProcessTests(ProcessSuite):
    """What holds between processes that share a place."""

    def test_processes_see_one_another(self, store: SegmentStore, open_store: StoreFactory) -> None:
        """What one process wrote, swapped or deleted, another sees."""
        store.write("seg/a", b"a")
        document = store.swap("tail", b"1", None, sync=False)

        def work(send: Send) -> None:
            mine = open_store()
            found = loaded(mine, "tail")
            mine.swap("tail", b"2", found.version, sync=False)
            mine.write("seg/b", mine.read("seg/a") * 2)
            mine.delete(["seg/a"])
            send(found)

        with self.forked(work) as child:
            assert child.receive()[:2] == document[:2]
            assert loaded(store, "tail", document.version).data == b"2"
            assert [blob.name for blob in store.list("seg/")] == ["seg/b"]
            assert store.read("seg/b") == b"aa"

    def test_no_swap_is_lost_between_processes(self, store: SegmentStore, open_store: StoreFactory) -> None:
        """Processes add to one document at once: each addition is kept once, each winner built on the one before."""
        store.swap("tail", b"", None, sync=False)
        won = self.race_processes(lambda place: add_entries(open_store(), place, self.rounds))
        check_entries(loaded(store, "tail"), won, self.rounds)

    def test_one_process_makes_it(self, store: SegmentStore, open_store: StoreFactory) -> None:
        """Of processes that make a document at once exactly one succeeds."""
        made = self.race_processes(lambda place: made_by(open_store(), "queue.json", b"%d" % place))
        made = [document for document in made if document]
        assert len(made) == 1
        assert loaded(store, "queue.json")[:2] == made[0][:2]

    def test_a_killed_swapper_loses_nothing(self, store: SegmentStore, open_store: StoreFactory) -> None:
        """Of a process killed in the middle of a swap, all that returned is there, whole, and others go on at once."""

        def text(number: int) -> bytes:
            return b"%d " % number * (1 + number % 7 * 300)

        def swap_on(send: Send) -> None:
            mine = open_store()
            document = loaded(mine, "tail")
            number, version = int(document.data.split()[0]), document.version
            while True:
                number += 1
                version = mine.swap("tail", text(number), version, sync=number % 3 == 0).version
                send(number)

        store.swap("tail", text(0), None, sync=False)
        for kill in range(self.kills):
            with self.forked(swap_on) as child:
                reached = [child.receive() for _ in range(1 + 3 * kill)]
                reached += child.kill()
            while True:
                document = loaded(store, "tail")
                number = int(document.data.split()[0])
                assert document.data == text(number)
                assert number >= reached[-1]
                with suppress(DocumentChanged):  # a request that its sender did not live to see answered
                    store.swap("tail", text(number + 1), document.version, sync=False)
                    break

    def test_a_killed_writer_leaves_no_part(self, store: SegmentStore, open_store: StoreFactory) -> None:
        """Of a process killed in the middle of a write, what is listed is whole and what returned is listed."""
        data = bytes(range(256)) * 4096

        def write_on(send: Send) -> None:
            mine = open_store()
            for number in range(1_000_000):
                name = f"seg/{os.getpid()}-{number}"
                mine.write(name, data)
                send(name)

        for kill in range(self.kills):
            with self.forked(write_on) as child:
                written = [child.receive() for _ in range(1 + kill)]
                written += child.kill()
            found = dict(store.list("seg/"))
            assert set(written) <= set(found)
            assert set(found.values()) == {len(data)}
            assert all(store.read(name) == data for name in found)
            store.delete(found)


class AppendingProcessTests(ProcessTests):
    """What holds between processes where segments can grow, besides."""

    def test_no_append_is_lost_between_processes(self, store: SegmentStore, open_store: StoreFactory) -> None:
        """Processes append at once: what returned stands whole where it was put, and losers were told the truth."""
        store.write("seg/a", b"")

        def work(place: int) -> Grown:
            return grow(open_store(), place, 4 * self.rounds)

        grown = self.race_processes(work)
        check_grown(store.read("seg/a"), grown, 4 * self.rounds)

    def test_a_killed_appender_loses_nothing(self, store: SegmentStore, open_store: StoreFactory) -> None:
        """Of a process killed in the middle of an append, all that returned is there, then a part of one at most."""
        store.write("seg/a", b"")
        size = 0

        def text(number: int) -> bytes:
            return b"%06d " % number * 30_000

        def append_on(send: Send) -> None:
            mine, at = open_store(), size
            for number in range(1_000_000):
                growing(mine).append("seg/a", at, text(number), sync=False, seal=SEAL)
                at += len(text(number))
                send(number)

        for kill in range(self.kills):
            with self.forked(append_on) as child:
                reached = [child.receive() for _ in range(1 + 3 * kill)]
                reached += child.kill()
            stands = b"".join(text(number) for number in range(reached[-1] + 1))
            settled = growing(store).settle("seg/a")
            found = store.read("seg/a", size)
            assert size + len(found) == settled
            assert (stands + text(reached[-1] + 1)).startswith(found)
            assert found.startswith(stands)
            growing(store).append("seg/a", settled, b"next", sync=False, seal=SEAL)
            size = settled + len(b"next")


class OwnersProcessTests(ProcessSuite):
    """Owners of other processes."""

    def test_an_owner_dies_with_its_process(self, store: SegmentStore, open_store: StoreFactory) -> None:
        """An identity of another process is alive until that is killed, and dead at once then."""

        def work(send: Send) -> None:
            send([registry(open_store()).own() for _ in range(3)])
            threading.Event().wait()

        with self.forked(work) as child:
            owners = child.receive()
            assert all(registry(store).alive(owner) for owner in owners)
            child.kill()
            assert not any(registry(store).alive(owner) for owner in owners)

    def test_a_fork_does_not_end_an_owner(self, store: SegmentStore, other: SegmentStore) -> None:
        """A forked child that closes its parent's client, or dies, leaves the parent's identities alive."""
        owner = registry(store).own()

        def close(send: Send) -> None:
            store.close()
            send("closed")

        with self.forked(close) as child:
            child.receive()
            assert registry(other).alive(owner)
            child.kill()
        assert registry(other).alive(owner)
        assert registry(store).alive(owner)

    def test_a_fork_does_not_keep_an_owner(self, store: SegmentStore, open_store: StoreFactory) -> None:
        """An identity dies with its process even if a child that was forked from it lives on."""
        reader, writer = os.pipe()

        def work(send: Send) -> None:
            owner = registry(open_store()).own()
            running, started = os.pipe()
            if os.fork() == 0:
                os.write(started, b"!")  # past what a fork runs in the child
                os.close(writer)
                os.read(reader, 1)  # until the test's own process closes its end
                os._exit(0)
            os.read(running, 1)
            send(owner)
            threading.Event().wait()

        try:
            with self.forked(work) as child:
                owner = child.receive()
                assert registry(store).alive(owner)
                child.kill()
                assert not registry(store).alive(owner)
        finally:
            os.close(writer)
            os.close(reader)


class WakesProcessTests(ProcessSuite):
    """Waiters in other processes."""

    def test_wakes_another_process(self, store: SegmentStore, open_store: StoreFactory) -> None:
        """A waiter that has registered is woken by a notify of another process."""

        def work(send: Send) -> None:
            def ready() -> bool:
                send("registered")
                return False

            send(woken(open_store(), ready, self.patience / 2))

        with self.forked(work) as child:
            assert child.receive() == "registered"
            bell(store).notify()
            assert child.receive() is True

    def test_processes_wake_one_another_in_turn(self, store: SegmentStore, open_store: StoreFactory) -> None:
        """Two processes that wake one another in turn never miss a wake."""
        turn = FORK.Value("i", 0)
        last = 4 * self.rounds

        def play(client: SegmentStore, mine: int) -> None:
            def my_turn() -> bool:
                return bool(turn.value % 2 == mine or turn.value >= last)

            while turn.value < last:
                if turn.value % 2 == mine:
                    turn.value += 1
                    bell(client).notify()
                else:
                    assert woken(client, my_turn, self.patience / 2)

        def work(send: Send) -> None:
            play(open_store(), 1)
            send("played")

        with self.forked(work) as child:
            play(store, 0)
            assert child.receive() == "played"

    def test_a_killed_waiter_is_forgotten(self, store: SegmentStore, open_store: StoreFactory) -> None:
        """Notifying where a waiter was killed does no harm, and those that live are still woken."""

        def work(send: Send) -> None:
            def ready() -> bool:
                send("registered")
                return False

            bell(open_store()).wait(ready, 10 * self.patience)

        for _ in range(self.kills):
            with self.forked(work) as child:
                child.receive()
                child.kill()
            bell(store).notify()

            def ready() -> bool:
                bell(store).notify()
                return False

            assert woken(store, ready, self.patience / 2)
