"""Where segments are written whole, what is new is claimed by its place, and read by whoever has got it."""

import gc
import itertools
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest

import pqueue
from pqueue import leases, swaps, tab, underway
from pqueue.errors import DocumentChanged
from pqueue.fetching import Fetcher
from pqueue.names import SEGMENTS
from pqueue.remove import remove
from pqueue.request import Request
from tests.support.drain import drained
from tests.support.interrupts import after_next_swap
from tests.support.places import make

KINDS = ("memory-blobs", "folder-blobs", "bucket")


@pytest.fixture(params=KINDS)
def whole(request, tmp_path):
    return make(request.param, tmp_path, lambda: request.getfixturevalue("s3_server"))


class Reads:
    """The segments that a queue object reads; `fail` of them raise first, from the one numbered `since` on."""

    def __init__(self, queue, monkeypatch, fail=0, since=0, error=pqueue.StoreError):
        self.names = []
        self.fail = fail
        self._since = since
        self._error = error
        self._guard = threading.Lock()
        self._read = queue._store.read
        monkeypatch.setattr(queue._store, "read", self._counted)

    def _counted(self, name, *part):
        if name.startswith(SEGMENTS):
            with self._guard:
                self.names.append(name)
                fails = self.fail > 0 and len(self.names) > self._since
                self.fail -= fails
            if fails:
                raise self._error("no answer")
        return self._read(name, *part)


def filled(place, segments=3, each=3, **settings):
    """A queue with so many segments, of the numbers from 0 on."""
    queue = place.open(**settings)
    for number in range(segments):
        queue.put_many(range(each * number, each * (number + 1)))
    return queue


def handed(queue, count, timeout=5):
    """Items and attempts, acknowledged."""
    batch = queue.receive_many(count, timeout=timeout)
    found = [(message.item, message.attempt) for message in batch]
    batch.ack()
    return found


def at_once(queue, count):
    """As `handed`, and whoever finds nothing says so."""
    return handed(queue, count, timeout=0)


def first(queue, total, by):
    """So many items and attempts, acknowledged, by so many; it may be less at a time, one by one even (rule 18)."""
    found = []
    while len(found) < total:
        found += handed(queue, by)
    return found


def claimed(place):
    """Items that somebody has claimed, and given back ones."""
    with place.open() as queue:
        stats = queue.stats()
        return stats.claimed, stats.waiting


def test_what_another_has_claimed_meanwhile_was_not_read_for_it(whole, monkeypatch):
    with filled(whole, segments=4, each=2) as one, whole.open() as other:
        held = other.receive_many(2), one.receive_many(2)
        assert [batch.items for batch in held] == [[0, 1], [2, 3]]
        reads = Reads(other, monkeypatch)
        assert other.receive_many(2).items == [4, 5], "its first swap is lost: it knows an old head"
        assert len(set(reads.names)) == len(reads.names)
        assert other.receive_many(10).items == [6, 7]
        if whole.kind == "bucket":  # elsewhere, what is straight ahead is decoded first
            assert len(set(reads.names)) == len(reads.names) == 2


@pytest.mark.parametrize("since", [0, 1, 2])
@pytest.mark.parametrize("fail", [1, 2, 3])
def test_what_could_not_be_read_then_was_never_handed_out(whole, monkeypatch, fail, since):
    """It is given back uncounted: none is an attempt, however often it fails."""
    with filled(whole, max_attempts=1) as queue:
        Reads(queue, monkeypatch, fail, since)
        found = []
        while len(found) < 9:
            try:
                found += handed(queue, 5)
            except pqueue.StoreError:
                assert fail
        assert found == [(item, 1) for item in range(9)]
        assert not queue.dead
        assert len(queue) == 0


def test_what_can_not_be_read_is_given_back_for_others_though_nobody_asks_again(whole, monkeypatch):
    with filled(whole, max_attempts=1, lease=600) as queue, whole.open() as other:
        Reads(queue, monkeypatch, fail=100)
        swap, left = queue._store.swap, [2]

        def refused(*how):
            left[0] -= 1
            if left[0] >= 0 and threading.current_thread() is not threading.main_thread():
                raise pqueue.StoreError("slow down")
            return swap(*how)

        with pytest.raises(pqueue.StoreError):
            while True:
                queue.receive_many(9)
        left[0] = 2
        queue._store.swap = refused
        held = [other.receive(timeout=20) for _ in range(9)]
        assert sorted((message.item, message.attempt) for message in held) == [(item, 1) for item in range(9)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupted_in_reading_the_next_call_reads_on(whole, monkeypatch, error):
    with filled(whole, max_attempts=1) as queue:
        with monkeypatch.context() as failing:
            failing.setattr(Fetcher, "_read", lambda *_: (_ for _ in ()).throw(error()))
            with pytest.raises(error):
                queue.receive_many(4)
        found = first(queue, 9, by=4)
        assert found == [(item, 1) for item in range(9)]


def test_interrupted_in_reading_and_closed_it_is_for_others_at_once(whole, monkeypatch):
    with filled(whole, max_attempts=1) as other:
        with whole.open(lease=600) as queue:
            monkeypatch.setattr(Fetcher, "_read", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
            with pytest.raises(KeyboardInterrupt):
                queue.receive_many(4)
            monkeypatch.undo()
        found = first(other, 9, by=9)
        assert found == [(item, 1) for item in range(9)]


def test_closed_behind_a_read_that_failed_nothing_is_kept(whole, monkeypatch):
    with filled(whole, max_attempts=1) as other:
        queue = whole.open(lease=600)
        with monkeypatch.context() as failing:
            Reads(queue, failing, fail=1)
            failing.setattr(queue._consumer, "remind", lambda: None)
            with pytest.raises(pqueue.StoreError):
                while True:
                    queue.receive_many(9)
        queue.close()
        found = first(other, 9, by=9)
        assert found == [(item, 1) for item in range(9)]


def test_several_threads_whose_reading_fails_now_and_then_get_each_item_once(whole, monkeypatch):
    with filled(whole, segments=20, max_attempts=2) as queue:
        reads = Reads(queue, monkeypatch)
        found, guard = [], threading.Lock()

        def work():
            for number in itertools.count():
                reads.fail = int(number < 10)
                try:
                    batch = queue.receive_many(4, timeout=1)
                except pqueue.Empty:
                    return
                except pqueue.StoreError:
                    continue
                with guard:
                    found.extend(batch.items)
                while True:
                    with suppress(pqueue.StoreError):  # what fails for one of a group does for all
                        batch.ack()
                        break

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [*range(60)]
        assert not queue.dead
        assert len(queue) == 0


def test_threads_of_one_object_read_what_they_claimed_one_after_another(whole, monkeypatch):
    """They share a reader, which goes on where it was."""
    with filled(whole, segments=8) as queue:
        inside, most = [], []
        read = Fetcher._read

        def slowly(fetcher, lot):
            inside.append(lot)
            most.append(len(inside))
            time.sleep(0.02)
            try:
                return read(fetcher, lot)
            finally:
                inside.remove(lot)

        monkeypatch.setattr(Fetcher, "_read", slowly)
        with ThreadPoolExecutor(4) as pool:
            batches = [*pool.map(lambda _: queue.receive_many(6), range(4))]
        assert sorted(item for batch in batches for item in batch.items) == [*range(24)]
        assert max(most, default=1) == 1


def test_an_interrupted_swap_that_claimed_by_place_is_read_by_the_next(whole, monkeypatch):
    with filled(whole, max_attempts=1) as queue:
        after_next_swap(queue, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            queue.receive_many(4)
        found = first(queue, 9, by=4)
        assert found == [(item, 1) for item in range(9)]


def spoil(queue, number):
    """Damage the last byte of a segment."""
    name = sorted(blob.name for blob in queue._store.list(SEGMENTS))[number]
    data = bytearray(queue._store.read(name))
    data[-1] ^= 1
    queue._store.delete([name])
    queue._store.write(name, bytes(data))


def lose(queue, number):
    """Delete a segment."""
    queue._store.delete([sorted(blob.name for blob in queue._store.list(SEGMENTS))[number]])


@pytest.mark.parametrize("count", [1, 4, 5, 9, 100])
@pytest.mark.parametrize(("trouble", "reason"), [(spoil, "damaged"), (lose, "missing")])
@pytest.mark.parametrize("bad", [0, 1])
def test_what_is_damaged_or_missing_is_told_once_and_all_behind_it_delivered(whole, trouble, reason, count, bad):
    """Though it was claimed in parts by somebody who could not know."""
    with filled(whole, segments=4) as queue:
        trouble(queue, bad)
        found, told = drained(queue, at_once, count, pqueue.CorruptSegment)
        assert found == [(item, 1) for item in range(12) if item // 3 != bad]
        assert len(told) == 1
        assert [letter.reason for letter in queue.dead] == [reason]


@pytest.mark.parametrize("bad", [0, 6])
@pytest.mark.parametrize("count", [1, 7])
def test_an_item_that_its_serializer_refuses_is_told_once_and_its_neighbours_delivered(whole, monkeypatch, count, bad):
    with filled(whole, segments=2, each=5) as queue:
        loads = queue._consumer._serializer.loads

        def refuse(data):
            if (item := loads(data)) == bad:
                raise pqueue.SerializationError("not this one")
            return item

        monkeypatch.setattr(queue._consumer._serializer, "loads", refuse)
        monkeypatch.setattr(queue._consumer._serializer, "loads_many", lambda many: [refuse(one) for one in many])
        found, told = drained(queue, at_once, count, pqueue.SerializationError)
        assert [item for item, _ in found] == [item for item in range(10) if item != bad]
        assert len(told) == 1
        assert len(queue.dead) == 1


def test_a_reader_that_raises_something_of_its_own_claims_no_more_each_time(whole, monkeypatch):
    with filled(whole, max_attempts=1) as queue:
        with monkeypatch.context() as failing:
            Reads(queue, failing, fail=100, error=OSError)
            for _ in range(5):
                with pytest.raises(OSError, match="no answer"):
                    queue.receive_many(4)
            queue._consumer.settle()
        assert claimed(whole)[0] == 0
        found = first(queue, 9, by=4)
        assert found == [(item, 1) for item in range(9)]


def test_a_missing_segment_that_an_answer_gives_back_is_set_aside(whole):
    """Planned without the answer there is nothing to set aside, and nothing that would ever end it."""
    with filled(whole, segments=2) as queue:
        batch = queue.receive_many(3)
        with closing(whole.connect()) as store:
            store.delete(sorted(blob.name for blob in store.list(SEGMENTS))[:1])
        batch.nack()
        found, told = drained(queue, at_once, 3, pqueue.CorruptSegment)
        assert [item for item, _ in found] in ([3, 4, 5], [*range(6)])
        assert len(told) <= 1


class Meeting:
    """Two consumers of one queue, one of which has just lost a swap, in a store where these are dear."""

    def __init__(self, place, monkeypatch, **settings):
        monkeypatch.setattr(swaps, "_LONGEST", 1e9)
        self.one, self.other = filled(place, segments=6, each=2), place.open(**settings)
        self.other.receive_many(1).ack()
        self.one.receive_many(1).ack()
        self.swaps = self.other._consumer._swaps
        self.swaps._seconds = 80.0  # so that nothing of a pause passes by itself
        self.slept = []
        monkeypatch.setattr(self.other._consumer._runtime, "sleep", self._noted)
        self.lost = []
        self._swap = self.other._store.swap
        monkeypatch.setattr(self.other._store, "swap", self._swapped)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.other.close()
        self.one.close()

    def _noted(self, seconds):
        self.slept.append(seconds)
        self.swaps._pause_until = 0.0  # it has passed

    def _swapped(self, name, *how):
        try:
            return self._swap(name, *how)
        except DocumentChanged:
            self.lost.append(name)
            raise


def test_who_has_met_another_where_there_is_little_waits_before_it_claims_and_looks_then(whole, monkeypatch):
    with Meeting(whole, monkeypatch) as met:
        batch = met.other.receive_many(100)  # more than there is
        assert met.lost
        assert not met.slept
        batch.ack()
        assert not met.slept, "an acknowledgement waits for nothing"
        met.one.put_many("ab")
        met.one.put_many("cd")
        assert met.one.receive_many(2).items == ["a", "b"]
        met.lost.clear()
        assert met.other.receive_many(100).items == ["c", "d"]
        assert len(met.slept) == 1
        assert not met.lost, "it has looked before it claims"


def test_where_there_is_enough_nobody_waits_for_long(whole, monkeypatch):
    with Meeting(whole, monkeypatch) as met:
        met.other.receive_many(1)
        assert met.lost
        met.other.receive_many(1)
        assert len(met.slept) == 1
        assert met.slept[0] < 1.5 * 80


def test_the_wait_is_a_small_part_of_the_lease(whole, monkeypatch):
    with Meeting(whole, monkeypatch, lease=1.0) as met:
        met.other.receive_many(100)
        assert met.lost
        met.one.put("a")
        met.other.receive_many(100)
        assert len(met.slept) == 1
        assert met.slept[0] <= 0.1


def test_whoever_meets_nobody_any_more_waits_less_each_time(whole, monkeypatch):
    with Meeting(whole, monkeypatch) as met:
        met.other.receive_many(100)
        assert met.lost
        turns = []
        for number in range(8):
            turns.append(met.swaps._turns)
            met.one.put(number)
            met.other.receive_many(100)
        assert turns == [16, 8, 4, 2, 1, 0.5, 0.25, 0.125]
        assert len(met.slept) == 5


def during_reads(queue, act):
    """Have it called before each read of a segment."""
    read = queue._store.read

    def acted(name, *part):
        if name.startswith(SEGMENTS):
            act()
        return read(name, *part)

    queue._store.read = acted


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_being_read_when_its_object_is_closed_is_for_others_at_once(whole, fails):
    with filled(whole, max_attempts=1) as other:
        queue = whole.open(lease=600)
        inside, gate, ended = threading.Event(), threading.Event(), []

        def wait():
            inside.set()
            assert gate.wait(20)
            if fails:
                raise pqueue.StoreError("no answer")

        during_reads(queue, wait)

        def receive():
            try:
                ended.append(queue.receive_many(9).items)
            except pqueue.QueueError as error:
                ended.append(type(error))

        thread = threading.Thread(target=receive)
        thread.start()
        assert inside.wait(20)
        threading.Timer(0.3, gate.set).start()
        queue.close()
        found = first(other, 9, by=9)
        thread.join()
        assert ended == [pqueue.ShutDown]
        assert found == [(item, 1) for item in range(9)]
        assert not other.dead


def test_what_is_being_read_for_longer_than_its_lease_is_renewed_like_anything_held(whole):
    """Threads of one object read one after another, so that the last of them waits for several reads."""
    how = {"lease": 2.0, "auto_extend": False}
    with filled(whole, segments=6, each=1, max_attempts=1, **how) as queue, whole.open(**how) as other:
        during_reads(queue, lambda: time.sleep(0.6))
        found, guard = [], threading.Lock()

        def work(one, most):
            for _ in range(most):
                try:
                    message = one.receive(timeout=2)
                except pqueue.Empty:
                    return
                with guard:
                    found.append((message.item, message.attempt))
                message.ack()

        threads = [threading.Thread(target=work, args=(queue, 1)) for _ in range(6)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        threads.append(threading.Thread(target=work, args=(other, 6)))
        threads[-1].start()
        for thread in threads:
            thread.join()
        while len(other):
            found += handed(other, 9)
        assert sorted(found) == [(item, 1) for item in range(6)]
        assert not other.dead


def test_what_is_given_back_while_the_keeper_gives_something_back_goes_with_its_next_look(whole, monkeypatch):
    with filled(whole, segments=1, each=2, max_attempts=1, lease=600) as queue, whole.open() as other:
        consumer = queue._consumer
        claim = consumer.draw_claim()
        lots = consumer.ask(Request(lend=2, claim=claim, lease_ms=600_000)).lots
        settle, unseen = consumer.settle, []

        def settled():
            settle()
            if unseen:
                consumer.unseen(claim, unseen.pop())

        monkeypatch.setattr(consumer, "settle", settled)
        queue._leases.keeper.within(0.01)
        time.sleep(0.3)  # it has looked, and sleeps
        unseen.append(lots)
        queue._leases.keeper.within(0.01)
        found = []
        for _ in range(2):
            message = other.receive(timeout=20)
            found.append((message.item, message.attempt))
            message.ack()
        assert sorted(found) == [(0, 1), (1, 1)]


def test_interrupted_in_reading_and_idle_it_is_for_others_soon(whole):
    with filled(whole, max_attempts=1, lease=600) as queue, whole.open() as other:
        reads = itertools.count()

        def interrupt():
            if not next(reads):
                raise KeyboardInterrupt

        during_reads(queue, interrupt)
        with pytest.raises(KeyboardInterrupt):
            queue.receive_many(9)
        found = []
        while len(found) < 9:
            message = other.receive(timeout=20)
            found.append((message.item, message.attempt))
            message.ack()
        assert sorted(found) == [(item, 1) for item in range(9)]


@pytest.mark.parametrize("at", ["sent", "answered"])
def test_what_a_swap_claims_while_its_object_is_closed_is_handed_out_or_for_others_at_once(whole, at):
    with filled(whole, max_attempts=1) as other:
        queue = whole.open(lease=600)
        inside, gate, handed_out = threading.Event(), threading.Event(), []
        swap = queue._store.swap

        def swapped(*how):
            first = threading.current_thread() is thread and not inside.is_set()
            document = swap(*how) if at == "answered" else None
            if first:
                inside.set()
                assert gate.wait(20)
            return document or swap(*how)

        queue._store.swap = swapped

        def receive():
            with suppress(pqueue.ShutDown):
                handed_out.extend((message.item, message.attempt) for message in queue.receive_many(9))

        thread = threading.Thread(target=receive)
        thread.start()
        assert inside.wait(20)
        threading.Timer(0.3, gate.set).start()
        queue.close()
        thread.join()
        found = []
        while len(handed_out) + len(found) < 9:
            found += handed(other, 9)
        assert handed_out + found == [(item, 1) for item in range(9)]
        assert not other.dead


def test_two_threads_that_receive_while_their_object_is_closed_leave_nothing_claimed_that_they_did_not_get(whole):
    for number in range(6):
        place = whole.again()
        other = filled(place, segments=4, each=3, max_attempts=1)
        queue = place.open(lease=600)
        slowly(queue, 0.01)
        got = set()

        def work(queue=queue, got=got):
            with suppress(pqueue.QueueError):
                while True:
                    message = queue.receive(timeout=1)
                    got.add(message.item)
                    message.ack()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.05 * number)
        queue.close()
        for thread in threads:
            thread.join()
        found = set()
        with suppress(pqueue.Empty):
            while True:
                found.update(item for item, _ in handed(other, 9, timeout=0))
        assert got | found == {*range(12)}
        assert {letter.offset for letter in other.dead} <= got, "whoever held them is closed"
        other.close()


def slowly(queue, seconds):
    """Have its swaps and reads take so much longer."""
    swap, read = queue._store.swap, queue._store.read

    def swapped(*how):
        time.sleep(seconds)
        document = swap(*how)
        time.sleep(seconds)
        return document

    def reads(name, *part):
        time.sleep(2 * seconds * name.startswith(SEGMENTS))
        return read(name, *part)

    queue._store.swap, queue._store.read = swapped, reads


@pytest.mark.parametrize("what", ["unseen", "remind"])
def test_interrupted_as_it_gives_back_what_could_not_be_read_nothing_is_kept(whole, monkeypatch, what):
    with filled(whole, max_attempts=1) as other:
        queue = whole.open(lease=600)
        consumer = queue._consumer
        act, calls = getattr(consumer, what), itertools.count()

        def interrupted(*how):
            if not next(calls):
                raise KeyboardInterrupt
            return act(*how)

        with monkeypatch.context() as failing:
            failing.setattr(Fetcher, "_read", lambda *_: (_ for _ in ()).throw(pqueue.StoreError("no answer")))
            failing.setattr(consumer, what, interrupted)
            with pytest.raises(KeyboardInterrupt):
                queue.receive_many(9)
        found = handed(queue, 1)
        queue.close()
        while len(found) < 9:
            found += handed(other, 9)
        assert found == [(item, 1) for item in range(9)]


def test_what_one_thread_reads_keeps_no_acknowledgement_of_another_waiting(whole, monkeypatch):
    """The keeper sends them; and would renew nothing while it waited."""
    with filled(whole, each=1, lease=600, ack_linger=0.1) as queue, whole.open() as other:
        held = [queue.receive(), queue.receive()]
        inside, gate = threading.Event(), threading.Event()
        read = Fetcher._read

        def wait(fetcher, lot):
            inside.set()
            assert gate.wait(60)
            return read(fetcher, lot)

        monkeypatch.setattr(Fetcher, "_read", wait)
        queue._consumer._straight._winding = True
        held[0].ack(wait=False)  # goes with the next claim
        with ThreadPoolExecutor(1) as pool:
            third = pool.submit(queue.receive)
            try:
                assert inside.wait(20)
                held[1].ack(wait=False)
                until = time.monotonic() + 20
                while len(other) > 1 and time.monotonic() < until:
                    time.sleep(0.02)
                assert len(other) == 1
            finally:
                gate.set()
            assert third.result().item == 2


def test_an_object_that_nobody_refers_to_goes_once_it_has_given_back_what_could_not_be_read(whole, monkeypatch):
    with filled(whole, max_attempts=1) as other:
        queue = whole.open(lease=600)
        reads = Reads(queue, monkeypatch, fail=100)
        monkeypatch.setattr(leases.log, "warning", lambda *_: None)  # a record that is kept keeps the object
        swap, fails = queue._store.swap, [2]

        def refused(*how):
            if reads.names and fails[0]:
                fails[0] -= 1
                raise pqueue.StoreError("slow down")
            return swap(*how)

        queue._store.swap = refused
        with pytest.raises(pqueue.StoreError):
            while True:
                queue.receive_many(9)
        known = weakref.ref(queue)
        del queue
        gc.collect()
        assert known() is None
        found, until = [], time.monotonic() + 20
        while len(found) < 9 and time.monotonic() < until:
            gc.collect()  # what the keeper no longer holds is gone
            with suppress(pqueue.Empty):
                found += handed(other, 1, timeout=0.1)
        assert sorted(found) == [(item, 1) for item in range(9)]


def test_who_comes_to_claim_when_its_object_is_about_to_be_closed_claims_nothing(whole, monkeypatch):
    with filled(whole, max_attempts=1) as other:
        queue = whole.open(lease=600)
        inside, gate, ended = threading.Event(), threading.Event(), []
        take, close = queue._receiver.take, queue._receiver.close

        def late(*how):
            inside.set()
            assert gate.wait(20)
            return take(*how)

        def receive():
            try:
                ended.append(queue.receive_many(9))
            except pqueue.ShutDown as error:
                ended.append(type(error))

        def closing():
            gate.set()
            thread.join()
            close()

        monkeypatch.setattr(queue._receiver, "take", late)
        monkeypatch.setattr(queue._receiver, "close", closing)
        thread = threading.Thread(target=receive)
        thread.start()
        assert inside.wait(20)
        queue.close()
        assert ended == [pqueue.ShutDown]
        found = first(other, 9, by=9)
        assert found == [(item, 1) for item in range(9)]


def test_a_claim_that_was_given_back_has_its_id_for_itself(whole, monkeypatch):
    """To give it back once more changes nothing."""
    with filled(whole, segments=6) as queue:
        Reads(queue, monkeypatch, fail=3)
        ask, claims = queue._consumer.ask, []

        def asked(request):
            outcome = ask(request)
            claims.extend([request.claim] * bool(outcome.lots))
            return outcome

        monkeypatch.setattr(queue._consumer, "ask", asked)
        found = []
        while len(found) < 18:
            with suppress(pqueue.StoreError):
                found += handed(queue, 5)
        assert len(claims) == len(set(claims)) >= 3


def test_a_close_that_could_not_give_back_what_could_not_be_read_is_to_be_called_again(whole, monkeypatch):
    with filled(whole, max_attempts=1) as other:
        queue = whole.open(lease=600)
        monkeypatch.setattr(queue._consumer, "remind", lambda: None)
        with monkeypatch.context() as failing:
            failing.setattr(Fetcher, "_read", lambda *_: (_ for _ in ()).throw(pqueue.StoreError("no answer")))
            with pytest.raises(pqueue.StoreError):
                queue.receive_many(9)
            failing.setattr(queue._store, "swap", lambda *_: (_ for _ in ()).throw(pqueue.StoreError("slow down")))
            with pytest.raises(pqueue.StoreError):
                queue.close()
        queue.close()
        found = first(other, 9, by=9)
        assert found == [(item, 1) for item in range(9)]


@pytest.mark.parametrize("trouble", [spoil, lose])
def test_trouble_that_is_met_behind_the_swap_is_told_by_the_very_call_that_met_it(whole, trouble):
    with filled(whole) as queue:
        trouble(queue, 0)
        queue._consumer._straight._winding = True
        with pytest.raises(pqueue.CorruptSegment):
            queue.receive_many(9, block=False)


@pytest.mark.parametrize("when", ["in reading", "before"])
def test_interrupted_with_answers_that_went_along_all_is_told_and_lent_once(whole, monkeypatch, when):
    with filled(whole, segments=4, each=2, lease=600) as queue:
        queue.receive_many(2).ack(wait=False)
        queue._consumer._straight._winding = True
        with monkeypatch.context() as failing:
            interrupted = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt())  # noqa: E731
            if when == "before":
                failing.setattr(tab, "_tell", interrupted)
            else:
                failing.setattr(Fetcher, "_read", interrupted)
            with pytest.raises(KeyboardInterrupt):
                queue.receive_many(2)
        found = first(queue, 6, by=2)
        assert found == [(item, 1) for item in range(2, 8)]
        assert len(queue) == 0
        assert not queue._consumer._owing.told


def test_what_is_to_be_given_back_is_noted_once_however_often_that_fails(whole, monkeypatch):
    with filled(whole, segments=1, each=8) as queue, whole.open() as other:
        consumer = queue._consumer
        claim = consumer.draw_claim()
        lots = consumer.ask(Request(lend=2, claim=claim, lease_ms=600_000)).lots
        monkeypatch.setattr(consumer, "remind", lambda: None)
        consumer.unseen(claim, lots)
        with monkeypatch.context() as failing:
            failing.setattr(queue._store, "swap", lambda *_: (_ for _ in ()).throw(pqueue.StoreError("slow down")))
            for _ in range(6):
                with pytest.raises(pqueue.StoreError):
                    consumer.settle()
                other.receive().ack()  # so that what was sent is never applied
            assert len(consumer._owing.again) <= 1
        consumer.settle()
        assert handed(other, 2) == [(0, 1), (1, 1)]


def test_whoever_has_something_to_give_back_to_a_queue_that_was_removed_closes_all_the_same(whole, monkeypatch):
    queue = filled(whole)
    monkeypatch.setattr(queue._consumer, "remind", lambda: None)
    with monkeypatch.context() as failing:
        failing.setattr(Fetcher, "_read", lambda *_: (_ for _ in ()).throw(pqueue.StoreError("no answer")))
        with pytest.raises(pqueue.StoreError):
            queue.receive_many(9)
    with closing(whole.connect()) as store:
        remove(store)
    assert not queue._leases._settled(), "nothing is asked again"
    queue.close()


def test_who_waits_before_it_claims_has_nothing_in_hand_that_others_wait_for(whole, monkeypatch):
    with Meeting(whole, monkeypatch) as met:
        batch = met.other.receive_many(100)  # more than there is
        assert met.lost
        batch.ack(wait=False)
        met.one.put("a")
        tab = met.other._receiver._tab
        free = []
        monkeypatch.setattr(
            met.other._consumer._runtime, "sleep", lambda _: free.append(bool(tab) and not tab._swapping.locked())
        )
        met.other.receive_many(100)
        assert free == [True]


@pytest.mark.parametrize("call", ["receive", "ack"])
def test_close_waits_until_what_a_call_has_claimed_for_the_next_is_kept(whole, call):
    with filled(whole, max_attempts=3) as other:
        queue = whole.open(lease=600)
        inside, keep, held = threading.Event(), queue._receiver._keep, [queue.receive()]

        def late(shares):
            inside.set()
            time.sleep(0.3)
            keep(shares)

        def work():
            pace = queue._receiver._pace
            if call == "ack":
                pace.asked = (2, 600_000)
                held.pop().ack()
            else:
                pace.eager, pace.answered = True, time.monotonic()
                held.append(queue.receive())

        queue._receiver._keep = late
        thread = threading.Thread(target=work)
        thread.start()
        assert inside.wait(20)
        queue.close()
        thread.join()
        first = 2 if held else 1
        found = []
        while len(found) < 9 - first:
            found += [one for one in handed(other, 9) if one[0] >= first]  # what is in hand comes again, too
        assert found == [(item, 1) for item in range(first, 9)]


@pytest.mark.parametrize("call", ["receive", "get"])
def test_who_comes_while_its_object_flushes_for_a_close_claims_nothing_that_could_stay_unheard(whole, call):
    with filled(whole, max_attempts=1) as other:
        queue = whole.open(lease=600)
        swap, finish, inside = queue._store.swap, queue._log.finish, threading.Event()

        def swapped(*how):
            document = swap(*how)
            if threading.current_thread() is not thread:
                return document
            inside.set()
            raise pqueue.StoreError("no answer")

        def come():
            with suppress(pqueue.QueueError):
                getattr(queue, call)()

        def finished():
            thread.start()
            inside.wait(0.5)
            finish()

        thread = threading.Thread(target=come)
        queue._store.swap, queue._log.finish = swapped, finished
        queue.close()
        thread.join()
        found = first(other, 9, by=9)
        assert found == [(item, 1) for item in range(9)]


def test_nothing_is_read_any_more_while_its_object_is_being_closed(whole, monkeypatch):
    with filled(whole, segments=8, each=1) as queue:
        inside, gate, begun, read = threading.Event(), threading.Event(), [], Fetcher._read

        def wait(fetcher, lot):
            begun.append(lot)
            inside.set()
            assert gate.wait(20)
            return read(fetcher, lot)

        monkeypatch.setattr(Fetcher, "_read", wait)
        queue._consumer._straight._winding = True

        def work():
            with suppress(pqueue.ShutDown):
                queue.receive()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert inside.wait(20)
        until = time.monotonic() + 20
        while sum(queue._leases.busy.values()) < 4 and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.1)
        threading.Timer(0.2, gate.set).start()
        queue.close()
        for thread in threads:
            thread.join()
        assert len(begun) == 1


def test_a_read_that_outlasts_the_lease_is_handed_out_where_nobody_else_got_it(whole, monkeypatch):
    with filled(whole, segments=1, lease=0.5, max_attempts=1) as queue:
        monkeypatch.setattr(queue._leases, "_renew", lambda _: None)
        queue._consumer._straight._winding = True
        read, reads = Fetcher._read, []

        def slow(fetcher, lot):
            reads.append(lot)
            time.sleep(0.2)
            # As the keeper does, whose answer is on its way.
            queue._consumer.ask(Request(extend=[*queue._leases._loans], lease_ms=20_000))
            time.sleep(0.5)
            return read(fetcher, lot)

        monkeypatch.setattr(Fetcher, "_read", slow)
        borrow, borrowed = queue._leases.borrow, []
        monkeypatch.setattr(queue._leases, "borrow", lambda *how, **more: borrowed.append(how) or borrow(*how, **more))
        assert handed(queue, 1) == [(0, 1)]
        assert len(reads) == len(borrowed) == 1
        assert not queue.dead


def test_an_object_that_nobody_refers_to_goes_when_the_lease_of_what_it_owes_is_over(whole, monkeypatch):
    filled(whole).close()
    queue = whole.open(lease=1)
    monkeypatch.setattr(leases.log, "warning", lambda *_: None)  # a record that is kept keeps the object
    reads = Reads(queue, monkeypatch, fail=100)
    swap = queue._store.swap

    def refused(*how):
        if reads.names:
            raise pqueue.StoreError("slow down")
        return swap(*how)

    queue._store.swap = refused
    queue._consumer._straight._winding = True
    with pytest.raises(pqueue.StoreError):
        queue.receive_many(9)
    known = weakref.ref(queue._leases)
    del queue
    until = time.monotonic() + 20
    while known() is not None and time.monotonic() < until:
        gc.collect()
        time.sleep(0.1)
    assert known() is None


def test_a_close_does_not_wait_for_ever_for_a_store_that_does_not_answer(whole, monkeypatch, caplog):
    monkeypatch.setattr(underway, "_LONGEST", 0.2)
    filled(whole).close()
    queue = whole.open(lease=600)
    inside, gate = threading.Event(), threading.Event()

    def wait(*_):
        inside.set()
        assert gate.wait(60)
        raise pqueue.StoreError("no answer")

    monkeypatch.setattr(Fetcher, "_read", wait)
    queue._consumer._straight._winding = True

    def work():
        with suppress(pqueue.QueueError):
            queue.receive_many(9)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(20)
    queue.close()
    gate.set()
    thread.join()
    assert "closed while something is being claimed" in caplog.text


def test_a_close_that_fails_leaves_an_object_that_goes_on(whole, monkeypatch):
    with filled(whole) as queue:
        with monkeypatch.context() as failing:
            failing.setattr(queue._log, "finish", lambda: (_ for _ in ()).throw(pqueue.StoreError("slow down")))
            with pytest.raises(pqueue.StoreError):
                queue.close()
        assert first(queue, 6, by=3) == [(item, 1) for item in range(6)]
        assert queue.get(timeout=5) == 6
