"""Ctrl-C at every point of a call where Python may handle it: the queue works on, at once, for other threads, too.

What the call was doing is done, or not; nothing else is lost, doubled or out of order, and nobody waits for it.
"""

import re

import pytest

import pqueue
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
    step = {"folder": 3, "memory": 1, "bucket": 23}[place.kind.split("-")[0]]
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
        if call == "put_stream" and mine.kind != "memory":  # memory's own append tells nothing of an interrupt
            told = re.findall(r"the first (\d+) items?", " ".join(getattr(cut.error, "__notes__", ())))
            assert told in ([], [str(len(put))]), (cut.where, found)
            assert told or not put, (cut.where, found)
    assert at > step
