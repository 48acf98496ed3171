import subprocess
import sys
from pathlib import Path

import pytest

import pqueue


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/queue.db"


def test_a_queue_by_its_url(url: str) -> None:
    with pqueue.open(url, serializer="csv") as queue:
        queue.put(["1", "one"])
        queue.put_many([str(n), "many"] for n in range(100))
        with pytest.raises(pqueue.SerializationError):
            queue.put("no row")
        assert queue.get() == ["1", "one"]
    with pqueue.open(url, create=False) as queue:  # which serializer it is, it knows
        assert len(queue) == 100
        assert queue.get_many(200) == [[str(n), "many"] for n in range(100)]
        with pytest.raises(pqueue.Empty):
            queue.get(block=False)


def test_typed_rows(url: str) -> None:
    with pqueue.open(url, serializer="csv", item=list[str]) as queue:
        queue.put(["a", "b"])
        with pytest.raises(pqueue.SerializationError):
            queue.put(["a", 1])  # type: ignore[list-item]
        assert queue.get() == ["a", "b"]


def test_a_queue_that_is_not_there(url: str) -> None:
    with pytest.raises(pqueue.QueueAbsent):
        pqueue.open(url, create=False)


PUT = """
import sys, pqueue
with pqueue.open(sys.argv[1]) as queue:
    for n in range(20):
        queue.put((sys.argv[2], n))
"""


def test_several_processes(url: str) -> None:
    with pqueue.open(url) as queue:
        crew = [subprocess.Popen([sys.executable, "-c", PUT, url, name]) for name in "ab"]
        found = [queue.get(timeout=60) for _ in range(40)]
        assert [one.wait(60) for one in crew] == [0, 0]
    for name in "ab":
        assert [n for who, n in found if who == name] == list(range(20))
