"""Ctrl-C at every point of a call where Python may handle it: the queue works on, at once, for other threads, too.

What the call was doing is done, or not; nothing else is lost, doubled or out of order, and nobody waits for it.
"""

import re
import threading
import time

import pytest

import pqueue
from pqueue import listing
from tests.support.points import ONLY, Interrupted, counting, in_time

PUT = "pqrstu"

CALLS = {
    "put": lambda queue, message: queue.put("p"),
    "put_many": lambda queue, message: queue.put_many("pq"),
    "put_stream": lambda queue, message: queue.put_stream(iter(PUT), batch=2),
    "get": lambda queue, message: queue.get(),
    "receive": lambda queue, message: queue.receive(),
    "receive and ack": lambda queue, message: queue.receive().ack(),
    "ack": lambda queue, message: message.ack(),
    "nack": lambda queue, message: message.nack(),
    "len": lambda queue, message: len(queue),
    "close": lambda queue, message: queue.close(),
}
TAKES = {"get": 1, "receive": 1, "receive and ack": 1, "ack": 1, "nack": 1}
"""How many items the call may take along: one that is in hand."""


def works(place, queue, closed):
    """What is in the queue, once it has shown that it takes more."""
    if closed:
        queue.close()
        queue = place.open()
    queue.put("y")
    queue.put_many("z")
    found = []
    while True:
        try:
            found.append(queue.get_nowait())
        except pqueue.Empty:
            break
    queue.close()
    return found


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("maxsize", [0, 50])
@pytest.mark.parametrize("call", CALLS)
def test_an_interrupt_anywhere_leaves_a_queue_that_works(place, call, maxsize):
    if maxsize and not place.kind.startswith("memory"):
        return  # a put that heeds a bound is the same on all of them
    step = {"folder": 3, "folder-blobs": 5, "bucket": 23}.get(place.kind, 1)
    for at in counting(step):
        mine = place.again()
        queue = mine.open(maxsize=maxsize)
        queue.put_many("abcde")
        assert queue.get() == "a"
        message = queue.receive() if call in ("ack", "nack") else None
        cut = Interrupted(lambda queue=queue, message=message: CALLS[call](queue, message), at)
        if not cut.where:
            queue.close()
            break
        found = in_time(lambda mine=mine, queue=queue: works(mine, queue, call == "close"), cut.where)
        assert len(set(found)) == len(found), (cut.where, found)
        old = [item for item in found if item in "bcde"]
        assert old == sorted(old), (cut.where, found)
        assert len(old) >= 4 - TAKES.get(call, 0), (cut.where, found)
        put = "".join(item for item in found if item in PUT)
        assert PUT.startswith(put), (cut.where, found)
        assert [item for item in found if item in "yz"] == ["y", "z"], (cut.where, found)
        if call == "put_stream":
            told = re.findall(r"the first (\d+) items?", " ".join(getattr(cut.error, "__notes__", ())))
            assert told in ([], [str(len(put))]), (cut.where, found)
            assert told or not put, (cut.where, found)
    assert at > step


class Late(TimeoutError):
    """As what a handler of SIGALRM raises: an OSError, though without an errno."""


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stream_that_a_handler_s_exception_ends_counts_what_is_in(place):
    for at in counting({"folder": 3, "folder-blobs": 5, "bucket": 41}.get(place.kind, 1)):
        with place.again().open() as queue:
            cut = Interrupted(lambda queue=queue: queue.put_stream(iter(PUT), batch=2), at, Late)
            if not cut.where:
                break
            put = "".join(queue)
            told = re.findall(r"the first (\d+) items?", " ".join(getattr(cut.error, "__notes__", ())))
            assert PUT.startswith(put), (cut.where, put)
            assert told == [str(len(put))] or not (told or put) or cut.error is None, (cut.where, put)
    assert at > 20


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("call", "kind"), [("get_many", KeyboardInterrupt), ("get_many", Late), ("get", Late), ("receive", Late)]
)
def test_an_interrupt_as_items_are_read_shifts_none(place, call, kind):
    """Several commits, and items that take Python to decode; nothing of it is taken for a record that can't be read."""
    for at in counting({"folder": 11, "folder-blobs": 19, "bucket": 83}.get(place.kind, 3)):
        mine = place.again()
        with mine.open() as queue:
            for number in range(5):
                queue.put((number, {number}))
        with mine.open() as queue:
            got = []

            def take(queue=queue, got=got):
                if call == "receive":
                    got.append(queue.receive().item)
                else:
                    got.extend([queue.get()] if call == "get" else queue.get_many(2))

            cut = Interrupted(take, at, kind)
            if not cut.where:
                break
            got += [*queue]
            for number in range(5, 8):
                queue.put((number, {number}))
            got += [*queue]
            lost = 5 - len([one for one in got if one[0] < 5])
            assert lost <= {"get": 1, "get_many": 2, "receive": 1}[call], (cut.where, got)
            assert lost == 0 or "queue.py" in cut.where or call == "receive", (cut.where, got)
            assert got == sorted(got, key=lambda one: one[0]), (cut.where, got)
            assert len({one[0] for one in got}) == len(got), (cut.where, got)
            assert [one[0] for one in got[-3:]] == [5, 6, 7], (cut.where, got)
            assert not queue.dead, (cut.where, queue.dead.list())
    assert at > 20


# -- one that others wait for ------------------------------------------------------------------------------------------


class Crowd:
    """Main leads a swap of the head for two other threads: all go by the combiner, and the first swap is held."""

    def __init__(self, queue):
        self.queue = queue
        self.got, self.failed = [], []
        self._combiner = queue._consumer._combiner
        self._combiner.alone = lambda act, what: None
        self._inside, self._gate = threading.Event(), threading.Event()
        self._swap = queue._store.swap
        queue._store.swap = self._slow
        self.threads = [self._come("first")]
        assert self._inside.wait(20)
        self.ended = False
        self._helper = threading.Thread(target=self._line, daemon=True)
        self._helper.start()

    def _slow(self, *how):
        if threading.current_thread().name == "first":
            self._inside.set()
            assert self._gate.wait(20)
        return self._swap(*how)

    def _take(self):
        try:
            self.got.append(self.queue.get(timeout=20))
        except Exception as error:  # noqa: BLE001  # judged by the test
            self.failed.append(error)

    def _come(self, name):
        before = len(self._combiner._waiting)
        thread = threading.Thread(target=self._take, name=name, daemon=True)
        thread.start()
        while name != "first" and len(self._combiner._waiting) == before and thread.is_alive():
            time.sleep(0.0001)
        return thread

    def _line(self):
        while not self._combiner._waiting and not self.ended:
            time.sleep(0.0001)
        self.threads += [self._come("second"), self._come("third")]
        self._gate.set()

    def end(self):
        self._helper.join()
        for thread in self.threads:
            thread.join()
        del self._combiner.alone
        self.queue._store.swap = self._swap
        return [*self.got, *self.queue]


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("durability", ["written", "synced"])
def test_an_interrupt_anywhere_in_a_swap_for_others_costs_them_nothing(place, durability):
    """Theirs is done by another, or was, and is handed out; of its own it loses what it has in hand at most."""
    if place.kind == "bucket" and durability == "written":
        return  # there it is one thing
    for at in counting({"folder": 5, "folder-blobs": 11, "bucket": 19}.get(place.kind, 1)):
        mine = place.again()
        with mine.open(durability=durability) as queue:
            queue.put_many(range(8))
            crowd = Crowd(queue)
            own = []
            cut = Interrupted(lambda queue=queue, own=own: own.append(queue.get()), at)
            crowd.ended = True
            found = in_time(crowd.end, cut.where)
            if not cut.where:
                break
            assert not crowd.failed, (cut.where, crowd.failed)
            every = sorted(found + own)
            assert len(set(every)) == len(every), (cut.where, found)
            assert set(range(8)) - set(every) in ([set()] if "queue.py" not in cut.where else [set(), {1}]), cut.where
    assert at > 20


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_an_interrupted_get_of_many_loses_what_is_in_hand_only(place):
    for at in counting({"folder": 2, "folder-blobs": 3, "bucket": 11}.get(place.kind, 1)):
        mine = place.again()
        with mine.open() as queue:
            queue.put_many(range(20))
            assert queue.get() == 0
            got = []
            cut = Interrupted(lambda queue=queue, got=got: got.extend(queue.get_many(5)), at)
            if not cut.where:
                break
            assert [*got, *queue] == list(range(1, 20)) or "queue.py" in cut.where, cut.where


@ONLY
def test_a_stream_beside_other_threads_counts_what_is_in(place):
    if not place.appends:
        return
    for at in counting():
        mine = place.again()
        with mine.open() as queue:
            queue.put("x")
            queue._log._combiner.alone = lambda act, what: None
            cut = Interrupted(lambda queue=queue: queue.put_stream(iter(PUT), batch=2), at)
            if not cut.where:
                break
            told = re.findall(r"the first (\d+) items?", " ".join(getattr(cut.error, "__notes__", ())))
            assert told in ([], [str(len(queue) - 1)]), cut.where
            assert in_time(lambda queue=queue: queue.put("y") or True, cut.where)


def test_an_interrupt_as_a_commit_takes_its_number_holds_nobody_up(place, monkeypatch):
    if place.appends:
        return
    with place.open() as queue:
        queue.put("first")
        write, inside, gate = queue._store.write, threading.Event(), threading.Event()

        def slow(name, data):
            if threading.current_thread().name == "slow":
                inside.set()
                assert gate.wait(20)
            write(name, data)

        monkeypatch.setattr(queue._store, "write", slow)
        thread = threading.Thread(target=queue.put, args=("second",), name="slow", daemon=True)
        thread.start()
        assert inside.wait(20)
        with monkeypatch.context() as cut:
            cut.setattr(listing, "_Upload", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                queue.put("cut")
        gate.set()
        assert in_time(lambda: queue.put("third") or True, "its number")
        thread.join(20)
        assert list(queue) == ["first", "second", "third"]
