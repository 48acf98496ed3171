"""Who loses swap after swap in a folder gets a turn, and nobody waits for it for long."""

import os
import time

import pytest

from pqueue.abc import SAME
from pqueue.errors import DocumentChanged
from pqueue_local import LocalBackend, LocalSettings, slots, turns
from pqueue_local.clock import now
from tests.support.children import Child

WORD = slots.TURN // 8


@pytest.fixture
def settings(tmp_path):
    return LocalSettings(path=tmp_path / "queue")


@pytest.fixture
def store(settings):
    store = LocalBackend.open(settings, create=True)
    store.swap("head", b"0", None, sync=False)
    return store


@pytest.fixture
def other(store, settings):
    return LocalBackend.open(settings, create=True)


def note(settings, ms, token=7):
    with (settings.path / "head").open("r+b") as file:
        os.pwrite(file.fileno(), (now().ms + ms << 24 | token).to_bytes(8, "little"), slots.TURN)


def noted(store):
    return store._documents["head"]._file.words[WORD]


def swap(store, data=b"x"):
    """One that is planned and swapped at once."""
    return store.swap("head", data, store.load("head").version, sync=False)


def test_a_slow_planner_is_not_beaten_for_ever(store, settings):
    """Without a turn it loses to a process that swaps all the time, until that stops."""

    def hammer(tell):
        mine = LocalBackend.open(settings, create=False)
        count = 0
        while not (settings.path / "stop").exists():
            for _ in range(100):
                try:
                    swap(mine)
                except DocumentChanged:
                    continue
                count += 1
            tell(count)

    child = Child(hammer)
    try:
        while not child.told:
            child.hear(0.05)
        won = 0
        until = time.monotonic() + 20
        while won < 3 and time.monotonic() < until:
            version = store.load("head").version
            time.sleep(0.02)  # it plans
            while not noted(store) and store.load("head", version) is SAME and time.monotonic() < until:
                time.sleep(0.001)  # it would win by chance: the other one was not running
            try:
                store.swap("head", b"slow", version, sync=False)
            except DocumentChanged:
                continue
            won += 1
    finally:
        (settings.path / "stop").touch()
        child.join(20)
    assert won == 3
    assert child.told[-1] > 100


def lose(store, other, times):
    for _ in range(times):
        version = store.load("head").version
        swap(other)
        with pytest.raises(DocumentChanged):
            store.swap("head", b"late", version, sync=False)


def test_one_loss_now_and_then_asks_for_nothing(store, other):
    for _ in range(20):
        lose(store, other, turns.LOSSES - 1)
        swap(store)
    assert noted(store) == 0


def test_losses_in_a_row_do_until_one_is_won(store, other):
    began = now().ms
    lose(store, other, turns.LOSSES)
    assert began < noted(store) >> 24 <= now().ms + turns.MOST_MS
    swap(store)
    assert noted(store) == 0


def test_the_others_wait_until_it_is_over_and_no_longer(store, settings, monkeypatch):
    """Also for one that has died."""
    began = now().ms
    note(settings, 100)
    slept = []
    real = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: (slept.append(seconds), real(seconds)))
    swap(store)
    assert slept
    assert now().ms >= began + 99
    slept.clear()
    swap(store)
    assert not slept, "its time is over"


def test_a_swap_waits_once_however_many_ask(store, settings, monkeypatch):
    note(settings, 100)
    waits = []

    def slept(_):
        waits.append(0)
        note(settings, 100, 8 + len(waits)) if len(waits) < 50 else note(settings, 0)

    monkeypatch.setattr(time, "sleep", slept)
    monkeypatch.setattr(turns.Turn, "give", lambda self, file: slept(0))
    swap(store)
    assert len(waits) == 1


@pytest.mark.parametrize("ms", [-5, 0, turns.MOST_MS + 50, 1 << 38])
def test_what_can_be_nobody_s_is_heeded_by_nobody(store, settings, monkeypatch, ms):
    """Of before a boot, or a bad write."""
    note(settings, ms)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited"))
    swap(store)


def test_two_that_starve_do_not_take_each_other_s_turn(store, other, settings):
    note(settings, 200)
    word = noted(store)
    lose_without_waiting(store)
    assert noted(store) == word


def lose_without_waiting(store):
    turn = store._documents["head"]._turn
    file = store._documents["head"]._file
    for _ in range(3 * turns.LOSSES):
        turn.lost(file)
