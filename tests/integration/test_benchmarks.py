"""Each benchmark runs, on next to nothing, and prints its rows. What they measure is never asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.support.benchmarks import benchmark

ROOT = Path(__file__).parents[2]


def test_the_folder_has_every_row_with_its_goal(tmp_path):
    words = ["--item", "text", "--scale", "0.001", "--rounds", "1", "--backlog", "200"]
    told = benchmark("local", *words, "--json", str(tmp_path / "found"), "--plot", str(tmp_path / "charts"))
    for work in (
        *("put, text", "get, text", "put_many, text", "get_many, text"),
        *("one by one, text", "by 100, text", "given back with a delay each", "acknowledged before"),
        *("1 thread, text", "16 threads, text", "64 threads, text", "one by one, written, text: lost"),
        *("one item: p50", "put, 200 items, text", "a process that opens 200 items, text: memory", "disk, put by 1000"),
        *("latency of a put, text: p99.9", "cost of a get (calls: of read and write), text: peak"),
    ):
        assert f"\n{work}" in told or f"{work} " in told, work
    # Some are against peers, which are not installed everywhere.
    assert told.count("goal >= ") + told.count("goal <= ") + told.count("not installed") >= 30
    rows = json.loads((tmp_path / "found").read_text())["rows"]
    assert all(row["ours"] for row in rows)
    charts = list((tmp_path / "charts").iterdir())
    assert {ET.parse(chart).getroot().tag for chart in charts} == {"{http://www.w3.org/2000/svg}svg"}
    assert len(charts) == len({row["group"] for row in rows})


def test_a_dict_does_as_well_as_a_text():
    told = benchmark("local", "--item", "dict", "--scale", "0.001", "--rounds", "2", "--only", "by 1000, written")
    assert "put_many, dict" in told
    assert "of 2 goals reached" in told


def test_the_bucket_has_every_row_with_its_goal():
    told = benchmark("s3", "--scale", "0.02", "--rounds", "1", "--write", "2", "--read", "1")
    for work in (
        *("put_many, one at a time", "put_stream", "receive_many and ack", "get_many"),
        *("put_many, get_many: dollars", "put_stream, receive_many, ack: dollars"),
        *("4 producers put by put: commits", "8 producers put by put: least share"),
        *("4 streams, 4 in flight: p99", "8 streams, 4 in flight: p99"),
        *("put by put: rate", "put by put: lost", "streaming: rate", "streaming: dollars"),
    ):
        assert f"\n{work}" in told, work
    assert "of 27 goals reached" in told


def test_growth_has_sizes_threads_processes_and_hosts():
    told = benchmark("growth", "--scale", "0.001", "--rounds", "1")
    for work in (
        *(
            "put, 10 bytes: rate",
            "get, 1 MB: bytes",
            "256",
            "1 that put and 1 that get: lost",
            "8 that put and 8 that get",
        ),
        *("1 put by put: commits", "16 put by put: p99", "16 streams, 4 in flight: dollars"),
    ):
        assert f"\n{work}" in told, work


def test_turns_has_every_act_alone_and_among_others():
    told = benchmark("turns", "--scale", "0.05", "--rounds", "1")
    for act in ("put", "get", "receive and acknowledge"):
        for number in (1, 2, 4):
            assert f"\n{number} that {act}: slowest" in told
    assert "\nbeside 3 that put one by one: slowest" in told


def test_scale_says_what_grew_and_refuses_a_disk_that_is_too_small():
    few = ["--items", "2000", "--bytes", "2000000", "--queues", "3", "--bucket-items", "2000"]
    told = benchmark("scale", *few)
    assert told.count("    memory ") == 7
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.scale", "--bytes", str(1 << 60)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "too little" in done.stderr) == (2, True)
