"""Messages where it is odd: claimed ahead, interrupted, with errors of any text; and acknowledged without waiting."""

import gc
import threading
import time
import weakref
from contextlib import closing, suppress

import pytest

import pqueue
from pqueue import answering, picking, reader, receive, straight
from pqueue.names import HEAD, SEGMENTS, dead_name
from pqueue.retry import text_of
from pqueue_local import LocalBackend, documents
from tests.support.interrupts import after_next_swap
from tests.support.points import in_time


def rest(queue):
    """What can be handed out now, acknowledged."""
    found = []
    for message in queue.messages(timeout=0.3):
        found.append((message.item, message.attempt))
        message.ack()
    return found


@pytest.mark.parametrize("settings", [{"segment_items": 7}, {"record_times": True}])
def test_a_slow_loop_keeps_what_it_holds_though_what_was_claimed_ahead_is_given_back(place, monkeypatch, settings):
    monkeypatch.setattr(receive, "_STALE", 0.05)
    done = []
    with place.open(**settings) as queue:
        for start in range(0, 60, 6):
            queue.put_many(range(start, start + 6))
        while len(queue):
            batch = queue.receive_many(10)
            done += batch.items
            time.sleep(0.2)
            batch.ack()
    assert done == list(range(60))


def test_fewer_than_were_claimed_ahead_are_handed_out_and_the_rest_later(place):
    with place.open(record_times=True) as queue:
        queue.put_many(range(40))
        for _ in range(2):
            queue.receive_many(10).ack()
        held = [queue.receive() for _ in range(10)]
        gc.collect()
        for message in held:
            message.ack()
        assert [message.item for message in held] == list(range(20, 30))
        assert rest(queue) == [(item, 1) for item in range(30, 40)]


def test_an_interrupted_call_for_many_followed_by_one_for_few_holds_nothing_back(place, monkeypatch):
    with place.open() as queue:
        queue.put_many(range(20))
        after_next_swap(queue, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            queue.receive_many(10)
        assert rest(queue) == [(item, 1) for item in range(20)]


def test_what_was_claimed_ahead_and_slept_past_its_lease_comes_again(place):
    with place.open() as queue, place.open() as other:
        queue.put_many(range(4))
        for _ in range(2):
            queue.receive().ack()
        for loan in {one._loan for one in queue._receiver._prefetched.shares}:
            loan.deadline = float("-inf")
        message = queue.receive()
        assert (message.item, message.attempt) == (2, 1)
        assert rest(other) == [(3, 1)]
        message.ack()


@pytest.mark.parametrize("call", ["get_many", "receive_many"])
def test_a_claim_of_small_segments_reads_as_many_as_at_once_and_none_again_for_a_swap_that_was_lost(
    place, monkeypatch, call
):
    """Else it takes so long that a consumer that answers one by one has swapped the head each time."""
    if place.appends:
        return
    with place.open() as queue, place.open() as other:
        for item in range(40):
            queue.put(item)
        reads, lost = [], []
        read, swap = queue._store.read, queue._store.swap

        def counted(name, *how):
            reads.append(name)
            return read(name, *how)

        def beaten(name, *how):
            if name == HEAD and len(lost) < 3:
                lost.append(other.receive())
            return swap(name, *how)

        monkeypatch.setattr(queue._store, "read", counted)
        monkeypatch.setattr(queue._store, "swap", beaten)
        batch = getattr(queue, call)(1000)
        assert list(getattr(batch, "items", batch)) == list(range(3, 3 + reader.PARALLEL))
        segments = [name for name in reads if name.startswith("seg/")]
        # What is claimed by its place is read once it is claimed.
        assert len(segments) == len(set(segments)) == reader.PARALLEL + (3 if call == "get_many" else 0)
        assert [message.item for message in lost] == [0, 1, 2]


def test_a_loan_that_nobody_refers_to_is_not_renewed(place):
    with place.open(lease=2.5) as queue, place.open() as other:
        queue.put("a")
        loans = []
        queue._leases.borrow(1, 2500, loans)
        assert queue._leases.hold(loans[0])
        del loans
        assert other.receive(timeout=30).attempt == 2


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize("reason", ["no file caf\udce9", ValueError("x"), Unspeakable(), "x" * 5000, ""])
def test_any_reason_becomes_a_dead_letters(place, reason):
    with place.open(max_attempts=1) as queue:
        queue.put_many("abc")
        queue.receive().reject(reason)
        with pytest.raises(type(reason) if isinstance(reason, Exception) else ValueError), queue.receive():
            raise reason if isinstance(reason, Exception) else ValueError(reason)
        queue.receive().fail(reason)
        errors = [letter.error for letter in queue.dead]
        assert len(errors) == 3
        assert all(text_of(reason)[:500] in error for error in errors)


def test_the_keeper_survives_whatever_a_chore_raises(place, caplog):
    with place.open(lease=1.5) as queue, place.open() as other:
        queue.put("a")
        queue._leases.keeper.chore(lambda _: 1 / 0)
        message = queue.receive()
        with pytest.raises(pqueue.Empty):
            other.receive(timeout=4)
        assert "ZeroDivisionError" in caplog.text
        message.ack()


def test_a_give_back_that_fails_is_sent_again_and_hands_nothing_out_meanwhile(place, monkeypatch):
    with place.open() as queue, place.open() as other:
        queue.put_many(range(4))
        for _ in range(2):
            queue.receive().ack()
        with monkeypatch.context() as failing:

            def refused(*_):
                raise pqueue.StoreError("slow down")

            failing.setattr(queue._store, "swap", refused)
            with pytest.raises(pqueue.StoreError):
                queue._receiver.release()
        assert not queue._receiver.ahead
        queue.receive().ack()
        assert sorted([*rest(other), *rest(queue)]) in ([(3, 1)], [(2, 1)])


def test_what_was_claimed_ahead_for_another_time_is_not_handed_out(place):
    with place.open() as queue:
        queue.put_many(range(10))
        for _ in range(2):
            queue.receive(lease=5).ack()
        message = queue.receive(lease=60)
        assert message._loan.lease_ms == 60_000
        message.ack()
        queue.sync()
        assert len(rest(queue)) == 7


def test_a_batch_is_extended_though_some_are_answered(place):
    with place.open() as queue:
        queue.put_many(range(3))
        batch = queue.receive_many(3)
        batch[0].ack()
        batch.extend(60)
        batch.ack()
        with pytest.raises(pqueue.ClaimLost):
            batch.extend(60)


def test_one_by_one_is_told_what_an_interrupted_batch_had_settled(place, monkeypatch):
    with place.open() as queue:
        queue.put_many(range(5))
        batch = queue.receive_many(5)
        after_next_swap(queue, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            batch.ack()
        for message in batch:
            message.ack()
        assert len(queue) == 0


def test_a_head_that_is_full_lends_no_more_until_something_is_answered(place, monkeypatch):
    monkeypatch.setattr(straight, "_FEW", 3)
    monkeypatch.setattr(picking, "_FEW", 3)
    monkeypatch.setattr(picking, "CROWDED", 700 / (1 << 20))
    with place.open() as queue:
        queue.put_many(range(20))
        held = []
        with pytest.raises(pqueue.Empty):
            while True:
                held.append(queue.receive(block=False))
        assert 3 < len(held) < 19
        assert queue.get() == len(held)
        for message in held:
            message.ack()
        assert queue.receive().item == len(held) + 1


@pytest.mark.parametrize(("full", "room"), [(0, 8), (2, 700)])
@pytest.mark.parametrize("call", ["get", "get_many"])
def test_a_head_full_of_ranges_whose_holder_has_died_is_consumed(tmp_path, monkeypatch, call, full, room):
    """Every other item of a batch acknowledged: given back, each range takes more bytes than it did as part of a claim."""
    with pqueue.open(tmp_path / "queue") as queue:
        queue.put_many(range(2000))
        for message in [*queue.receive_many(2000)][::2]:
            message.ack(wait=False)
        queue.sync()
        size = len(queue._store.load(HEAD).data)
    monkeypatch.setattr(picking, "_FEW", 10)
    monkeypatch.setattr(picking, "CROWDED", 0.5)
    monkeypatch.setattr(picking, "FULL", full)
    monkeypatch.setattr(documents, "ROOM", size + room)
    monkeypatch.setattr(LocalBackend, "document_bytes", size)
    with pqueue.open(tmp_path / "queue") as queue:
        found = []
        while len(queue):
            found += [queue.get()] if call == "get" else queue.get_many(50)
    assert found == list(range(1, 2000, 2))


def test_delays_have_an_end():
    assert pqueue.RetryDelay(factor=1e5, most=7, jitter=0).seconds(500, 0.5) == 7


# -- dead letters ------------------------------------------------------------------------------------------------------


def dead(place, count):
    with place.open() as queue:
        queue.put_many(range(count))
        for _ in range(count):
            queue.receive().reject("no")


def test_letters_are_requeued_once_and_not_after_they_are_gone(place):
    dead(place, 4)
    with place.open() as queue:
        letters = queue.dead.list()
        assert queue.dead.requeue([letters[0], 0, letters[0]]) == 1
        assert queue.dead.purge([1, 1]) == 1
        for gone in (0, 1, letters[0], letters[1]):
            with pytest.raises(KeyError):
                queue.dead.requeue(gone)
        assert queue.dead.requeue() == 2
        assert [item for item, _ in rest(queue)] == [0, 2, 3]


def test_a_letter_that_is_being_written_stays(place, monkeypatch, caplog):
    with place.open() as queue:
        queue.put_many("ab")
        with monkeypatch.context() as dies:
            # It dies when the letter is written and the mark still there.
            dies.setattr("pqueue.burying.transitions.buried", lambda head, *_: (head, 0))
            queue.receive().reject("no")
        assert queue.dead.purge() == 0
        assert queue.dead.requeue() == 0
        assert "is being written" in caplog.text
        monkeypatch.setattr(
            "pqueue.transitions.overdue", lambda head, _: [s for s in head.rest.spans if s.state == "dying"]
        )
        assert queue.get() == "b"
        assert queue.dead.requeue() == 1
        assert rest(queue) == [("a", 1)]


# -- acknowledged without waiting ----------------------------------------------------------------------------------------


def test_acknowledgements_that_nobody_waits_for_go_with_the_next_claim_or_at_sync(place, monkeypatch):
    monkeypatch.setattr(answering, "LINGER", 60.0)
    with place.open() as queue, place.open() as other:
        queue.put_many(range(40))
        for start in range(0, 20, 5):
            batch = queue.receive_many(5)
            assert batch.items == list(range(start, start + 5))
            batch.ack(wait=False)
            with pytest.raises(pqueue.ClaimLost, match="before"):
                batch[0].ack()
        assert len(queue) == 20
        queue.sync()
        assert len(other) == 20
        message = queue.receive()
        message.ack(wait=False)
        assert message.item == 20
    with place.open() as queue:
        assert [item for item, _ in rest(queue)] == list(range(21, 40))


def test_one_claim_serves_eight_calls_whatever_each_asks_for(place, monkeypatch):
    monkeypatch.setattr(answering, "LINGER", 60.0)
    with place.open() as queue:
        for start in range(0, 17_000, 1000):
            queue.put_many(range(start, start + 1000))
        queue.receive_many(1000).ack(wait=False)
        swaps = []
        swap = queue._store.swap
        monkeypatch.setattr(queue._store, "swap", lambda *how: (swaps.append(how[0]), swap(*how))[1])
        for start in range(1000, 17_000, 1000):
            batch = queue.receive_many(1000)
            assert batch.items == list(range(start, start + 1000))
            batch.ack(wait=False)
        assert len(swaps) == 2


def test_they_are_sent_soon_in_any_case(place):
    with place.open(ack_linger=0.1) as queue, place.open() as other:
        queue.put("a")
        queue.receive().ack(wait=False)
        until = time.monotonic() + 30
        while len(other):
            assert time.monotonic() < until
            time.sleep(0.02)


@pytest.mark.parametrize("wait", [True, False])
def test_a_queue_neither_closed_nor_used_any_more_goes_once_it_has_sent_what_it_owes(place, wait):
    with place.open() as other:
        queue = place.open(ack_linger=0.2)
        queue.put_many("ab")
        queue.receive().ack(wait=wait)
        message = queue.receive()
        known = weakref.ref(queue)
        del queue
        gc.collect()
        message.ack(wait=wait)
        del message
        until = time.monotonic() + 30
        while known() or len(other):
            assert time.monotonic() < until
            time.sleep(0.02)
            gc.collect()


def test_who_dies_before_repeats_them(place, monkeypatch):
    monkeypatch.setattr(answering, "LINGER", 60.0)
    queue = place.open(lease=2.5)
    queue.put("a")
    queue.receive().ack(wait=False)
    monkeypatch.setattr(type(queue._receiver), "flush", lambda _: None)
    queue._leases.close()
    monkeypatch.undo()
    with place.open() as other:
        assert len(other) == 1
    queue._receiver._answering.due = 0
    queue.close()
    with place.open() as other:
        assert len(other) == 0


def test_too_late_is_told_or_logged(place, caplog):
    with place.open(lease=1.2, auto_extend=False) as queue, place.open() as other:
        queue.put("a")
        message = queue.receive()
        again = other.receive(timeout=30)
        with pytest.raises(pqueue.ClaimLost):
            message.ack(wait=False)
        again.ack()


def test_acknowledged_after_close_it_is_told(place):
    queue = place.open()
    queue.put("a")
    message = queue.receive()
    queue.close()
    with pytest.raises(pqueue.QueueError):
        message.ack(wait=False)


def test_acknowledgements_that_could_not_be_sent_are_sent_again(place, monkeypatch):
    with place.open() as queue, place.open() as other:
        queue.put("a")
        message = queue.receive()
        with monkeypatch.context() as failing:

            def refused(*_):
                raise pqueue.StoreError("away")

            failing.setattr(queue._store, "swap", refused)
            message.ack(wait=False)
            time.sleep(0.5)
            assert len(other) == 1
        until = time.monotonic() + 30
        while len(other):
            assert time.monotonic() < until
            time.sleep(0.02)


def test_near_the_end_of_its_lease_an_acknowledgement_is_waited_for(place):
    with place.open(auto_extend=False) as queue, place.open() as other:
        queue.put("a")
        message = queue.receive(lease=5)
        message._loan.deadline = time.monotonic() + 0.05
        message.ack(wait=False)
        assert len(other) == 0


def test_a_letter_whose_burial_begins_while_others_are_requeued_stays(place, monkeypatch):
    with place.open() as queue:
        queue.put_many("ab")
        queue.receive().reject("no")

        def which():
            yield 0
            with monkeypatch.context() as dies:
                dies.setattr("pqueue.burying.transitions.buried", lambda head, *_: (head, 0))
                queue.receive().reject("no")
            yield 1

        assert queue.dead.requeue(which()) == 1
        assert [letter.offset for letter in queue.dead] == [1]


def test_len_counts_what_goes_out_while_it_looks(place, monkeypatch):
    with place.open() as queue:
        queue.put_many(range(10))
        queue.receive_many(5).ack(wait=False)
        waiting = queue._consumer.waiting

        def looked():
            found = waiting()
            queue.sync()
            return found

        monkeypatch.setattr(queue._consumer, "waiting", looked)
        assert len(queue) >= 5
        assert len(queue) == 5


def test_a_damaged_letter_hides_no_other(place, caplog):
    dead(place, 3)
    with place.open() as queue:
        store = queue._store
        store.delete([dead_name(1)])
        store.write(dead_name(1), b"{")
        assert [letter.offset for letter in queue.dead] == [0, 2]
        assert "passed over" in caplog.text
        assert queue.dead.requeue() == 2
        assert queue.dead.purge() == 1
        assert not queue.dead


def test_a_quick_loop_has_some_calls_claimed_by_one_acknowledgement_and_a_batch_none_beyond_the_bound(place):
    with place.open() as queue:
        queue.put_many(range(3000))
        for _ in range(40):
            queue.receive().ack()
        assert sum(share._size for share in queue._receiver._prefetched.shares) <= 64
        for _ in range(4):
            queue.receive_many(400).ack()
            assert sum(share._size for share in queue._receiver._prefetched.shares) <= 1000


def test_the_short_way_does_not_acknowledge_what_the_store_s_clock_has_ended(place, monkeypatch):
    monkeypatch.setattr(straight, "_LOOK", 60.0)
    with place.open(auto_extend=False) as queue:
        queue.put_many("ab")
        queue.receive().ack()
        queue._receiver.release()
        message = queue.receive(lease=0.05)
        message._loan.deadline = float("inf")  # a clock of ours that stood still
        time.sleep(0.2 + 2 * queue._store.clock_step_ms / 1000)
        with pytest.raises(pqueue.ClaimLost):
            message.ack()
        assert rest(queue) == [("b", 2)]


def test_numbers_that_say_no_time_are_refused_and_nothing_is_lost(place):
    with place.open(max_attempts=3) as queue:
        queue.put("a")
        with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
            queue.receive(timeout=float("nan"))
        for odd in (float("inf"), float("nan"), -1.0):
            with pytest.raises(ValueError, match="'lease' must be a positive number"):
                queue.receive(lease=odd)
        one = queue.receive_many(10**400)[0]
        for odd in (float("inf"), float("nan"), -1.0):
            with pytest.raises(ValueError, match="'delay' must be a non-negative number"):
                one.nack(odd)
            with pytest.raises(ValueError, match="'seconds' must be a non-negative number"):
                one.extend(odd)
        one.ack()


@pytest.mark.parametrize("settings", [{}, {"ack_linger": 60.0}])
def test_get_and_receive_of_one_object_take_turns_in_order(place, settings):
    with place.open(**settings) as queue:
        queue.put_many(range(3000))
        found = []
        for _ in range(5):
            found += [queue.get(timeout=10), *queue.get_many(2)]
            with queue.receive(timeout=10) as one, queue.receive_many(2, timeout=10) as others:
                found += [one.item, *others.items]
                assert {message.attempt for message in [one, *others]} == {1}
        assert found == list(range(30))
        assert queue.clear() == 2970


@pytest.mark.parametrize("how", ["ack", "ack without waiting", "with", "nack"])
def test_a_batch_answers_the_others_though_one_is_answered_meanwhile(place, monkeypatch, how):
    with place.open() as queue:
        queue.put_many(range(10))
        batch = queue.receive_many(10)
        held = pqueue.share.unanswered
        asked = []

        def meanwhile(messages):
            found = held(messages)
            if not asked:
                asked.append(found)
                batch[4].ack()
            return found

        monkeypatch.setattr("pqueue.share.unanswered", meanwhile)
        if how == "with":
            with batch:
                pass
        elif how == "nack":
            batch.nack()
        else:
            batch.ack(wait=how == "ack")
        monkeypatch.undo()
        queue.sync()
        assert rest(queue) == ([(item, 2) for item in range(10) if item != 4] if how == "nack" else [])


def test_an_acknowledgement_under_way_while_its_queue_closes_leaves_nothing_claimed(place, monkeypatch):
    with place.open() as other:
        queue = place.open()
        queue.put_many(range(20))
        for _ in range(3):
            queue.receive().ack()
        queue._receiver.release()
        message = queue.receive()
        ask = queue._leases.borrow

        def closing(*args, **how):
            outcome = ask(*args, **how)
            monkeypatch.undo()
            queue._receiver.close()
            return outcome

        monkeypatch.setattr(queue._leases, "borrow", closing)
        message.ack()
        assert not queue._receiver.ahead
        queue.close()
        assert rest(other) == [(item, 1) for item in range(4, 20)]


def test_an_answer_too_late_by_ones_own_clock_is_not_sent(place):
    with place.open() as queue:
        queue.put("a")
        message = queue.receive()
        message._loan.deadline = float("-inf")
        with pytest.raises(pqueue.ClaimLost):
            message.ack()
        assert len(queue) == 1


def test_an_answer_that_was_in_time_is_told_so_however_late_it_is_asked_for_again(place, monkeypatch):
    with place.open() as queue:
        queue.put("a")
        message = queue.receive()
        after_next_swap(queue, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            message.ack()
        message._loan.deadline = float("-inf")
        message.ack()
        assert len(queue) == 0


def test_an_object_that_is_dropped_keeps_nothing_that_it_had_claimed_ahead(place):
    """Neither closed nor used up; what it had handed out is acknowledged, the rest is others'."""
    with place.open() as other:
        other.put_many(range(10))
        queue = place.open(ack_linger=0.3, lease=2.0, prefetch=10)
        assert queue.get() == 0
        assert other.qsize() == 0
        gone = weakref.ref(queue)
        del queue
        gc.collect()
        assert gone() is None
        assert [other.get(timeout=20) for _ in range(9)] == list(range(1, 10))
        assert len(other) == 0


def test_a_swap_that_is_under_way_is_not_asked_about(place):
    """Only one that a call has given up; else the keeper waits behind each call's, and at `close` for a store that is gone."""
    with place.open() as queue:
        queue.put_many("ab")
        swap, inside, gate = queue._store.swap, threading.Event(), threading.Event()

        def slow(*how):
            inside.set()
            assert gate.wait(20)
            return swap(*how)

        queue._store.swap = slow
        getter = threading.Thread(target=queue.get)
        getter.start()
        assert inside.wait(20)
        keeper = threading.Thread(target=queue._consumer.settle)
        keeper.start()
        keeper.join(5)
        asks = keeper.is_alive()
        gate.set()
        keeper.join()
        getter.join()
        queue._store.swap = swap
        assert not asks
        assert queue.get() == "b"


def test_opening_getting_and_closing_warns_of_nothing(place, caplog):
    with place.open() as queue:
        queue.put_many(range(1000))
    for _ in range(20):
        with place.open(ack_linger=1) as queue:
            queue.get()
    assert not caplog.records


def test_an_ack_that_would_claim_what_is_missing_claims_nothing(place):
    """Whoever asks for the items is told."""
    with place.open(segment_items=10) as queue:
        for start in range(0, 100, 10):
            queue.put_many(range(start, start + 10))
        with closing(place.connect()) as store:
            store.delete(sorted(blob.name for blob in store.list(SEGMENTS))[2:4])
        found, told = [], []
        while len(found) < 80:
            try:
                message = queue.receive(timeout=5)
            except pqueue.CorruptSegment as error:
                told.append(error)
                continue
            message.ack()
            found.append(message.item)
        assert found == [*range(20), *range(40, 100)]
        assert 1 <= len(told) <= 2
        assert [letter.reason for letter in queue.dead] == ["missing"] * 2


def test_clear_ends_where_the_open_segment_is_missing(place):
    with place.open(segment_items=5) as queue:
        for start in range(0, 20, 5):
            queue.put_many(range(start, start + 5 - (start == 15)))
    with closing(place.connect()) as store:
        store.delete(sorted(blob.name for blob in store.list(SEGMENTS))[-1:])

    def clear():
        with (
            place.open() as queue,
            suppress(pqueue.CorruptSegment),
        ):  # where segments grow, it is needed to know the end
            queue.clear()
        return True

    assert in_time(clear, "nothing")


def test_what_a_get_had_claimed_ahead_comes_first_though_giving_it_back_has_failed(place, monkeypatch):
    with place.open(ack_linger=5, prefetch=10) as queue:
        queue.put_many(range(40))
        assert queue.get() == 0
        with monkeypatch.context() as failing:
            failing.setattr(
                queue._leases, "ask", lambda *_, **__: (_ for _ in ()).throw(pqueue.StoreError("slow down"))
            )
            with pytest.raises(pqueue.StoreError):
                queue.receive()
        found = []
        while len(found) < 20:
            with queue.receive(timeout=5) as message:
                found.append(message.item)
        assert found == list(range(1, 21))


def test_what_a_get_had_slept_on_comes_first_though_giving_it_back_has_failed(place, monkeypatch):
    with place.open(ack_linger=5, prefetch=4) as queue:
        queue.put_many(range(12))
        assert queue.get() == 0
        queue._ahead.loan.deadline = float("-inf")
        with monkeypatch.context() as failing:
            failing.setattr(
                queue._leases, "borrow", lambda *_, **__: (_ for _ in ()).throw(pqueue.StoreError("slow down"))
            )
            with pytest.raises(pqueue.StoreError):
                queue.get()
        found = []
        while len(found) < 11:
            with queue.receive(timeout=5) as message:
                found.append(message.item)
        assert found == list(range(1, 12))


def test_where_no_keeper_can_be_started_the_next_call_starts_one(place, monkeypatch, caplog):
    if place.kind not in ("memory", "bucket"):
        return
    with place.open(lease=2) as queue, place.open() as other:
        queue.put_many("ab")
        with monkeypatch.context() as failing:

            def spawn(*_):
                raise RuntimeError("can't start new thread")

            failing.setattr(type(queue._runtime), "spawn", spawn)
            first = queue.receive()
        assert "until a thread can be started" in caplog.text
        second = queue.receive()
        assert (first.item, second.item) == ("a", "b")
        with pytest.raises(pqueue.Empty):
            other.receive(timeout=4)
        first.ack()
        second.ack()


def test_the_keeper_survives_an_attending_that_fails(place, monkeypatch, caplog):
    if place.kind != "memory":
        return  # one is enough: no store has a part in it
    with place.open(lease=2) as queue, place.open() as other:
        queue.put("a")
        real, failed = queue._leases.keeper.attend, []

        def attend():
            if not failed:
                failed.append(None)
                raise RuntimeError("dictionary changed size during iteration")
            return real()

        monkeypatch.setattr(queue._leases.keeper, "attend", attend)
        message = queue.receive()
        with pytest.raises(pqueue.Empty):
            other.receive(timeout=4)
        assert "could not be attended to" in caplog.text
        message.ack()
