"""A segment that is gone costs its own items, and nothing that lies before it or behind."""

import threading
from contextlib import suppress

import pytest

import pqueue
from pqueue.names import SEGMENTS
from tests.support.drain import drained
from tests.support.points import in_time


def filled(place, segments, each):
    """A queue of the numbers from 0 on, in so many closed segments and one that may be open."""
    queue = place.open(segment_items=each)
    for number in range(segments):
        queue.put_many(range(each * number, each * (number + 1)))
    return queue


def lose(queue, number):
    """Delete a segment."""
    queue._store.delete([sorted(blob.name for blob in queue._store.list(SEGMENTS))[number]])


def received(queue, count):
    batch = queue.receive_many(count, timeout=1)
    items = batch.items
    batch.ack()
    return items


def got(queue, count):
    return queue.get_many(count, timeout=1)


def led_together(queue, monkeypatch, first, *more):
    """Run each in a thread: while the first is in its swap, the others come, and share the next."""
    monkeypatch.setattr(queue._consumer._combiner, "alone", lambda *_: None)
    swap, inside, gate = queue._store.swap, threading.Event(), threading.Event()

    def slow(*how):
        if not gate.is_set():
            inside.set()
            assert gate.wait(20)
        return swap(*how)

    monkeypatch.setattr(queue._store, "swap", slow)
    threads = [threading.Thread(target=what) for what in (first, *more)]
    threads[0].start()
    assert inside.wait(20)
    for thread in threads[1:]:
        thread.start()
        thread.join(0.2)
    gate.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("missing", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 2, 4, 9, 100])
@pytest.mark.parametrize("take", [got, received])
def test_what_lies_before_what_is_missing_is_handed_out_however_many_are_asked_for(place, take, count, missing):
    with filled(place, 4, 3) as queue:
        lose(queue, missing)
        found, told = drained(queue, take, count)
        assert found == [item for item in range(12) if item // 3 != missing]
        assert len(told) == 1
        assert [letter.reason for letter in queue.dead] == ["missing"]


@pytest.mark.parametrize("missing", [(0, 1), (1, 3)])
def test_two_are_missing(place, missing):
    with filled(place, 5, 3) as queue:
        for number in reversed(missing):
            lose(queue, number)
        found, told = drained(queue, got, 100)
        assert found == [item for item in range(15) if item // 3 not in missing]
        assert len(told) == 2


@pytest.mark.parametrize("first", [got, received])
@pytest.mark.parametrize("second", [got, received])
def test_of_threads_that_are_served_together_one_gets_what_lies_before_it_and_nothing_is_lost(
    place, monkeypatch, first, second
):
    with filled(place, 5, 3) as queue:
        held = queue.receive_many(1)
        lose(queue, 1)
        found, told, guard = [], [], threading.Lock()

        def ask(take, count):
            try:
                items = take(queue, count)
            except pqueue.CorruptSegment as error:
                told.append(error)
            else:
                with guard:
                    found.extend(items)

        led_together(queue, monkeypatch, held.ack, lambda: ask(first, 2), lambda: ask(second, 3))
        more, and_told = drained(queue, got, 3)
        assert sorted(found + more) == [1, 2, *range(6, 15)]
        assert len(told + and_told) == 1


def spoil(queue, number):
    """Damage a segment behind its header, to the end."""
    name = sorted(blob.name for blob in queue._store.list(SEGMENTS))[number]
    data = bytearray(queue._store.read(name))
    for at in range(len(data) * 3 // 5, len(data)):
        data[at] ^= 0xFF
    queue._store.delete([name])
    queue._store.write(name, bytes(data))


@pytest.mark.parametrize(("trouble", "reason"), [(lose, "missing"), (spoil, "damaged")])
def test_what_is_rejected_beside_a_call_that_meets_trouble_has_its_letter_at_once(place, monkeypatch, trouble, reason):
    with filled(place, 4, 2) as queue:
        queue.get_many(2)
        held, refused = queue.receive_many(1), queue.receive()
        trouble(queue, -2)

        def get():
            with suppress(pqueue.CorruptSegment, pqueue.Empty):
                queue.get_many(5, timeout=0)

        led_together(queue, monkeypatch, held.ack, lambda: refused.reject("no"), get)
        drained(queue, got, 3)
        assert sorted(letter.reason for letter in queue.dead) == sorted([reason, "rejected"])


def test_what_is_missing_and_given_back_by_the_very_call_that_asks_for_it_is_set_aside(place):
    """Planned without what that call gives back there is nothing to set aside, for ever."""
    with filled(place, 3, 3) as queue, place.open(ack_linger=5, prefetch=3) as getter:
        assert getter.get() == 0
        getter._ahead.loan.deadline = float("-inf")  # it has slept
        lose(queue, 0)
        found, told = [], []

        def rest():
            while len(found) < 6:
                try:
                    found.append(getter.get(timeout=1))
                except pqueue.CorruptSegment as error:
                    told.append(error)
            return True

        assert in_time(rest, "nothing")
        assert found == [*range(3, 9)]
        assert len(told) == 1
