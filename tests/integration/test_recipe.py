"""The original recipe's class on this engine, and moving in from its folders."""

from __future__ import annotations

import json
import marshal
import os
import pickle
import queue as standard
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest

import pqueue
from pqueue.cli import run
from pqueue.recipe import Empty, PersistentQueue, import_recipe
from tests.support.children import TORN_END

DATA = Path(__file__).parents[1] / "data" / "recipe"
EXPECTED = json.loads((DATA / "expected.json").read_text())


def drain(queue):
    items = []
    while True:
        try:
            items.append(queue.get())
        except standard.Empty:
            return items


def written(path, items, cache_size=10, module=marshal, head=0):
    """A folder as the original leaves it after `sync`, none of it read."""
    path.mkdir()
    lists = [items[start : start + cache_size] for start in range(0, len(items), cache_size)] or [[]]
    for number, one in enumerate([[], *lists], head):
        (path / str(number)).write_bytes(module.dumps(one))
    (path / "index").write_text(f"{head} {head + len(lists)}")
    return path


# -- the class --------------------------------------------------------------------------------------------------------


def test_a_script_for_the_original_runs_unchanged_but_for_its_import(tmp_path):
    script = tmp_path / "script.py"
    script.write_text((DATA / "script.py").read_text().replace("from IMPORT", "from pqueue.recipe"))
    done = subprocess.run(
        [sys.executable, str(script), "queue"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Enqueueing 1000 items, cache size = 10",
        "Before dequeueing: 1000",
        "2 b'bytes' after close",
    ]


def test_put_and_get_in_order_and_empty_at_once(tmp_path):
    queue = PersistentQueue(tmp_path / "q", 4)
    with pytest.raises(Empty):
        queue.get()
    for item in range(11):
        queue.put(item)
        assert len(queue) == item + 1
    assert [queue.get() for _ in range(11)] == list(range(11))
    with pytest.raises(standard.Empty):
        queue.get()
    assert len(queue) == 0
    assert not queue
    queue.close()
    queue.close()


def test_len_is_right_wherever_the_items_are(tmp_path):
    """The original counts full files where there are none, after a `sync` or a change of cache_size."""
    queue = PersistentQueue(tmp_path / "q", 10)
    for item in range(37):
        queue.put(item)
    for left in range(36, 20, -1):
        queue.get()
        queue.sync()
        assert len(queue) == left
    queue.close()
    queue = PersistentQueue(tmp_path / "q", 3)
    assert len(queue) == 21
    assert queue.cache_size == 3
    assert drain(queue) == list(range(16, 37))
    queue.close()


def test_what_was_not_synced_is_lost_with_the_process_and_nothing_else(tmp_path):
    work = (
        "import os, sys; from pqueue.recipe import PersistentQueue; q = PersistentQueue(sys.argv[1], 10)\n"
        "for item in range(37): q.put(item)\n"
        "os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", work, str(tmp_path / "q")], timeout=60, check=False)
    queue = PersistentQueue(tmp_path / "q", 10)
    assert drain(queue) == list(range(30))
    queue.close()


@pytest.mark.parametrize("module", [marshal, pickle, json], ids=lambda module: module.__name__)
def test_the_module_that_is_passed_is_the_serializer(tmp_path, module):
    queue = PersistentQueue(tmp_path / "q", 10, module)
    queue.put(["a", 1])
    queue.close()
    with pqueue.open(tmp_path / "q", create=False, serializer=module.__name__) as other:
        assert other.meta.serializer == module.__name__
        assert other.meta.segment_items == 10
        assert other.meta.durability == "buffered"
        assert other.get(block=False) == ["a", 1]
    wrong = pickle if module is marshal else marshal
    with pytest.raises(pqueue.SettingsError, match=f"serializer='{module.__name__}'"):
        PersistentQueue(tmp_path / "q", 10, wrong)


class Upper:
    """What a caller may have made."""

    def dumps(self, item):
        return item.upper()

    def loads(self, record):
        return record.decode()


def test_anything_with_dumps_and_loads_serializes(tmp_path):
    queue = PersistentQueue(tmp_path / "q", marshal=Upper())
    queue.put("a")
    queue.sync()
    queue.put("b")
    with pytest.raises(pqueue.SerializationError, match="Upper can't keep this int"):
        queue.put(1)
    assert drain(queue) == ["A", "B"]
    queue.close()
    with pytest.raises(pqueue.SettingsError, match="recipe:"):
        PersistentQueue(tmp_path / "q")


@pytest.mark.parametrize(("more", "match"), [({"marshal": 5}, "dumps and loads"), ({"cache_size": 0}, "larger than 0")])
def test_arguments_that_mean_nothing_are_refused(tmp_path, more, match):
    with pytest.raises(ValueError, match=match):
        PersistentQueue(tmp_path / "q", **more)
    assert not (tmp_path / "q").exists()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_folder_of_the_original_is_refused_and_left_alone(tmp_path, name):
    shutil.copytree(DATA / name, tmp_path / "old")
    before = sorted((tmp_path / "old").iterdir())
    with pytest.raises(pqueue.NotAQueue, match="pqueue import recipe"):
        PersistentQueue(tmp_path / "old")
    assert sorted((tmp_path / "old").iterdir()) == before


@pytest.mark.parametrize("name", EXPECTED)
def test_no_queue_is_made_beside_the_files_of_the_original(tmp_path, name, capsys):
    old = tmp_path / "the old one"
    shutil.copytree(DATA / name, old)
    before = sorted(old.iterdir())
    told = f"pqueue import recipe --serializer {EXPECTED[name]['serializer']} '{old}' '{old}.new'"
    for where in (old, f"{old}", f"file://{quote(str(old))}", {"store": {"backend": "local", "path": old}}):
        for create in (True, False):
            with pytest.raises(pqueue.NotAQueue) as caught:
                pqueue.open(where, create=create)
            assert told in str(caught.value)
    for words in (["put", f"{old}", "/dev/null"], ["get", f"{old}"], ["stat", f"{old}"], ["rm", f"{old}", "--yes"]):
        assert run(words) == 3
        assert told in capsys.readouterr().err
    assert sorted(old.iterdir()) == before
    assert run(shlex.split(told)[1:]) == 0
    with pqueue.open(f"{old}.new", create=False) as queue:
        assert len(queue) == len(EXPECTED[name]["items"])


def test_a_folder_with_an_index_of_something_else_is_not_taken_for_the_recipes(tmp_path):
    for number, text in enumerate(["", "of contents", "3 1", "1 2 3"]):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "index").write_text(text)
        with pytest.raises(pqueue.NotAQueue, match="somebody's files"):
            pqueue.open(tmp_path / f"{number}")


# -- moving in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPECTED)
def test_the_six_folders_come_in_exactly(tmp_path, name):
    expected = EXPECTED[name]
    shutil.copytree(DATA / name, tmp_path / "old")
    before = {path: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    done = import_recipe(tmp_path / "old", tmp_path / "new", serializer=expected["serializer"])
    assert done == (len(expected["items"]), 0)
    assert {path: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before
    with pqueue.open(tmp_path / "new", create=False) as queue:
        items = queue.get_many(10_000, block=False) if expected["items"] else []
        assert json.loads(json.dumps(items)) == expected["items"]
        assert len(queue) == 0
    again = import_recipe(tmp_path / "old", tmp_path / "new", serializer=expected["serializer"])
    assert again.moved == 0
    with pqueue.open(tmp_path / "new", create=False) as queue:
        assert len(queue) == 0


def test_types_come_in_exactly(tmp_path):
    items = [(1, 2), {3, 4}, frozenset("a"), b"x", 2**70, 1.5, None, {"k": [()]}, "é"]
    for module in (marshal, pickle):
        old = written(tmp_path / module.__name__, items, 4, module)
        where = tmp_path / f"new-{module.__name__}"
        import_recipe(old, where, serializer=module.__name__)
        with pqueue.open(where) as queue:
            got = queue.get_many(100)
        assert got == items
        assert list(map(type, got)) == list(map(type, items))


def test_the_command_says_what_it_did(tmp_path, capsys):
    old = written(tmp_path / "old", list(range(25)))
    command = ["import", "recipe", str(old), str(tmp_path / "new"), "--serializer", "marshal"]
    assert run(command) == 0
    assert capsys.readouterr().out == "25 items were moved in\n"
    assert run(command) == 0
    assert "25 items were moved in before" in capsys.readouterr().out
    assert run(["import", "recipe", str(old), str(tmp_path / "new")]) == 2
    assert "serializer" in capsys.readouterr().err


@pytest.mark.parametrize(("own", "other"), [(marshal, pickle), (pickle, marshal)])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_other_serializer_is_told_before_anything_is_made(tmp_path, own, other, protocol, capsys):
    class Dumps:
        @staticmethod
        def dumps(item):
            return pickle.dumps(item, protocol) if own is pickle else marshal.dumps(item, min(protocol, 4))

    old = written(tmp_path / "old", list(range(25)), module=Dumps)
    with pytest.raises(pqueue.SettingsError, match=f"written by {own.__name__}"):
        import_recipe(old, tmp_path / "new", serializer=other.__name__)
    assert not (tmp_path / "new").exists()
    assert run(["import", "recipe", str(old), str(tmp_path / "new"), "--serializer", other.__name__]) == 2
    assert f"name {own.__name__}" in capsys.readouterr().err
    assert import_recipe(old, tmp_path / "new", serializer=own.__name__).moved == 25


def test_what_is_no_folder_of_the_recipe_is_refused(tmp_path):
    with pytest.raises(pqueue.NotAQueue, match="index"):
        import_recipe(tmp_path, tmp_path / "new", serializer="marshal")
    with pytest.raises(pqueue.SettingsError, match="marshal or pickle"):
        import_recipe(tmp_path, tmp_path / "new", serializer="json")
    old = written(tmp_path / "old", list(range(40)))
    with pytest.raises(pqueue.SettingsError, match="a place of its own"):
        import_recipe(old, old, serializer="marshal")
    (old / "3").unlink()
    with pytest.raises(pqueue.NotAQueue, match=r"lacks 1 file .*, the first being 3"):
        import_recipe(old, tmp_path / "new", serializer="marshal")
    (old / "3").write_bytes(b"[garbage")
    (old / "1").write_bytes(b"")
    with pytest.raises(pqueue.SerializationError, match="old/3 can't be read"):
        import_recipe(old, tmp_path / "other", serializer="marshal")
    assert not (tmp_path / "new").exists()


def test_an_index_that_was_being_replaced_is_found(tmp_path):
    old = written(tmp_path / "old", list(range(25)))
    (old / "index").rename(old / "tempfile")
    assert import_recipe(old, tmp_path / "new", serializer="marshal").moved == 25


def test_a_queue_that_is_or_was_in_use_takes_items_only_if_told(tmp_path):
    old = written(tmp_path / "old", list(range(25)))
    with pqueue.open(tmp_path / "new") as queue:
        queue.put("first")
        assert queue.get() == "first"
    with pytest.raises(pqueue.SettingsError, match="--append"):
        import_recipe(old, tmp_path / "new", serializer="marshal")
    import_recipe(old, tmp_path / "new", serializer="marshal", append=True)
    import_recipe(old, tmp_path / "new", serializer="marshal", append=True)
    import_recipe(written(tmp_path / "more", ["x"]), tmp_path / "new", serializer="marshal", append=True)
    with pqueue.open(tmp_path / "new") as queue:
        assert queue.get_many(100) == [*range(25), "x"]


def test_an_item_that_the_queue_can_t_keep_is_told_by_its_place(tmp_path):
    old = written(tmp_path / "old", [0, 1, 2, (3,), 4], 4)
    where = {"backend": "local", "path": tmp_path / "new", "durability": "synced"}
    settings = pqueue.QueueSettings.model_validate({**where, "serializer": "json"})
    with pytest.raises(pqueue.SerializationError, match=r"item 3 of .*3 items were put before it"):
        import_recipe(old, settings, serializer="marshal")
    with pqueue.open(tmp_path / "new", create=False) as queue:
        assert queue.get_many(10) == [0, 1, 2]


def interrupted(tmp_path, monkeypatch, old, after):
    """An import that ends after so many batches."""
    count = [0]

    def tick(_):
        count[0] += 1
        if count[0] == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_recipe(old, tmp_path / "new", serializer="marshal", progress=tick)


@pytest.mark.parametrize("taken", [0, 15, 30, 60])
def test_an_interrupted_import_goes_on_where_it_stopped(tmp_path, monkeypatch, taken):
    old = written(tmp_path / "old", list(range(195)))
    interrupted(tmp_path, monkeypatch, old, 6)
    got = []
    with pqueue.open(tmp_path / "new", create=False) as queue:
        if taken:
            got += queue.get_many(taken)
        with pytest.raises(pqueue.SettingsError, match="interrupted"):
            import_recipe(written(tmp_path / "other", [1]), tmp_path / "new", serializer="marshal", append=True)
        assert import_recipe(old, tmp_path / "new", serializer="marshal") == (135, 60)
        got += queue.get_many(1000)
    assert got == list(range(195))


def test_somebody_else_s_puts_into_an_interrupted_import_are_found(tmp_path, monkeypatch):
    old = written(tmp_path / "old", list(range(195)))
    interrupted(tmp_path, monkeypatch, old, 3)
    with pqueue.open(tmp_path / "new", create=False) as queue:
        queue.put("mine")
        with pytest.raises(pqueue.SettingsError, match="somebody else"):
            import_recipe(old, tmp_path / "new", serializer="marshal")
        assert len(queue) == 31


def test_an_import_that_is_killed_again_and_again_loses_and_doubles_nothing(tmp_path):
    items = list(range(30_000))
    old = written(tmp_path / "old", items, 50)
    command = [
        sys.executable,
        "-m",
        "pqueue",
        "import",
        "recipe",
        str(old),
        str(tmp_path / "new"),
        "--serializer",
        "marshal",
    ]
    kills = 0
    for pause in (0.0, 0.01, 0.03, 0.06, 0.1):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until = time.monotonic() + 60
        while not (tmp_path / "new" / "import").exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0
    assert re.fullmatch(TORN_END, done.stderr)
    assert kills
    with pqueue.open(tmp_path / "new", create=False) as queue:
        assert queue.get_many(100_000) == items


def test_two_imports_of_one_folder_exclude_each_other(tmp_path):
    old = written(tmp_path / "old", list(range(25)))

    def tick(_):
        with pytest.raises(pqueue.SettingsError, match="another process"):
            import_recipe(old, tmp_path / "new", serializer="marshal")

    import_recipe(old, tmp_path / "new", serializer="marshal", progress=tick)


def test_folders_come_into_every_store(tmp_path, place):
    old = written(tmp_path / "old", list(range(25)))
    import_recipe(old, {"store": place.store}, serializer="marshal")
    import_recipe(old, {"store": place.store}, serializer="marshal")
    with place.open() as queue:
        assert queue.get_many(100) == list(range(25))
