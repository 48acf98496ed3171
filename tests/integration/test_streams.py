"""Streams of commits that are under way at once."""

import re
import threading
import time

import pytest

import pqueue
from pqueue.names import TAIL


def test_many_streams_of_one_process_end(place):
    queues = [place.open() for _ in range(12)]
    done = []

    def stream(queue):
        done.append(queue.put_stream(((id(queue), index) for index in range(400)), batch=4))

    threads = [threading.Thread(target=stream, args=(queue,), daemon=True) for queue in queues]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert done == [400] * 12
    with place.open() as other:
        assert len(other) == 4800
    for queue in queues:
        queue.close()


def test_a_stream_alone_looks_at_no_other_but_now_and_then(place):
    """Rule 9: commits that one swap has listed along are no sign of another writer."""
    with place.open() as queue:
        store = queue._store
        swap, list_ = store.swap, store.list
        counts = {"swaps": 0, "looks": 0}

        def swapped(*more, **how):
            time.sleep(0.01)  # so that a swap lists several
            counts["swaps"] += 1
            return swap(*more, **how)

        def listed(*more, **how):
            counts["looks"] += 1
            return list_(*more, **how)

        store.swap, store.list = swapped, listed
        assert queue.put_stream(iter(range(1200)), batch=10) == 1200
        assert counts["looks"] <= counts["swaps"] // 8 + 1


@pytest.mark.parametrize(("losses", "listings"), [(1, 1), (3, 1), (4, 2), (7, 2), (8, 3)])
def test_who_loses_its_swap_again_and_again_lists_what_there_is_now_and_then(place, monkeypatch, losses, listings):
    if place.appends:
        return
    with place.open() as queue:
        queue.put("first")
        store = queue._store
        swap, list_ = store.swap, store.list
        left, listed = [losses], []

        def beaten(document, data, version, sync):
            if document == TAIL and left[0]:
                left[0] -= 1
                there = store.load(TAIL)
                swap(TAIL, there.data, there.version, sync)
            return swap(document, data, version, sync)

        monkeypatch.setattr(store, "swap", beaten)
        monkeypatch.setattr(store, "list", lambda *how: listed.append(how) or list_(*how))
        queue.put("mine")
        assert left == [0]
        assert len(listed) == listings
        assert queue.get_many(20) == ["first", "mine"]


class Ending:
    """A serializer that stops an iteration instead of saying what is wrong with an item."""

    name = "ending"

    def dumps(self, item):
        return next(iter(())) if item == 3 else str(item).encode()

    def loads(self, record):
        return int(record)

    def loads_many(self, records):
        return [*map(self.loads, records)]


def test_a_serializer_that_stops_an_iteration_ends_no_put_in_silence(place):
    with pqueue.Queue(place.connect(), Ending(), ack_linger=0) as queue:
        with pytest.raises(StopIteration):
            queue.put_many(range(10))
        assert len(queue) == 0
        with pytest.raises(RuntimeError) as told:
            queue.put_stream(range(10))
        assert "put_stream: in the queue are the first 3 items" in told.value.__notes__
        assert list(queue) == [0, 1, 2]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, pqueue.Full, pqueue.PutUncertain])
def test_what_a_broken_off_stream_does_not_know_of_is_told(place, monkeypatch, error):
    """An upload that was not answered may be there, and be listed by the next producer that looks."""
    if place.appends:
        return
    with place.open() as queue, place.open() as other, place.open() as third:
        lost = []
        write = queue._store.write

        def unanswered(name, data):
            write(name, data)
            if lost and name.startswith("seg/"):
                raise pqueue.StoreError("no answer")

        def items():
            for number in range(6):
                if number == 4:
                    while len(other) < 4:
                        time.sleep(0.001)
                    lost.append(True)
                yield number
            raise error("the file ends too early")

        monkeypatch.setattr(queue._store, "write", unanswered)
        monkeypatch.setattr(queue._log._way, "_pause", lambda _: None)
        with pytest.raises((error, pqueue.PutUncertain)) as told:
            queue.put_stream(items(), batch=2)
        count, perhaps = map(
            int, re.search(r"the first (\d+) items?, and perhaps some of the (\d+)", told.value.__notes__[-1]).groups()
        )
        assert (count, perhaps) == (4, 2)
        if issubclass(error, pqueue.QueueError):
            assert type(told.value) is pqueue.PutUncertain
            assert told.value.put_so_far == count
        else:
            assert type(told.value) is error
        monkeypatch.undo()
        for _ in range(4):
            other.put("other")
            third.put("other")
        assert [item for item in other.get_many(100) if item != "other"] == list(range(6)), (
            "what it was not told of is there"
        )


def test_a_stream_whose_first_commit_is_refused_is_sure_of_the_rest(place, monkeypatch):
    if place.appends:
        return
    with place.open() as queue, place.open() as other:
        monkeypatch.setattr(queue._store, "write", refusing)
        with pytest.raises(pqueue.StoreFull) as told:
            queue.put_stream(range(8), batch=2)
        assert told.value.put_so_far == 0
        assert told.value.__notes__[-1].endswith("in the queue are the first 0 items")
        monkeypatch.undo()
        for _ in range(4):
            other.put("other")
        assert other.get_many(100) == ["other"] * 4


def refusing(name, data):
    raise pqueue.StoreFull("no room")
