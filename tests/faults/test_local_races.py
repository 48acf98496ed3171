"""What two processes can do to one another in a folder between two steps of one of them."""

import contextlib
import errno
import os
import signal
import threading
import time

import pytest

import pqueue
from pqueue.errors import DocumentChanged
from pqueue_local import LocalBackend, LocalSettings, disk, slotfile
from tests.support.children import Child


def test_a_swap_made_while_another_client_loads_is_never_overwritten(tmp_path, monkeypatch):
    """Between the loader's read of a slot and its note of it, somebody swaps with a sync."""
    settings = LocalSettings(path=tmp_path / "q")
    one, two, three = (LocalBackend.open(settings, create=True) for _ in range(3))
    one.swap("head.default", b"0", None, sync=True)
    for number in range(1, 4):
        two.swap("head.default", b"%d" % number, two.load("head.default").version, sync=False)
    one.load("head.default")
    two.swap("head.default", b"4", two.load("head.default").version, sync=False)
    real = slotfile.SlotFile.remember
    armed = [True]

    def remember(self, slot, **more):
        if armed.pop() if armed else False:
            two.swap("head.default", b"two's", two.load("head.default").version, sync=True)
        return real(self, slot, **more)

    monkeypatch.setattr(slotfile.SlotFile, "remember", remember)
    old = one.load("head.default")
    assert old.data == b"4"
    with contextlib.suppress(DocumentChanged):
        one.swap("head.default", b"one's, on top of 4", old.version, sync=False)
        raise AssertionError("two swaps of one version succeeded")
    for store in (one, two, three):
        assert store.load("head.default").data == b"two's"
        store.close()


def test_a_child_forked_while_a_segment_is_made_holds_nobody_up(tmp_path, monkeypatch):
    """The child never touches the queue, and outlives the roll."""
    queue = pqueue.open(tmp_path / "q", segment_items=3)
    for item in range(3):
        queue.put(item)
    inside, go = threading.Event(), threading.Event()
    real = disk.sync_directory

    def slowly(path):
        if path.name == "seg":
            inside.set()
            go.wait(30)
        real(path)

    monkeypatch.setattr(disk, "sync_directory", slowly)
    roller = threading.Thread(target=queue.put, args=("roll",), daemon=True)
    roller.start()
    assert inside.wait(30)
    pid = os.fork()
    if not pid:
        time.sleep(60)
        os._exit(0)
    try:
        go.set()
        roller.join(20)
        assert not roller.is_alive(), "the parent's put hangs"
        monkeypatch.undo()

        def put(tell):
            with pqueue.open(tmp_path / "q") as other:
                other.put("other")

        Child(put).join(20)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    with queue:
        assert [queue.get(timeout=20) for _ in range(5)] == [0, 1, 2, "roll", "other"]


@pytest.mark.parametrize("steps", range(9))
@pytest.mark.parametrize(
    "end", [KeyboardInterrupt(), OSError(errno.EFBIG, "File too large")], ids=["killed", "no room"]
)
def test_a_queue_whose_making_was_broken_off_is_made_by_who_comes_next(tmp_path, monkeypatch, steps, end):
    """Each document is given its room bit by bit; whoever comes meanwhile, too, takes it for what it is."""
    real, left = slotfile._allocate, [steps]

    def allocate(*how):
        left[0] -= 1
        if left[0] < 0:
            raise end
        real(*how)

    monkeypatch.setattr(slotfile, "_allocate", allocate)
    with contextlib.suppress(KeyboardInterrupt, pqueue.QueueError):
        pqueue.open(tmp_path / "q").close()
    monkeypatch.undo()
    with pqueue.open(tmp_path / "q") as queue:
        queue.put("a")
    with pqueue.open(tmp_path / "q", create=False) as queue:
        assert queue.get() == "a"


@pytest.mark.parametrize("name", ["tail", "head.default"])
def test_somebody_s_file_of_such_a_name_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("the last lines of a log")
    with pytest.raises(pqueue.NotAQueue, match="somebody's files"):
        pqueue.open(tmp_path)
    assert (tmp_path / name).read_text() == "the last lines of a log"
    assert [path.name for path in tmp_path.iterdir()] == [name]
