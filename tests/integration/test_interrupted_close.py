"""Ctrl-C in a `get`, and the object is closed instead of asked again: others get what it had taken, in order."""

import threading
import time

import pytest

import pqueue
from pqueue.errors import Landed
from pqueue.head import Range
from pqueue.owing import Owing
from pqueue.request import Lot, Outcome, Request
from tests.support.interrupts import after_next_swap


@pytest.fixture
def cut(monkeypatch):
    """Have the next swap of the head interrupted just after it has happened."""

    return lambda queue: after_next_swap(queue, monkeypatch)


@pytest.mark.parametrize("n", [1, 3])
def test_what_an_interrupted_get_had_taken_is_given_back_at_close(place, cut, n):
    with place.open() as queue:
        queue.put_many("abcdef")
    queue = place.open(ack_linger=0)
    assert queue.get() == "a"
    cut(queue)
    with pytest.raises(KeyboardInterrupt):
        queue.get_many(n)
    queue.close()
    with place.open(ack_linger=0) as other:
        assert other.stats().given_back == n
        message = other.receive()
        assert (message.item, message.attempt) == ("b", 1)
        message.ack()
        assert list(other) == list("cdef")


def test_others_may_have_gone_on(place, cut):
    with place.open(ack_linger=0, segment_items=100) as other:
        other.put_many("abcdef")
        queue = place.open(ack_linger=0)
        cut(queue)
        with pytest.raises(KeyboardInterrupt):
            queue.get()
        assert other.get_many(2) == ["b", "c"]
        queue.close()
        assert list(other) == ["a", "d", "e", "f"]


def test_where_its_segment_is_freed_it_is_put_again(place, cut, caplog):
    with place.open(ack_linger=0, segment_items=1) as other:
        other.put("a")
        other.put("b")
        other.put("c")
        queue = place.open(ack_linger=0)
        cut(queue)
        with pytest.raises(KeyboardInterrupt):
            queue.get()
        assert other.get() == "b"
        queue.close()
        assert "put again, at the end: 1" in caplog.text
        assert list(other) == ["c", "a"]


def test_a_close_that_is_interrupted_is_called_again(place, monkeypatch):
    queue = place.open(ack_linger=30)
    queue.put_many("abc")
    assert queue.get() == "a"
    close = type(queue._ahead).close
    monkeypatch.setattr(queue._ahead, "close", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        queue.close()
    monkeypatch.setattr(queue._ahead, "close", lambda: close(queue._ahead))
    queue.close()
    with place.open(ack_linger=0) as other:
        assert list(other) == ["b", "c"]


def test_a_stream_that_is_interrupted_knows_how_far_it_came(place):
    with place.open() as queue:
        if not place.appends:
            return  # there commits are counted as they land
        store = queue._store
        append = store.appends.append
        count = iter(range(100))

        def appended(*more):
            append(*more)
            if next(count) == 3:
                raise Landed(None) from KeyboardInterrupt()

        store.appends.append = appended
        with pytest.raises(KeyboardInterrupt) as told:
            queue.put_stream(iter(range(1000)), batch=10)
        assert f"the first {len(queue)} items" in told.value.__notes__[0]


def test_get_after_anothers_close_claims_nothing(place):
    queue = place.open(ack_linger=30)
    queue.put_many(range(10))
    assert queue.get() == 0
    ahead = queue._ahead
    ahead.close()
    assert ahead.take(1) == []
    with place.open() as other:
        assert len(other) == 9
    queue.close()


def interrupted_alone(queue, monkeypatch):
    """Have the next thing that this object does alone interrupted as it comes back."""
    combiner = queue._consumer._combiner
    alone = combiner.alone

    def cut(act, what):
        result = alone(act, what)
        monkeypatch.undo()
        raise Landed(result) from KeyboardInterrupt()

    monkeypatch.setattr(combiner, "alone", cut)


def test_an_ack_that_was_interrupted_as_it_came_back_is_called_again(place, monkeypatch):
    with place.open() as queue:
        queue.put_many("ab")
        message = queue.receive()
        if not queue._parts.brief:
            return  # there it is never done alone
        interrupted_alone(queue, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            message.ack()
        message.ack()
        assert list(queue) == ["b"]


@pytest.mark.parametrize("how", ["get", "receive"])
def test_what_a_swap_took_for_a_call_that_was_interrupted_comes_first(place, monkeypatch, how):
    with place.open() as queue:
        queue.put_many("abcd")
        assert queue.get() == "a"
        if how == "receive":
            held = queue.receive()
            held.nack()  # what is known of the head is fresh
            held = queue.receive()
        swaps = queue._consumer._swaps
        applied = swaps._applied

        def cut(*how):
            applied(*how)
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr(queue._consumer._combiner, "alone", lambda act, what: None)
        monkeypatch.setattr(swaps, "_applied", cut)
        with pytest.raises(KeyboardInterrupt):
            getattr(queue, how)()
        if how == "get":
            assert list(queue) == ["b", "c", "d"]
            return
        later = [queue.receive(), queue.receive()]
        assert [held.item, *(message.item for message in later)] == ["b", "c", "d"]
        for message in (held, *later):
            message.ack()
        assert len(queue) == 0


def test_what_is_owed_stays_so_while_the_store_does_not_answer(place, monkeypatch):
    with place.open() as other:
        queue = place.open()
        queue.put_many(range(5))
        after_next_swap(queue, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            queue.get_many(2)
        for _ in range(2):
            with monkeypatch.context() as fails:
                fails.setattr(queue._store, "swap", lambda *_: (_ for _ in ()).throw(pqueue.StoreError("no answer")))
                with pytest.raises(pqueue.StoreError):
                    queue.close()
        queue.close()
        assert [*other] == list(range(5))


def test_what_became_of_a_swap_is_found_out_though_nothing_is_called_any_more(place, monkeypatch):
    """In a bucket: who is silent for minutes is dropped there, and could not learn it then."""
    with place.open() as queue:
        queue.put_many(range(5))
        with monkeypatch.context() as fails:
            fails.setattr(queue._store, "swap", lambda *_: (_ for _ in ()).throw(pqueue.StoreError("no answer")))
            with pytest.raises(pqueue.StoreError):
                queue.get()
        until = time.monotonic() + 20
        while queue._consumer._swaps.left_open:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert [*queue] == list(range(5))


def test_what_is_owed_is_owed_once_however_often_it_is_noted():
    """The noting may be interrupted, and done again."""
    owing = Owing()
    request, outcome = Request(take=2), Outcome([Lot(Range(0, 0, 2), ["a", "b"])])
    for _ in range(2):
        owing.owe_all([request], [outcome])
    assert owing.items == 2


def test_close_beside_a_thread_that_sees_to_the_same_deletion_ends(place):
    """As one does whose swap is on its way when another closes their object."""
    queue = place.open()
    sweeper = queue._consumer._leader.sweeper

    class Deletion:
        def wait(self, _):
            sweeper._ended()  # the other's
            return True

        def result(self):
            return None

    sweeper._under_way = (Deletion(), 0)
    queue.close()
    with place.open() as again:
        again.put("a")
        assert again.get() == "a"


@pytest.mark.parametrize("n", [1, 4])
def test_what_an_interrupted_receive_was_lent_is_for_others_at_once(place, monkeypatch, n):
    """Uncounted: nobody was handed it."""
    with place.open(max_attempts=1) as other:
        other.put_many(range(6))
        queue = place.open(lease=600)
        after_next_swap(queue, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            queue.receive_many(n)
        queue.close()
        found = []
        while len(found) < 6:
            message = other.receive(timeout=5)
            found.append((message.item, message.attempt))
            message.ack()
        assert found == [(item, 1) for item in range(6)]
        assert not other.dead


def test_what_was_lent_unheard_is_given_back_by_a_close_that_is_called_again(place, monkeypatch):
    with place.open(max_attempts=1) as other:
        other.put_many(range(6))
        queue = place.open(lease=600)
        after_next_swap(queue, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            queue.receive_many(4)
        with monkeypatch.context() as failing:

            def refused(*_):
                raise pqueue.StoreError("slow down")

            failing.setattr(queue._store, "swap", refused)
            with pytest.raises(pqueue.StoreError):
                queue.close()
        queue.close()
        assert sorted(other.receive(timeout=5).item for _ in range(1)) == [0]


@pytest.fixture
def owing(place, monkeypatch):
    """An object of a bounded queue that owes items to its next calls, and puts late ones slowly: it, and when it does."""
    queue = place.open(maxsize=10, ack_linger=0)
    queue.put_many("abc")
    tell = queue._waiting.tell

    def interrupted():
        queue._waiting.tell = tell
        raise KeyboardInterrupt

    for _ in range(2):
        queue._waiting.tell = interrupted
        with pytest.raises(KeyboardInterrupt):
            queue.get()
    assert [*queue._arrears.owed] == [["a"]], "the second call was interrupted as it handed out what was owed"
    begun, land = threading.Event(), queue._log.land

    def slow(records):
        begun.set()
        time.sleep(0.2)
        land(records)

    monkeypatch.setattr(queue._log, "land", slow)
    return queue, begun


def test_what_close_puts_again_nobody_is_handed_meanwhile(owing, place):
    queue, begun = owing
    closer = threading.Thread(target=queue.close)
    closer.start()
    assert begun.wait(10)
    with pytest.raises(pqueue.ShutDown):
        queue.get(block=False)
    closer.join()
    with place.open(ack_linger=0) as other:
        assert list(other) == ["b", "c", "a"]


def test_two_that_close_put_it_again_once(owing, place):
    queue, _ = owing
    closers = [threading.Thread(target=queue.close) for _ in range(3)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join()
    with place.open(ack_linger=0) as other:
        assert list(other) == ["b", "c", "a"]


def test_a_close_interrupted_when_it_has_put_it_again_puts_it_no_more(owing, place, monkeypatch):
    queue, _ = owing
    land = queue._log.land

    def landed(records):
        land(records)
        raise Landed(None) from KeyboardInterrupt()

    with monkeypatch.context() as patch:
        patch.setattr(queue._log, "land", landed)
        with pytest.raises(KeyboardInterrupt):
            queue.close()
    queue.close()
    with place.open(ack_linger=0) as other:
        assert list(other) == ["b", "c", "a"]


def test_what_is_owed_is_handed_out_in_parts(place, cut):
    with place.open(maxsize=10, ack_linger=0) as queue:
        queue.put_many("abcdef")
        cut(queue)
        with pytest.raises(KeyboardInterrupt):
            queue.get_many(4)
        queue._arrears.owed.append(queue.get_many(4))
        assert queue.get_many(3) == ["a", "b", "c"]
        assert queue.get_many(3) == ["d"]
        assert not queue._arrears.owed
        assert list(queue) == ["e", "f"]


def test_where_one_half_of_closing_fails_the_other_is_done(place, monkeypatch):
    queue = place.open(ack_linger=60)
    queue.put_many("abc")
    assert queue.get() == "a"

    def failing():
        raise pqueue.StoreError("no answer")

    monkeypatch.setattr(queue._receiver, "close", failing)
    with pytest.raises(pqueue.StoreError, match="no answer"):
        queue.close()
    with place.open(ack_linger=0) as other:
        assert list(other) == ["b", "c"]


def test_one_close_goes_first(place, monkeypatch):
    queue = place.open(ack_linger=0)
    queue.put("a")
    finish, inside, most = queue._log.finish, [], []

    def slow():
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.1)
        finish()
        inside.pop()

    monkeypatch.setattr(queue._log, "finish", slow)
    closers = [threading.Thread(target=queue.close) for _ in range(3)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join()
    assert most == [1], "whoever fails does not undo what another has begun"


@pytest.mark.parametrize("how", ["put", "put_many", "put_stream"])
def test_a_put_that_a_close_overtakes_says_so(place, monkeypatch, how):
    queue = place.open()

    def overtaken(*_):
        queue.close()
        raise pqueue.StoreRefused("this store was closed")

    for way in ("land", "put", "begin"):
        monkeypatch.setattr(queue._log, way, overtaken)
    with pytest.raises(pqueue.ShutDown, match="this queue object is closed"):
        getattr(queue, how)("ab")
