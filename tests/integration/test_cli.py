"""The command line, as a shell uses it: every byte comes back, and whatever ends a command loses nothing."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pqueue
from pqueue import cli, plugins
from pqueue.abc import Serializer
from tests.support.children import TORN_END

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMAND = (sys.executable, "-m", "pqueue")
SOON = 20.0
"""Seconds for what takes a moment, on a machine that is busy."""


def run(*arguments: object, **more: Any) -> subprocess.CompletedProcess[bytes]:
    words = [str(one) for one in arguments]
    return subprocess.run([*COMMAND, *words], capture_output=True, timeout=120, check=False, **more)


def put(where: object, data: bytes, *arguments: object) -> None:
    done = run("put", where, *arguments, input=data)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def get(where: object, *arguments: object) -> bytes:
    done = run("get", where, "--all", *arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts commands, and kills those that still run in the end."""
    started = []

    def begin(*arguments: object, **more: Any) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([*COMMAND, *(str(one) for one in arguments)], bufsize=0, **(pipes | more))
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + SOON
    while not (found := what()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
    return found


def numbered(count: int, width: int = 0) -> bytes:
    return b"".join(b"%d%s\n" % (number, b"." * width) for number in range(count))


def numbers(data: bytes) -> list[int]:
    """Of whole lines."""
    return [int(line.rstrip(b".")) for line in data[: data.rfind(b"\n") + 1].splitlines()]


# -- bytes ------------------------------------------------------------------------------------------------------------


def test_a_large_file_comes_back_byte_by_byte(tmp_path):
    chance = random.Random(1)
    lines = [chance.randbytes(chance.randrange(120)).replace(b"\n", b"") for _ in range(120_000)]
    data = b"\n".join(lines)
    (tmp_path / "file").write_bytes(data)
    done = run("put", tmp_path / "jobs", tmp_path / "file")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    with pqueue.open(tmp_path / "jobs", create=False) as queue:
        assert len(queue) == len(lines)
        assert queue.get_many(10) == lines[:10]
    assert get(tmp_path / "jobs") == b"\n".join(lines[10:])


def test_a_bucket_gives_every_byte_back(s3_server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    where = f"s3://{s3_server.bucket}/cli/jobs?endpoint_url={s3_server.endpoint}&region=us-east-1&addressing_style=path"
    data = numbered(20_000, 40) + b"\xff\0 no end"
    put(where, data)
    assert b"20,001" in run("stat", where).stdout
    assert get(where) == data


AWKWARD = {
    "nothing": b"",
    "one end": b"\n",
    "empty lines": b"\n\n\na\n\n",
    "no end": b"a\nb",
    "only a line without end": b"a",
    "other systems' ends": b"a\r\nb\rc\x0b\x0c\x1c\x85\n",
    "no text": bytes(range(256)) * 3 + b"\n" + b"\xff\xfe\n",
    "zeros": b"\0\n\0\0\n",
    "a long line": b"x" * 3_000_000 + b"\ny\n" + b"z" * 1_500_000,
}


@pytest.mark.parametrize("data", AWKWARD.values(), ids=AWKWARD)
def test_awkward_bytes_come_back(tmp_path, data):
    put(tmp_path / "jobs", data)
    assert get(tmp_path / "jobs") == data


def test_files_come_back_one_after_another_as_cat_would(tmp_path):
    (tmp_path / "a").write_bytes(b"1\n2")
    (tmp_path / "b").write_bytes(b"3\n")
    done = run("put", tmp_path / "jobs", tmp_path / "a", "-", tmp_path / "b", input=b"x\n")
    assert done.returncode == 0
    assert get(tmp_path / "jobs") == b"1\n2x\n3\n"


@pytest.mark.parametrize("serializer", ["raw", "marshal", "pickle"])
def test_a_serializer_that_can_t_tell_of_a_missing_end_adds_it(tmp_path, serializer):
    put(tmp_path / "jobs", b"\xff\nb", "--set", f"serializer={serializer}")
    assert get(tmp_path / "jobs", "--set", f"serializer={serializer}") in (b"\xff\nb\n", b"\xff\nb")


def test_items_larger_than_a_commit_go_in_smaller_ones(tmp_path):
    data = numbered(3000, 20)
    put(tmp_path / "jobs", data, "-s", "max_commit_bytes=4000", "-s", "segment_items=50")
    assert get(tmp_path / "jobs") == data


def test_with_json_lines_are_text(tmp_path):
    put(tmp_path / "jobs", "ä\n\u2028\n".encode(), "-s", "serializer=json")
    done = run("put", tmp_path / "jobs", input=b"good\n\xff\nnever\n")
    assert done.returncode == 4
    assert b"not UTF-8" in done.stderr
    assert b"1 line was put before this" in done.stderr
    with pqueue.open(tmp_path / "jobs") as queue:
        assert queue.get_many(9) == ["ä", "\u2028", "good"]


def test_text_and_bytes_come_out_as_they_are_and_the_rest_as_json(tmp_path):
    with pqueue.open(tmp_path / "jobs") as queue:
        queue.put_many(["ä", b"\xff", {"a": [1, None]}, 7, "two\nlines"])
    assert get(tmp_path / "jobs") == b'\xc3\xa4\n\xff\n{"a": [1, null]}\n7\ntwo\nlines\n'


@pytest.mark.parametrize("item", [(1, 2), {1: 2}, float("nan"), {3}, [b"x"], "\ud800"])
def test_an_item_that_no_line_can_hold_stays(tmp_path, item):
    with pqueue.open(tmp_path / "jobs", serializer="pickle") as queue:
        queue.put_many(["before", item, "behind"])
    done = run("get", tmp_path / "jobs", "--all", "-s", "serializer=pickle")
    assert (done.returncode, done.stdout) == (4, b"before\n")
    assert b"stays in the queue" in done.stderr
    seen = run("peek", tmp_path / "jobs", "-n", "9", "-s", "serializer=pickle")
    assert (seen.returncode, seen.stdout, seen.stderr.count(b"\n")) == (4, b"behind\n", 1)
    with pqueue.open(tmp_path / "jobs", serializer="pickle") as queue:
        assert len(queue) == 2


class Broken(Serializer):
    name = "msgpack"
    safe = True

    def dumps(self, item: Any) -> bytes:
        return b"\xc1"

    def loads(self, record: bytes) -> Any:
        raise AssertionError


def test_an_item_that_can_t_be_read_is_told_and_the_rest_is_delivered(tmp_path):
    store = pqueue.parse(tmp_path / "jobs").store
    put(tmp_path / "jobs", b"a\nb\n")
    with pqueue.Queue(plugins.backend("local").open(store, create=False), Broken()) as queue:
        queue.put(None)
    put(tmp_path / "jobs", b"c\n")
    done = run("get", tmp_path / "jobs", "--all")
    assert (done.returncode, done.stdout) == (4, b"a\nb\nc\n")
    assert done.stderr.count(b"dead letter") == 1
    assert json.loads(run("stat", "--json", tmp_path / "jobs").stdout)["dead"] == 1


# -- how much, and when -----------------------------------------------------------------------------------------------


def test_get_takes_one_or_as_many_as_said_and_tells_when_there_is_nothing(tmp_path):
    put(tmp_path / "jobs", numbered(10))
    assert run("get", tmp_path / "jobs").stdout == b"0\n"
    assert numbers(run("get", tmp_path / "jobs", "-n", 4).stdout) == [1, 2, 3, 4]
    rest = run("get", tmp_path / "jobs", "-n", 100)
    assert (rest.returncode, numbers(rest.stdout)) == (0, [5, 6, 7, 8, 9])
    empty = run("get", tmp_path / "jobs")
    assert (empty.returncode, empty.stdout, empty.stderr) == (1, b"", b"")
    assert get(tmp_path / "jobs") == b""


@pytest.mark.parametrize("durability", ["written", "buffered"])
def test_a_line_is_in_the_queue_as_soon_as_it_is_typed(tmp_path, start, durability):
    process = start("put", tmp_path / "jobs", "-s", f"durability={durability}")
    process.stdin.write(b"first\nsec")
    until((tmp_path / "jobs" / "queue.json").exists)
    with pqueue.open(tmp_path / "jobs", create=False) as queue:
        assert queue.get(timeout=SOON) == b"first"
        process.stdin.write(b"ond\n")
        assert queue.get(timeout=SOON) == b"second"
        process.stdin.close()
        assert process.wait(SOON) == 0
        assert len(queue) == 0


# -- ends -------------------------------------------------------------------------------------------------------------


def read(process: subprocess.Popen[bytes], amount: int) -> bytes:
    data = b""
    while len(data) < amount and (more := os.read(process.stdout.fileno(), amount - len(data))):
        data += more
    return data


def test_a_reader_that_goes_away_leaves_what_it_has_not_read(tmp_path, start):
    put(tmp_path / "jobs", numbered(30_000))
    got = []
    for amount in (1, 5, 1000, 70_000):
        process = start("get", tmp_path / "jobs", "--all")
        got += numbers(read(process, amount))
        process.stdout.close()
        assert process.wait(SOON) == 141
        assert process.stderr.read() == b""
    assert got + numbers(get(tmp_path / "jobs")) == list(range(30_000))


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_ends_get_between_two_lines(tmp_path, start, sent, code):
    put(tmp_path / "jobs", numbered(30_000))
    process = start("get", tmp_path / "jobs", "--all")
    data = read(process, 1000)
    process.send_signal(sent)
    data += read(process, 1 << 20)
    assert process.wait(SOON) == code
    assert data.endswith(b"\n")
    assert len(data) < 150_000
    assert numbers(data) + numbers(get(tmp_path / "jobs")) == list(range(30_000))


def test_a_signal_ends_put_and_it_tells_what_is_in(tmp_path, start):
    process = start("put", tmp_path / "jobs")
    process.stdin.write(b"a\nb\nhal")
    until((tmp_path / "jobs" / "queue.json").exists)
    with pqueue.open(tmp_path / "jobs", create=False) as queue:
        until(lambda: len(queue) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SOON) == 143
        assert b"2 lines were put" in process.stderr.read()
        assert len(queue) == 2


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_put_that_waits_for_room(tmp_path, start, sent, code):
    process = start("put", tmp_path / "jobs", "--batch", 1, "-s", "maxsize=5")
    process.stdin.write(numbered(9))
    process.stdin.close()
    until((tmp_path / "jobs" / "queue.json").exists)
    with pqueue.open(tmp_path / "jobs", create=False) as queue:
        until(lambda: len(queue) == 5)
        assert queue.get_many(2) == [b"0", b"1"]  # room that it takes
        until(lambda: len(queue) == 5)
        process.send_signal(sent)
        assert process.wait(SOON) == code
        assert process.stderr.read() == f"pqueue: {sent.name}: 7 lines were put\n".encode()
        assert len(queue) == 5


def test_a_killed_put_leaves_the_lines_up_to_some_place(tmp_path, start):
    data = numbered(400_000)
    (tmp_path / "file").write_bytes(data)
    process = start("put", tmp_path / "jobs", tmp_path / "file")
    until((tmp_path / "jobs" / "queue.json").exists)
    with pqueue.open(tmp_path / "jobs", create=False) as queue:
        until(lambda: len(queue) > 5000)
    process.kill()
    process.wait()
    done = run("get", tmp_path / "jobs", "--all")
    assert done.returncode == 0
    assert re.fullmatch(TORN_END, done.stderr)
    assert len(numbers(done.stdout)) > 5000
    assert data.startswith(done.stdout)


@pytest.mark.parametrize(("command", "out", "left"), [("get", b"a\nb\n", b""), ("put", b"", b"a\nb\nc\n")])
def test_what_is_left_of_a_write_that_did_not_end_is_told_once(tmp_path, command, out, left):
    put(tmp_path / "jobs", b"a\nb\n")
    (segment,) = (tmp_path / "jobs" / "seg").iterdir()
    with segment.open("ab") as file:
        file.write(segment.read_bytes()[-20:-3])
    words = ["--all"] if command == "get" else []
    done = run(command, tmp_path / "jobs", *words, input=b"c\n")
    assert (done.returncode, done.stdout) == (0, out)
    assert b"ends in 17 bytes" in done.stderr
    assert re.fullmatch(TORN_END, done.stderr)
    done = run("get", tmp_path / "jobs", "--all")
    assert (done.returncode, done.stdout) == (0, left)
    assert re.fullmatch(TORN_END, done.stderr)


def test_a_killed_get_loses_nothing_and_repeats_what_it_had_not_acknowledged(tmp_path, start):
    put(tmp_path / "jobs", numbered(100_000))
    with (tmp_path / "out").open("wb") as out:
        process = start("get", tmp_path / "jobs", "--all", stdout=out)
        until(lambda: (tmp_path / "out").stat().st_size > 50_000)
        process.kill()
        process.wait()
    first = numbers((tmp_path / "out").read_bytes())
    second = numbers(get(tmp_path / "jobs"))
    assert first == list(range(len(first)))
    assert second == list(range(second[0] if second else 100_000, 100_000))
    assert len(first) - 1000 <= (second[0] if second else 100_000) <= len(first) + 1


def test_a_full_disk_leaves_what_was_not_written(tmp_path):
    put(tmp_path / "jobs", b"a\n")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "get", tmp_path / "jobs"], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert done.returncode == 3
    assert done.stderr == (
        b"pqueue: the output can't be written: No space left on device; what was not written whole is not acknowledged, "
        b"and stays in the queue\n"
    )
    assert get(tmp_path / "jobs") == b"a\n"


@pytest.mark.parametrize("words", [["peek"], ["stat"], ["stat", "--json"], ["dead", "list"]])
def test_a_full_disk_is_told_in_one_line(tmp_path, words):
    put(tmp_path / "jobs", b"a\n")
    with pqueue.open(tmp_path / "jobs") as queue:
        queue.put("dead")
        with queue.receive():
            pass
        queue.receive().reject()
    put(tmp_path / "jobs", b"b\n")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, *words, tmp_path / "jobs"], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (3, b"pqueue: the output can't be written: No space left on device\n")


def test_a_disk_that_fills_leaves_what_was_not_written_whole(tmp_path):
    """A limit on the size of files stands for the disk, far above what the queue's own have: it cuts a line."""
    put(tmp_path / "jobs", numbered(3000, 20))
    begun = 100 << 20
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({begun + 20_001}, resource.RLIM_INFINITY)); "
    limit += "from pqueue import cli; cli.main()"
    with (tmp_path / "out").open("ab") as out:
        out.truncate(begun)
        done = subprocess.run(
            [sys.executable, "-c", limit, "get", tmp_path / "jobs", "--all"],
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert (done.returncode, b"can't be written: File too large" in done.stderr) == (3, True), done.stderr
    with (tmp_path / "out").open("rb") as file:
        file.seek(begun)
        written = file.read()
    assert len(written) == 20_001
    assert numbers(written) + numbers(get(tmp_path / "jobs")) == list(range(3000))


def test_a_slow_reader_keeps_its_claim(tmp_path, start):
    data = numbered(50, 4_000)  # all of it is claimed at once
    put(tmp_path / "jobs", data)
    process = start("get", tmp_path / "jobs", "--all", "-s", "lease=0.5")
    begun = read(process, 1000)
    time.sleep(1.5)
    assert run("get", tmp_path / "jobs").returncode == 1
    assert begun + read(process, 1 << 20) == data
    assert process.wait(SOON) == 0
    assert get(tmp_path / "jobs") == b""


def test_a_command_that_slept_past_its_lease_hands_out_no_more(tmp_path, start):
    put(tmp_path / "jobs", numbered(50, 10_000))
    process = start("get", tmp_path / "jobs", "--all", "-s", "lease=0.5")
    data = read(process, 1000)
    process.send_signal(signal.SIGSTOP)
    time.sleep(1)
    others = numbers(get(tmp_path / "jobs"))
    process.send_signal(signal.SIGCONT)
    data += read(process, 1 << 20)
    assert process.wait(SOON) == 0
    assert b"lease" in process.stderr.read()
    got = numbers(data)
    assert sorted({*got, *others}) == list(range(50))
    assert len(got) < 20  # what was in the pipe


# -- errors -----------------------------------------------------------------------------------------------------------


def failure(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """The exit code and the one line on standard error."""
    code = cli.run([str(one) for one in arguments])
    out, error = capfd.readouterr()
    assert out == ""
    assert error.startswith("pqueue: ")
    assert error.count("\n") == 1
    return code, error


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        ([], 2, "--help"),
        (["pop"], 2, "pop"),
        (["get"], 2, "WHERE"),
        (["get", "{tmp}/x", "-n", "0"], 2, "-n"),
        (["get", "{tmp}/x", "-n", "1", "--all"], 2, "--all"),
        (["get", "{tmp}/x"], 3, "no folder"),
        (["stat", "{tmp}/x"], 3, "no folder"),
        (["stat", "{tmp}"], 3, "no queue is there"),
        (["put", "{tmp}/x", "{tmp}/nowhere"], 2, "nowhere: No such file"),
        (["put", "{tmp}/x", "{tmp}"], 2, "directory"),
        (["put", "{tmp}/x", "-s", "lease"], 2, "KEY=VALUE"),
        (["put", "{tmp}/x", "-s", "laese=3"], 2, "did you mean 'lease'"),
        (["put", "{tmp}/x", "-s", "serializer=yaml"], 2, "known: json"),
        (["put", "ftp://x"], 2, "known: file://"),
        (["put", "s3://bucket?secret_access_key=geheim"], 2, "secret_access_key in a URL"),
        (["put", "/proc/x", "/dev/null"], 3, "/proc/x"),
        (["put", "memory://x", "/dev/null"], 2, "ends with its process"),
        (["stat", "memory://x"], 2, "ends with its process"),
        (["get", "{tmp}/x", "-s", "create=true"], 2, "never makes a queue"),
        (["clear", "{tmp}/x", "-s", "create=true"], 2, "never makes a queue"),
    ],
)
def test_errors_are_one_line_and_a_code(tmp_path, capfd, arguments, code, part):
    got, text = failure(capfd, *(one.replace("{tmp}", str(tmp_path)) for one in arguments))
    assert (got, part in text, "geheim" in text) == (code, True, False), text
    assert list(tmp_path.iterdir()) == []


def test_a_put_that_failed_tells_of_the_queue_that_it_made(tmp_path):
    for said in (True, False):  # of one that something was put into before, nothing need be said
        done = run("put", tmp_path / "jobs", "-f", "jsonl", input=b'{"a":')
        assert (done.returncode, f"pqueue rm {tmp_path / 'jobs'}".encode() in done.stderr) == (4, said)
        put(tmp_path / "jobs", b"one\n")


@pytest.mark.parametrize(
    "words",
    [
        "get",
        "get --all",
        "peek",
        "stat",
        "dead list",
        "dead show",
        "dead requeue",
        "gc",
        "rm -y",
        "clear -y",
        "work --call os:fspath",
    ],
)
def test_what_never_makes_a_queue_leaves_a_place_as_it_was(tmp_path, capfd, words):
    for kind in ("no folder", "no queue is there"):
        with pytest.raises(pqueue.QueueAbsent, match=kind):
            pqueue.open(tmp_path / "x", create=False)
        code, text = failure(capfd, *words.split(), tmp_path / "x")
        assert (code, kind in text) == (3, True)
        assert list(tmp_path.rglob("*")) == ([] if kind == "no folder" else [tmp_path / "x"])
        (tmp_path / "x").mkdir(exist_ok=True)


def test_a_mistyped_name_makes_no_folder(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pqueue.toml").write_text('[queues.jobs]\npath = "spool"\n')
    for command in ("put", "get", "stat"):
        code, text = failure(capfd, command, "jobss")
        assert (code, "did you mean 'jobs'?" in text, "./jobss" in text) == (2, True, True)
    assert [path.name for path in tmp_path.iterdir()] == ["pqueue.toml"]


def test_another_program_s_place_is_refused(tmp_path, capfd):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "queue.json").write_text("{}")
    code, _ = failure(capfd, "get", tmp_path / "jobs")
    assert code == 3


def test_an_unsafe_serializer_must_be_named(tmp_path, capfd):
    pqueue.open(tmp_path / "jobs", serializer="pickle").close()
    code, text = failure(capfd, "get", tmp_path / "jobs")
    assert (code, "pickle" in text) == (2, True)


def test_closed_streams_are_told(tmp_path):
    line = f"exec {sys.executable} -m pqueue"
    for rest, code in ((f"put {tmp_path}/jobs <&-", 3), (f"get {tmp_path}/jobs >&-", 3)):
        done = subprocess.run(["sh", "-c", f"{line} {rest}"], capture_output=True, check=False, timeout=60)
        assert (done.returncode, b"closed" in done.stderr) == (code, True), done.stderr


def test_version(capfd):
    assert cli.run(["--version"]) == 0
    assert capfd.readouterr().out.startswith("pqueue 0.")


def test_a_mistake_of_ours_is_one_line_too(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("pqueue.cli.base.layers", lambda *_: 1 / 0)
    code, text = failure(capfd, "stat", tmp_path)
    assert (code, "internal error" in text) == (70, True)


# -- stat -------------------------------------------------------------------------------------------------------------


def test_stat_counts_what_is_waiting_claimed_and_given_back(tmp_path, capfd):
    with pqueue.open(tmp_path / "jobs", serializer="pickle", segment_items=4) as queue:
        queue.put_many(range(4))
        queue.put_many(range(4, 10))
        queue.get()
        with queue.lending() as lending:
            lending.take(5)
            lending.done(2)
            lending.take(1)
            assert cli.run(["stat", "--json", str(tmp_path / "jobs")]) == 0
            told = json.loads(capfd.readouterr().out)
            counts = {key: told[key] for key in ("waiting", "claimed", "given_back", "dead", "put")}
            assert counts == {"waiting": 3, "claimed": 4, "given_back": 0, "dead": 0, "put": 10}
            assert told["settings"]["serializer"] == {"value": "pickle", "from": "queue.json"}
            assert told["settings"]["segment_items"]["value"] == 4
            assert told["settings"]["lease"] == {"value": 30.0, "from": "default"}
            assert told["bytes"] > 0
    assert cli.run(["stat", str(tmp_path / "jobs")]) == 0
    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert ["given", "back", "4"] in lines
    assert ["waiting", "3"] in lines
    assert ["max_attempts", "no", "limit", "queue.json"] in lines
    assert ["serializer", "pickle", "queue.json"] in lines


def test_stat_shows_the_documents_even_of_a_queue_that_can_t_be_opened(tmp_path, capfd):
    put(tmp_path / "jobs", b"a\n")
    assert cli.run(["stat", "--raw", str(tmp_path / "jobs")]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["queue.json"]["queue"] == told["tail"]["queue"] == told["head.default"]["queue"]
    assert told["head.default"]["next"] == {"offset": 0, "ordinal": 0}
    (tmp_path / "jobs" / "queue.json").unlink()
    assert cli.run(["stat", "--raw", str(tmp_path / "jobs")]) == 0
    assert json.loads(capfd.readouterr().out)["queue.json"] is None


def test_a_queue_is_named_by_the_configuration(tmp_path):
    (tmp_path / "pqueue.toml").write_text('[queues.jobs]\npath = "spool"\nserializer = "json"\n')
    assert run("put", "jobs", input=b"a\n", cwd=tmp_path).returncode == 0
    shown = run("stat", "jobs", cwd=tmp_path, env={**os.environ, "PQUEUE_QUEUES__JOBS__LEASE": "5"}).stdout.decode()
    lines = [line.split(maxsplit=2) for line in shown.splitlines()]
    assert ["store.path", "spool", "pqueue.toml"] in lines
    assert ["lease", "5.0", "the environment, PQUEUE_QUEUES__JOBS__…"] in lines
    assert run("get", "jobs", cwd=tmp_path).stdout == b"a\n"
    assert (tmp_path / "spool").is_dir()
