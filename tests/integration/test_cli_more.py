"""The commands for formats, for looking, and for whole queues."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

import pqueue
from pqueue import cli
from pqueue.cli.formats import Format, encoded
from pqueue.cli.output import size_of
from pqueue.schema import schema, settings, template
from pqueue.words import counted

COMMAND = (sys.executable, "-m", "pqueue")
SOON = 30.0


def run(*arguments: object, **more: Any) -> subprocess.CompletedProcess[bytes]:
    words = [str(one) for one in arguments]
    return subprocess.run([*COMMAND, *words], capture_output=True, timeout=120, check=False, **more)


def told(*arguments: object, **more: Any) -> bytes:
    done = run(*arguments, **more)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def here(capfdbinary, *arguments: object) -> tuple[int, bytes, bytes]:
    """A command in this process: its code, output and errors."""
    code = cli.run([str(one) for one in arguments])
    out, err = capfdbinary.readouterr()
    return code, out, err


@pytest.fixture
def jobs(tmp_path):
    return tmp_path / "jobs"


def filled(where, *items, **more):
    with pqueue.open(where, **more) as queue:
        queue.put_many(items)


# -- formats ----------------------------------------------------------------------------------------------------------


def test_json_lines_go_in_as_values_and_come_out_as_they_were(jobs):
    data = '{"a": 1, "é": [true, null]}\n"text"\n1.5\n[]\n'
    told("put", jobs, "--format", "jsonl", input=f"\n{data}\n ".encode())
    with pqueue.open(jobs) as queue:
        assert len(queue) == 4
    assert told("peek", jobs, "-n", 9, "--format", "jsonl").decode() == data
    assert told("get", jobs, "--all", "--format", "jsonl").decode() == data


@pytest.mark.parametrize("line", ["{", "NaN", "1 2", "\ufeff1", "[" * 100_000])
def test_a_line_that_is_not_json_is_told_by_its_number(jobs, line):
    done = run("put", jobs, "-f", "jsonl", input=f"1\n2\n\n{line}\n5\n".encode())
    assert done.returncode == 4
    assert b"line 4 is not JSON" in done.stderr
    assert b"(2 items were put before this)" in done.stderr
    assert told("get", jobs, "--all") == b"1\n2\n"


@pytest.mark.parametrize("data", [b"", b"\0\xff\n\n", b"x" * 3_000_000])
def test_a_raw_file_is_one_item(jobs, tmp_path, data):
    (tmp_path / "file").write_bytes(data)
    told("put", jobs, "--format", "raw", tmp_path / "file", "-", input=data)
    with pqueue.open(jobs) as queue:
        assert len(queue) == 2
    assert told("get", jobs, "--format", "raw") == data
    assert told("get", jobs, "--all", "-f", "raw") == data


def test_a_raw_file_that_is_too_large_or_no_text_is_refused(jobs):
    done = run("put", jobs, "-f", "raw", "-s", "max_commit_bytes=1000", input=b"x" * 1001)
    assert (done.returncode, b"more than 1000 bytes" in done.stderr) == (4, True)
    done = run("put", jobs, "-f", "raw", "-s", "serializer=json", input=b"\xff")
    assert done.returncode == 2
    done = run("put", jobs.with_name("other"), "-f", "raw", "-s", "serializer=json", input=b"\xff")
    assert (done.returncode, b"not UTF-8" in done.stderr) == (4, True)


@pytest.mark.parametrize(
    ("item", "how"),
    [((1,), "jsonl"), (b"x", "jsonl"), (float("nan"), "jsonl"), ("\ud800", "jsonl"), (1, "raw"), ({1: 2}, "lines")],
)
def test_an_item_that_a_format_can_t_hold_is_refused(item, how):
    with pytest.raises(pqueue.SerializationError, match="it stays in the queue"):
        encoded(item, Format(how))


def test_bytes_that_json_can_t_hold_are_refused_with_the_format_that_does(jobs):
    filled(jobs, b"\xff")
    done = run("get", jobs, "-f", "jsonl")
    assert (done.returncode, done.stdout, b"--format raw" in done.stderr) == (4, b"", True)
    assert told("get", jobs, "-f", "raw") == b"\xff"


def test_one_is_one_item(jobs, tmp_path, capfdbinary):
    assert here(capfdbinary, "put", jobs, "/dev/null") == (0, b"", b"")
    (tmp_path / "bad").write_bytes(b"1\n?\n")
    assert b"(1 item was put before this)" in here(capfdbinary, "put", jobs, "-f", "jsonl", tmp_path / "bad")[2]
    assert here(capfdbinary, "clear", jobs, "--yes") == (0, b"1 item was dropped\n", b"")
    filled(jobs, 1, 2)
    assert here(capfdbinary, "clear", jobs, "--yes") == (0, b"2 items were dropped\n", b"")
    assert [counted(count, "item") for count in (0, 1, 2000)] == ["0 items", "1 item", "2,000 items"]
    assert [size_of(count) for count in (1, 2, 2048)] == ["1 byte", "2 bytes", "2.0 KiB"]


@pytest.mark.parametrize("batch", [1, 3, 5000])
def test_a_commit_holds_at_most_a_batch(tmp_path, batch):
    told("put", tmp_path / "jobs", "--batch", batch, "-s", "appends=false", input=b"x\n" * 10)
    stat = json.loads(told("stat", tmp_path / "jobs", "--json", "-s", "appends=false"))
    assert stat["segments"] == -(-10 // batch)


# -- following --------------------------------------------------------------------------------------------------------


def test_following_waits_for_more_until_a_signal(jobs, tmp_path):
    filled(jobs, b"a")
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen([*COMMAND, "get", jobs, "--follow"], stdout=out, stderr=subprocess.PIPE)
    seen = []
    try:
        for expected in (b"a\n", b"a\nb\n", b"a\nb\nc\nd\n"):
            until = time.monotonic() + SOON
            while (tmp_path / "out").read_bytes() != expected:
                assert time.monotonic() < until
                time.sleep(0.01)
            seen.append(expected)
            if len(seen) < 3:
                filled(jobs, *([b"b"] if len(seen) == 1 else [b"c", b"d"]))
        process.send_signal(signal.SIGTERM)
        assert process.wait(SOON) == 143
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    with pqueue.open(jobs) as queue:
        assert len(queue) == 0


def test_following_ends_when_its_reader_goes_away(jobs):
    filled(jobs, b"a")
    process = subprocess.Popen([*COMMAND, "get", jobs, "--follow"], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"a\n"
        process.stdout.close()
        assert process.wait(SOON) == 141
    finally:
        process.kill()
        process.wait()


def test_following_nothing_burns_little(jobs):
    filled(jobs)
    work = f"import sys, pqueue.cli; sys.exit(pqueue.cli.run(['get', {str(jobs)!r}, '--follow']))"
    process = subprocess.Popen([sys.executable, "-c", work], stdout=subprocess.PIPE)
    try:
        time.sleep(2.0)  # started, and at its longest pause

        def ticks():
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        before = ticks()
        time.sleep(2.0)
        assert ticks() - before <= 0.2
    finally:
        process.kill()
        process.communicate()


def test_ways_to_say_how_many_exclude_each_other(jobs, capfdbinary):
    for words in (["--all", "--follow"], ["-n", "3", "--follow"], ["-n", "3", "--all"]):
        assert here(capfdbinary, "get", jobs, *words)[0] == 2


def test_all_says_what_is_not_there_to_take_and_may_come_yet(jobs, capfdbinary):
    with pqueue.open(jobs) as queue:
        queue.put_many(range(5))
        held = queue.receive_many(2)
        late = queue.receive()
        late.nack(delay=60)
        code, out, err = here(capfdbinary, "get", jobs, "--all")
        assert (code, out) == (0, b"3\n4\n")
        assert err == b"pqueue: 3 items may still come: lent to others, or given back for later\n"
        held.ack()
        assert here(capfdbinary, "get", jobs, "--all")[2].startswith(b"pqueue: 1 item may still come: ")
        queue.clear()
        assert here(capfdbinary, "get", jobs, "--all") == (0, b"", b"")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "[1e400]"])
def test_a_number_that_no_line_could_hold_again_is_refused(jobs, number):
    done = run("put", jobs, "--format", "jsonl", input=f"1.5e300\n{number}\n".encode())
    assert done.returncode == 4
    assert b"line 2 is not JSON: " in done.stderr
    assert b"too large for a float" in done.stderr
    assert told("get", jobs, "--all") == b"1.5e+300\n"


# -- peek -------------------------------------------------------------------------------------------------------------


def test_peek_shows_what_get_would_and_changes_nothing(place):
    with place.open(segment_items=3) as queue:
        for item in range(10):
            queue.put(item)
        from pqueue.peek import Glance

        def peeked():
            store = place.connect()
            try:
                records = [record for chunk in Glance(store, ()).waiting() for record in chunk.records]
                return [queue.serializer.loads(record) for record in records]
            finally:
                store.close()

        assert peeked() == list(range(10))
        assert queue.get_many(4) == [0, 1, 2, 3]
        left = len(queue)
        assert peeked() == list(range(10 - left, 10))
        assert len(queue) == left
        assert queue.get() == 10 - left


def test_peek_shows_what_was_given_back_first(jobs, capfdbinary):
    with pqueue.open(jobs) as queue:
        queue.put_many("abcde")
        lending = queue.lending()
        assert list(lending.take(2)) == ["a", "b"]
        assert here(capfdbinary, "peek", jobs, "-n", 9)[1] == b"c\nd\ne\n"
        lending.close()
        assert here(capfdbinary, "peek", jobs, "-n", 4) == (0, b"a\nb\nc\nd\n", b"")
    assert here(capfdbinary, "peek", jobs) == (0, b"a\n", b"")
    assert here(capfdbinary, "get", jobs, "--all")[1] == b"a\nb\nc\nd\ne\n"
    assert here(capfdbinary, "peek", jobs) == (1, b"", b"")
    assert here(capfdbinary, "peek", jobs.with_name("none"))[0] == 3


# -- ls, schema, init -------------------------------------------------------------------------------------------------


def test_ls_lists_the_queues_that_have_a_name(tmp_path, monkeypatch, capfdbinary):
    monkeypatch.chdir(tmp_path)
    assert b"no queue has a name" in here(capfdbinary, "ls")[1]
    (tmp_path / "pqueue.toml").write_text(
        '[queues.full]\npath = "full"\n[queues.later]\npath = "later"\n[queues.odd]\npath = "x"\ncolour = "red"\n'
    )
    monkeypatch.setenv("PQUEUE_QUEUES__MINE__PATH", str(tmp_path / "full"))
    filled("full", 1, 2, 3)
    code, out, err = here(capfdbinary, "ls")
    assert (code, err.count(b"\n")) == (2, 1)
    assert err.startswith(b"pqueue: odd: ")
    assert b"unknown setting 'colour'" in err
    lines = [line.split(None, 2) for line in out.decode().splitlines()]
    assert [line[0] for line in lines] == ["NAME", "full", "later", "mine", "odd"]
    assert [line[1] for line in lines[1:]] == ["3", "not", "3", "error"]
    found = json.loads(here(capfdbinary, "ls", "--json")[1])
    assert [one["waiting"] for one in found] == [3, None, 3, None]
    assert "unknown setting 'colour'" in found[3]["told"]
    (tmp_path / "pqueue.toml").write_text('[queues.broken]\npath = "broken"\n')
    filled("broken", 1)
    (tmp_path / "broken" / "queue.json").write_text("nothing of ours")
    code, out, err = here(capfdbinary, "ls")
    assert (code, err.startswith(b"pqueue: broken: ")) == (3, True)
    assert out.decode().splitlines()[1].split()[:2] == ["broken", "error"]
    assert not (tmp_path / "later").exists()
    (tmp_path / "pqueue.toml").write_text(
        '[queues.later]\npath = "later"\nserializer = "jsn"\n[queues.other]\npath = "full"\ndurability = "synced"\n'
    )
    code, out, err = here(capfdbinary, "ls")
    assert (code, out.count(b"error")) == (2, 2)
    assert b"pqueue: later: no serializer is called 'jsn'" in err
    assert b"pqueue: other: this queue was made with durability='written', not 'synced'" in err


def test_init_writes_a_file_that_works_and_never_over_one(tmp_path, monkeypatch, capfdbinary):
    monkeypatch.chdir(tmp_path)
    assert here(capfdbinary, "init") == (0, b"pqueue.toml was written\n", b"")
    code, _, err = here(capfdbinary, "init")
    assert (code, b"is there already" in err) == (2, True)
    with pqueue.open("jobs") as queue:
        queue.put(1)
    assert (tmp_path / "jobs" / "queue.json").exists()
    content = (tmp_path / "pqueue.toml").read_text()
    lines = [
        line.removeprefix("# ") for line in content.splitlines() if not line.startswith(("# Q", "# P", "# E", "# A"))
    ]
    tables = tomllib.loads("\n".join(lines))["queues"]
    example = tables["example"]
    assert example.keys() == {one.name for one in settings()} - {"create"} | {"path"}
    assert pqueue.QueueSettings.model_validate(example).durability == "synced"
    bucket = pqueue.parse(tables["mails"]).store
    assert (bucket.backend, bucket.prefix, bucket.profile, bucket.addressing_style) == (
        "s3",
        "queues/mails",
        "work",
        "path",
    )
    assert bucket.endpoint_url.startswith("https://")
    assert pqueue.parse(tables["events"]).store.bucket == "bucket"
    assert content == template()


def test_the_schema_knows_every_setting(capfdbinary):
    code, out, _ = here(capfdbinary, "schema")
    assert code == 0
    found = json.loads(out)
    assert found == schema()
    table = found["properties"]["queues"]["additionalProperties"]["anyOf"][1]
    assert {one.name for one in settings()} | {"url", "path", "bucket", "prefix", "mode", "store"} <= set(
        table["properties"]
    )
    assert "client" not in table["properties"]
    assert all(one.text for one in settings())


# -- gc, rm, clear ----------------------------------------------------------------------------------------------------


def test_gc_says_what_it_took(jobs, capfdbinary):
    filled(jobs, 1)
    stray = jobs / "seg" / f"000000000001-{'f' * 16}{5:012x}{7:012x}-0-1"
    stray.write_bytes(b"x" * 2048)
    assert here(capfdbinary, "gc", jobs, "--dry-run") == (0, b"1 would be deleted, 2.0 KiB: of another queue\n", b"")
    assert stray.exists()
    code, out, _ = here(capfdbinary, "gc", jobs, "--verbose")
    assert (code, out) == (0, f"seg/{stray.name}: of another queue\n1 deleted, 2.0 KiB: of another queue\n".encode())
    assert not stray.exists()
    assert here(capfdbinary, "gc", jobs) == (0, b"nothing to delete\n", b"")
    assert here(capfdbinary, "get", jobs) == (0, b"1\n", b"")


def asked(answer: bytes, *arguments: object) -> tuple[int, str]:
    """A command on a terminal of its own: its code, and what is to be seen there."""
    pid, fd = pty.fork()
    if not pid:
        os.execv(sys.executable, [*COMMAND, *(str(one) for one in arguments)])
    seen = b""
    sent = False
    while True:
        try:
            data = os.read(fd, 1024)
        except OSError:
            break
        if not data:
            break
        seen += data
        if not sent and b"?" in seen:
            os.write(fd, answer + b"\n")
            sent = True
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()


def test_rm_asks_and_removes(jobs, capfdbinary):
    filled(jobs, 1, 2, 3)
    code, _, err = here(capfdbinary, "rm", jobs)
    if sys.stdin is None or not sys.stdin.isatty():
        assert (code, b"--yes" in err) == (2, True)
    code, seen = asked(b"n", "rm", jobs)
    assert code == 1
    assert "the 3 items waiting in it?" in seen
    assert here(capfdbinary, "peek", jobs)[0] == 0
    assert asked(b"y", "rm", jobs)[0] == 0
    code, _, err = here(capfdbinary, "get", jobs)
    assert (code, b"was removed" in err) == (3, True)
    assert here(capfdbinary, "rm", jobs, "--yes")[0] == 0
    told("put", jobs, input=b"new\n")
    assert here(capfdbinary, "get", jobs, "--all")[1] == b"new\n"
    assert here(capfdbinary, "rm", jobs.with_name("none"), "--yes")[0] == 3


def test_clear_drops_what_is_waiting_and_no_claim(jobs, capfdbinary):
    with pqueue.open(jobs, segment_items=4) as queue:
        queue.put_many(range(3))
        queue.put_many(range(3, 9))
        lending = queue.lending()
        assert list(lending.take(2)) == [0, 1]
        code, seen = asked(b"n", "clear", jobs)
        assert (code, "Drop the 7 items" in seen) == (1, True)
        assert here(capfdbinary, "clear", jobs, "--yes") == (0, b"7 items were dropped\n", b"")
        lending.close()
        assert queue.get_many(10) == [0, 1]
    assert here(capfdbinary, "clear", jobs, "-y") == (0, b"0 items were dropped\n", b"")


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_long_work_shows_on_a_terminal_only(jobs, monkeypatch, capsys):
    from pqueue.cli import progress

    monkeypatch.setattr(progress, "_FIRST", 0.0)
    for terminal in (True, False):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        with progress.Progress("put") as shown:
            shown(1234)
        assert ("1,234 put" in capsys.readouterr().err) == terminal
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.Progress("put", shown=False) as shown:
        shown(1234)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell):
    done = subprocess.run(
        [*COMMAND, "--show-completion", shell],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        # Else the shell is found by the processes above, whatever it says here; of these tests that may be `sh`.
        env={**os.environ, "SHELL": shell, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )
    assert done.returncode == 0
    assert "_PQUEUE_COMPLETE" in done.stdout
    words = {
        "COMP_WORDS": "pqueue sch",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "pqueue sch",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(
        [*COMMAND],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **words, "_PQUEUE_COMPLETE": f"complete_{shell}"},
    )
    assert "schema" in done.stdout


def test_every_command_says_what_it_is_for(capfdbinary):
    for words in ("put", "get", "peek", "stat", "ls", "schema", "init", "gc", "rm", "clear", "import", "import recipe"):
        code, out, err = here(capfdbinary, *words.split(), "--help")
        assert (code, err) == (0, b"")
        assert len(out.splitlines()) > 4


def test_a_wrong_mode_says_what_is_allowed_and_stat_shows_it_octal(jobs, capfdbinary):
    code, _, err = here(capfdbinary, "put", jobs, "-s", "mode=rwx")
    assert (code, b"'rwx' is not octal digits" in err) == (2, True)
    code, _, err = here(capfdbinary, "put", jobs, "-s", "mode=0500")
    assert (code, b"must grant its owner everything" in err) == (2, True)
    told("put", jobs, "-s", "mode=0750", input=b"x\n")
    assert b"0o750" in here(capfdbinary, "stat", jobs, "-s", "mode=0o750")[1]
    assert (jobs / "seg").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("when", ["before the interpreter ends", "while it ends"])
def test_a_signal_after_the_end_of_a_command_changes_nothing(jobs, when):
    """Else whoever sees 143, or death by the signal, and no count would put everything once more."""
    kill = "lambda *_: os.kill(os.getpid(), signal.SIGTERM)"
    hook = (
        f"atexit.register({kill})"
        if when == "before the interpreter ends"
        else f"keep.append(weakref.ref(jobs := Thing(), {kill}))"
    )
    code = (
        "import atexit, os, signal, sys, weakref\nfrom pqueue.cli import main\nclass Thing: pass\nkeep = []\n"
        f"{hook}\nmain(['put', {str(jobs)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], input=b"a\nb\n", capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    with pqueue.open(jobs) as queue:
        assert len(queue) == 2


def test_an_error_says_what_is_to_be_typed(tmp_path, capfd):
    place = str(tmp_path / "q")
    assert cli.run(["stat", place]) == 3
    assert capfd.readouterr().err == f"pqueue: no folder {place}; pqueue put makes one\n"
    pqueue.open(place).close()
    assert cli.run(["stat", place, "-s", "durability=synced"]) == 2
    assert "or move the items to a new queue: pqueue move OLD ./NEW --set durability=VALUE" in capfd.readouterr().err
    assert cli.run(["rm", place, "--yes"]) == 0
    assert cli.run(["get", place]) == 3
    assert capfd.readouterr().err == "pqueue: the queue was removed: pqueue put makes a new one in its place\n"


@pytest.mark.parametrize(
    ("words", "which"),
    [(["work", "--nosuch"], "pqueue work"), (["dead", "list"], "pqueue dead list"), (["nosuch"], "pqueue")],
)
def test_wrong_usage_names_the_command_s_own_help(words, which, capfd):
    assert cli.run(words) == 2
    assert capfd.readouterr().err.endswith(f"(see {which} --help)\n")
