"""Large items: a few are read and decoded at a time, whatever may be asked for ahead."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import pqueue
from pqueue.cursor import AHEAD_BYTES
from pqueue.peek import Glance
from pqueue.reader import Reader
from pqueue.request import Request
from pqueue.runtime import REAL

SIZE = 500_000
COUNT = 60


def item(number: int) -> bytes:
    return number.to_bytes(2, "big") * (SIZE // 2)


@contextmanager
def at_most(items: float) -> Iterator[None]:
    """Python's memory grows by so many items' bytes at most meanwhile."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < items * SIZE, f"{peak / SIZE:.1f} items"


def gets(queue: pqueue.Queue[Any]) -> Iterator[bytes]:
    for _ in range(COUNT):
        yield queue.get(block=False)


def receives(queue: pqueue.Queue[Any]) -> Iterator[bytes]:
    for _ in range(COUNT):
        message = queue.receive(block=False)
        message.ack()
        yield message.item


def batches(queue: pqueue.Queue[Any]) -> Iterator[bytes]:
    for _ in range(COUNT // 3):
        batch = queue.receive_many(3, block=False)
        assert len(batch) == 3
        batch.ack()
        yield from batch.items


def waits_for_none(queue: pqueue.Queue[Any]) -> Iterator[bytes]:
    for _ in range(COUNT // 6):
        batch = queue.receive_many(6, block=False)
        assert len(batch) == 6
        batch.ack(wait=False)
        yield from batch.items


def iterates(queue: pqueue.Queue[Any]) -> Iterator[bytes]:
    yield from queue


def glances(queue: pqueue.Queue[Any]) -> Iterator[bytes]:
    for chunk in Glance(queue._parts.store, queue._parts.codecs).waiting():
        yield from map(queue.serializer.loads, chunk.records)


@pytest.mark.parametrize("way", [gets, receives, batches, waits_for_none, iterates, glances])
@pytest.mark.parametrize("durability", ["written", "buffered"])
@pytest.mark.parametrize("linger", [0, 60])
def test_one_after_another_few_are_in_memory(
    place, way: Callable[[pqueue.Queue[Any]], Iterator[bytes]], durability: str, linger: float
):
    if not place.appends:
        return  # what is claimed by its place is read in whole segments, as it was put
    with place.open(durability=durability, max_commit_bytes=2 * SIZE) as queue:
        for number in range(COUNT):
            queue.put(item(number))
    with place.open(ack_linger=linger) as queue, at_most(30 if way is waits_for_none else 16):
        for number, got in enumerate(way(queue)):
            assert got == item(number)
        assert number == COUNT - 1


@pytest.mark.parametrize("way", [gets, receives, batches, iterates, glances])
def test_of_a_large_commit_its_bytes_and_few_items_are_in_memory(
    place, way: Callable[[pqueue.Queue[Any]], Iterator[bytes]]
):
    if not place.appends:
        return
    with place.open() as queue:
        queue.put_many([item(number) for number in range(COUNT)])
    with place.open() as queue, at_most(COUNT + 16):
        for number, got in enumerate(way(queue)):
            assert got == item(number)
        assert number == COUNT - 1


def lends(queue: pqueue.Queue[Any]) -> Iterator[bytes]:
    with queue.lending() as lending:
        while items := lending.take(1000, 1):
            yield from items
            lending.done(len(items))


@pytest.mark.parametrize("way", [gets, receives, batches, iterates, glances, lends])
@pytest.mark.parametrize("segment_items", [4, 1000])
def test_of_many_commits_and_segments_few_are_in_memory(
    place, way: Callable[[pqueue.Queue[Any]], Iterator[bytes]], segment_items: int
):
    if not place.appends:
        return
    with place.open(segment_items=segment_items) as queue:
        for number in range(0, COUNT, 4):
            queue.put_many([item(one) for one in range(number, number + 4)])
    with place.open() as queue, at_most(30 if way is batches else 20):
        for number, got in enumerate(way(queue)):
            assert got == item(number)
        assert number == COUNT - 1


@pytest.mark.parametrize("way", [gets, receives, batches, waits_for_none, iterates, glances, lends])
@pytest.mark.parametrize("linger", [0, 60])
def test_of_what_was_given_back_few_are_in_memory(
    place, way: Callable[[pqueue.Queue[Any]], Iterator[bytes]], linger: float
):
    if not place.appends:
        return
    with place.open() as queue:
        for number in range(COUNT):
            queue.put(item(number))
        queue.receive_many(COUNT // 2).nack(delay=0)
        queue.receive_many(COUNT).nack(delay=0)
    with place.open(ack_linger=linger) as queue, at_most(30 if way is waits_for_none else 16):
        for number, got in enumerate(way(queue)):
            assert got == item(number)
        assert number == COUNT - 1


@pytest.mark.parametrize("way", [gets, receives, batches, iterates, glances, lends])
def test_of_what_a_codec_makes_small_few_are_in_memory(place, way: Callable[[pqueue.Queue[Any]], Iterator[bytes]]):
    if not place.appends:
        return
    with place.open(codecs=["zlib"]) as queue:
        for number in range(COUNT):
            queue.put(item(number))
    with place.open() as queue, at_most(20 if way is batches else 16):
        for number, got in enumerate(way(queue)):
            assert got == item(number)
        assert number == COUNT - 1


def test_where_a_claim_is_dear_it_is_of_many_all_the_same(place):
    if place.appends:
        return
    with place.open() as queue:
        for number in range(6):
            queue.put_many([number.to_bytes(2, "big") * 50_000] * 10)
        consumer = queue._consumer
        for _ in range(3):
            request = Request(lend=20, least=2, claim=consumer.draw_claim(), lease_ms=60_000)
            assert consumer.ask(request).lent == 20


def test_of_small_and_large_ones_each_comes_once_and_in_order(place):
    sizes = [10, 300_000, 20, 30, 40_000, 700_000, 5, 1, 0, 260_000]
    items = [bytes([number % 251]) * sizes[number % len(sizes)] for number in range(100)]
    with place.open() as queue:
        for number, one in enumerate(items[:50]):
            queue.put(one) if number % 7 else queue.put_many([one])
        queue.put_many(items[50:])
        assert [*glances(queue)] == items
        assert queue.get_many(3) == items[:3]
        for one in items[3:20]:
            assert queue.get() == one
        at = 20
        while at < 60:
            batch = queue.receive_many(7)
            assert batch.items == items[at : at + len(batch)]
            batch.ack()
            at += len(batch)
        assert [*queue] == items[at:]


def test_what_was_passed_keeps_its_time_for_whoever_goes_back(place):
    """A claim whose swap is lost may go back to it."""
    if not place.appends:
        return
    with place.open(record_times=True) as queue:
        parts = queue._parts

        def reader() -> Reader:
            return Reader(parts.store, parts.view, (), REAL, lambda: None)

        def times(of: Reader, start: int) -> list[int]:
            chunk = of.chunk(0, start, 5)
            assert chunk is not None
            assert len(set(chunk.times)) == 5  # each its own
            return [*chunk.times]

        once = reader()
        for start in (0, 20, 12, 30, 14):
            if start in (0, 20):
                for number in range(20):
                    queue.put(number)
                    time.sleep(0.002)
            assert times(once, start) == times(reader(), start)


@pytest.mark.parametrize("size", [100_000, SIZE])
def test_a_claim_of_many_is_content_with_what_suffices(place, size: int):
    if not place.appends:
        return
    with place.open() as queue:
        for number in range(COUNT):
            queue.put(number.to_bytes(2, "big") * (size // 2))
    with place.open() as queue:
        consumer = queue._consumer
        at = 0
        for straight in range(4):
            request = Request(lend=COUNT, least=2, claim=consumer.draw_claim(), lease_ms=60_000, ride=straight > 0)
            lots = consumer.ask(request).lots
            items = [one for lot in lots for one in lot.items]
            assert items == [number.to_bytes(2, "big") * (size // 2) for number in range(at, at + len(items))]
            at += len(items)
            assert 2 <= len(items) <= 2 + AHEAD_BYTES // size
        (lot,) = consumer.ask(Request(lend=20, claim=consumer.draw_claim(), lease_ms=60_000)).lots
        assert len(lot.items) == 20


def test_what_is_left_of_what_was_decoded_ahead_is_handed_out_from_its_place_on(place):
    if not place.appends:
        return
    with place.open() as queue:
        for number in range(10):
            queue.put(number)
        picker = queue._consumer._leader.picker
        assert list(picker.ahead(0, 0, 1, 1)) == [0]
        assert list(picker.ahead(0, 1, 10, 1)) == [*range(1, 10)]
        assert list(picker.ahead(0, 4, 3, 3)) == [4, 5, 6]
        assert list(picker.ahead(0, 0, 20, 1)) == [*range(10)]
