"""Rule 32 in a folder: an interrupt at any point of an append or a swap, told for what it was."""

import fcntl
import itertools
import os
import random
import signal
import threading
from functools import partial
from pathlib import Path

import pytest

import pqueue_local
from pqueue.abc import SAME
from pqueue.errors import Landed, SyncFailed
from pqueue_local import LocalBackend, LocalSettings

SEAL = b"<seal>"
CALLS = ("write", "pwrite", "lseek", "fstat", "pread", "fdatasync", "fsync", "ftruncate", "link", "unlink", "open")


class Interrupts:
    """Raises KeyboardInterrupt at the given system calls, counted from when it is armed, before or after their work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.at: dict[int, str] = {}
        for module, name in [(os, name) for name in CALLS] + [(fcntl, "flock")]:
            monkeypatch.setattr(module, name, self.wrap(getattr(module, name)))
        self.armed = False

    def arm(self, at: dict[int, str]) -> None:
        self.count, self.at, self.armed = 0, at, True

    def disarm(self) -> None:
        self.armed = False

    def wrap(self, call):
        def called(*args, **more):
            if not self.armed:
                return call(*args, **more)
            mine, self.count = self.count, self.count + 1
            when = self.at.get(mine)
            if when == "before" and fcntl.LOCK_UN not in args[1:]:  # nothing of Python comes between it and its call
                raise KeyboardInterrupt
            result = call(*args, **more)
            if when:
                raise KeyboardInterrupt
            return result

        return called


@pytest.fixture
def interrupts(monkeypatch):
    return Interrupts(monkeypatch)


@pytest.fixture
def settings(tmp_path):
    return LocalSettings(path=tmp_path / "queue")


@pytest.fixture
def store(settings, interrupts):
    return LocalBackend.open(settings, create=True)


@pytest.fixture
def other(store, settings):
    return LocalBackend.open(settings, create=True)


def told(interrupts, at, call):
    """What the interrupted call tells: its result, Landed's, or None if it says that nothing happened."""
    interrupts.arm(at)
    try:
        return ("done", call())
    except Landed as landed:
        assert isinstance(landed.__cause__, KeyboardInterrupt)
        return ("landed", landed.result)
    except KeyboardInterrupt:
        return ("interrupted", None)
    finally:
        interrupts.disarm()


def in_time(work):
    """Do it in a thread, so that a lock that was left behind fails the test instead of hanging it."""
    done = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    thread.join(20)
    assert done, "a lock was left behind"
    return done[0]


def rounds(interrupts, call):
    """Every way to interrupt the call once, and twice; as many as the call has system calls."""
    for number in itertools.count():
        for when in ("before", "after"):
            yield {number: when}
            for again in range(number + 1, number + 8):
                yield {number: when, again: "before"}
                yield {number: when, again: "after"}
        if number >= call.calls:
            return


class Call:
    """How many system calls the last round made."""

    calls = 1000


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_an_append_tells_what_became_of_it(store, other, interrupts, sync, kept):
    """KeyboardInterrupt: nothing was written. Landed: all of it, synced if asked. The locks are free in any case."""
    seen = set()
    call = Call()
    for step, at in enumerate(rounds(interrupts, call)):
        name = f"seg/{step}"
        store.write(name, b"head")
        if kept:
            store.appends.settle(name)
        outcome, _ = told(interrupts, at, partial(store.appends.append, name, 4, b"frame", sync, SEAL))
        if not at.keys() - set(range(interrupts.count)):
            seen.add(outcome)
        call.calls = min(call.calls, interrupts.count) if outcome == "done" else call.calls
        stands = b"headframe" if outcome != "interrupted" else b"head"
        assert other.read(name) == stands, f"{outcome} at {at}"
        for client in (other, store):
            in_time(partial(client.appends.append, name, len(stands), b"", sync, b""))
        store.delete([name])
    assert seen == {"landed", "interrupted"}


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_a_swap_tells_what_became_of_it(store, other, interrupts, settings, sync, kept):
    """KeyboardInterrupt: not replaced. Landed: replaced by what it says, synced if asked. The locks are free."""
    seen = set()
    call = Call()
    before = store.swap("tail", b"0", None, sync=True)
    for step, at in enumerate(rounds(interrupts, call)):
        data = b"%d" % (step + 1)
        client = store if kept else LocalBackend.open(settings, create=False)
        outcome, result = told(interrupts, at, partial(client.swap, "tail", data, before.version, sync))
        if not at.keys() - set(range(interrupts.count)):
            seen.add(outcome)
        call.calls = min(call.calls, interrupts.count) if outcome == "done" else call.calls
        after = in_time(lambda: other.load("tail"))
        if outcome == "interrupted":
            assert after[:2] == before[:2], f"{outcome} at {at}"
        else:
            assert after[:2] == result[:2], f"{outcome} at {at}"
            assert after.data == data
        assert in_time(partial(store.load, "tail", after.version)) in (SAME, after)
        before = in_time(partial(other.swap, "tail", b"between", after.version, sync=False))
        in_time(lambda: store.load("tail"))
    assert seen == {"landed", "interrupted"}


@pytest.mark.parametrize("name", ["tail", "queue.json"])
def test_making_a_document_tells_what_became_of_it(store, other, interrupts, name):
    seen = set()
    call = Call()
    for step, at in enumerate(rounds(interrupts, call)):
        if any(number > min(at) + 2 for number in at):
            continue
        data = b"%d" % step
        outcome, result = told(interrupts, at, partial(store.swap, name, data, None, sync=True))
        seen.add(outcome)
        call.calls = min(call.calls, interrupts.count) if outcome == "done" else call.calls
        after = in_time(lambda: other.load(name))
        if outcome == "interrupted":
            # A second interrupt may come between the effect and its being told, where a file is made by many calls.
            assert after is None or (len(at) > 1 and after.data == data), f"{outcome} at {at}"
        else:
            assert after[:2] == result[:2], f"{outcome} at {at}"
        in_time(lambda: store.delete([name]))
        assert in_time(lambda: other.load(name)) is None
    assert {"landed", "interrupted"} <= seen


def test_an_interrupted_sync_is_not_trusted(store, interrupts, monkeypatch):
    """After an interrupt in a sync nobody knows whether it failed: the document is written again, elsewhere."""
    first = store.swap("tail", b"one", None, sync=True)
    fail = iter([True, False])
    fdatasync = os.fdatasync

    def interrupted(fd):
        if next(fail, False):
            raise KeyboardInterrupt
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", interrupted)
    with pytest.raises(Landed) as caught:
        store.swap("tail", b"two", first.version, sync=True)
    assert caught.value.result.version == first.version + 2


def test_an_interrupted_append_whose_sync_then_fails_is_sealed(store, other, monkeypatch):
    store.write("seg/a", b"head")
    fails = iter([KeyboardInterrupt(), OSError(5, "Input/output error")])

    def failing(fd):
        raise next(fails)

    monkeypatch.setattr(os, "fdatasync", failing)
    with pytest.raises(SyncFailed):
        store.appends.append("seg/a", 4, b"frame", sync=True, seal=SEAL)
    assert other.read("seg/a") == b"headframe" + SEAL


@pytest.mark.parametrize("sync", [False, True])
def test_signals_at_random_instants(store, other, sync):
    """A real signal's handler raises somewhere inside: what was told is what stands, some thousand times."""
    inside = str(Path(pqueue_local.__file__).parent)
    raised = 0
    ready = False
    skipped = ("backend.py", "descriptors.py")  # outside the call, and where Python ignores what is raised

    def handler(number, frame):
        nonlocal raised, ready
        if ready and frame.f_code.co_filename.startswith(inside) and not frame.f_code.co_filename.endswith(skipped):
            ready = False
            raised += 1
            raise KeyboardInterrupt

    rng = random.Random(7)
    before = signal.signal(signal.SIGALRM, handler)
    store.write("seg/a", b"")
    document = store.swap("tail", b"0", None, sync=True)
    swap = store._documents["tail"].swap
    append = store.appends.append
    longest = 300e-6 if sync else 12e-6
    size = 0
    try:
        step = 0
        while raised < (40 if sync else 400) and step < 20_000:
            step += 1
            frame = b"%06d" % step
            ready = True
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, longest))
            try:
                append("seg/a", size, frame, sync, SEAL)
                ready = False
                size += 6
            except Landed:
                size += 6
            except KeyboardInterrupt:
                assert store.appends.settle("seg/a") == size
            ready = True
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, longest))
            try:
                document = swap(frame, document.version, sync)
                ready = False
            except Landed as landed:
                document = landed.result
            except KeyboardInterrupt:
                ready = False
            ready = False
            assert store.load("tail", document.version) is SAME
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert raised
    assert other.appends.settle("seg/a") == size
    assert other.load("tail")[:2] == document[:2]
