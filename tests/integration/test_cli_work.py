"""`pqueue work` and `pqueue dead`."""

import json
import threading
import time
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


@pytest.mark.parametrize(
    "words",
    [(), ("--call", "json"), ("--call", "json:nothing"), ("--call", "no.such:thing"), ("--", "no-such-command")],
)
def test_what_is_to_be_done_is_said_right_or_refused_before_anything_is_taken(jobs, words, capfd):
    assert work(jobs, *words) == 2
    assert capfd.readouterr().err.startswith("pqueue: ")
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


def _runs(pid):
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
