"""One queue on five stores: the same tests, whatever it stands on."""

import re
import threading
import time
from collections import defaultdict

import pytest

import pqueue
from pqueue import reader as reading
from pqueue.head import Head
from pqueue.names import DEAD, HEAD, META, SEGMENTS, TAIL
from pqueue.tail import Tail
from pqueue_stdlib import JsonSerializer


def drain(queue, batch=100):
    items = []
    while True:
        try:
            items += queue.get_many(batch, block=False)
        except pqueue.Empty:
            return items


def segments(place):
    store = place.connect()
    try:
        return [blob.name for blob in store.list(SEGMENTS)]
    finally:
        store.close()


def test_items_come_out_in_the_order_they_went_in(place):
    with place.open() as queue:
        for item in range(5):
            queue.put(item)
        queue.put_many(range(5, 25))
        queue.put(25)
        assert len(queue) == 26
        assert [queue.get() for _ in range(10)] == list(range(10))
        assert queue.get_many(4) == [10, 11, 12, 13]
        assert len(queue) == 12
        assert drain(queue) == list(range(14, 26))
        assert len(queue) == 0
        assert queue


def test_an_empty_queue_says_so_at_once_or_after_the_time_it_was_given(place):
    with place.open() as queue:
        with pytest.raises(pqueue.Empty):
            queue.get(block=False)
        started = time.monotonic()
        with pytest.raises(pqueue.Empty):
            queue.get(timeout=0.2)
        assert time.monotonic() - started >= 0.2
        with pytest.raises(ValueError, match="timeout"):
            queue.get(timeout=-1)
        with pytest.raises(ValueError, match="positive"):
            queue.get_many(0)


def test_in_is_refused_since_it_would_take_all_there_is(place):
    with place.open() as queue:
        queue.put_many([1, 2])
        with pytest.raises(TypeError, match="not a container"):
            1 in queue  # noqa: B015
        assert list(queue) == [1, 2]
        assert len(queue) == 0


def test_what_was_put_outlives_the_object_and_what_was_got_does_not(place):
    with place.open() as queue:
        queue.put_many(range(10))
        assert queue.get() == 0
    with place.open() as queue:
        assert len(queue) == 9
        assert queue.get_many(3) == [1, 2, 3]
    with place.open() as queue:
        assert drain(queue) == list(range(4, 10))


def test_two_objects_see_each_others_acts(place):
    with place.open() as one, place.open() as two:
        one.put("a")
        two.put("b")
        one.put("c")
        assert two.get() == "a"
        assert one.get() == "b"
        two.put("d")
        assert len(one) == len(two) == 2
        assert [two.get(), one.get()] == ["c", "d"]
        with pytest.raises(pqueue.Empty):
            two.get(block=False)


def test_put_many_is_one_commit_and_nothing_for_no_items(place):
    with place.open(max_commit_bytes=1000) as queue:
        queue.put_many([])
        queue.put("a")
        with pytest.raises(pqueue.QueueError, match="max_commit_bytes"):
            queue.put_many(["x" * 600, "y" * 600])
        with pytest.raises(pqueue.SerializationError):
            queue.put_many(["fine", object()])
        queue.put("b")
        assert drain(queue) == ["a", "b"]


def test_a_waiting_get_is_served_by_a_put_of_another_thread(place):
    with place.open() as queue:
        got = []
        waiter = threading.Thread(target=lambda: got.append(queue.get(timeout=30)))
        waiter.start()
        time.sleep(0.05)
        queue.put("late")
        waiter.join(30)
        assert got == ["late"]


def test_segments_roll_and_are_deleted_once_consumed(place):
    with place.open(segment_items=10) as queue:
        for start in range(0, 100, 5):
            queue.put_many(range(start, start + 5))
        assert len(segments(place)) >= 10
        assert drain(queue, 7) == list(range(100))
    assert len(segments(place)) <= 1


def test_old_entries_move_to_pages_and_both_are_deleted_in_the_end(place):
    count = 420 if place.kind != "bucket" else 270
    with place.open(segment_items=1) as queue, place.open() as other:
        for item in range(count):
            (queue if item % 3 else other).put(item)
        store = place.connect()
        assert [blob.name for blob in store.list("log/")] != []
        tail = Tail.parse(store.load(TAIL).data)
        assert tail.first >= 128
        assert tail.next == count
        assert drain(other, 50) == list(range(count))
        for item in range(200):
            queue.put(item)
            other.get()
    left = [blob.name for blob in store.list("log/")]
    assert len(left) <= 2, "a page that everybody has passed is deleted"
    assert len(list(store.list(SEGMENTS))) <= 2
    store.close()


def test_large_items_and_empty_ones(place):
    items = [b"", "x" * 3_000_000, b"\x00" * 1_500_000, "", b"z"]
    with place.open() as queue:
        for item in items:
            queue.put(item)
        queue.put_many(items)
    with place.open() as queue:
        assert drain(queue) == items + items


@pytest.mark.parametrize("durability", ["buffered", "written", "synced"])
def test_each_durability_keeps_what_it_says(place, durability):
    with place.open(durability=durability, segment_items=50) as queue:
        for item in range(120):
            queue.put(item)
        assert len(queue) == 120
        assert queue.get() == 0
        with place.open() as other:
            if durability != "buffered":
                assert len(other) == 119
        queue.sync()
        assert queue.get_many(20)[0] == 1
        queue.put("last")
    with place.open() as queue:
        rest = drain(queue)
        assert rest[-1] == "last"
        assert rest[:-1] == list(range(120 - len(rest) + 1, 120))
        assert 120 - len(rest) + 1 >= 2


@pytest.fixture
def putting(monkeypatch):
    """Have another item put whenever a queue's buffer is on its way."""

    def putting(queue):
        run = queue._log._combiner.run
        told = []

        def busy(*works):
            try:
                queue.put("meanwhile")
            except pqueue.ShutDown:
                told.append("shut down")
            return run(*works)

        monkeypatch.setattr(queue._log._combiner, "run", busy)
        return told

    return putting


def test_a_flush_puts_what_was_there_and_does_not_run_after_those_that_go_on(place, putting):
    with place.open(durability="buffered") as queue, place.open() as other:
        queue.put("first")
        putting(queue)
        queue.sync()
        assert list(other) == ["first"]
        assert queue.stats().buffered == 1


def test_a_close_takes_nothing_more_while_it_flushes(place, putting):
    queue = place.open(durability="buffered")
    queue.put("first")
    told = putting(queue)
    queue.close()
    assert told == ["shut down"]
    with place.open() as other:
        assert list(other) == ["first"]


def test_a_close_that_can_not_flush_leaves_the_buffer_open(place, monkeypatch):
    with place.open(durability="buffered") as queue:
        queue.put("first")

        def failing(*_):
            raise pqueue.StoreError("no answer")

        with monkeypatch.context() as patch:
            patch.setattr(queue._log._combiner, "run", failing)
            with pytest.raises(pqueue.StoreError):
                queue.close()
        queue.put("second")
    with place.open() as other:
        assert list(other) == ["first", "second"]


@pytest.mark.parametrize("block", [True, False])
def test_what_is_buffered_is_stored_before_a_put_waits_for_others_to_make_room(place, block):
    with place.open(durability="buffered", maxsize=5) as queue, place.open() as other:
        for number in range(5):
            queue.put(number)
        with pytest.raises(pqueue.Full):
            queue.put(5, block=block, timeout=0.05)
        assert other.get_many(5) == [0, 1, 2, 3, 4]
        other.sync()
        queue.put(5)
    with place.open() as other:
        assert list(other) == [5]


def test_a_put_that_counts_what_others_consume_meanwhile_looks_again(place, monkeypatch):
    if not place.appends:
        return
    settings = {"maxsize": 3, "segment_items": 3}
    with place.open(**settings) as queue, place.open(**settings) as other:
        queue.put(1)
        other.put(2)
        read, begun = queue._store.read, []

        def raced(name, *part):
            if name.startswith(SEGMENTS) and not begun:
                begun.append(name)
                for number in (3, 4, 5):
                    other.put(number)
                    list(other)
            return read(name, *part)

        monkeypatch.setattr(queue._store, "read", raced)
        queue.put(6, timeout=10)
        assert begun
        assert list(other) == [6]


def test_a_buffered_queue_hands_out_what_it_holds_itself(place):
    with place.open(durability="buffered") as queue:
        queue.put("mine")
        assert queue.get(block=False) == "mine"


def test_lingering_acknowledgements_go_out_by_themselves_and_at_close(place):
    with place.open(ack_linger=0.1) as queue, place.open() as other:
        queue.put_many(range(10))
        assert queue.get() == 0
        assert len(queue) == 9
        until = time.monotonic() + 30
        while len(other) != 9 and time.monotonic() < until:
            time.sleep(0.05)
        assert len(other) == 9
        assert queue.get_many(3) == [1, 2, 3]
        queue.close()
        assert len(other) == 6
        assert drain(other) == list(range(4, 10)), "what was claimed ahead came back"


@pytest.mark.parametrize("linger", [0, 0.2])
def test_threads_share_one_object_and_nothing_is_lost_doubled_or_reordered(place, linger):
    producers, consumers = 4, 4
    each = 30 if place.kind == "bucket" else 250
    total = producers * each
    got, guard = [], threading.Lock()
    with place.open(ack_linger=linger, segment_items=64) as queue:

        def produce(me):
            for number in range(each):
                if number % 5:
                    queue.put((me, number))
                else:
                    queue.put_many([(me, number)])

        def consume():
            while True:
                try:
                    items = queue.get_many(3, timeout=0.5)
                except pqueue.Empty:
                    with guard:
                        if len(got) >= total:
                            return
                    continue
                with guard:
                    got.extend(items)

        threads = [threading.Thread(target=produce, args=(me,)) for me in range(producers)]
        threads += [threading.Thread(target=consume) for _ in range(consumers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in threads)
        assert len(queue) == 0
    assert sorted(got) == [(me, number) for me in range(producers) for number in range(each)]


def test_objects_of_one_queue_interleave_and_each_producers_order_holds(place):
    queues = [place.open(segment_items=20) for _ in range(3)]
    each = 20 if place.kind == "bucket" else 150

    def produce(me):
        for number in range(each):
            queues[me].put((me, number))

    threads = [threading.Thread(target=produce, args=(me,)) for me in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    orders = defaultdict(list)
    for me, number in drain(queues[0]):
        orders[me].append(number)
    assert orders == {me: list(range(each)) for me in range(3)}
    for queue in queues:
        queue.close()


@pytest.mark.parametrize("linger", [0, 10])
@pytest.mark.parametrize("serializer", ["msgpack", "raw"])
def test_what_get_many_returned_is_its_callers_own(place, linger, serializer):
    """Whatever becomes of that list: the queue keeps no hold of it."""
    with place.open(ack_linger=linger, serializer=serializer) as queue:
        wanted = [b"%d" % number for number in range(30)]
        for start in range(0, 30, 10):
            queue.put_many(wanted[start : start + 10])
            found = []
            while len(found) < 10:
                got = queue.get_many(10, block=False)
                found += got
                got.extend([b"not the queue's"] * 20)
            assert found == wanted[start : start + 10]
        assert list(queue) == []


def test_a_get_at_the_end_of_the_log_reads_once(place, monkeypatch):
    """What came with the read that met the end is all there was; a read more finds out nothing."""
    with place.open(ack_linger=0) as queue:
        queue.put("a")
        assert queue.get() == "a"
        read, count = queue._store.read, []

        def counted(*what):
            count.append(what)
            return read(*what)

        monkeypatch.setattr(queue._store, "read", counted)
        for item in ("b", "c", "d"):
            queue.put(item)
            assert queue.get() == item
        assert len(count) == 3


def test_an_item_the_serializer_refuses_fails_its_own_put_and_nothing_else(place):
    with place.open() as queue:
        queue.put(1)
        with pytest.raises(pqueue.SerializationError, match=r"object.*pickle"):
            queue.put(object())
        queue.put(2)
        assert drain(queue) == [1, 2]


class Texts(JsonSerializer):
    """Makes text of texts, by mistake."""

    def dumps(self, item):
        record = super().dumps(item)
        return record.decode() if isinstance(item, str) else record


@pytest.mark.parametrize("durability", ["buffered", "written"])
def test_what_a_serializer_makes_that_is_no_bytes_keeps_nothing_else_out(place, durability):
    with pqueue.Queue(place.connect(), Texts(), fixed={"durability": durability}) as queue:
        queue.put(1)
        for put in (lambda: queue.put("a"), lambda: queue.put_many([7, "a"]), lambda: queue.put_stream(["a"])):
            with pytest.raises(pqueue.SerializationError, match="the serializer has made str of an item"):
                put()
        queue.put(2)
        queue.sync()
        assert drain(queue) == [1, 2]


def test_a_record_that_can_not_be_read_is_set_aside_and_told_once(place):
    with place.open() as queue:
        queue.put(1)
        queue._log.put((b"\xc1 not msgpack",))
        queue.put(3)
        assert queue.get() == 1
        with pytest.raises(pqueue.SerializationError, match="offset 1"):
            queue.get(block=False)
        assert queue.get() == 3
        with pytest.raises(pqueue.Empty):
            queue.get(block=False)
        assert len(queue) == 0
    store = place.connect()
    (dead,) = store.list(DEAD)
    assert b'"reason":"unreadable"' in store.read(dead.name)
    store.close()


def damage(place, edit):
    """Change the bytes of the first segment, as a failing disk would."""
    store = place.connect()
    name = next(store.list(SEGMENTS)).name
    data = edit(store.read(name))
    store.delete([name])
    store.write(name, data)
    store.close()


def test_a_damaged_frame_is_told_and_every_other_record_delivered(place):
    if place.appends:
        with place.open(segment_items=10) as queue:
            for item in range(25):
                queue.put(f"item {item:04}")
    else:
        with place.open() as queue:
            for start in range(0, 25, 10):
                queue.put_many(f"item {item:04}" for item in range(start, min(25, start + 10)))
    damage(place, lambda data: data.replace(b"item 0003", b"item 0xx3"))
    with place.open() as queue:
        got, errors = [], []
        while True:
            try:
                got.append(queue.get(block=False))
            except pqueue.CorruptSegment as error:
                errors.append(str(error))
            except pqueue.Empty:
                break
        lost = {3} if place.appends else set(range(10))
        assert got == [f"item {item:04}" for item in range(25) if item not in lost]
        (error,) = errors
        assert "seg/" in error
        assert "position" in error
        assert len(queue) == 0
        queue.put("after")
        assert queue.get() == "after"
    store = place.connect()
    assert len(list(store.list(DEAD))) == 1
    assert len(list(store.list(SEGMENTS))) >= 1, "a damaged segment is never deleted"
    store.close()


def test_damage_in_a_segment_that_still_grows_takes_nothing_else_along(place):
    if not place.appends:
        return
    with place.open() as queue:
        for item in range(10):
            queue.put(f"item {item:04}")
    damage(place, lambda data: data.replace(b"item 0003", b"item 0xx3").replace(b"item 0006", b"item 0xx6"))
    with place.open() as queue:
        got, errors = [], 0
        for _ in range(10):
            try:
                got.append(queue.get(block=False))
            except pqueue.CorruptSegment:
                errors += 1
        assert got == [f"item {item:04}" for item in range(10) if item not in (3, 6)]
        assert errors == 2
        queue.put("after")
        assert queue.get() == "after"


@pytest.mark.parametrize("by", ["consumer", "producer"])
def test_damage_of_the_last_commit_is_at_least_logged(place, caplog, by):
    if not place.appends:
        return
    with place.open() as queue:
        for item in range(3):
            queue.put(f"item {item:04}")
    damage(place, lambda data: data.replace(b"item 0002", b"item 0xx2"))
    with place.open() as queue:
        if by == "consumer":
            assert queue.get_many(5) == ["item 0000", "item 0001"]
            for _ in range(3):
                with pytest.raises(pqueue.Empty):
                    queue.get(block=False)
        else:
            queue.put("after")
        told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(told) == 1
        assert re.match(r"the segment seg/\S+ ends in 26 bytes that do not check out", told[0])
        queue.put("more")
        assert queue.get_many(5)[-1] == "more"


def test_a_write_that_is_under_way_is_no_damage(place, caplog):
    if not place.appends:
        return
    with place.open(serializer="raw") as queue:
        queue.put(b"a")
        store = place.connect()
        name = segments(place)[0]
        end = store.appends.settle(name)
        queue.put(b"b" * 50)
        rest = store.read(name, end)
        damage(place, lambda data: data[:end])
        with place.open() as reader:
            assert reader.get() == b"a"
            for size in (20, 40, 40, 40, len(rest)):
                damage(place, lambda data, size=size: data[:end] + rest[:size])
                if size < len(rest):
                    with pytest.raises(pqueue.Empty):
                        reader.get(block=False)
            assert reader.get(block=False) == b"b" * 50
            assert not caplog.records
        store.close()


def test_a_write_that_ends_between_two_looks_is_no_damage(place, caplog):
    if not place.appends:
        return
    with place.open(serializer="raw") as queue:
        queue.put(b"a")
        reads = []

        class Earlier:
            """Shows what is being written up to its last bytes, as often as the segment is scanned."""

            def __getattr__(self, name):
                return getattr(queue._parts.store, name)

            def read(self, *how):
                data = queue._parts.store.read(*how)
                reads.append(how)
                return data[:-5] if len(reads) in (2, 3) else data

        parts = queue._parts
        late = reading.Reader(Earlier(), parts.view, (), parts.runtime, pytest.fail)
        assert late.chunk(0, 0, 1).records == [b"a"]
        queue.put(b"b" * 50)
        assert late.chunk(0, 1, 1).records == [b"b" * 50]
        assert len(reads) > 3
        assert not caplog.records


def test_what_is_no_write_under_way_after_a_second_is_told_once(place, caplog, monkeypatch):
    if not place.appends:
        return
    with place.open(serializer="raw") as queue:
        queue.put(b"a" * 50)
    monkeypatch.setattr(reading, "_STALLS", 0.1)
    damage(place, lambda data: data[:-30])
    with place.open() as queue:
        for _ in range(4):
            with pytest.raises(pqueue.Empty):
                queue.get(block=False)
        assert not caplog.records
        time.sleep(0.15)
        for _ in range(4):
            with pytest.raises(pqueue.Empty):
                queue.get(block=False)
        assert len(caplog.records) == 1


@pytest.mark.parametrize("end", ["as it was", "written", "gone"])
def test_what_waits_to_be_told_is_told_in_the_end_if_it_is_as_it_was(place, caplog, end):
    if not place.appends:
        return
    with place.open(serializer="raw") as queue:
        queue.put(b"a" * 50)
    whole = []
    damage(place, lambda data: whole.append(data) or data[:-30])
    with place.open() as queue:
        for _ in range(3):
            with pytest.raises(pqueue.Empty):
                queue.get(block=False)
        if end == "written":
            damage(place, lambda data: whole[0])
        elif end == "gone":
            store = place.connect()
            store.delete(segments(place))
            store.close()
        assert not caplog.records
    assert len(caplog.records) == (end == "as it was")


def test_what_has_behind_it_what_checks_out_is_not_told_as_torn(place, caplog, monkeypatch):
    if not place.appends:
        return
    monkeypatch.setattr(reading, "_STALLS", 0.1)
    with place.open(serializer="raw") as queue:
        queue.put(b"a" * 50)
        queue.put(b"b" * 50)
    whole = []
    damage(place, lambda data: whole.append(data) or data[: len(data) - 66 - 30])
    with place.open() as queue:
        parts = queue._parts
        mends = []
        reader = reading.Reader(parts.store, parts.view, (), parts.runtime, lambda: mends.append(1))
        for _ in range(3):
            assert reader.chunk(0, 0, 1) is None
        damage(place, lambda data: data + b"?" * 30 + whole[0][-66:])
        assert reader.chunk(0, 0, 1) is None
        assert mends == [1]
        time.sleep(0.15)
        assert reader.chunk(0, 0, 1) is None
        assert not caplog.records


def test_torn_bytes_behind_the_last_frame_were_never_put(place):
    if not place.appends:
        return
    with place.open() as queue:
        queue.put_many("abc")
        name = segments(place)[0]
        store = place.connect()
        size = store.appends.settle(name)
        store.appends.append(name, size, b"torn bytes", False, b"")
        assert drain(queue) == list("abc")
        queue.put("d")
        with place.open() as other:
            other.put("e")
            assert drain(other) == ["d", "e"]
        store.close()


def test_a_missing_segment_is_named_and_holds_up_nothing_else(place):
    with place.open(segment_items=2) as queue:
        for item in range(6):
            queue.put(item)
        store = place.connect()
        store.delete([segments(place)[0]])
        with pytest.raises(pqueue.CorruptSegment, match=r"seg/.*offsets 0 to [01]"):
            queue.get(block=False)
        assert drain(queue) == list(range(2 if place.appends else 1, 6)), "told once, and nothing else is held up"
        assert len(list(store.list(DEAD))) == 1
        store.close()


# -- opening ---------------------------------------------------------------------------------------------------------


def test_only_who_may_create_makes_a_queue(place):
    place.connect().close()
    with pytest.raises(pqueue.QueueAbsent):
        place.open(create=False)
    place.open().close()
    place.open(create=False).close()


@pytest.mark.parametrize(
    "other",
    [
        {"serializer": "json"},
        {"durability": "synced"},
        {"segment_items": 7},
        {"codecs": ["zlib"]},
        {"codecs": ["zstd"]},
    ],
)
def test_an_opener_that_wants_another_queue_than_was_made_is_refused(place, other):
    place.open(durability="written").close()
    with pytest.raises(pqueue.SettingsError, match=next(iter(other))):
        place.open(**other)
    place.open().close()


@pytest.mark.parametrize("codec", ["zlib", "zstd"])
def test_codecs_are_recorded_and_used_by_every_opener(place, codec):
    with place.open(codecs=[codec]) as queue:
        queue.put_many(["compressible " * 100] * 50)
    store = place.connect()
    assert sum(blob.size for blob in store.list(SEGMENTS)) < 10_000
    store.close()
    with place.open() as queue:
        assert drain(queue) == ["compressible " * 100] * 50


@pytest.mark.parametrize("left", [1, 2])
def test_a_half_made_queue_is_finished_by_whoever_comes(place, left):
    place.open().close()
    store = place.connect()
    store.delete([META, HEAD][:left])
    with pytest.raises(pqueue.QueueAbsent):
        place.open(create=False)
    with place.open() as queue:
        queue.put(1)
        assert queue.get() == 1
    store.close()


def test_a_missing_tail_or_head_is_told_and_never_made_anew(place):
    with place.open() as queue:
        queue.put(1)
    store = place.connect()
    head = store.load(HEAD).data
    store.delete([HEAD])
    with pytest.raises(pqueue.NotAQueue, match="head"):
        place.open()
    store.swap(HEAD, head, None, sync=True)
    tail = store.load(TAIL).data
    store.delete([TAIL])
    with pytest.raises(pqueue.NotAQueue, match="tail"):
        place.open()
    store.swap(TAIL, tail, None, sync=True)
    with place.open() as queue:
        assert queue.get() == 1
    store.close()


def remove(store):
    tail = store.load(TAIL)
    parsed = Tail.parse(tail.data)
    store.swap(TAIL, parsed.__class__(parsed.queue, parsed.grows, gone=True).dump(), tail.version, sync=True)
    head = store.load(HEAD)
    known = Head.parse(head.data)
    dead = known._replace(rest=type(known.rest)(known.rest.queue, gone=True))
    store.swap(HEAD, dead.dump(), head.version, sync=True)


def test_a_removed_queue_is_gone_for_its_clients_and_a_new_one_has_a_life_of_its_own(place):
    with place.open() as queue:
        queue.put(1)
        store = place.connect()
        remove(store)
        with pytest.raises(pqueue.QueueGone):
            drain(queue)
        with pytest.raises(pqueue.QueueGone):
            place.open(create=False)
        with place.open() as other:
            other.put(2)
            with pytest.raises((pqueue.AnotherQueue, pqueue.QueueGone)):
                for _ in range(3):
                    drain(queue)
            assert drain(other) == [2]
        store.close()


def test_a_newer_format_is_refused_by_name(place):
    place.open().close()
    store = place.connect()
    tail = store.load(TAIL)
    newer = tail.data.replace(b'"queue":', b'"needs":["quantum"],"queue":')
    store.swap(TAIL, newer, tail.version, sync=True)
    with pytest.raises(pqueue.NewerFormat, match="quantum"):
        place.open()
    store.close()


def test_something_else_under_our_names_is_not_a_queue(place):
    store = place.connect()
    store.swap(TAIL, b"a cat's", None, sync=True)
    with pytest.raises(pqueue.NotAQueue):
        place.open()
    store.close()


def test_a_closed_queue_says_so_and_close_may_be_called_twice(place):
    queue = place.open()
    queue.close()
    queue.close()
    for call in (lambda: queue.put(1), lambda: queue.get(block=False), lambda: queue.put_many([1])):
        with pytest.raises(pqueue.ShutDown):
            call()


def test_close_wakes_who_waits(place):
    queue = place.open()
    errors = []

    def wait():
        try:
            queue.get(timeout=60)
        except pqueue.ShutDown as error:
            errors.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(0.2)
    queue.close()
    waiter.join(30)
    assert not waiter.is_alive()
    assert len(errors) == 1


def test_a_put_that_returns_while_another_thread_closes_is_kept(place):
    if place.kind == "bucket":
        return  # the same code; three hundred closes take long there
    for _ in range(30):
        with place.open(durability="buffered") as queue:
            kept = []

            def fill(queue=queue, kept=kept):
                try:
                    for number in range(10_000):
                        queue.put(number)
                        kept.append(number)
                except pqueue.ShutDown:
                    pass

            filler = threading.Thread(target=fill)
            filler.start()
            time.sleep(0.001)
            queue.close()
            filler.join(30)
        with place.open() as queue:
            assert drain(queue, 5000) == kept


def test_a_meta_that_makes_no_sense_is_refused_by_name(place):
    place.open(segment_items=7).close()
    store = place.connect()
    meta = store.load(META)
    store.delete([META])
    store.swap(META, meta.data.replace(b'"segment_items":7', b'"segment_items":0'), None, sync=True)
    store.close()
    with pytest.raises(pqueue.NotAQueue, match=r"queue\.json"):
        place.open()
