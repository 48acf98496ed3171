"""Waits that others end, in this process and in another; and what a queue object does when it is interrupted, copied or left."""

import contextlib
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import pqueue
from pqueue import waiting
from pqueue.errors import StoreFull
from pqueue.names import Name
from pqueue.waiting import Pace
from tests.support.children import Child

NEVER = Pace(600, 600)
PATIENCE = 30


@pytest.fixture
def unpolled(monkeypatch):
    """Nothing but a wake ends a wait."""
    for name in ("CHEAP", "DEAR", "FULL", "NET"):
        monkeypatch.setattr(waiting, name, NEVER)


def in_thread(call):
    told = []
    thread = threading.Thread(target=lambda: told.append(call()), daemon=True)
    thread.start()
    time.sleep(0.1)

    def end():
        thread.join(PATIENCE)
        assert not thread.is_alive(), "nobody woke it"
        return told[0]

    return end


def waiters(place):
    if place.kind.startswith("folder"):
        folder = Path(place.store["path"]) / ".wakes"
        return [path.name for path in folder.glob("*") if path.name != "bell"]
    return []


# -- in one process ----------------------------------------------------------------------------------------------------


def test_the_end_of_a_delay_or_of_a_lease_ends_a_wait(place, unpolled):
    with place.open() as queue, place.open(auto_extend=False) as other:
        queue.put("late")
        queue.receive().nack(delay=0.2)
        in_thread(queue.receive)().nack(delay=0.2)
        assert in_thread(other.get)() == "late"
        queue.put("held")
        message = other.receive(lease=1)
        assert in_thread(queue.get)() == message.item


def test_another_object_s_put_ends_a_get(place, unpolled):
    with place.open() as one, place.open() as two:
        end = in_thread(one.get)
        two.put("came")
        assert end() == "came"


def test_another_object_s_get_ends_a_put(place, unpolled):
    with place.open(maxsize=2) as one, place.open() as two:
        one.put_many("ab")
        end = in_thread(lambda: one.put("c"))
        assert two.get() == "a"
        end()
        assert [two.get(), two.get()] == ["b", "c"]


def test_another_object_s_clear_ends_a_put(place, unpolled):
    with place.open(maxsize=2) as one, place.open() as two:
        one.put_many("ab")
        end = in_thread(lambda: one.put_many("cd"))
        assert two.clear() == 2
        end()
        assert list(two) == ["c", "d"]


def test_a_task_done_ends_a_join(place, unpolled):
    with place.open() as one, place.open() as two:
        one.put(1)
        end = in_thread(one.join)
        assert two.get() == 1
        two.task_done()
        end()


def test_what_is_given_back_ends_a_get(place, unpolled):
    with place.open() as one, place.open() as two:
        one.put("again")
        message = two.receive()
        end = in_thread(one.get)
        message.nack()
        assert end() == "again"


def test_what_is_acknowledged_ends_a_put(place, unpolled):
    with place.open(maxsize=1) as one, place.open() as two:
        one.put(1)
        message = two.receive()
        end = in_thread(lambda: one.put(2))
        message.ack()
        end()
        assert two.get() == 2


def test_a_buffered_put_ends_a_get_of_its_own_object_and_its_flush_another_s(place, unpolled):
    with place.open(durability="buffered", ack_linger=0) as one, place.open(ack_linger=0) as two:
        end = in_thread(one.get)
        one.put("own")
        assert end() == "own"
        end = in_thread(two.get)
        one.put("other's")
        one.sync()
        assert end() == "other's"


def test_the_last_object_that_is_closed_leaves_no_waiter_behind(place):
    with place.open() as one, place.open() as two:
        for queue in (one, two):
            with pytest.raises(pqueue.Empty):
                queue.get(timeout=0.01)
    assert waiters(place) == []


# -- between processes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["put", "get"])
def test_another_process_ends_a_wait(place, unpolled, act):
    if not place.kind.startswith("folder"):
        return
    with place.open(maxsize=1) as queue:
        if act == "get":
            queue.put(0)

        def work(tell):
            with place.open() as mine:
                tell(0)
                if act == "put":
                    tell(mine.get())
                else:
                    mine.put(1)
                    tell(1)

        child = Child(work)
        while not child.told:
            child.hear(0.01)
        child.hear(0.2)
        assert child.told == [0]
        if act == "put":
            queue.put(1)
        else:
            queue.get()
        child.join(PATIENCE)
        assert child.told == [0, 1]


def test_what_a_killed_waiter_left_is_removed_by_the_next_put(place):
    if not place.kind.startswith("folder"):
        return
    with place.open() as queue:

        def work(tell):
            with place.open() as mine:
                tell(0)
                mine.get()

        for _ in range(3):
            child = Child(work)
            while not waiters(place):
                child.hear(0.01)
            child.hear(0.1)
            child.kill()
            assert len(waiters(place)) == 1
            queue.put(1)
            assert waiters(place) == []
            assert queue.get() == 1


def test_a_waiting_queue_may_be_forked(place, unpolled):
    if not place.kind.startswith("folder"):
        return
    with place.open() as queue:
        end = in_thread(queue.get)

        def work(tell):
            try:
                queue.get(timeout=0.01)
            except pqueue.Empty:
                tell(1)
            queue.put("from the child")
            queue.close()

        child = Child(work)
        child.join(PATIENCE)
        assert child.told == [1]
        assert end() == "from the child"
        end = in_thread(queue.get)
        queue.put("still")
        assert end() == "still"


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_maxsize_is_the_queue_s_and_counts_what_is_not_acknowledged(place):
    with place.open(maxsize=3) as one, place.open() as two:
        assert two.maxsize == 3
        one.put(1)
        two.put_many([2, 3])
        for queue in (one, two):
            assert queue.full()
            with pytest.raises(pqueue.Full, match="maxsize"):
                queue.put_nowait(4)
        message = two.receive()
        with pytest.raises(pqueue.Full):
            one.put_nowait(4)
        assert one.qsize() == 2
        message.ack()
        one.put_nowait(4)
        with pytest.raises(ValueError, match="maxsize=3"):
            one.put_many(range(4))
        with pytest.raises(pqueue.Full):
            one.put_many([5, 6], timeout=0.05)
        assert list(two) == [2, 3, 4]
        one.put_many([5, 6, 7])
        assert len(one) == 3


def test_what_another_thread_flushes_as_a_put_looks_for_room_counts(place, monkeypatch):
    with place.open(maxsize=50, durability="buffered") as queue:
        queue.put_many(range(50))
        level = queue._bound._level
        for look in ("guess", "now"):
            real = getattr(level, look)

            def flushed_behind(real=real):
                found = real()
                queue.sync()
                return found

            monkeypatch.setattr(level, look, flushed_behind)
        with pytest.raises(pqueue.Full):
            queue.put(50, block=False)
        assert len(queue) == 50


def test_an_opener_with_another_maxsize_is_refused(place):
    place.open(maxsize=3).close()
    with pytest.raises(pqueue.SettingsError, match="maxsize"):
        place.open(maxsize=4)


# -- streams -----------------------------------------------------------------------------------------------------------


def test_a_stream_longer_than_the_queue_waits_for_room(place):
    with place.open(maxsize=4) as queue, place.open() as other:
        end = in_thread(lambda: queue.put_stream(range(10), batch=3))
        got = []
        while len(got) < 10:
            assert len(other) <= 4
            got.append(other.get(timeout=PATIENCE))
        assert end() == 10
        assert got == list(range(10))


@pytest.mark.parametrize("good", [0, 1, 3])
def test_a_stream_that_the_store_ends_tells_how_far_it_came(place, good, monkeypatch):
    with place.open() as queue:
        queue.put("before")
        store = queue._store
        name = "append" if place.appends else "write"
        target = store.appends if place.appends else store
        call, calls = getattr(target, name), []

        def fails(*arguments):
            calls.append(arguments)
            if (len(calls) if place.appends else Name.parse(arguments[0]).number) > good:  # some are sent at once
                raise StoreFull("no room")
            return call(*arguments)

        monkeypatch.setattr(target, name, fails)
        told = []
        with pytest.raises(StoreFull) as caught:
            queue.put_stream(iter(range(100)), batch=5, progress=told.append)
        monkeypatch.undo()
        came = caught.value.put_so_far
        assert came == 5 * good
        assert f"the first {came} items" in caught.value.__notes__[-1]
        assert list(queue) == ["before", *range(came)]
        queue.put("after")
        assert list(queue) == ["after"]


def test_what_came_before_an_error_of_the_items_is_put(place):
    def items():
        yield from range(7)
        raise RuntimeError("their own")

    with place.open() as queue:
        with pytest.raises(RuntimeError, match="their own") as caught:
            queue.put_stream(items(), batch=3)
        assert "the first 7 items" in caught.value.__notes__[-1]
        assert list(queue) == list(range(7))


# -- looking -----------------------------------------------------------------------------------------------------------


def test_peek_shows_what_comes_back_first_and_clear_leaves_what_others_hold(place):
    with place.open() as queue, place.open() as other:
        queue.put_many("abcd")
        first, second = other.receive(), other.receive()
        assert queue.peek(9) == ["c", "d"]
        first.nack()
        assert queue.peek(2) == ["a", "c"]
        assert queue.qsize() == 3
        assert len(queue) == 4
        assert queue.clear() == 3
        assert queue.peek() == []
        assert len(queue) == 1
        second.nack()
        assert list(queue) == ["b"]


def test_stats_count_and_rates_are_of_the_time_between_two(place):
    with place.open(record_times=True) as queue, place.open() as other:
        queue.put_many(range(10))
        first = queue.stats()
        assert (first.waiting, first.put, first.done, first.put_rate) == (10, 10, 0, None)
        assert first.backlog > 0
        assert 0 <= first.oldest < PATIENCE
        other.receive().nack()
        message = other.receive()
        queue.get_many(4)
        second = queue.stats()
        assert (second.waiting + second.claimed, second.done) == (6, 4)
        assert second.get_rate > 0 == second.put_rate
        message.ack()
        assert other.stats().repeated == 1
        other.close()
        queue.clear()
        last = queue.stats()
        assert (last.waiting, last.backlog, last.oldest, last.lost) == (0, 0, None, 0)


# -- copies and ends ---------------------------------------------------------------------------------------------------


def test_a_queue_is_pickled_by_its_settings(place):
    queue = place.open(maxsize=5, prefetch=7)
    with queue:
        queue.put("there")
        if place.kind.startswith("memory"):
            with pytest.raises(TypeError, match="memory"):
                pickle.dumps(queue)
            return
        data = pickle.dumps(queue)
        assert b"there" not in data
        with pickle.loads(data) as copy:
            assert copy.meta == queue.meta
            assert copy.get() == "there"
        script = "import pickle, sys\nwith pickle.load(sys.stdin.buffer) as q: q.put('from afar')"
        subprocess.run([sys.executable, "-c", script], input=data, check=True, env=_environment())
        assert queue.get() == "from afar"


def test_a_queue_on_a_bare_store_says_that_it_can_t_be_pickled(place):
    with pqueue.Queue(place.connect()) as queue, pytest.raises(TypeError, match="bare store"):
        pickle.dumps(queue)


@pytest.mark.parametrize("durability", ["buffered", "written"])
def test_what_a_process_leaves_open_is_closed_at_its_end(place, durability):
    if place.kind.startswith("memory"):
        return
    place.open(durability=durability).close()
    script = f"""
import pqueue
def work():
    queue = pqueue.open({{"store": {place.store!r}}}, prefetch=2)
    queue.put_many(range(10))
    queue.put(10)
    assert queue.get() == 0
work()
"""
    subprocess.run([sys.executable, "-c", script], check=True, env=_environment())
    with place.open() as queue:
        assert list(queue) == list(range(1, 11))


def _environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


# -- interrupts --------------------------------------------------------------------------------------------------------


class Alarms:
    """Ctrl-C, so many seconds from now."""

    def __enter__(self):
        self._before = signal.signal(signal.SIGALRM, self._ring)
        return self

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    @staticmethod
    def _ring(*_):
        raise KeyboardInterrupt

    def interrupted(self, call, seconds):
        """What it returned, in a list; an empty one if it was interrupted."""
        done = []
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            done.append(call())
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            pass
        finally:
            with contextlib.suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0)
        return done


def test_a_put_that_is_interrupted_as_it_has_taken_its_room_gives_it_back(place, monkeypatch):
    with place.open(maxsize=2) as queue:
        real = queue._bound._take

        def interrupted(*how):
            assert real(*how)
            raise KeyboardInterrupt

        monkeypatch.setattr(queue._bound, "_take", interrupted)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                queue.put("a")
        monkeypatch.undo()
        putter = threading.Thread(target=queue.put_many, args=("bc",), daemon=True)
        putter.start()
        putter.join(30)
        assert not putter.is_alive()
        assert list(queue) == ["b", "c"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("maxsize", [0, 50])
def test_an_interrupt_at_any_point_leaves_a_queue_that_works(place, maxsize):
    """H11: what returned stands, in order and once; an interrupted get costs the item in hand at most."""
    chance = random.Random(f"{place.kind} {maxsize}")
    times, longest = {"memory": (500, 0.0004), "folder": (300, 0.004), "bucket": (60, 0.03)}[place.kind.split("-")[0]]
    sure, got, cut = [], [], 0
    with place.open(maxsize=maxsize, segment_items=40) as queue, Alarms() as alarms:
        for number in range(times):
            if alarms.interrupted(lambda number=number: queue.put(number, timeout=1), chance.uniform(1e-5, longest)):
                sure.append(number)
            if chance.random() < 0.9 or queue.full():
                found = (
                    alarms.interrupted(lambda: queue.get(timeout=0.001), chance.uniform(1e-5, longest))
                    if len(queue)
                    else [None]
                )
                if found and found[0] is not None:
                    got.append(found[0])
                cut += not found
        if queue.full():  # where few gets came through
            got.append(queue.get())
        queue.put("works", timeout=PATIENCE)
        got += list(queue)
        got.remove("works")  # an interrupted put may get in behind it
        assert len(queue) == 0
    assert len(got) == len(set(got))
    kept = [number for number in got if number in set(sure)]
    assert kept == sorted(kept), "an interrupted put is in, or not, or gets in later (rule 6); the others are in order"
    missing = set(sure) - set(got)
    assert len(missing) <= cut
    print(f"{place.kind}: {times - len(sure)} puts and {cut} gets interrupted, {len(missing)} items lost in hand")


def test_a_timeout_that_is_no_number_is_refused_in_plain_words(place):
    with place.open() as queue:
        for call in (queue.get, queue.receive, lambda timeout: queue.get_many(3, timeout=timeout)):
            with pytest.raises(TypeError, match=r"'timeout' must be a number of seconds, or None, not str"):
                call(timeout="5")
        queue.put("a")
        assert queue.get(timeout=True) == "a"
