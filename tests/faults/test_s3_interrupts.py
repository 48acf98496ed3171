"""Ctrl-C in a request: it comes to the main thread, where the client's libraries would leave their locks taken."""

import signal
import threading
import time

import pytest

from tests.support import places


@pytest.fixture
def queue(s3_server, tmp_path):
    with places.make("bucket", tmp_path, lambda: s3_server).open() as queue:
        yield queue


@pytest.fixture
def requests(queue, monkeypatch):
    """The threads that requests are sent in."""
    client = queue._store._bucket._client
    enter, threads = type(client).__enter__, []

    def entered(self):
        threads.append(threading.current_thread())
        return enter(self)

    monkeypatch.setattr(type(client), "__enter__", entered)
    return threads


def test_the_main_thread_sends_nothing_itself(queue, requests):
    queue.put("a")
    message = queue.receive()
    message.ack()
    queue.put_stream(iter("bcd"), batch=1)
    assert queue.get_many(3) == ["b", "c", "d"]
    assert len(queue) == 0
    assert requests
    assert threading.main_thread() not in requests


def test_another_thread_sends_its_own(queue, requests):
    thread = threading.Thread(target=lambda: len(queue))
    thread.start()
    thread.join(30)
    assert set(requests) == {thread}


def test_an_interrupt_ends_the_wait_and_not_the_request(queue, monkeypatch):
    """As a lost answer: the put gets in later, and nothing is held up by it."""
    bucket = queue._store._bucket
    put, began, ended = bucket.put, threading.Event(), threading.Event()

    def raised(*_):
        raise KeyboardInterrupt

    def slow(*more, **others):
        before = bucket._client.get().put_object

        def sent(**options):
            began.set()
            time.sleep(0.5)
            answer = before(**options)
            ended.set()
            return answer

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bucket._client.get(), "put_object", sent)
            return put(*more, **others)

    monkeypatch.setattr(bucket, "put", slow)
    before = signal.signal(signal.SIGALRM, raised)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            queue.put("cut")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert began.is_set()
    assert not ended.is_set()
    monkeypatch.undo()
    queue.put("next")
    assert ended.wait(30)
    assert "next" in list(queue)
