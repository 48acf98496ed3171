"""The tail's transitions: what may be listed, what never, and pages that are the same whoever writes them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqueue.errors import NewerFormat, NotAQueue
from pqueue.names import PAGE, Name, birth
from pqueue.roster import SILENT_MS, Roster
from pqueue.tail import CUT_AT, OPEN, Tail, parse_page

QUEUE = "00" * 8


def writer(born, chance=1):
    return f"{born:012x}{chance:012x}"


def name(who, number, count=1, hint=0, queue=QUEUE):
    return Name(hint, queue, who, number, count)


def listed(tail, *names, now=0):
    return tail.listing(names, "", now)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 6), st.integers(1, 5)), max_size=6), max_size=8))
def test_each_writers_segments_are_listed_in_order_without_a_gap_and_once(swaps):
    tail = Tail(QUEUE, grows=False)
    for swap in swaps:
        tail = listed(tail, *(name(writer(born), number, count) for born, number, count in swap))
        assert Tail.parse(tail.dump()) == tail
    for who in {entry.name.writer for entry in tail.entries}:
        numbers = [entry.name.number for entry in tail.entries if entry.name.writer == who]
        assert numbers == list(range(len(numbers)))
    base = 0
    for ordinal, entry in enumerate(tail.entries):
        assert (entry.ordinal, entry.base) == (ordinal, base)
        base += entry.count
    assert tail.end == base


def test_segments_of_another_queue_are_never_listed():
    assert not listed(Tail(QUEUE, grows=False), name(writer(1), 0, queue="11" * 8)).entries


def test_who_was_silent_for_long_is_dropped_and_barred_for_ever():
    tail = listed(Tail(QUEUE, grows=False), name(writer(5), 0), now=0)
    tail = listed(tail, name(writer(9), 0), now=SILENT_MS + 1)
    assert set(tail.writers.members) == {writer(9)}
    assert tail.writers.horizon == 5
    late = name(writer(5), 0), name(writer(5), 1), name(writer(4), 0)
    assert listed(tail, *late, now=SILENT_MS + 2).entries == tail.entries
    assert len(listed(tail, name(writer(6), 0)).entries) == 3


def test_another_boot_finds_every_writer_long_silent():
    tail = listed(Tail(QUEUE, grows=False, boot="one"), name(writer(5), 0)).listing([], "two", 0)
    assert not tail.writers.members
    assert tail.writers.horizon == 5


def test_after_a_reboot_ids_are_born_behind_every_earlier_one():
    tail = Tail(QUEUE, grows=False, boot="one").listing([name(writer(10**9), 0)], "one", 0)
    assert tail.barred_up_to("one") == -1
    born = writer(tail.barred_up_to("two") + 1, 2)
    dropped = tail.listing([name(writer(7), 0)], "two", 5)
    assert not set(dropped.writers.members) & {writer(10**9)}
    assert dropped.writers.next(born) == 0


def test_a_roll_closes_the_open_segment_and_offsets_go_on_behind_what_the_head_knows():
    tail = Tail(QUEUE, grows=True).rolled(0, name(writer(1), 0, 0), 0, "", 0)
    assert tail.last.count == OPEN
    tail = tail.rolled(10, name(writer(1), 1, 0), 12, "", 0)
    closed, last = tail.entries
    assert (closed.count, closed.end) == (10, 10)
    assert (last.base, tail.end) == (12, 12)
    assert Tail.parse(tail.dump()) == tail
    with pytest.raises(AssertionError):
        tail.rolled(1, name(writer(1), 1, 0), 0, "", 0)


def grown(count, *, grows=False):
    tail = Tail(QUEUE, grows=grows)
    for number in range(count):
        who = writer(1 + number % 3)
        if grows:
            tail = tail.rolled(2, name(who, number // 3, 0, hint=number), 0, "", 0)
        else:
            tail = listed(tail, name(who, number // 3, 2, hint=number // 2))
    return tail


@pytest.mark.parametrize("grows", [True, False])
def test_a_page_holds_what_the_tail_then_no_longer_does(grows):
    tail = grown(CUT_AT, grows=grows)
    assert grown(CUT_AT - 1, grows=grows).cut() is None
    page, data, rest = tail.cut()
    assert page == "log/0"
    assert parse_page(data) == tail.entries[:PAGE]
    assert rest.first == PAGE
    assert (rest.next, rest.end, rest.entries) == (tail.next, tail.end, tail.entries[PAGE:])
    assert Tail.parse(rest.dump()) == rest


def test_a_page_has_the_same_bytes_however_much_later_it_is_cut():
    assert grown(CUT_AT).cut()[1] == grown(CUT_AT + 50).cut()[1]


def test_the_tail_stays_small():
    assert len(grown(CUT_AT).dump()) < 14_000


@pytest.mark.parametrize(("late", "back"), [(-20, 8), (0, 8), (3, 8), (5, 10), (30, 60), (90, PAGE)], ids=str)
def test_a_look_goes_as_far_back_as_hints_were_late_of_late(late, back):
    tail = Tail(QUEUE, grows=False)
    for number in range(150):
        tail = listed(tail, name(writer(1), number, hint=number))
    for number in range(150, 160):
        tail = listed(tail, name(writer(1), number, hint=max(0, number - late * (number == 155))))
    assert tail.next == 160
    assert tail.unlisted_from == 160 - back
    assert Tail(QUEUE, grows=False).unlisted_from == 0


def test_names_are_read_as_they_are_written_and_foreign_ones_not_at_all():
    one = name(writer(7), 3, 12, hint=5)
    assert Name.parse(str(one)) == one
    assert birth(one.writer) == 7
    for other in ("seg/x", "seg/1-2-3-4", str(one) + "0-", str(one).replace("-3-", "-03-"), str(one).upper()):
        assert Name.parse(other) is None or str(Name.parse(other)) == other


def test_documents_of_others_are_refused_and_unknown_keys_kept():
    data = Tail(QUEUE, grows=True).dump()
    assert Tail.parse(data.replace(b'"base"', b'"aaa":1,"base"')).dump() == data.replace(b'"base"', b'"aaa":1,"base"')
    for bad in (b"", b"[]", b"{}", b"\x00" * 50):
        with pytest.raises(NotAQueue):
            Tail.parse(bad)
    with pytest.raises(NewerFormat):
        Tail.parse(data.replace(b'"format":1', b'"format":2'))
    with pytest.raises(NewerFormat):
        Tail.parse(data.replace(b'"first"', b'"needs":["x"],"first"').replace(b'"needs":["x"],"first"', b'"first"', 0))


def test_a_roster_bars_what_is_not_in_it_and_not_born_after_its_horizon():
    roster = Roster({}, 5)
    assert roster.next(writer(5)) is None
    assert roster.next(writer(6)) == 0
    roster = roster.advanced(writer(6), 0, 10)
    assert roster.next(writer(6)) == 1
    assert roster.applied(writer(6), 0)
    assert not roster.applied(writer(6), 1)
    assert Roster.parse(roster.dump()) == roster
