"""What is litter and what is not, on values alone (rules 3, 5, 11, 13)."""

from __future__ import annotations

from pqueue import gc
from pqueue.abc import Blob, StoreTime
from pqueue.names import PAGE, Name
from pqueue.roster import Roster
from pqueue.tail import OPEN, Entry, Tail

QUEUE = "0011223344556677"
DAY = 86_400_000
NOW = 10 * DAY


def writer(birth, chance=0):
    return f"{birth:012x}{chance:012x}"


def segment(who, number, hint=0, queue=QUEUE, count=1):
    return Name(hint, queue, who, number, count)


def tail_of(names, *, members=None, horizon=-1, first=0, open_last=False, boot="", gone=False):
    entries = []
    end = first
    for ordinal, name in enumerate(names, first):
        count = OPEN if open_last and ordinal == first + len(names) - 1 else 1
        entries.append(Entry(ordinal, name, end, count))
        end += max(count, 0)
    return Tail(QUEUE, open_last, first, tuple(entries), end, Roster(members or {}, horizon), boot, gone)


def log_of(tail, lowest=0, **more):
    return gc.Log(tail, {str(entry.name): entry for entry in tail.entries}, lowest, **more)


def judged(names, log, pages=()):
    taken, waiting = gc.judge(
        [Blob(str(name), 10) for name in names], [Blob(f"log/{number}", 10) for number in pages], log
    )
    return {one.name: one.why for one in taken}, waiting


def test_what_is_listed_and_not_consumed_stays():
    names = [segment(writer(5), number) for number in range(4)]
    taken, waiting = judged(names, log_of(tail_of(names, members={writer(5): (3, NOW)}), lowest=2))
    assert taken == {str(name): gc.CONSUMED for name in names[:2]}
    assert not waiting


def test_the_open_segment_and_damaged_ones_stay_however_far_the_head_is():
    names = [segment(writer(5), number, count=0) for number in range(3)]
    tail = tail_of(names, members={writer(5): (2, NOW)}, open_last=True)
    taken, _ = judged(names, log_of(tail, lowest=9, damaged=frozenset({0})))
    assert list(taken) == [str(names[1])]


def test_an_upload_that_may_be_listed_yet_is_never_litter():
    known, new = writer(5), writer(NOW - 100)
    tail = tail_of([segment(known, 0)], members={known: (0, NOW)}, horizon=3)
    names = [segment(known, 1), segment(known, 2), segment(new, 0), segment(new, 1)]
    taken, waiting = judged(names, log_of(tail, lowest=9))
    assert taken == {}
    assert waiting == names


def test_an_upload_that_its_writer_s_number_has_passed_is_litter():
    known = writer(5)
    tail = tail_of([segment(known, 4, hint=9)], members={known: (4, NOW)})
    names = [segment(known, 4, hint=8), segment(known, 3), segment(known, 4, hint=9)]
    taken, _ = judged(names, log_of(tail))
    assert taken == {str(name): gc.PASSED for name in names[:2]}


def test_an_upload_of_a_barred_writer_is_litter_whatever_its_number():
    dead = writer(7)
    taken, _ = judged([segment(dead, 0), segment(dead, 6)], log_of(tail_of([], horizon=7)))
    assert set(taken.values()) == {gc.BARRED}
    assert len(taken) == 2
    assert judged([segment(writer(8), 0)], log_of(tail_of([], horizon=7)))[0] == {}


def test_a_barred_writer_s_segment_that_is_listed_and_waiting_stays():
    gone = writer(7)
    tail = tail_of([segment(gone, 0)], horizon=7)
    assert judged([segment(gone, 0)], log_of(tail))[0] == {}


def test_names_of_another_queue_are_litter_and_names_of_nobody_are_left_alone():
    stray = segment(writer(5), 0, queue="f" * 16)
    foreign = ["seg/readme", "seg/000000000000-xyz-0-0"]
    taken, waiting = gc.judge([Blob(one, 1) for one in (*foreign, str(stray))], [], log_of(tail_of([])))
    assert [(one.name, one.why) for one in taken] == [(str(stray), gc.OTHER)]
    assert waiting == []


def test_of_a_removed_queue_every_segment_is_litter_and_no_page():
    tail = tail_of([segment(writer(5), 0)], gone=True)
    taken, _ = judged([segment(writer(5), 0), segment(writer(9), 3)], log_of(tail, lowest=9), pages=[0])
    assert set(taken.values()) == {gc.REMOVED}
    assert len(taken) == 2


def test_pages_are_taken_below_head_and_below_what_the_tail_has_cut():
    names = [segment(writer(5), number) for number in range(3)]
    tail = tail_of(names, first=3 * PAGE, members={writer(5): (2, NOW)})
    assert list(judged([], log_of(tail, lowest=2 * PAGE), pages=[0, 1, 2, 3, 4])[0]) == ["log/0", "log/1"]
    assert list(judged([], log_of(tail, lowest=2 * PAGE - 1), pages=[0, 1, 2])[0]) == ["log/0"]
    assert list(judged([], log_of(tail, lowest=9 * PAGE), pages=[0, 1, 2, 3])[0]) == ["log/0", "log/1", "log/2"]
    damaged = log_of(tail, lowest=9 * PAGE, damaged=frozenset({PAGE + 1}))
    assert list(judged([], damaged, pages=[0, 1, 2])[0]) == ["log/0", "log/2"]


def test_without_every_page_nothing_is_told_from_not_being_listed():
    tail = tail_of([segment(writer(5), 9)], first=PAGE, members={writer(5): (9, NOW)}, horizon=7)
    names = [segment(writer(5), 1), segment(writer(6), 0), segment(writer(6), 0, queue="f" * 16)]
    taken, _ = judged(names, log_of(tail, whole=False))
    assert taken == {str(names[2]): gc.OTHER}


# -- barring ----------------------------------------------------------------------------------------------------------


def test_a_writer_long_past_is_barred_and_no_younger_one():
    old, older, live = writer(NOW - 2 * DAY), writer(NOW - 3 * DAY), writer(NOW - 5)
    tail = tail_of([], members={live: (0, NOW - 5)})
    waiting = [segment(old, 0), segment(older, 0), segment(live, 1), segment(writer(NOW - 6), 0)]
    new, count = gc.barring(tail, StoreTime("", NOW), waiting, DAY)
    assert count == 2
    assert new.writers.horizon == NOW - 2 * DAY
    assert new.writers.members == tail.writers.members
    taken, left = judged(waiting, log_of(new))
    assert set(taken) == {str(one) for one in waiting[:2]}
    assert left == waiting[2:]


def test_a_writer_that_is_listed_of_late_is_not_barred_however_old_it_is():
    old = writer(NOW - 5 * DAY)
    tail = tail_of([], members={old: (3, NOW - DAY // 2)})
    assert gc.barring(tail, StoreTime("", NOW), [segment(old, 4)], DAY) == (tail, 0)
    silent = tail_of([], members={old: (3, NOW - 2 * DAY)})
    new, count = gc.barring(silent, StoreTime("", NOW), [segment(old, 4)], DAY)
    assert count == 1
    assert new.writers.next(old) is None


def test_births_of_an_earlier_boot_that_lie_ahead_bar_nobody():
    ahead = writer(NOW + DAY)
    tail = tail_of([], members={ahead: (0, NOW)}, boot="a")
    assert gc.barring(tail, StoreTime("b", NOW), [segment(ahead, 1)], DAY)[1] == 0
    behind = writer(5)
    tail = tail_of([], members={behind: (0, NOW + DAY)}, boot="a")
    new, count = gc.barring(tail, StoreTime("b", NOW), [segment(behind, 1)], DAY)
    assert (count, new.boot, new.writers.horizon) == (1, "b", 5)


def test_who_is_barred_already_is_not_barred_again():
    dead = writer(5)
    tail = tail_of([], horizon=5)
    assert gc.barring(tail, StoreTime("", NOW), [segment(dead, 0)], DAY) == (tail, 0)
    other = segment(dead, 0, queue="f" * 16)
    assert gc.barring(tail_of([]), StoreTime("", NOW), [other], DAY)[1] == 0
