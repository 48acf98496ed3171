"""Messages on the five stores: lent, acknowledged, given back, rejected, lost."""

import contextlib
import logging
import pickle
import threading
import time
from functools import partial, wraps

import pytest

import pqueue
from pqueue.head import Range
from pqueue.names import DEAD, HEAD
from pqueue.request import Answer, Request


def received(queue, **how):
    try:
        return queue.receive(block=False, **how)
    except pqueue.Empty:
        return None


def test_a_message_is_acknowledged_once_and_nobody_gets_it_again(place):
    with place.open() as queue, place.open() as other:
        queue.put_many("abc")
        message = queue.receive()
        assert (message.item, message.offset, message.attempt, message.put_at) == ("a", 0, 1, None)
        assert other.get() == "b"
        message.ack()
        with pytest.raises(pqueue.ClaimLost, match="before"):
            message.ack()
        with pytest.raises(pqueue.ClaimLost, match="before"):
            message.nack()
        assert len(other) == 1
        assert other.get() == "c"
        assert received(other) is None


@pytest.mark.parametrize("lost", ["over", "another's"])
def test_what_this_object_knows_to_be_too_late_is_not_asked_of_the_store(place, lost):
    with place.open() as queue:
        queue.put_many(range(3))
        message = queue.receive()
        if lost == "over":
            message._loan.deadline = queue._monotonic()
        else:
            queue._leases.done(message._loan)  # an extension was told so, say
        with pytest.raises(pqueue.ClaimLost, match="too late"):
            message.ack()
        assert len(queue) == 3


def test_what_only_the_store_knows_to_be_too_late_is_told(place):
    with place.open() as queue:
        queue.put_many(range(3))
        message = queue.receive()
        where = Range(message._ordinal, message.offset, message.offset + 1)
        queue._consumer.ask(Request(answers=[Answer(message._loan.claim, where, back=True)]))  # expired by another, say
        with pytest.raises(pqueue.ClaimLost, match="too late"):
            message.ack()
        assert len(queue) == 3


def test_an_acknowledgement_that_is_interrupted_as_it_waits_for_the_guard_is_done(place):
    class Guard:
        entered = 0

        def __enter__(self):
            self.entered += 1
            if self.entered == 2:  # behind the swap
                raise KeyboardInterrupt

        def __exit__(self, *_):
            return None

    with place.open() as queue:
        queue.put_many(range(3))
        message = queue.receive()
        queue._receiver._answering._guard = Guard()
        with pytest.raises(KeyboardInterrupt):
            message.ack()
        assert not queue._leases.hold(message._loan)
        with pytest.raises(pqueue.ClaimLost, match="before"):
            message.ack()
        assert len(queue) == 2


def test_a_message_whose_queue_object_is_closed_says_so_and_comes_again(place):
    with place.open(lease=5) as queue:
        queue.put("a")
        message = queue.receive()
    for answer in (message.ack, message.nack, message.reject, partial(message.extend, 1)):
        with pytest.raises(pqueue.ShutDown, match="handed out again"):
            answer()
    with place.open(create=False) as queue:
        assert queue.receive(timeout=20).item == "a"


def test_a_message_is_not_pickled(place):
    with place.open() as queue:
        queue.put("a")
        with queue.receive() as message, pytest.raises(TypeError, match="hand on its `item`"):
            pickle.dumps(message)


def test_a_block_acknowledges_on_success_and_gives_back_on_an_exception(place):
    with place.open() as queue:
        queue.put_many("ab")
        with queue.receive() as message:
            assert message.item == "a"
        with pytest.raises(ZeroDivisionError), queue.receive() as message:
            assert message.item == "b"
            raise ZeroDivisionError
        with queue.receive() as message:
            assert (message.item, message.attempt) == ("b", 2)
            message.nack()
        with queue.receive() as message:
            assert (message.item, message.attempt) == ("b", 3)
        assert len(queue) == 0


def test_given_back_comes_before_what_is_next_and_after_its_delay(place):
    with place.open() as queue:
        queue.put_many("abcd")
        first, second, third = (queue.receive() for _ in range(3))
        third.nack()
        second.nack(delay=2)
        first.nack()
        assert [queue.receive().item for _ in range(3)] == ["a", "c", "d"]
        assert received(queue) is None
        message = queue.receive(timeout=10)
        assert (message.item, message.attempt) == ("b", 2)


def test_a_batch_is_acknowledged_in_parts_or_whole(place):
    with place.open(segment_items=4) as queue:
        queue.put_many(range(4))
        queue.put_many(range(4, 12))
        with queue.receive_many(6) as batch:
            assert batch.items == list(range(6))
            assert [message.offset for message in batch] == list(range(6))
            batch[2].ack()
            batch[3].nack()
        assert len(queue) == 7
        with pytest.raises(ValueError, match="no"), queue.receive_many(3) as batch:
            assert batch.items[0] == 3
            batch[0].ack()
            raise ValueError("no")
        batch = queue.receive_many(100)
        assert batch.items == list(range(6, 12))
        assert [message.attempt for message in batch][:2] == [2, 2]
        batch.ack()
        assert len(queue) == 0


def test_a_loop_takes_everything_in_order_and_ends_when_nothing_comes(place):
    with place.open() as queue:
        queue.put_many(range(30))
        got = []
        for message in queue.messages(timeout=0.1):
            with message:
                got.append(message.item)
        assert got == list(range(30))
        assert len(queue) == 0


def test_what_a_loop_claimed_ahead_is_given_back_uncounted(place):
    with place.open() as queue, place.open() as other:
        queue.put_many(range(10))
        for _ in range(3):
            queue.receive().ack()
        assert len(other) == 7
        message = other.receive(timeout=30)
        rest = [message.item]
        message.ack()
        while (message := received(other)) is not None or len(other):
            if message is None:
                time.sleep(0.1)
                continue
            assert message.attempt == 1
            rest.append(message.item)
            message.ack()
        assert sorted(rest) == list(range(3, 10))
        queue.put_many(range(3))
        queue.receive().ack()
        queue.receive().ack()
        assert queue.get() == 2, "get comes after what was claimed ahead"


def test_close_gives_back_what_was_not_handed_out_and_closes_loops(place):
    with place.open() as other:
        queue = place.open()
        queue.put_many(range(5))
        for _ in range(3):
            queue.receive().ack()
        queue.close()
        assert [other.receive().item for _ in range(2)] == [3, 4]
        assert list(queue.messages()) == []
        with pytest.raises(pqueue.ShutDown):
            queue.receive()


def test_a_lease_that_ran_out_loses_the_claim_and_removes_nothing(place):
    with place.open(auto_extend=False) as queue, place.open() as other:
        queue.put("a")
        message = queue.receive(lease=0.3)
        assert received(other) is None
        again = other.receive(timeout=30)
        assert (again.item, again.attempt) == ("a", 2)
        for answer in (message.ack, message.nack, message.reject, lambda: message.extend(10)):
            with pytest.raises(pqueue.ClaimLost):
                answer()
            if answer == message.ack:
                break
        assert len(other) == 1
        again.ack()
        assert len(other) == 0


def test_messages_are_renewed_while_they_are_held(place):
    with place.open(lease=0.6) as queue, place.open() as other:
        queue.put("a")
        message = queue.receive()
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert received(other) is None
            time.sleep(0.05)
        message.ack()
        assert len(other) == 0


def test_extend_holds_longer_than_the_lease(place):
    with place.open(auto_extend=False) as queue, place.open() as other:
        queue.put("a")
        message = queue.receive(lease=0.5)
        message.extend(30)
        time.sleep(0.7)
        assert received(other) is None
        message.ack()


def test_a_message_that_is_dropped_comes_again_when_its_lease_ends(place, caplog):
    with place.open(lease=1) as queue, caplog.at_level(logging.WARNING, "pqueue"):
        queue.put("a")
        queue.receive()
        message = queue.receive(timeout=30)
        assert message.attempt == 2
        message.ack()
        assert "dropped without an answer" in caplog.text


def test_messages_that_are_dropped_and_never_renewed_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("pqueue.receive._MANY", 20)
    with pqueue.open(tmp_path / "queue", auto_extend=False) as queue:
        queue.put_many(range(100))
        for _ in range(90):
            queue.receive(lease=600)
        dropped = queue._receiver.dropped
        assert 0 < len(dropped) <= 21
        assert not any(loan.lots for loan, *_ in dropped)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e306])
def test_seconds_that_are_no_number_of_milliseconds_are_refused(tmp_path, seconds):
    with pqueue.open(tmp_path / "queue") as queue:
        queue.put("a")
        message = queue.receive()
        with pytest.raises(ValueError, match="seconds"):
            message.extend(seconds)
        with pytest.raises(ValueError, match="delay"):
            message.nack(seconds)
        with pytest.raises(ValueError, match="lease"):
            queue.receive(lease=seconds)
        message.ack()


# -- dead letters ----------------------------------------------------------------------------------------------------


def test_after_its_last_attempt_an_item_is_a_dead_letter_with_the_last_error(place):
    with place.open(max_attempts=3) as queue:
        queue.put_many("ab")
        for attempt in (1, 2, 3):
            with contextlib.suppress(RuntimeError), queue.receive() as message:
                assert (message.item, message.attempt) == ("a", attempt)
                raise RuntimeError(f"failed for the {attempt}. time")
        (letter,) = queue.dead
        assert (letter.offset, letter.reason, letter.attempts) == (0, "attempts", 3)
        assert letter.error == "RuntimeError: failed for the 3. time"
        assert queue.dead.item(letter) == queue.dead.item(letter.offset) == "a"
        assert (len(queue), len(queue.dead)) == (1, 1)
        assert queue.get() == "b"


def test_what_was_never_answered_is_dead_once_it_would_be_handed_out_again(place, caplog):
    with place.open(max_attempts=2, auto_extend=False) as queue, caplog.at_level(logging.WARNING, "pqueue"):
        queue.put_many("ab")
        kept = []
        for attempt in (1, 2):
            message = queue.receive(lease=0.2)
            kept.append(message)
            assert (message.item, message.attempt) == ("a", attempt)
            time.sleep(2.6 if place.kind == "bucket" else 0.3)  # a bucket's clock tells seconds
        assert queue.receive(timeout=10).item == "b"
        (letter,) = queue.dead
        assert (letter.reason, letter.attempts, queue.dead.item(letter)) == ("attempts", 2, "a")


def test_get_passes_what_used_up_its_attempts(place):
    with place.open(max_attempts=1) as queue:
        queue.put_many("ab")
        with contextlib.suppress(RuntimeError), queue.receive():
            raise RuntimeError
        assert queue.get() == "b"
        assert [letter.reason for letter in queue.dead] == ["attempts"]


def test_rejected_items_are_dead_letters_that_can_be_requeued_and_purged(place):
    with place.open() as queue:
        queue.put_many(range(6))
        for _ in range(4):
            message = queue.receive()
            message.reject(f"{message.item} is odd" if message.item % 2 else "")
        assert [(one.offset, one.reason, one.error) for one in queue.dead.list()] == [
            (0, "rejected", ""),
            (1, "rejected", "1 is odd"),
            (2, "rejected", ""),
            (3, "rejected", "3 is odd"),
        ]
        assert queue.dead
        assert queue.dead.get(1).attempts == 1
        with pytest.raises(KeyError):
            queue.dead.get(5)
        assert queue.dead.requeue(1) == 1
        assert queue.dead.purge([0]) == 1
        assert len(queue.dead) == 2
        assert [queue.get() for _ in range(3)] == [4, 5, 1]
        assert queue.dead.requeue() == 2
        assert [queue.get() for _ in range(2)] == [2, 3]
        assert not queue.dead
        queue.put("x")
        queue.receive().reject()
        assert queue.dead.purge() == 1


def test_an_unreadable_item_is_told_once_and_can_be_looked_at(place):
    with place.open() as queue:
        queue._log.put((b"\xc1 not msgpack",))
        queue.put("b")
        with pytest.raises(pqueue.SerializationError):
            queue.receive()
        assert queue.receive().item == "b"
        (letter,) = queue.dead
        assert (letter.reason, letter.record) == ("unreadable", b"\xc1 not msgpack")
        with pytest.raises(pqueue.SerializationError):
            queue.dead.item(letter)


def test_who_dies_between_mark_and_letter_is_followed_by_who_comes_next(place, monkeypatch):
    with place.open(max_attempts=1) as queue:
        queue.put_many("ab")
        monkeypatch.setattr("pqueue.leading.BURIAL_MS", 300)
        monkeypatch.setattr("pqueue.burying.BURIAL_MS", 300)
        write = type(queue._store).write

        def refused(self, name, data):
            if name.startswith(DEAD):
                raise pqueue.StoreError("cut")
            write(self, name, data)

        monkeypatch.setattr(type(queue._store), "write", refused)
        queue.receive().reject("why")
        assert len(queue.dead) == 0
        assert len(queue) == 2
        monkeypatch.setattr(type(queue._store), "write", write)
        time.sleep(0.5)
        assert queue.receive().item == "b"
        (letter,) = queue.dead
        assert (letter.offset, letter.error, queue.dead.item(letter)) == (0, "why", "a")


def test_a_poisonous_item_buries_itself_and_no_neighbour(place):
    """As a worker would that dies of it each time."""
    count, lease = (100, 1.0) if place.kind == "bucket" else (1000, 0.4)
    with place.open(max_attempts=3) as queue:
        queue.put_many(range(count))
    claims, done = 0, []
    while True:
        with place.open(lease=lease, auto_extend=False) as queue:
            try:
                batch = queue.receive_many(count, timeout=4 * lease + 1)
            except pqueue.Empty:
                break
            claims += 1
            if count // 2 in batch.items:
                time.sleep(1.2 * lease)
                continue
            done += batch.items
            batch.ack()
    assert sorted(done) == [item for item in range(count) if item != count // 2]
    assert claims < 100
    with place.open() as queue:
        (letter,) = queue.dead
        assert queue.dead.item(letter) == count // 2
        assert len(queue) == 0


def test_a_poisonous_item_takes_none_along_of_what_is_held_beside_it(place):
    """As by the threads of one worker: each has a claim of its own, and all of them end with the process."""
    lease = 1.0 if place.kind == "bucket" else 0.4
    with place.open(max_attempts=3) as queue:
        queue.put_many(range(12))
    done = []
    while True:
        with place.open(lease=lease, auto_extend=False) as queue:
            held = []
            while len(held) < 4:
                try:
                    held.append(queue.receive(timeout=0.05 if held else 4 * lease + 1))
                except pqueue.Empty:
                    break
            if not held:
                break
            if 2 in [message.item for message in held]:
                time.sleep(1.2 * lease)
                continue
            for message in held:
                done.append(message.item)
                message.ack()
    assert sorted(done) == [item for item in range(12) if item != 2]
    with place.open() as queue:
        assert [queue.dead.item(letter) for letter in queue.dead] == [2]
        assert len(queue) == 0


def test_who_holds_something_for_long_gets_more_all_the_same(place):
    """An item that is to be alone for its last time is waited for, but not for ever: neither before nor after it is lent."""
    with place.open(max_attempts=2, lease=1.0) as queue:
        queue.put_many("abcde")
        with place.open(lease=0.2, auto_extend=False) as other:
            assert other.receive_many(2).items == ["a", "b"]
            held = queue.receive()
            assert held.item == "c"
            time.sleep(0.3 + 2 * queue._store.clock_step_ms / 1000)
            began = time.monotonic()
            beside = [queue.receive(timeout=30)]
            assert time.monotonic() - began > 0.5
            beside += [queue.receive(timeout=0.1), queue.receive(timeout=0.1)]
            assert [(one.item, one.attempt) for one in beside] == [("a", 2), ("b", 2), ("d", 1)]
            for message in [held, *beside]:
                message.ack()
        queue.receive().nack(counted=False)


def test_a_receive_that_is_interrupted_as_it_found_something_was_no_attempt(place, monkeypatch):
    with place.open(max_attempts=1) as queue:
        real = queue._waiting.until

        def interrupted(look, timeout, *, undo, **more):
            queue.put("a")
            found = real(look, timeout, undo=undo, **more)
            undo(found)
            raise KeyboardInterrupt

        monkeypatch.setattr(queue._waiting, "until", interrupted)
        with pytest.raises(KeyboardInterrupt):
            queue.receive()
        monkeypatch.undo()
        message = queue.receive(timeout=30)
        assert (message.item, message.attempt) == ("a", 1)
        message.ack()


def test_what_an_interrupted_answer_had_claimed_comes_before_what_the_next_claims(place, monkeypatch):
    with place.open(lease=600) as queue:
        for item in range(8):
            queue.put(item)
        queue.receive().ack()
        message = queue.receive()
        borrow = queue._leases.borrow

        def interrupted(*how, **more):
            borrow(*how, **more)
            raise KeyboardInterrupt

        with monkeypatch.context() as once:
            once.setattr(queue._leases, "borrow", interrupted)
            with contextlib.suppress(KeyboardInterrupt):  # not raised where this was so slow that it claims nothing
                message.ack()
        with contextlib.suppress(pqueue.ClaimLost):
            message.ack()
        found = []
        for message in queue.messages(timeout=0):
            found.append((message.item, message.attempt))
            message.ack()
        assert found == [(item, 1) for item in range(2, 8)]


def test_who_looks_rarely_or_with_another_lease_waits_no_longer(tmp_path):
    with pqueue.open(tmp_path / "q", max_attempts=2, lease=0.2) as queue:
        queue.put_many("abcd")
        with pqueue.open(tmp_path / "q", lease=0.1, auto_extend=False) as other:
            assert other.receive().item == "a"
            time.sleep(0.3)
            alone = queue.receive()
            assert (alone.item, alone.attempt) == ("a", 2)
            with pytest.raises(pqueue.Empty):
                queue.receive(block=False, lease=600)
            with pytest.raises(pqueue.Empty):
                queue.receive(block=False)
            time.sleep(1)
            assert queue.receive(block=False).item == "b"


@pytest.mark.parametrize("threads", [16])
def test_idle_threads_that_share_an_object_look_together(tmp_path, monkeypatch, threads):
    """Else each would wait for the looks of all others, where one takes long, and its timeout mean nothing."""
    looks = []
    with pqueue.open("memory://looks") as queue:
        queue.put("a")
        queue.receive().ack()
        real = queue._leases.borrow

        def slow(*how, **more):
            looks.append(None)
            time.sleep(0.3)
            return real(*how, **more)

        monkeypatch.setattr(queue._leases, "borrow", slow)
        queue._receiver._pace.answered = time.monotonic() + 60  # as after an answer of just now, for all of the test
        barrier = threading.Barrier(threads)

        def look():
            barrier.wait()
            with contextlib.suppress(pqueue.Empty):
                queue.receive(block=False)

        crew = [threading.Thread(target=look) for _ in range(threads)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        assert len(looks) <= threads // 2
        queue._receiver._pace.answered = 0.0


def test_two_items_that_came_back_unanswered_are_held_one_after_the_other(place, caplog):
    caplog.set_level(logging.INFO, "pqueue")
    with place.open(max_attempts=2, lease=1.0) as queue:
        queue.put_many("abc")
        with place.open(lease=0.2, auto_extend=False) as other:
            assert other.receive_many(2).items == ["a", "b"]
            time.sleep(0.3 + 2 * queue._store.clock_step_ms / 1000)
            first = queue.receive()
            with pytest.raises(pqueue.Empty):
                queue.receive(timeout=0.1)
            with pytest.raises(pqueue.Empty):
                queue.receive(block=False)
            assert "offset 0 came back without an answer" in caplog.text
            assert other.get() == "b", "what nobody waits for does not wait"
            first.ack()
            assert queue.receive(timeout=30).item == "c"


@pytest.mark.parametrize("when", ["on its way", "answered"])
@pytest.mark.parametrize("how", ["receive", "get"])
def test_a_swap_that_takes_longer_than_the_lease_uses_no_attempt(place, monkeypatch, how, when):
    """Nobody was handed what it lent; and the next lease is one that outlasts such a swap."""
    linger = 5 if how == "get" else 0
    with place.open(lease=0.2, max_attempts=2, ack_linger=linger, prefetch=3, auto_extend=False) as queue:
        queue.put_many("abc")
        real = queue._store.swap

        def slow(name, *rest):
            if name == HEAD and when == "on its way":
                time.sleep(0.3)
            document = real(name, *rest)
            if name == HEAD and when == "answered":
                time.sleep(0.3)
            return document

        monkeypatch.setattr(queue._store, "swap", slow)
        if how == "get":
            assert [queue.get(timeout=20) for _ in range(3)] == list("abc")
        else:
            for item in "abc":
                message = queue.receive(timeout=20)
                assert (message.item, message.attempt) == (item, 1)
                message.ack()
        monkeypatch.undo()
        queue.sync()
        assert len(queue) == len(queue.dead) == 0


# -- retries ---------------------------------------------------------------------------------------------------------


def test_retry_delays_are_a_number_or_grow(place):
    with place.open(retry_delay=1.5) as queue:
        queue.put("a")
        began = time.monotonic()
        with contextlib.suppress(RuntimeError), queue.receive():
            raise RuntimeError
        assert queue.receive(timeout=30).attempt == 2
        assert time.monotonic() - began > 0.4  # a server's clock tells whole seconds
    grows = pqueue.RetryDelay(first=1, factor=3, most=20, jitter=0.5)
    assert [grows.seconds(attempt, 0.5) for attempt in (1, 2, 3, 4, 2000)] == [1, 3, 9, 20, 20]
    assert (grows.seconds(1, 0), grows.seconds(1, 1)) == (0.5, 1.5)
    assert pqueue.parse("x", {"retry_delay": "1.5"}).retry_delay == pqueue.RetryDelay.constant(1.5)
    table = {"first": 1, "factor": 3, "most": 20, "jitter": 0.5}
    assert pqueue.parse("x", {"retry_delay": table}).retry_delay == grows
    with pytest.raises(pqueue.SettingsError):
        pqueue.parse("x", {"retry_delay": "soon"})


# -- times, threads, durabilities --------------------------------------------------------------------------------------


@pytest.mark.parametrize("codecs", [[], ["zlib"]])
def test_put_at_is_told_where_it_is_recorded(place, codecs):
    before = time.time()
    with place.open(record_times=True, codecs=codecs) as queue:
        queue.put("a")
        time.sleep(0.05)
        queue.put_many("bcd")
        first = queue.receive()
        batch = queue.receive_many(2)
        times = [message.put_at.timestamp() for message in (first, *batch)]
        assert before - 0.001 <= times[0] < times[1] == times[2] <= time.time()
        batch.nack()
        again = queue.receive()
        assert again.put_at == batch[0].put_at


@pytest.mark.parametrize("durability", ["buffered", "written", "synced"])
def test_each_durability_lends(place, durability):
    with place.open(durability=durability) as queue:
        queue.put_many(range(3))
        queue.receive().ack()
        queue.receive().nack()
        assert [queue.receive().item, queue.receive().item] == [1, 2]


@pytest.mark.parametrize("wait", [True, False], ids=["ack", "ack-later"])
def test_threads_share_one_object_each_item_is_handled_once_and_each_thread_gets_them_in_order(place, wait):
    total = 200 if place.kind == "bucket" else 2000
    done, disorder = [], []
    with place.open() as queue:
        queue.put_many(range(total))

        def loop():
            last = -1
            for message in queue.messages(timeout=1):
                if message.item < last:
                    disorder.append((last, message.item))
                last = message.item
                done.append(message.item)
                message.ack(wait)

        threads = [threading.Thread(target=loop) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not disorder
        assert sorted(done) == list(range(total))
        assert len(queue) == 0


def test_the_head_holds_no_trace_of_what_was_answered(place):
    with place.open() as queue:
        queue.put_many(range(20))
        for _ in range(10):
            queue.receive().ack()
        queue.receive_many(10).ack()
        queue._receiver.release()
        store = place.connect()
        assert b'"claims":{},' in store.load(HEAD).data
        store.close()


# -- the worker --------------------------------------------------------------------------------------------------------


def test_a_worker_acknowledges_gives_back_and_rejects(place):
    with place.open(max_attempts=2) as queue:
        queue.put_many(range(12))
    seen, guard = [], threading.Lock()

    def handler(item):
        with guard:
            seen.append(item)
        if item == 3:
            raise pqueue.Reject("three")
        if item == 5:
            raise RuntimeError("five")

    worked = pqueue.work({"store": place.store}, handler, threads=3, timeout=0.5, retry_delay=0)
    assert worked == (10, 2, 1, 0)
    assert sorted(seen) == sorted([*range(12), 5])
    with place.open() as queue:
        assert [(one.offset, one.reason, one.error) for one in queue.dead] == [
            (3, "rejected", "three"),
            (5, "attempts", "RuntimeError: five"),
        ]
        assert len(queue) == 0


def test_a_worker_that_is_stopped_finishes_what_it_holds(place):
    with place.open() as queue:
        queue.put_many(range(10))
    stop = threading.Event()
    done = []

    def handler(item):
        done.append(item)
        if item == 2:
            stop.set()

    pqueue.work({"store": place.store}, handler, stop=stop)
    assert done == [0, 1, 2]
    with place.open() as queue:
        assert queue.get_many(100) == list(range(3, 10))


async def _later(item):
    return item


def _each(item):
    yield item


def _returned(inner, item):
    return inner(item)


class _Caller:
    async def __call__(self, item):
        return item


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (None, "must be a function"),
        ("print", "must be a function"),
        (lambda: None, "must take one item"),
        (lambda one, two: None, "must take one item"),
        (_later, "asyncio.run"),
        (_each, "plain function"),
        (_Caller(), "asyncio.run"),
    ],
)
def test_a_handler_that_could_only_fail_or_do_nothing_is_refused_before_anything_is_touched(tmp_path, handler, says):
    with pytest.raises(TypeError, match=says):
        pqueue.work(tmp_path / "q", handler, timeout=0.1)
    assert not (tmp_path / "q").exists()


@pytest.mark.parametrize("inner", [_later, _each], ids=["coroutine", "generator"])
def test_what_a_handler_returned_and_nobody_ran_is_not_taken_for_done(tmp_path, inner):
    with pqueue.open(tmp_path / "q", max_attempts=1) as queue:
        queue.put_many("ab")
        with pytest.raises(pqueue.SerializationError, match="offset 0, its handler made a coroutine or a generator"):
            pqueue.work(tmp_path / "q", partial(_returned, inner), timeout=0.1)
        assert [queue.get(), queue.get()] == ["a", "b"]


def _supplied(handler):
    @wraps(handler)
    def inner(item):
        return handler("a connection", item)

    return inner


@_supplied
def _supplied_with(connection, item):
    assert connection == "a connection"


class _Built:
    def __init__(self, item):
        self.item = item

    async def __call__(self):
        """Of an instance: nobody calls it here."""


def test_built_in_handlers_and_those_with_more_parameters_will_do(tmp_path):
    with pqueue.open(tmp_path / "q") as queue:
        for handler in (repr, int, _Built, _supplied_with, lambda item, more=1: None, lambda *items: None):
            queue.put("1")
            assert pqueue.work(tmp_path / "q", handler, timeout=0.05).done == 1


def test_the_threads_of_a_worker_end_together(tmp_path):
    """While one has an item in hand that it may give back, the others are needed."""
    late = set()
    with pqueue.open(tmp_path / "q") as queue:
        queue.put_many(range(8))

        def handler(item):
            if item == 0:
                time.sleep(0.8)
                queue.put_many(range(8, 16))
            if item >= 8:
                late.add(threading.current_thread().name)
            time.sleep(0.05)

        assert pqueue.work(tmp_path / "q", handler, threads=4, timeout=0.2).done == 16
    assert len(late) > 1
