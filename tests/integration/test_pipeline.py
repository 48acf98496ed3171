"""A file through a queue by a pipeline of shell commands: in bounded memory, and killed in the middle."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = f"{sys.executable} -m pqueue"
LIMIT = 100 << 20
LINE = 100


def make(path: Path, size: int) -> None:
    """Numbered lines, about so many bytes of them."""
    with path.open("wb", buffering=1 << 20) as file:
        for number in range(size // LINE):
            file.write(b"%012d %s\n" % (number, b"x" * (LINE - 14)))


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def compare(result: Path, source: Path) -> None:
    """Say what was lost or doubled."""
    if digest(result) == digest(source):
        return
    breaks = []
    before = -1
    with result.open("rb") as file:
        for line in file:
            number = int(line[:12]) if len(line) == LINE and line[:12].isdigit() else -1
            if number != before + 1:
                breaks.append((before, number, line[:20] if number < 0 else b""))
            before = number
    last = source.stat().st_size // LINE - 1
    raise AssertionError(
        f"behind one line another: {breaks[:10]} ({len(breaks)} in all); the last is {before} of {last}"
    )


def most_memory(pids: list[int], until: subprocess.Popen[bytes]) -> int:
    """The most that any of these processes' children had resident, in bytes, while the pipeline ran."""
    most = 0
    while until.poll() is None:
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            try:
                with Path("/proc", entry.name, "stat").open("rb") as file:
                    parent = int(file.read().rsplit(b")", 1)[1].split()[1])
                if parent not in pids:
                    continue
                with Path("/proc", entry.name, "status").open() as file:
                    found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
            except OSError:
                continue
            if found:
                most = max(most, int(found[1]) * 1024)
        time.sleep(0.05)
    return most


def through(tmp_path: Path, size: int) -> str:
    """Put a file and get it; the numbers, for a person."""
    source, result = tmp_path / "source", tmp_path / "result"
    make(source, size)
    script = f"cat source | {COMMAND} put jobs && {COMMAND} get jobs --all | cat > result"
    began = time.monotonic()
    process = subprocess.Popen(["bash", "-c", f"set -o pipefail; {script}"], cwd=tmp_path)
    most = most_memory([process.pid], process)
    took = time.monotonic() - began
    assert process.returncode == 0
    compare(result, source)
    told = f"{size >> 20} MiB through a folder: {most / (1 << 20):.0f} MiB of memory at most, {took:.1f} s"
    assert most < LIMIT, told
    return told


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_file_goes_through_a_pipeline_in_bounded_memory(tmp_path, capsys):
    told = through(tmp_path, 24 << 20)
    with capsys.disabled():
        print(f"\n{told}")


@pytest.mark.soak
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_file_of_one_gigabyte_goes_through_a_pipeline_in_bounded_memory(tmp_path, capsys):
    told = through(tmp_path, 1 << 30)
    with capsys.disabled():
        print(f"\n{told}")


def put_until_done(tmp_path: Path, pause: float) -> int:
    """Put the file, ended by SIGTERM after a while, and go on behind the lines that were put; how often it was ended."""
    done = ended = 0
    while True:
        tail = subprocess.Popen(["tail", "-n", f"+{done + 1}", "source"], cwd=tmp_path, stdout=subprocess.PIPE)
        process = subprocess.Popen(
            [*COMMAND.split(), "put", "jobs"], cwd=tmp_path, stdin=tail.stdout, stderr=subprocess.PIPE
        )
        tail.stdout.close()
        try:
            process.wait(pause)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        told = process.communicate()[1].decode()
        tail.wait()
        if process.returncode == 0:
            return ended
        if process.returncode == 143:
            done += int(re.fullmatch(r"pqueue: SIGTERM: (\d+) lines were put\n", told)[1])
        else:
            assert process.returncode == -signal.SIGTERM, told  # before it had begun
        ended += 1
        pause *= 1.5


def get_until_done(tmp_path: Path, pause: float) -> int:
    """Get what is there into one file, ended by SIGTERM after a while and run again; how often it was ended."""
    ended = 0
    while True:
        with (tmp_path / "result").open("ab") as file:
            process = subprocess.Popen([*COMMAND.split(), "get", "jobs", "--all"], cwd=tmp_path, stdout=subprocess.PIPE)
            sink = subprocess.Popen(["cat"], stdin=process.stdout, stdout=file)
            process.stdout.close()
            try:
                process.wait(pause)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGTERM)
            process.wait()
            sink.wait()
        if process.returncode == 0:
            return ended
        assert process.returncode in (143, -signal.SIGTERM)
        ended += 1
        pause *= 1.5


def killed(tmp_path: Path, size: int, pause: float) -> str:
    make(tmp_path / "source", size)
    puts = put_until_done(tmp_path, pause)
    gets = get_until_done(tmp_path, pause)
    compare(tmp_path / "result", tmp_path / "source")
    assert puts
    assert gets
    return f"{size >> 20} MiB, put ended {puts} times by SIGTERM and get {gets} times: no line lost or doubled"


def test_a_pipeline_that_is_ended_and_run_again_loses_and_doubles_no_line(tmp_path, capsys):
    told = killed(tmp_path, 24 << 20, 0.4)
    with capsys.disabled():
        print(f"\n{told}")


@pytest.mark.soak
def test_a_pipeline_over_one_gigabyte_that_is_ended_loses_and_doubles_no_line(tmp_path, capsys):
    told = killed(tmp_path, 1 << 30, 1.0)
    with capsys.disabled():
        print(f"\n{told}")
