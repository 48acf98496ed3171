"""The head's transitions, against one state an item kept in a plain dict."""

import json
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqueue import transitions as h
from pqueue.abc import StoreTime
from pqueue.errors import NewerFormat, NotAQueue
from pqueue.head import BACK, CLAIMED, DYING, Head, Range, Rest, Span
from pqueue.names import canonical
from tests.support.heads import acknowledged, given_back

QUEUE = "00" * 8
ITEMS = 12


def fresh(**rest):
    return Head(0, 0, Rest(QUEUE, **rest))


def shared(chance):
    """Two claims that hold sixty items by threes."""
    head = fresh()
    for start in range(0, 60, 3):
        head = h.claimed(head, Range(0, start, start + 3), chance.choice("ab"), "", 100)
    return head


def states(head):
    """Every item's state, as read off the document by eye."""
    found = dict.fromkeys(range(head.offset), "done")
    for span in head.rest.spans:
        for offset in range(span.start, span.stop):
            assert found[offset] == "done", "an item is in one state only"
            found[offset] = (span.state, span.claim if span.state != BACK else "", span.attempts)
    return found


RANGES = st.tuples(st.integers(0, ITEMS - 1), st.integers(1, 5)).map(lambda pair: (pair[0], min(ITEMS, sum(pair))))
STEPS = st.one_of(
    st.tuples(st.just("claim next"), st.sampled_from("abc"), st.integers(1, 4)),
    st.tuples(st.just("claim back"), st.sampled_from("abc"), st.integers(1, 4)),
    st.tuples(st.just("take"), st.just(""), st.integers(1, 4)),
    st.tuples(st.just("ack"), st.sampled_from("abc"), RANGES),
    st.tuples(st.just("back"), st.sampled_from("abc"), RANGES),
    st.tuples(st.just("uncounted"), st.sampled_from("abc"), RANGES),
    st.tuples(st.just("dying"), st.sampled_from("abc"), RANGES),
    st.tuples(st.just("bury"), st.sampled_from("abc"), RANGES),
    st.tuples(st.just("expire"), st.just(""), st.integers(0, 200)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_every_item_is_in_exactly_one_state_whatever_happens(steps):
    head, model, until = fresh(), {}, 100
    known = Head.parse(head.dump())
    for kind, claim, what in steps:
        held = {o for o, s in model.items() if s[:2] == (CLAIMED, claim)}
        if kind == "claim next":
            stop = min(ITEMS, head.offset + what)
            if stop > head.offset:
                model |= dict.fromkeys(range(head.offset, stop), (CLAIMED, claim, 1))
                head = h.claimed(head, Range(0, head.offset, stop), claim, "", until)
        elif kind == "take":
            stop = min(ITEMS, head.offset + what)
            if stop > head.offset:
                model |= dict.fromkeys(range(head.offset, stop), "done")
                head = h.taken(head, Range(0, head.offset, stop))
        elif kind == "claim back":
            span = next(h.ready(head, 50), None)
            if span is not None:
                where = Range(0, span.start, min(span.stop, span.start + what))
                assert span.start == min(o for o, s in model.items() if s[0] == BACK), "the lowest first"
                model |= {o: (CLAIMED, claim, model[o][2] + 1) for o in range(where.start, where.stop)}
                head = h.claimed(head, where, claim, "", until)
        elif kind == "expire":
            if what > until:
                model |= {o: (BACK, "", s[2]) for o, s in model.items() if s[0] == CLAIMED}
            head = h.expired(head, what, None)
        else:
            where = Range(0, *what)
            mine = held & set(range(*what))
            if kind == "ack":
                head, count = acknowledged(head, claim, where)
                model |= dict.fromkeys(mine, "done")
            elif kind == "back":
                head, count = given_back(head, claim, where)
                model |= {o: (BACK, "", model[o][2]) for o in mine}
            elif kind == "uncounted":
                head, count = given_back(head, claim, where, counted=False)
                model |= {o: (BACK, "", model[o][2] - 1) for o in mine}
            elif kind == "dying":
                head, count = h.dying(head, claim, where, until, "rejected", "because")
                model |= {o: (DYING, claim, model[o][2]) for o in mine}
            else:
                mine = {o for o in range(*what) if model.get(o, "")[:2] == (DYING, claim)}
                head, count = h.buried(head, claim, where)
                model |= dict.fromkeys(mine, "done")
            assert count == len(mine), "told what the claim still held"
        assert states(head) == model
        spans = head.rest.spans
        assert all(a.stop <= b.start for a, b in pairwise(spans))
        assert Head.parse(head.dump()) == head
        known = Head.parse(head.dump(), known.rest)
        assert known == head
        assert known.dump() == head.dump() == known._replace(rest=known.rest.having(known.rest.spans)).dump()
        assert head.lowest[1] == min([o for o, s in model.items() if s != "done"], default=head.offset)
        claimed = sum(1 for s in model.values() if s[0] in (CLAIMED, DYING))
        assert head.rest.counts == (claimed, sum(1 for s in model.values() if s[0] == BACK))


def test_what_is_known_of_a_head_is_used_again_as_far_as_it_is_the_same():
    known = Head.parse(shared(random.Random(1)).dump())
    moved = known._replace(offset=70)
    assert Head.parse(moved.dump(), known.rest).rest is known.rest
    for other in ({"boot": "b"}, {"swept": 3}, {"damaged": (1,)}, {"gone": True}, {"rest": {"more": 1}}):
        new = known._replace(rest=replace(known.rest, **other))
        assert Head.parse(new.dump(), known.rest) == new
        assert Head.parse(new.dump(), known.rest).dump() == new.dump()
        assert new != known


def test_the_only_claim_is_encoded_as_it_is_whichever_claim_was_there_before():
    span = Span(1, 5, 9, 1, CLAIMED, 100, "claim", "owner")
    others = [
        span._replace(**other)
        for other in (
            {"start": 6},
            {"ordinal": 2},
            {"attempts": 2},
            {"until": 7},
            {"claim": 'c"'},
            {"owner": "ö"},
            {"state": BACK, "claim": "", "owner": ""},
            {"state": DYING, "owner": "", "reason": "rejected"},
        )
    ]
    head = Head(3, 70, Rest(QUEUE, boot="boot"))
    for one in [span, *(step for other in others for step in (other, span))]:
        head = head._replace(rest=head.rest.having((one,)))
        assert head.dump() == Head(3, 70, Rest(QUEUE, boot="boot", spans=(one,))).dump()
        assert head.dump()[40:] == canonical(json.loads(head.dump()[40:]))
        assert Head.parse(head.dump()) == head


def test_neighbours_given_back_together_are_one_range():
    head = h.claimed(fresh(), Range(0, 0, 1000), "a", "", 10**6)
    for offset in range(1000):
        until = h.rounded(5000 + offset // 10, 60_000)
        head, _ = given_back(head, "a", Range(0, offset, offset + 1), until=until, wall=until + offset)
    assert len(head.rest.spans) == 1


def test_what_is_given_back_with_a_delay_waits_for_it():
    head = h.claimed(fresh(), Range(0, 0, 1), "a", "", 100)
    head, _ = given_back(head, "a", Range(0, 0, 1), until=70, wall=1070)
    assert not list(h.ready(head, 69))
    assert list(h.ready(head, 70))


def test_a_dead_owners_claims_expire_at_once_and_a_living_ones_at_the_deadline():
    head = h.claimed(fresh(), Range(0, 0, 1), "a", "me", 100)
    assert h.expired(head, 50, lambda _: True) == head
    assert h.expired(head, 100, lambda _: True) == head
    assert h.expired(head, 101, lambda _: True).rest.spans[0].state == BACK
    assert h.expired(head, 50, lambda _: False).rest.spans[0].state == BACK


def test_another_boot_ends_claims_and_delays_fall_back_to_the_wall_clock():
    head = h.claimed(fresh(boot="one"), Range(0, 0, 3), "a", "me", 10**9)
    head, _ = given_back(head, "a", Range(0, 0, 1), until=10**9, wall=5_000)
    head, _ = given_back(head, "a", Range(0, 1, 2), until=2 * 10**9, wall=9_000)
    head = h.rebooted(head, StoreTime("two", 40), wall_ms=6_000)
    first, second, third = head.rest.spans
    assert (first.until, second.until) == (40, 40 + 3_000)
    assert h.expired(head, 40, None).rest.spans[2].state == BACK
    assert third.owner == ""
    assert h.rebooted(head, StoreTime("two", 50), 0) is head


def test_a_claim_is_extended_and_never_shortened():
    head = h.claimed(fresh(), Range(0, 0, 2), "a", "", 100)
    head, held = h.extended(head, ["a"], 200)
    assert (held, head.rest.spans[0].until) == ([2], 200)
    head, held = h.extended(head, ["a"], 150)
    assert (held, head.rest.spans[0].until) == ([2], 200)
    assert h.extended(head, ["other"], 300) == (head, [0])


def test_many_claims_are_extended_at_once_each_told_what_it_holds():
    head = fresh()
    for offset in range(0, 3000, 3):
        head = h.claimed(head, Range(0, offset, offset + 2), str(offset), "", 100 + offset)
        head = h.passed(head, Range(0, offset + 2, offset + 3))
    longer, held = h.extended(head, ["6", "gone", "2997", "0"], 1001)
    assert held == [2, 0, 2, 2]
    assert {span.claim: span.until for span in longer.rest.spans if span.until == 1001} == {"0": 1001, "6": 1001}
    assert [span[:5] for span in longer.rest.spans] == [span[:5] for span in head.rest.spans]


@pytest.mark.parametrize("seed", range(20))
def test_an_edit_of_a_range_is_one_of_each_of_its_items(seed):
    chance = random.Random(seed)
    head = shared(chance)
    whole = single = head
    for _ in range(30):
        start = chance.randrange(60)
        where, claim = Range(0, start, start + chance.randrange(1, 12)), chance.choice("ab")
        edit = chance.choice([acknowledged, given_back, lambda *a: h.dying(*a, 100, "rejected", "")])
        whole, count = edit(whole, claim, where)
        counts = 0
        for offset in range(where.start, where.stop):
            single, one = edit(single, claim, Range(0, offset, offset + 1))
            counts += one
        assert (single, counts) == (whole, count)
        assert h.Head.parse(whole.dump()) == whole
        spans = whole.rest.spans
        assert all(one.stop <= two.start for one, two in pairwise(spans))
        assert not any(
            one._replace(stop=two.stop) == two._replace(start=one.start)
            for one, two in pairwise(spans)
            if one.stop == two.start
        )


@pytest.mark.parametrize("seed", range(40))
def test_many_answers_at_once_are_what_they_are_one_by_one(seed):
    chance = random.Random(seed)
    head = shared(chance)
    answers, offset = [], 0
    while offset < 60:
        stop = offset + chance.randrange(1, 8)
        change = chance.choice([h.nothing, h.back(7, 7), h.back(counted=False), h.dies(100, "rejected", "")])
        answers.append((chance.choice("ab"), Range(0, offset, stop), change))
        offset = stop - chance.randrange(3) if seed % 2 else stop + chance.randrange(3)
    chance.shuffle(answers)
    together, counts = h.answered(head, answers)
    single = []
    for answer in answers:
        head, (count,) = h.answered(head, [answer])
        single.append(count)
    assert (together, counts) == (head, single)


def test_a_dying_mark_whose_burier_is_late_is_taken_over_and_then_only_the_new_one_buries():
    head = h.claimed(fresh(), Range(0, 0, 1), "a", "", 100)
    head, _ = h.dying(head, "a", Range(0, 0, 1), 150, "rejected", "x" * 5000)
    assert len(head.rest.spans[0].error) == h.MAX_ERROR
    assert not list(h.overdue(head, 150))
    assert list(h.overdue(head, 151))
    head = h.taken_over(head, Range(0, 0, 1), "b", 300)
    assert h.buried(head, "a", Range(0, 0, 1)) == (head, 0)
    head, count = h.buried(head, "b", Range(0, 0, 1))
    assert (count, head.rest.spans) == (1, ())


@pytest.mark.parametrize(
    ("wanted", "attempts", "most", "allowed"),
    [(1000, 0, 3, 1000), (1000, 1, 3, 32), (1000, 2, 3, 1), (1000, 5, None, 1000), (10, 9, 3, 1), (1000, 1, 2, 1)],
)
def test_an_item_is_claimed_with_fewer_neighbours_each_time_and_at_last_alone(wanted, attempts, most, allowed):
    assert h.allowance(wanted, attempts, most) == allowed


def test_offsets_never_start_below_what_the_head_knows():
    head = h.claimed(fresh(), Range(0, 0, 7), "a", "", 100)
    assert head.floor == 7


def test_unknown_keys_are_kept_and_unknown_needs_refused():
    data = fresh().dump()
    more = data[:40] + data[40:].replace(b'"back":', b'"aaa":{"b":1},"back":')
    assert b'"aaa":{"b":1}' in Head.parse(more).dump()
    with pytest.raises(NewerFormat):
        Head.parse(data[:40] + data[40:].replace(b'"queue":', b'"needs":["readers"],"queue":'))
    with pytest.raises(NotAQueue):
        Head.parse(b"short")
    with pytest.raises(NotAQueue):
        Head.parse(data[:40] + b"{}")
