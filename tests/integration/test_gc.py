"""Litter is collected and nothing else, and a removed queue is gone, on every store."""

from __future__ import annotations

import threading

import pytest

import pqueue
from pqueue import gc
from pqueue.frames import Shape
from pqueue.names import HEAD, META, PAGES, SEGMENTS, TAIL, Name
from pqueue.remove import remove
from pqueue.tail import Tail


def names(store, prefix=SEGMENTS):
    return [blob.name for blob in store.list(prefix)]


def drain(queue):
    items = []
    while True:
        try:
            items += queue.get_many(1000, block=False)
        except pqueue.Empty:
            return items


def upload(store, birth, number=0, queue=None):
    """A segment of one item, uploaded and never listed."""
    tail = Tail.parse(store.load(TAIL).data)
    name = Name(tail.next, queue or tail.queue, f"{birth:012x}{7:012x}", number, 1)
    shape = Shape(name, ())
    store.write(str(name), shape.header + shape.frame([b"x"], 0, None))
    return str(name)


@pytest.fixture
def store(place):
    store = place.connect()
    yield store
    store.close()


def test_nothing_is_taken_of_a_queue_at_work(place, store):
    with place.open(segment_items=3) as queue:
        for item in range(30):
            queue.put(item)
        assert [queue.get() for _ in range(10)] == list(range(10))
        for dry_run in (True, False):
            report = gc.collect(store, dry_run=dry_run)
            assert not [one for one in report.taken if one.why not in (gc.CONSUMED, gc.PASSED)]
        assert drain(queue) == list(range(10, 30))


def test_litter_of_every_kind_is_taken_and_a_live_upload_is_not(place, store):
    with place.open() as queue:
        queue.put("a")
        now = store.load(TAIL).now.ms
        live = upload(store, now + 1)
        stray = upload(store, now + 1, queue="f" * 16)
        old = upload(store, 0)
        report = gc.collect(store, long_past=2 * now, dry_run=True)
        assert [one.name for one in report.taken] == [stray]
        assert report.waiting == 2
        age = now / 2000
        report = gc.collect(store, long_past=age, dry_run=True)
        assert {one.name for one in report.taken} == {stray, old}
        report = gc.collect(store, long_past=age)
        assert {one.name: one.why for one in report.taken} == {stray: gc.OTHER, old: gc.BARRED}
        assert (report.barred, report.waiting) == (1, 1)
        assert live in names(store)
        queue.put("b")
        assert set(drain(queue)) - {"a", "b"} <= {120}  # others list it, where segments are written whole
        assert stray not in names(store)
        assert old not in names(store)


def test_segments_and_pages_that_consumers_left_behind_are_taken(place, store, monkeypatch):
    if place.appends:
        return  # the same code; pages come slowly where segments grow
    with place.open() as queue:
        for item in range(PAGES_WORTH):
            queue.put(item)
        with monkeypatch.context() as patch:
            patch.setattr(type(store), "delete", lambda *_: None)
            got = [queue.get() for _ in range(PAGES_WORTH - 5)]
        assert len(names(store)) > PAGES_WORTH - 10  # deletions may be under way
        report = gc.collect(store)
        assert {one.why for one in report.taken} >= {gc.PASSED}
        assert len(names(store)) <= 6
        assert names(store, PAGES) == []
        assert got + drain(queue) == list(range(PAGES_WORTH))


PAGES_WORTH = 200


def test_producers_and_consumers_at_work_lose_nothing_to_it(place, store):
    """Uploads that are not listed yet stand there all the time."""
    count, got = 60, []
    done = threading.Event()

    def produce(who):
        with place.open() as queue:
            for number in range(count):
                queue.put((who, number))

    def consume():
        with place.open() as queue:
            while len(got) < 3 * count:
                got.append(queue.get(timeout=60))

    with place.open(segment_items=4):
        pass
    threads = [threading.Thread(target=produce, args=(who,)) for who in range(3)]
    threads.append(threading.Thread(target=consume))

    def sweep():
        while not done.is_set():
            gc.collect(store)

    sweeper = threading.Thread(target=sweep)
    for one in (*threads, sweeper):
        one.start()
    for one in threads:
        one.join()
    done.set()
    sweeper.join()
    assert sorted(got) == [(who, number) for who in range(3) for number in range(count)]


def test_where_no_queue_is_nothing_is_collected(store):
    with pytest.raises(pqueue.QueueAbsent):
        gc.collect(store)
    with pytest.raises(pqueue.QueueAbsent):
        remove(store)


# -- rm ---------------------------------------------------------------------------------------------------------------


def test_a_removed_queue_is_gone_for_all_and_leaves_tombstones_alone(place, store):
    with place.open(segment_items=2) as queue:
        queue.put_many(range(10))
        assert queue.get() == 0
        assert remove(store) >= 1
        assert names(store, "") == []
        assert store.load(META) is None
        with pytest.raises(pqueue.QueueGone):
            place.open(create=False)
        with pytest.raises((pqueue.QueueGone, pqueue.PutUncertain)):
            queue.put("late")
        with pytest.raises(pqueue.QueueGone):
            queue.get(block=False)
    assert remove(store) <= 1  # the late upload
    with place.open() as queue:
        queue.put("new")
        assert queue.get() == "new"
        assert len(queue) == 0


def test_a_late_upload_to_a_removed_queue_is_collected(place, store):
    with place.open() as queue:
        queue.put(1)
    late = upload(store, 5)
    remove(store)
    late = upload(store, 5)
    assert [one.name for one in gc.collect(store).taken] == [late]
    late = upload(store, 6)
    with place.open() as queue:
        queue.put(2)
        assert [one.name for one in gc.collect(store).taken] == [late]
        assert queue.get() == 2


@pytest.mark.parametrize("deletes", [0, 1])
def test_a_removal_that_died_is_finished_by_the_next(place, store, monkeypatch, deletes):
    with place.open() as queue:
        queue.put(1)
    original = type(store).delete
    left = [deletes]

    def dying(self, given):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        original(self, given)

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "delete", dying)
        with pytest.raises(KeyboardInterrupt):
            remove(store)
    with pytest.raises(pqueue.QueueGone):
        place.open(create=False)
    remove(store)
    assert names(store, "") == []
    assert store.load(HEAD) is not None


def test_a_new_life_that_begins_during_a_removal_is_left_alone(place, store, monkeypatch):
    with place.open() as queue:
        queue.put(1)
    original = type(store).list
    fresh = []

    def listing(self, prefix, after=""):
        if prefix == "" and not fresh:
            fresh.append(place.open())
            fresh[0].put("new")
        return original(self, prefix, after)

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "list", listing)
        remove(store)
    assert fresh[0].get() == "new"
    fresh[0].close()
    with place.open(create=False) as queue:
        assert len(queue) == 0


def test_what_begins_after_the_names_were_listed_is_left_alone(place, store, monkeypatch):
    """Rule 13: with the tail first, a new life's segments, or a put that was listed meanwhile, would be another's or passed."""
    with place.open() as queue:
        queue.put("old")
    original = type(store).load
    began = []

    def late(self, document, known=None):
        """Right after the tail was loaded: the queue is removed, and a new one begun."""
        found = original(self, document, known)
        if document == TAIL and self is store and not began:
            began.append(None)
            remove(place.connect())
            began[0] = place.open()
            began[0].put("new")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "load", late)
        report = gc.collect(store)
    fresh = Tail.parse(store.load(TAIL).data).queue
    assert not [one for one in report.taken if f"-{fresh}" in one.name]
    assert began[0].get() == "new"
    began[0].close()


def test_an_upload_that_is_listed_while_its_writer_is_being_barred_stays(place, store, monkeypatch):
    if place.appends:
        return  # others' uploads are listed only where segments are written whole
    with place.open() as queue, place.open() as other:
        queue.put("a")
        old = upload(store, 0)
        original = type(store).swap
        raced = []

        def late(self, document, data, version, sync):
            if self is store and document == TAIL and not raced:
                raced.append(None)
                other.put("b")  # lists what is there: it met another writer
                other.put("c")
                queue.put("d")
            return original(self, document, data, version, sync)

        with monkeypatch.context() as patch:
            patch.setattr(type(store), "swap", late)
            report = gc.collect(store, long_past=store.load(TAIL).now.ms / 2000)
        listed = {str(entry.name) for entry in Tail.parse(store.load(TAIL).data).entries}
        assert raced
        assert not listed & {one.name for one in report.taken}
        items = drain(queue)
        assert ("b" in items, "c" in items, "d" in items) == (True, True, True)
        assert (old in listed) == (120 in items)
