"""Streams of commits that are under way at once."""

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
