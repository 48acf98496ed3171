"""Somebody's own files: no queue is made among them, and none of them is ever touched."""

from pathlib import Path

import pytest

import pqueue
from pqueue import cli
from pqueue.names import META

NAMES = ["tail", "head.default", "owners", ".tmp/mine", "log/mine", "seg/mine", "dead/mine", "notes.txt", "src/main.py"]


@pytest.fixture
def folder(tmp_path):
    def made(name):
        path = tmp_path / "one" / name
        path.parent.mkdir(parents=True)
        path.write_text("precious")
        return path

    return made


@pytest.mark.parametrize("name", NAMES)
def test_no_queue_is_made_among_other_files(folder, tmp_path, name, capfd):
    path = folder(name)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(pqueue.NotAQueue):
        pqueue.open(tmp_path / "one")
    assert cli.run(["put", str(tmp_path / "one")]) != 0
    cli.run(["rm", "--yes", str(tmp_path / "one")])
    assert (path.read_text(), sorted(tmp_path.rglob("*"))) == ("precious", before)
    if name == "notes.txt":
        assert "name a place of its own" in capfd.readouterr().err


@pytest.mark.parametrize("name", [".tmp/mine", "log/mine", "seg/mine", "dead/mine", "notes.txt"])
def test_what_comes_to_lie_beside_a_queue_outlives_it(tmp_path, name):
    where = tmp_path / "q"
    with pqueue.open(where) as queue:
        queue.put_many("ab")
        (where / name).write_text("precious")
        queue.put("c")
        assert queue.get_many(3) == ["a", "b", "c"]
    with pqueue.open(where) as queue:
        assert len(queue) == 0
    assert cli.run(["gc", str(where)]) == 0
    assert cli.run(["rm", "--yes", str(where)]) == 0
    assert (where / name).read_text() == "precious"
    with pqueue.open(where) as queue:
        queue.put("anew")
        assert queue.get() == "anew"


def test_an_empty_folder_and_one_where_a_queue_is_half_made_will_do(tmp_path):
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / ".gitkeep").touch()
    pqueue.open(tmp_path / "q").close()
    (tmp_path / "q" / "tail").unlink()
    (tmp_path / "q" / "head.default").unlink()
    (tmp_path / "q" / "queue.json").unlink()
    with pqueue.open(tmp_path / "q") as queue:
        queue.put("a")
        assert queue.get() == "a"


def test_settings_that_were_lost_are_not_guessed(place, capfd):
    """Else what was put with others could not be read, and what is put would not be read with them once they are back."""
    with place.open(serializer="json") as queue:
        queue.put("a")
    store = place.connect()
    store.delete([META])
    store.close()
    for create in (True, False):
        with pytest.raises(pqueue.NotAQueue, match=r"`queue.json` is missing.*restore it from a backup"):
            place.open(create=create)
    with place.open(serializer="json") as queue:
        assert queue.get() == "a"
    if place.kind == "folder":
        folder = place.store["path"]
        Path(folder, "queue.json").unlink()
        assert cli.run(["put", str(folder), __file__]) == 3
        assert "pqueue put with -s and all of them, `serializer` at least" in capfd.readouterr().err
        assert cli.run(["rm", str(folder)]) == 2
        assert "--yes" in capfd.readouterr().err, "it would ask"
        assert cli.run(["rm", "--yes", str(folder)]) == 0
