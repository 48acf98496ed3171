"""`pqueue move`: what waits in one queue is in the other one, in order, whatever ends the command."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

import pqueue
from pqueue import cli
from pqueue.cli.filler import Filler
from pqueue.cli.move import move
from pqueue.cli.stop import Stop, Stopped
from tests.support import places

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = (sys.executable, "-m", "pqueue")
SOON = 30.0


def filled(where: Any, *items: Any, **settings: Any) -> None:
    with pqueue.open(where, **settings) as queue:
        queue.put_stream(items)


def held(where: Any) -> list[Any]:
    with pqueue.open(where, create=False) as queue:
        return list(queue)


def moved(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.run(["move", *(str(one) for one in arguments)])
    out, err = capfd.readouterr()
    return code, out, err


def until(what: Any) -> None:
    end = time.monotonic() + SOON
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


def test_everything_moves_in_order_to_a_queue_with_other_settings(tmp_path: Path, capfd):
    items = [{"id": number} for number in range(2345)]
    filled(tmp_path / "a", *items)
    more = ("--set", "serializer=json", "--set", "codecs=zlib", "--set", "segment_items=100", "--set", "maxsize=3000")
    assert moved(capfd, tmp_path / "a", tmp_path / "b", *more) == (0, "2345 items were moved\n", "")
    assert held(tmp_path / "a") == []
    with pqueue.open(tmp_path / "b", create=False) as queue:
        assert (queue.meta.serializer, queue.meta.codecs) == ("json", ("zlib",))
        assert queue.get_many(3000) == items
        queue.put("one")
    assert moved(capfd, tmp_path / "b", tmp_path / "a") == (0, "1 item was moved\n", "")
    assert moved(capfd, tmp_path / "b", tmp_path / "a") == (0, "0 items were moved\n", "")
    assert held(tmp_path / "a") == ["one"]


@pytest.mark.parametrize("to", [True, False])
def test_any_store_to_any_other(place: places.Place, tmp_path: Path, to: bool):
    other = places.make("folder", tmp_path, None)
    with (other if to else place).open() as source, (place if to else other).open(serializer="json") as target:
        source.put_many(range(250))
        source.put_many(range(250, 300))
        with Stop() as stop:
            filler = Filler(target, stop, 100)
            assert move(source, filler, stop)
        assert filler.count == 300
        assert (len(source), list(target)) == (0, list(range(300)))


def test_a_bucket_is_moved_to_a_folder(s3_server, tmp_path: Path, monkeypatch, capfd):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    where = f"s3://{s3_server.bucket}/cli/move?endpoint_url={s3_server.endpoint}&region=us-east-1&addressing_style=path"
    filled(tmp_path / "a", *range(1500))
    assert moved(capfd, tmp_path / "a", where)[:2] == (0, "1500 items were moved\n")
    assert moved(capfd, where, tmp_path / "b")[:2] == (0, "1500 items were moved\n")
    assert held(tmp_path / "b") == list(range(1500))


@pytest.mark.parametrize("durability", ["written", "buffered"])
def test_killed_again_and_again_it_loses_none_and_repeats_a_batch_at_most(tmp_path: Path, durability: str):
    count, batch = 6000, 50
    filled(tmp_path / "a", *range(count))
    pqueue.open(tmp_path / "b", serializer="json", durability=durability).close()
    kills = 0
    with pqueue.open(tmp_path / "b", create=False) as target:
        while True:
            before = len(target)
            process = subprocess.Popen(
                [*COMMAND, "move", tmp_path / "a", tmp_path / "b", "--batch", str(batch)], stdout=subprocess.DEVNULL
            )
            until(lambda: process.poll() is not None or len(target) > before + 1000)  # noqa: B023  # of this round
            if process.poll() is not None:
                break
            process.kill()
            process.wait()
            kills += 1
    assert process.returncode == 0
    assert kills > 0
    items = held(tmp_path / "b")
    assert sorted(set(items)) == list(range(count))
    steps = [after - one for one, after in pairwise(items)]
    back = [step for step in steps if step != 1]
    assert all(-batch < step <= 0 for step in back)
    assert len(back) <= kills
    assert held(tmp_path / "a") == []


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_between_two_batches(tmp_path: Path, sent: signal.Signals, code: int):
    filled(tmp_path / "a", *range(20_000))
    process = subprocess.Popen(
        [*COMMAND, "move", tmp_path / "a", tmp_path / "b", "--batch", "10"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    until((tmp_path / "b" / "queue.json").exists)
    with pqueue.open(tmp_path / "b", create=False) as target:
        until(lambda: len(target) > 500)
    process.send_signal(sent)
    out, err = process.communicate(timeout=SOON)
    there = held(tmp_path / "b")
    assert (process.returncode, out) == (code, b"")
    assert f"{len(there)} items were moved; run it again to go on".encode() in err
    assert there + held(tmp_path / "a") == list(range(20_000))


def test_it_waits_for_room_and_a_signal_ends_that(tmp_path: Path):
    filled(tmp_path / "a", *range(100))
    process = subprocess.Popen(
        [*COMMAND, "move", tmp_path / "a", tmp_path / "b", "--set", "maxsize=30"], stderr=subprocess.PIPE
    )
    until((tmp_path / "b" / "queue.json").exists)
    with pqueue.open(tmp_path / "b", create=False) as target:
        until(lambda: len(target) == 30)
        got = target.get_many(30)
        until(lambda: len(target) == 30)
        process.send_signal(signal.SIGTERM)
        assert b"60 items were moved" in process.communicate(timeout=SOON)[1]
        assert process.returncode == 143
        assert got + list(target) + held(tmp_path / "a") == list(range(100))


def test_an_item_that_the_other_queue_refuses_stays_with_what_is_behind_it(tmp_path: Path, capfd):
    filled(tmp_path / "a", 0, 1, (2,), 3)
    code, out, err = moved(capfd, tmp_path / "a", tmp_path / "b", "-s", "serializer=json")
    assert (code, out, "json can't keep this tuple" in err) == (4, "", True)
    assert (
        "(2 items were moved before this; the rest stays in FROM; FROM begins with the item that was refused: "
        f"pqueue peek {tmp_path / 'a'})"
    ) in err
    assert cli.run(["peek", str(tmp_path / "a")]) == 4
    assert "no line can hold this item, a tuple" in capfd.readouterr().err
    assert held(tmp_path / "b") == [0, 1]
    assert held(tmp_path / "a") == [(2,), 3]


def test_items_too_large_for_one_commit_go_in_several(tmp_path: Path, capfd):
    items = [bytes([number]) * 1000 for number in range(40)]
    filled(tmp_path / "a", *items)
    assert moved(capfd, tmp_path / "a", tmp_path / "b", "-s", "max_commit_bytes=4000")[0] == 0
    assert held(tmp_path / "b") == items
    filled(tmp_path / "c", b"x", b"y" * 5000, b"z")
    code, _, err = moved(capfd, tmp_path / "c", tmp_path / "b")
    assert (code, "(1 item was moved before this" in err) == (4, True)
    assert held(tmp_path / "c") == [b"y" * 5000, b"z"]


def test_what_can_t_be_read_is_set_aside_in_from_and_the_rest_moves(tmp_path: Path, capfd, caplog):
    filled(tmp_path / "a", {"id": 1})
    with pqueue.open(tmp_path / "a") as queue:
        queue._log.put((b"\xc1",))
    filled(tmp_path / "a", {"id": 2})
    assert moved(capfd, tmp_path / "a", tmp_path / "b")[:2] == (4, "2 items were moved\n")
    assert caplog.text.count("dead letter") == 1
    assert held(tmp_path / "b") == [{"id": 1}, {"id": 2}]
    with pqueue.open(tmp_path / "a") as queue:
        assert len(queue.dead) == 1


def test_what_others_hold_and_dead_letters_stay(tmp_path: Path, capfd):
    with pqueue.open(tmp_path / "a") as queue:
        queue.put_many("abcd")
        queue.receive().reject()
        with queue.receive() as message:
            assert moved(capfd, tmp_path / "a", tmp_path / "b") == (0, "2 items were moved\n", "")
            assert message.item == "b"
        assert (len(queue), len(queue.dead)) == (0, 1)
    assert held(tmp_path / "b") == ["c", "d"]


def test_a_put_that_fails_leaves_its_batch(tmp_path: Path):
    filled(tmp_path / "a", *range(10))
    with pqueue.open(tmp_path / "a") as source, pqueue.open(tmp_path / "b") as target, Stop() as stop:
        filler = Filler(target, stop, 4)

        def full(items: Any, **_: Any) -> None:
            raise pqueue.StoreFull("no room")

        source.put(10)
        target.put_many = full  # type: ignore[method-assign]
        with pytest.raises(pqueue.StoreFull):
            move(source, filler, stop)
        assert list(source) == list(range(11))
        stop.signum = signal.SIGTERM
        with pytest.raises(Stopped):
            move(source, filler, stop)


def test_one_queue_is_no_other_and_no_queue_makes_none(tmp_path: Path, capfd):
    filled(tmp_path / "a", 1)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    code, _, err = moved(capfd, tmp_path / "a", tmp_path / "link")
    assert (code, "one queue" in err) == (2, True)
    assert held(tmp_path / "a") == [1]
    assert moved(capfd, tmp_path / "none", tmp_path / "new")[0] == 3
    assert not (tmp_path / "new").exists()
    filled(tmp_path / "p", {1}, serializer="pickle")
    assert moved(capfd, tmp_path / "p", tmp_path / "new")[0] == 2
    assert moved(capfd, tmp_path / "p", tmp_path / "new", "--set-from", "serializer=pickle")[0] == 0
    assert held(tmp_path / "new") == [{1}]


def test_an_empty_queue_that_a_failed_move_has_made_is_told(tmp_path: Path, capfd):
    filled(tmp_path / "a", b"bytes")
    for told in (True, False):  # the second time it is there
        code, _, err = moved(capfd, tmp_path / "a", tmp_path / "b", "--set", "serializer=json")
        assert code == 4
        assert (f"TO was made for this and is empty: pqueue rm {tmp_path / 'b'};" in err) == told
        assert err.endswith(f"FROM begins with the item that was refused: pqueue peek {tmp_path / 'a'})\n")
    filled(tmp_path / "c", "text", b"bytes")
    code, _, err = moved(capfd, tmp_path / "c", tmp_path / "d", "--set", "serializer=json")
    assert code == 4
    assert "1 item was moved before this; the rest stays in FROM; FROM begins with" in err
