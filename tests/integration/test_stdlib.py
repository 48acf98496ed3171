"""What `queue.Queue` is documented to do, on the standard library's class and on ours, in memory, a folder and a bucket."""

import queue as standard
import threading
import time
import uuid
from itertools import accumulate

import pytest

import pqueue
from tests.support import places

PATIENCE = 30
ENDS = [standard] if hasattr(standard, "ShutDown") else []


class Subject:
    """A kind of queue: how one is made, and what it raises."""

    def __init__(self, kind, tmp_path, server):
        self.kind = kind
        self.opened = []
        self._place = None if kind == "standard" else places.make(kind, tmp_path, server)
        errors = standard if kind == "standard" else pqueue
        self.Empty, self.Full = errors.Empty, errors.Full
        self.ShutDown = getattr(errors, "ShutDown", None)

    def __call__(self, maxsize=0):
        if self._place is None:
            return standard.Queue(maxsize)
        self.opened.append(self._place.open(maxsize=maxsize))
        return self.opened[-1]


@pytest.fixture(params=["standard", "memory", "folder", "bucket"])
def make(request, tmp_path):
    subject = Subject(request.param, tmp_path, lambda: request.getfixturevalue("s3_server"))
    yield subject
    for one in subject.opened:
        one.close()


@pytest.fixture
def ends(make, tmp_path):
    if make.ShutDown is not None:
        yield make
        return
    ours = Subject("folder", tmp_path, None)  # this Python's own class has no shutdown: ours, once more
    yield ours
    for one in ours.opened:
        one.close()


class Blocked:
    """A call in a thread of its own."""

    def __init__(self, call, *arguments, **more):
        self.result = self.error = None
        self._thread = threading.Thread(target=self._run, args=(call, arguments, more), daemon=True)
        self._thread.start()

    def _run(self, call, arguments, more):
        try:
            self.result = call(*arguments, **more)
        except Exception as error:  # noqa: BLE001  # raised by `end`
            self.error = error

    @property
    def blocks(self):
        self._thread.join(0.15)
        return self._thread.is_alive()

    def end(self):
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "it still waits"
        if self.error is not None:
            raise self.error
        return self.result


def took(call):
    started = time.monotonic()
    call()
    return time.monotonic() - started


# -- order and counts --------------------------------------------------------------------------------------------------


def test_first_in_first_out(make):
    q = make()
    for item in ("a", 2, None, ("b", 3)):
        q.put(item)
    assert [q.get() for _ in range(4)] == ["a", 2, None, ("b", 3)]


def test_put_and_its_like_return_none(make):
    q = make()
    assert q.put(1) is None
    assert q.put_nowait(2) is None
    q.get()
    assert q.task_done() is None
    q.get()
    q.task_done()
    assert q.join() is None


def test_sizes_of_an_unbounded_queue(make):
    q = make()
    assert (q.qsize(), q.empty(), q.full()) == (0, True, False)
    for count in range(1, 4):
        q.put(count)
        assert (q.qsize(), q.empty(), q.full()) == (count, False, False)
    q.get()
    assert q.qsize() == 2


def test_sizes_of_a_bounded_queue(make):
    q = make(2)
    assert (q.qsize(), q.empty(), q.full()) == (0, True, False)
    q.put(1)
    assert (q.qsize(), q.empty(), q.full()) == (1, False, False)
    q.put(2)
    assert (q.qsize(), q.empty(), q.full()) == (2, False, True)
    q.get()
    assert not q.full()


def test_maxsize_is_told(make):
    assert make(3).maxsize == 3


def test_maxsize_is_told_where_there_is_none(make):
    assert make().maxsize == 0


# -- getting -----------------------------------------------------------------------------------------------------------


def test_get_without_blocking_raises_empty_at_once(make):
    q = make()
    for call in (
        q.get_nowait,
        lambda: q.get(False),
        lambda: q.get(block=False),
        lambda: q.get(block=False, timeout=60),
    ):
        with pytest.raises(make.Empty):
            call()
    q.put("there")
    assert q.get_nowait() == "there"


def test_get_raises_empty_after_its_timeout(make):
    q = make()

    def get():
        with pytest.raises(make.Empty):
            q.get(timeout=0.2)

    assert took(get) >= 0.2
    with pytest.raises(make.Empty):
        q.get(True, 0)


def test_get_waits_for_a_put(make):
    q = make()
    waiting = Blocked(q.get)
    assert waiting.blocks
    q.put("came")
    assert waiting.end() == "came"


def test_get_with_a_timeout_waits_for_a_put(make):
    q = make()
    waiting = Blocked(q.get, timeout=PATIENCE)
    assert waiting.blocks
    q.put("came")
    assert waiting.end() == "came"


def test_each_waiting_get_gets_one(make):
    q = make()
    waiting = [Blocked(q.get) for _ in range(4)]
    assert all(one.blocks for one in waiting)
    for item in range(4):
        q.put(item)
    assert sorted(one.end() for one in waiting) == [0, 1, 2, 3]


def test_a_negative_timeout_of_get_is_a_value_error(make):
    q = make()
    q.put(1)
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
        q.get(timeout=-1)
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
        q.get(True, -0.1)
    assert q.get(False, -1) == 1, "a timeout is not looked at without blocking"


def test_a_timeout_that_is_no_number_is_a_type_error(make):
    q = make(1)
    with pytest.raises(TypeError):
        q.get(timeout="soon")
    q.put(1)
    with pytest.raises(TypeError):
        q.put(2, timeout="soon")


# -- putting -----------------------------------------------------------------------------------------------------------


def test_put_without_blocking_raises_full_at_once(make):
    q = make(1)
    q.put_nowait(1)
    for call in (
        lambda: q.put_nowait(2),
        lambda: q.put(2, False),
        lambda: q.put(2, block=False),
        lambda: q.put(2, block=False, timeout=60),
    ):
        with pytest.raises(make.Full):
            call()
    assert q.qsize() == 1
    assert q.get() == 1
    q.put_nowait(3)
    assert q.get() == 3


def test_put_raises_full_after_its_timeout(make):
    q = make(1)
    q.put(1)

    def put():
        with pytest.raises(make.Full):
            q.put(2, timeout=0.2)

    assert took(put) >= 0.2
    with pytest.raises(make.Full):
        q.put(2, True, 0)
    assert q.get() == 1
    assert q.empty()


def test_put_waits_for_room(make):
    q = make(2)
    q.put(1)
    q.put(2)
    waiting = Blocked(q.put, 3)
    assert waiting.blocks
    assert q.get() == 1
    waiting.end()
    assert [q.get(), q.get()] == [2, 3]


def test_put_with_a_timeout_waits_for_room(make):
    q = make(1)
    q.put(1)
    waiting = Blocked(q.put, 2, timeout=PATIENCE)
    assert waiting.blocks
    assert q.get() == 1
    waiting.end()
    assert q.get() == 2


def test_a_negative_timeout_of_put_is_a_value_error_where_put_may_wait(make):
    q = make(2)
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
        q.put(1, timeout=-1)
    q.put(1, False, -1)
    assert q.qsize() == 1


def test_a_negative_timeout_of_put_is_not_looked_at_in_an_unbounded_queue(make):
    q = make()
    q.put(1, timeout=-1)
    assert q.get() == 1


def test_many_threads_never_exceed_maxsize_and_lose_nothing(make):
    q = make(3)
    each = 5 if make.kind == "bucket" else 40
    got, events = [], []

    def produce(me):
        for number in range(each):
            q.put((me, number))
            events.append(1)

    def consume():
        for _ in range(each):
            events.append(-1)
            got.append(q.get())

    calls = [Blocked(produce, me) for me in range(3)] + [Blocked(consume) for _ in range(3)]
    for call in calls:
        call.end()
    assert sorted(got) == [(me, number) for me in range(3) for number in range(each)]
    assert max(accumulate(events)) <= 3, "puts that have returned less gets that have begun"


# -- tasks -------------------------------------------------------------------------------------------------------------


def test_join_of_an_empty_queue_returns(make):
    make().join()


def test_join_waits_until_every_item_is_done_with(make):
    q = make()
    for item in range(3):
        q.put(item)
    waiting = Blocked(q.join)
    for _ in range(3):
        assert waiting.blocks
        q.get()
        assert waiting.blocks
        q.task_done()
    waiting.end()


def test_join_waits_again_for_what_is_put_later(make):
    q = make()
    for item in range(2):
        q.put(item)
        waiting = Blocked(q.join)
        assert waiting.blocks
        q.get()
        q.task_done()
        waiting.end()


def test_task_done_more_often_than_there_were_tasks_is_a_value_error(make):
    q = make()
    with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
        q.task_done()
    q.put(1)
    q.get()
    q.task_done()
    with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
        q.task_done()


def test_workers_and_join(make):
    q = make()
    done = []

    def work():
        while (item := q.get()) is not None:
            done.append(item)
            q.task_done()
        q.task_done()

    workers = [Blocked(work) for _ in range(3)]
    count = 6 if make.kind == "bucket" else 60
    for item in range(count):
        q.put(item)
    q.join()
    assert sorted(done) == list(range(count))
    for _ in workers:
        q.put(None)
    for worker in workers:
        worker.end()
    q.join()


# -- shutdown ----------------------------------------------------------------------------------------------------------


def test_after_shutdown_nothing_is_put(ends):
    q = ends(2)
    q.shutdown()
    for call in (lambda: q.put(1), lambda: q.put_nowait(1), lambda: q.put(1, timeout=1)):
        with pytest.raises(ends.ShutDown):
            call()


def test_after_shutdown_what_is_there_is_got_and_then_no_more(ends):
    q = ends()
    q.put(1)
    q.put(2)
    q.shutdown()
    assert q.get() == 1
    assert q.get_nowait() == 2
    for call in (q.get, q.get_nowait, lambda: q.get(timeout=1), lambda: q.get(block=False)):
        with pytest.raises(ends.ShutDown):
            call()


def test_after_an_immediate_shutdown_nothing_is_got(ends):
    q = ends()
    q.put(1)
    q.shutdown(immediate=True)
    for call in (q.get, q.get_nowait, lambda: q.get(timeout=1)):
        with pytest.raises(ends.ShutDown):
            call()
    with pytest.raises(ends.ShutDown):
        q.put(2)


def test_shutdown_may_be_called_again(ends):
    q = ends()
    q.put(1)
    q.shutdown()
    q.shutdown()
    assert q.get() == 1
    q.shutdown(immediate=True)
    q.shutdown()
    with pytest.raises(ends.ShutDown):
        q.get()


@pytest.mark.parametrize("immediate", [False, True])
def test_shutdown_wakes_who_waits_to_get(ends, immediate):
    q = ends()
    waiting = [Blocked(q.get), Blocked(q.get, timeout=PATIENCE)]
    assert all(one.blocks for one in waiting)
    q.shutdown(immediate)
    for one in waiting:
        with pytest.raises(ends.ShutDown):
            one.end()


@pytest.mark.parametrize("immediate", [False, True])
def test_shutdown_wakes_who_waits_to_put(ends, immediate):
    q = ends(1)
    q.put(1)
    waiting = [Blocked(q.put, 2), Blocked(q.put, 2, timeout=PATIENCE)]
    assert all(one.blocks for one in waiting)
    q.shutdown(immediate)
    for one in waiting:
        with pytest.raises(ends.ShutDown):
            one.end()


def test_tasks_are_done_and_joined_after_shutdown(ends):
    q = ends()
    q.put(1)
    q.put(2)
    waiting = Blocked(q.join)
    q.shutdown()
    for _ in range(2):
        assert waiting.blocks
        q.get()
        q.task_done()
    waiting.end()


def test_an_immediate_shutdown_ends_the_tasks_that_nobody_has_begun(ends):
    q = ends()
    q.put(1)
    waiting = Blocked(q.join)
    assert waiting.blocks
    q.shutdown(immediate=True)
    waiting.end()


def test_an_immediate_shutdown_leaves_the_tasks_that_were_begun(ends):
    q = ends()
    q.put(1)
    q.put(2)
    q.get()
    q.shutdown(immediate=True)
    waiting = Blocked(q.join)
    assert waiting.blocks
    q.task_done()
    waiting.end()


# -- where durability differs, on purpose ------------------------------------------------------------------------------


def test_our_errors_are_the_standard_s(make):
    assert issubclass(pqueue.Empty, standard.Empty)
    assert issubclass(pqueue.Full, standard.Full)
    for module in ENDS:
        assert issubclass(pqueue.ShutDown, module.ShutDown)


def test_join_waits_for_an_item_that_is_on_its_way_out():
    """Acknowledged by its swap, and not yet returned by `get`: nobody has called `task_done` for it."""
    with pqueue.open(f"memory://{uuid.uuid4().hex}") as queue:
        queue.put(1)
        take, taken, go, joined = queue._take, threading.Event(), threading.Event(), threading.Event()

        def slowly(n):
            items = take(n)
            taken.set()
            go.wait(30)
            return items

        queue._take = slowly
        getter = threading.Thread(target=queue.get)
        getter.start()
        assert taken.wait(30)
        joiner = threading.Thread(target=lambda: (queue.join(), joined.set()))
        joiner.start()
        assert not joined.wait(0.3)
        go.set()
        getter.join(30)
        assert not joined.wait(0.1)
        queue.task_done()
        assert joined.wait(30)
        joiner.join(30)
