"""`pqueue work` and `pqueue dead`."""

import json
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

import pqueue
from pqueue import cli
from pqueue.cli.work import Command, CommandFailed


@pytest.fixture
def jobs(tmp_path):
    with pqueue.open(tmp_path / "jobs", max_attempts=2) as queue:
        queue.put_many([b"one", b"two", b"three"])
    return str(tmp_path / "jobs")


def work(jobs, *words):
    return cli.run(["work", jobs, "--timeout", "0.3", *words])


def test_a_command_runs_for_each_item_and_its_exit_code_counts(jobs, capfd):
    assert work(jobs, "-s", "retry_delay=0", "--", "sh", "-c", "echo got {}; test {} != two") == 0
    assert capfd.readouterr().out.split() == ["got", "one", "got", "two", "got", "two", "got", "three"]
    assert cli.run(["dead", "list", jobs]) == 0
    assert capfd.readouterr().out == "1  attempts  2  CommandFailed: sh: exit code 1\n"
    assert cli.run(["dead", "list", "--json", jobs]) == 0
    assert json.loads(capfd.readouterr().out)["reason"] == "attempts"
    assert cli.run(["dead", "show", jobs]) == 0
    assert capfd.readouterr().out == "two\n"
    assert cli.run(["dead", "requeue", jobs, "1"]) == 0
    assert cli.run(["dead", "list", jobs]) == 0
    assert capfd.readouterr().out == "1 item was put into the queue again\n"
    with pqueue.open(jobs) as queue:
        assert queue.get() == b"two"


def test_without_a_place_for_it_the_item_is_standard_input(jobs, capfd):
    assert work(jobs, "-j", "1", "--", "cat") == 0
    assert capfd.readouterr().out == "onetwothree"


def test_an_item_that_always_fails_does_not_keep_a_worker_busy(tmp_path, capfd):
    jobs = str(tmp_path / "jobs")
    with pqueue.open(jobs) as queue:
        queue.put_many([b"bad", b"good"])
    assert work(jobs, "--", "sh", "-c", "echo {}; test {} = good") == 0
    assert capfd.readouterr().out.split() == ["bad", "good"]
    assert work(jobs, "-s", "retry_delay=0.1", "--timeout", "2", "--", "sh", "-c", "echo {}; test -e $0", jobs) == 0
    assert capfd.readouterr().out.split() == ["bad"]


def test_a_function_is_called(jobs, tmp_path, monkeypatch, capfd):
    (tmp_path / "tasks_of_a_test.py").write_text("def show(item):\n    print('called', item.decode())\n")
    monkeypatch.chdir(tmp_path)
    assert work(jobs, "--call", "tasks_of_a_test:show") == 0
    assert capfd.readouterr().out.split() == ["called", "one", "called", "two", "called", "three"]


def test_a_typed_queue_s_function_is_called_with_items_of_its_type(tmp_path, monkeypatch, capfd):
    text = (
        "from dataclasses import dataclass\n@dataclass\nclass Order:\n    id: int\ndef show(order):\n    print(order)\n"
    )
    (tmp_path / "orders_of_a_test.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pqueue.open("orders") as queue:
        queue.put({"id": 7})
    assert work("orders", "--item", "orders_of_a_test:Nothing", "--call", "orders_of_a_test:show") == 2
    assert work("orders", "--item", "orders_of_a_test:Order", "--", "cat") == 2
    assert work("orders", "--item", "orders_of_a_test:Order", "--call", "orders_of_a_test:show") == 0
    assert capfd.readouterr().out == "Order(id=7)\n"


@pytest.mark.parametrize("threads", ["1", "3"])
def test_an_item_that_no_command_can_be_given_ends_the_worker_and_stays(tmp_path, threads, capfd):
    jobs = str(tmp_path / "jobs")
    with pqueue.open(jobs, max_attempts=1) as queue:
        queue.put_many(["good", {"at": datetime(2026, 1, 1, tzinfo=UTC)}])
    assert work(jobs, "-j", threads, "--", "true") == 4
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith("pqueue: the item at offset 1, dict: no command can be given it (Object of type datetime")
    assert "--call MODULE:FUNCTION" in said
    with pqueue.open(jobs) as queue:
        assert not list(queue.dead)
        message = queue.receive(timeout=5)
        assert (message.offset, message.attempt) == (1, 1)


def test_an_item_that_can_not_be_read_is_told_in_the_end(jobs, capfd, caplog):
    with pqueue.open(jobs) as queue:
        queue.put(b"four")
    [segment] = (Path(jobs) / "seg").iterdir()
    segment.write_bytes(segment.read_bytes().replace(b"two", b"twx"))
    assert work(jobs, "--", "echo", "got", "{}") == 4
    assert capfd.readouterr().out.split() == ["got", "four"]
    assert "offsets 0 to 2 can't be read" in caplog.text
    assert work(jobs, "--", "true") == 0


def test_dead_letters_that_can_not_be_put_again_are_told_by_the_exit_code(jobs, capfd, caplog):
    with pqueue.open(jobs) as queue:
        queue.put(b"four")
    [segment] = (Path(jobs) / "seg").iterdir()
    segment.write_bytes(segment.read_bytes().replace(b"two", b"twx"))
    with pqueue.open(jobs) as queue, suppress(pqueue.CorruptSegment, pqueue.Empty):
        queue.receive(block=False)
    with pqueue.open(jobs) as queue:
        queue.receive().reject()
    assert cli.run(["dead", "requeue", jobs]) == 4
    assert capfd.readouterr().out == "1 item was put into the queue again\n"
    assert "the dead letter of offset 0 stays: it was damaged" in caplog.text
    assert cli.run(["dead", "requeue", jobs, "0"]) == 4
    assert capfd.readouterr().out == "0 items were put into the queue again\n"
    with pqueue.open(jobs) as queue:
        assert list(queue) == [b"four"]


def test_zero_bytes_in_the_place_of_a_word_end_the_worker(tmp_path, capfd):
    jobs = str(tmp_path / "jobs")
    with pqueue.open(jobs) as queue:
        queue.put(b"a\0b")
    assert work(jobs, "--", "echo", "{}") == 4
    assert "leave {} out" in capfd.readouterr().err
    assert work(jobs, "--", "cat") == 0
    assert capfd.readouterr().out == "a\0b"


def test_what_is_left_for_a_retry_is_told_in_the_end(jobs, caplog):
    place = Path(jobs).name
    assert work(jobs, "-s", "retry_delay=60", "--", "sh", "-c", "test {} = one") == 0
    said = [record.message for record in caplog.records]
    assert said[0].endswith(f"{place} with 1 thread")
    assert said[-1] == "ends: 1 item done, 2 attempts failed, 0 items rejected; 2 items wait for a retry"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--call", "json"),
        ("--call", "json:nothing"),
        ("--call", "no.such:thing"),
        ("--", "no-such-command"),
        ("--", "./text"),
    ],
)
def test_what_is_to_be_done_is_said_right_or_refused_before_anything_is_taken(
    jobs, words, capfd, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no program")
    assert work(jobs, *words) == 2
    told = capfd.readouterr().err
    assert told.startswith("pqueue: ")
    assert ("can't be executed" in told) == ("./text" in words)
    with pqueue.open(jobs) as queue:
        assert len(queue) == 3


def test_purging_asks_first(jobs, capfd):
    with pqueue.open(jobs) as queue:
        queue.receive().reject()
    assert cli.run(["dead", "purge", jobs]) == 2
    assert cli.run(["dead", "purge", jobs, "9", "--yes"]) == 2
    assert cli.run(["dead", "purge", jobs, "--yes"]) == 0
    assert "1 dead letter was deleted" in capfd.readouterr().out


def test_a_command_that_is_broken_off_takes_along_what_it_has_started(tmp_path):
    note = tmp_path / "pid"
    command = Command(["sh", "-c", f"sleep 300 & echo $! > {note}.new; mv {note}.new {note}; wait; true"])
    raised = []

    def run():
        try:
            command(b"item")
        except CommandFailed as error:
            raised.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    until = time.monotonic() + 30
    while not note.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    command.kill()
    thread.join(30)
    assert raised == ["sh: signal 9"]
    pid = int(note.read_text())
    while _runs(pid):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_command_that_is_broken_off_as_it_begins_does_not_go_on():
    command = Command(["sleep", "300"])
    command.kill()
    with pytest.raises(CommandFailed, match="sleep: signal 9"):
        command(b"item")


def _runs(pid):
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
