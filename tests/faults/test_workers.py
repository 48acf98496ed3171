"""Workers that die or sleep; at full size by `python -m tests.faults.workers`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pqueue
from tests.support.children import Child

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("store", "items"), [("folder", 20_000), ("folder-blobs", 4_000), ("bucket", 600)])
def test_killed_workers_lose_nothing_and_only_what_they_held_comes_again(store, items):
    paths = os.pathsep.join(str(ROOT / name) for name in (".", "backends", "serializers"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.faults.workers", store, "--items", str(items)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


def test_who_sleeps_past_the_lease_has_lost_the_claim_and_removes_nothing(place):
    """Stopped, as by a debugger or a frozen machine: alive, and too late."""
    if place.kind.startswith("memory"):
        return
    with place.open() as queue:
        queue.put_many(range(2))

    def work(tell):
        with place.open() as mine:
            message = mine.receive(lease=1.0)
            tell(message.item)
            time.sleep(0.3)
            try:
                message.ack()
            except pqueue.ClaimLost:
                tell(100)
            else:
                tell(101)

    child = Child(work)
    while not child.told and not child.hear(0.05):
        pass
    os.kill(child.pid, signal.SIGSTOP)
    try:
        with place.open() as queue:
            got = queue.get_many(1) + queue.receive_many(10, timeout=30).items
            assert sorted(got) == [0, 1]
            os.kill(child.pid, signal.SIGCONT)
            child.join(60)
            assert child.told == [0, 100]
            assert len(queue) == 1, "it removed nothing"
    finally:
        if not child.told[1:]:
            os.kill(child.pid, signal.SIGCONT)


def _started_anew(work):
    """Until it ends well: what it told in all its lives, and how many those were."""
    told = []
    for life in range(1, 11):
        child = Child(work)
        while not child.hear(60):
            pass
        told += child.told
        os.close(child._out)
        if os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]) == 0:
            return told, life
    raise AssertionError("it never ends well")


def test_a_worker_that_dies_of_one_item_each_time_buries_that_one_alone(place):
    """A crash with a batch of 1,000 in hand, poisonous at its 500th."""
    if place.kind.startswith("memory"):
        return
    count = 100 if place.kind == "bucket" else 1000
    with place.open(max_attempts=3) as queue:
        queue.put_many(range(count))

    def work(tell):
        with place.open(lease=1.0) as mine:
            while True:
                try:
                    batch = mine.receive_many(count, timeout=4 if place.kind == "bucket" else 1)
                except pqueue.Empty:
                    return
                tell(-1)
                for message in batch:
                    if message.item == count // 2:
                        os.kill(os.getpid(), signal.SIGKILL)
                for message in batch:
                    tell(message.item)
                batch.ack()

    told, lives = _started_anew(work)
    assert lives == 4
    assert sorted(number for number in told if number >= 0) == [n for n in range(count) if n != count // 2]
    assert told.count(-1) < 100
    with place.open() as queue:
        (letter,) = queue.dead
        assert (queue.dead.item(letter), letter.reason, letter.attempts) == (count // 2, "attempts", 3)
        assert len(queue) == 0


def test_a_worker_with_threads_that_dies_of_one_item_buries_that_one_alone(tmp_path):
    """Each thread holds a claim of its own, and all of them end with the process: started anew until all is done."""
    store = tmp_path / "q"
    with pqueue.open(store, max_attempts=3) as queue:
        queue.put_many(range(40))

    def work(tell):
        def handler(item):
            if item == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.005)
            tell(item)

        pqueue.work(store, handler, threads=4, timeout=1.5)

    told, lives = _started_anew(work)
    assert lives == 4
    assert set(told) == {*range(40)} - {5}
    with pqueue.open(store) as queue:
        (letter,) = queue.dead
        assert (queue.dead.item(letter), letter.reason, letter.attempts) == (5, "attempts", 3)
        assert len(queue) == 0


def test_a_worker_of_the_command_line_stops_gently(tmp_path):
    with pqueue.open(tmp_path / "jobs", serializer="json") as queue:
        queue.put_many(["a", "b", "c"])
    command = [sys.executable, "-m", "pqueue", "work", str(tmp_path / "jobs"), "--", "sh", "-c", "echo {}; sleep 1"]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "a\n"
    worker.send_signal(signal.SIGTERM)
    out, err = worker.communicate(timeout=60)
    assert (worker.returncode, out) == (0, "")
    assert "finishing" in err
    assert "1 item done" in err
    with pqueue.open(tmp_path / "jobs") as queue:
        assert queue.get_many(10) == ["b", "c"]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_breaks_a_worker_off_and_is_what_its_exit_code_tells(tmp_path, signum, code):
    with pqueue.open(tmp_path / "q") as queue:
        queue.put_many("ab")
    note = tmp_path / "began"
    command = ["sh", "-c", f"touch {note}; exec sleep 300"]
    worker = subprocess.Popen([sys.executable, "-m", "pqueue", "work", str(tmp_path / "q"), "--", *command])
    until = time.monotonic() + 60
    while not note.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    worker.send_signal(signum)
    time.sleep(0.3)
    assert worker.poll() is None, "it finishes what it holds"
    worker.send_signal(signum)
    assert worker.wait(60) == code
    with pqueue.open(tmp_path / "q") as queue:
        assert sorted(queue.get(timeout=30) for _ in range(2)) == ["a", "b"]


def test_a_forked_child_has_nothing_of_its_parents_messages(place):
    if place.kind.startswith("memory"):
        return
    with place.open() as queue:
        queue.put_many(range(3))
        message = queue.receive()

        def work(tell):
            try:
                message.ack()
            except pqueue.ClaimLost:
                tell(100)
            tell(queue.receive().item)

        child = Child(work)
        child.join(60)
        assert child.told == [100, 1]
        message.ack()
