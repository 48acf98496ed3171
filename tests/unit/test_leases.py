"""Holding claims, retry delays, dead letters as bytes, and the head's short ways against its long ones."""

import json
import logging
import threading

import pytest

from pqueue import transitions as h
from pqueue.abc import StoreTime
from pqueue.errors import NotAQueue, StoreError
from pqueue.head import BACK, DYING, Head, Range, Rest, Span
from pqueue.leases import Leases
from pqueue.letters import parsed, written
from pqueue.names import canonical
from pqueue.prefetched import Prefetched, Turn
from pqueue.request import Answer, ClaimIds, Lot, Outcome
from pqueue.retry import Retry, RetryDelay
from pqueue.runtime import REAL, Runtime
from pqueue.spans import without
from pqueue.tab import Tab
from pqueue.underway import Underway
from tests.support.heads import acknowledged, given_back

QUEUE = "00" * 8


def claimed(*ranges, claim="a", owner="", until=100):
    head = Head(0, 0, Rest(QUEUE))
    for start, stop in ranges:
        head = h.claimed(head, Range(0, start, stop), claim, owner, until)
    return head


def test_the_json_made_by_hand_is_canonical():
    spans = (
        Span(0, 1, 2, 1, "claimed", 5, "b", 'o"é'),
        Span(0, 3, 4, 1, "claimed", 5, "a", ""),
        Span(0, 5, 6, 2, BACK, 5, wall=7),
        Span(0, 7, 8, 1, DYING, 5, "x", reason="rejected", error="é\n"),
    )
    head = Head(0, 9, Rest(QUEUE, spans=spans, rest={"aaa": {"b": 1}, "cz": 2, "zz": [1]}))
    text = head.dump()[40:]
    assert canonical(json.loads(text)) == text
    assert Head.parse(head.dump()) == head


def test_each_owner_is_asked_for_once():
    head = Head(0, 0, Rest(QUEUE))
    for number in range(50):
        head = h.claimed(head, Range(0, number, number + 1), f"{number}", f"owner {number % 3}", 100)
    asked = []

    def alive(owner):
        asked.append(owner)
        return owner != "owner 1"

    assert h.expired(head, 50, alive).rest.counts == (33, 17)
    assert sorted(asked) == ["owner 0", "owner 1", "owner 2"]


@pytest.mark.parametrize("where", [(0, 10), (0, 3), (3, 7), (7, 10)])
def test_the_short_way_acknowledges_as_the_long_one_does(where):
    head = claimed((0, 10))
    spans = without(head.rest.spans, "a", Range(0, *where), 50)
    assert spans == acknowledged(head, "a", Range(0, *where))[0].rest.spans


@pytest.mark.parametrize(("claim", "where", "now"), [("b", (0, 1), 0), ("a", (0, 1), 101), ("a", (8, 11), 0)])
def test_the_short_way_is_for_what_one_claim_holds(claim, where, now):
    assert without(claimed((0, 10)).rest.spans, claim, Range(0, *where), now) is None


def test_what_used_up_its_attempts_is_marked_as_it_is():
    head, _ = given_back(claimed((0, 2)), "a", Range(0, 0, 2))
    head, count = h.condemned(head, Range(0, 0, 1), "b", 200, "attempts", "why")
    first, second = head.rest.spans
    assert (count, first.state, first.attempts, first.error, second.state) == (1, DYING, 1, "why", BACK)


class Asked:
    """Leases that fail when they are told to."""

    def __init__(self):
        self.fails = True
        self.asked = []

    def ask(self, answers):
        self.asked.append(list(answers))
        if self.fails:
            raise StoreError("no answer")
        return [answer.where.stop - answer.where.start - 1 for answer in answers]

    def carry(self, request):
        return Outcome(settled=self.ask(request.answers))


def test_answers_are_kept_as_they_were_until_it_is_known_that_they_went_out(caplog):
    leases = Asked()
    tab = Tab(REAL, leases)
    tab.add(Answer("a", Range(0, 0, 1)))
    tab.add(Answer("a", Range(0, 1, 2)))
    with pytest.raises(StoreError):
        tab.send()
    tab.add(Answer("a", Range(0, 2, 3)))
    tab.add(Answer("a", Range(0, 3, 4)))
    assert tab.acknowledged == 4
    leases.fails = False
    with caplog.at_level(logging.WARNING, "pqueue"):
        tab.send()
    assert leases.asked == [
        [Answer("a", Range(0, 0, 2))],
        [Answer("a", Range(0, 0, 2)), Answer("a", Range(0, 2, 4))],
    ]
    assert "2 items were acknowledged after the lease" in caplog.text
    assert not tab


def test_neighbours_that_are_retried_together_wait_equally_long():
    retry = Retry(REAL, RetryDelay(first=100, jitter=0.5))
    assert len({retry.ms(1) for _ in range(100)}) == 1
    assert 50_000 <= retry.ms(1) <= 150_000


def test_a_letter_is_the_same_bytes_whoever_writes_it():
    span = Span(3, 7, 8, 2, DYING, 100, "me", reason="rejected", error="é")
    data = written(span, QUEUE, b"\x00\xff")
    assert data == written(span._replace(claim="another", until=5), QUEUE, b"\x00\xff")
    letter = parsed(data, "dead/7")
    assert (letter.offset, letter.reason, letter.attempts, letter.error, letter.record) == (
        7,
        "rejected",
        2,
        "é",
        b"\x00\xff",
    )
    with pytest.raises(NotAQueue):
        parsed(b'{"format":1}', "dead/7")


def test_what_came_back_without_an_answer_is_told_apart_also_after_an_uncounted_claim_and_a_reboot():
    head = h.expired(claimed((0, 3)), 101, None)
    assert [span.lapsed for span in head.rest.spans] == [True]
    again = h.claimed(head, Range(0, 0, 3), "b", "", 200)
    back, _ = given_back(again, "b", Range(0, 0, 1), counted=False)
    back, _ = given_back(back, "b", Range(0, 1, 2))
    assert [(span.attempts, span.lapsed) for span in back.rest.spans] == [(1, True), (2, False), (2, False)]
    rebooted = h.rebooted(back, StoreTime("another", 5), 0)
    assert [span.lapsed for span in rebooted.rest.spans] == [True, False, False]
    assert h.expired(rebooted, 5, None).rest.spans[2].lapsed, "what was claimed in another boot"


def test_an_object_knows_its_own_claims_whatever_threads_draw_them():
    for _ in range(100):
        ids, barrier, drawn = ClaimIds(REAL), threading.Barrier(4), []

        def draw(ids=ids, barrier=barrier, drawn=drawn):
            barrier.wait()
            drawn.append(ids.draw())

        crew = [threading.Thread(target=draw) for _ in range(4)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        assert len(set(drawn)) == 4
        assert all(map(ids.drew, drawn))
        assert not ClaimIds(REAL).drew(drawn[0])


class _Slow:
    """Of a swap that takes some seconds."""

    draw_claim = staticmethod(lambda: "claim")
    wait = staticmethod(lambda lease_ms: None)
    underway = Underway(REAL)

    def __init__(self):
        self.runtime, self.seconds, self.leases = Runtime(), 0.0, []
        self.now = 0.0
        self.runtime.monotonic = lambda: self.now

    def ask(self, request):
        self.leases.append(request.lease_ms)
        deadline = self.now + 0.9 * request.lease_ms / 1000
        self.now += self.seconds
        return Outcome([Lot(Range(0, 0, 1), ("a",))], deadline)


def test_a_lease_is_lengthened_by_what_a_swap_took_and_not_for_ever():
    slow = _Slow()
    leases = Leases(slow.runtime, slow)
    for slow.seconds in (2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 3600.0, 0.0):
        loan = lent(leases, 1000, renews=False)
        assert loan.asked_ms == 1000
        slow.now += 500  # the caller's own doing
    assert slow.leases == [1000, 8001, 4000, 2000, 1000, 1000, 1000, 60_000]
    leases.close()


def lent(leases, lease_ms, **how):
    into = []
    leases.borrow(1, lease_ms, into, **how)
    (loan,) = into
    return loan


class _Held:
    """Of claims that hold one item each."""

    owes = False
    wait = staticmethod(lambda lease_ms: None)
    underway = Underway(REAL)

    def __init__(self):
        self.ids, self.asked = iter("abcdefgh"), []
        self.runtime, self.now = Runtime(), 0.0
        self.runtime.monotonic = lambda: self.now

    def draw_claim(self):
        return next(self.ids)

    def settle(self):
        pass

    def ask(self, request):
        if request.extend:
            self.asked.append((list(request.extend), request.lease_ms))
        lots = [Lot(Range(0, 0, 1), ("item",))] if request.lend else []
        return Outcome(lots, self.now + 0.9 * request.lease_ms / 1000, [1 for _ in request.extend])


def test_claims_of_one_lease_are_renewed_together_and_each_for_its_own():
    held = _Held()
    leases = Leases(held.runtime, held)
    short, long, other = (lent(leases, lease) for lease in (10_000, 60_000, 10_000))
    held.now = 30.0
    leases.keeper.attend()
    assert held.asked == [(["a", "c"], 10_000), (["b"], 60_000)]
    assert (short.deadline, other.deadline, long.deadline) == (39, 39, 84)
    leases.close()


def test_a_claim_that_is_extended_for_less_than_its_lease_is_renewed_all_the_same():
    held = _Held()
    leases = Leases(held.runtime, held)
    loan = lent(leases, 6000)
    for held.now in (0.9, 1.8, 2.7):
        assert leases.extend(loan, 1000)
    leases.keeper.attend()
    assert held.asked[-1] == (["a"], 6000)
    assert loan.deadline == pytest.approx(2.7 + 5.4)
    leases.close()


def test_a_claim_is_for_the_calls_of_those_that_ask_now():
    ids = iter(range(1000))
    runtime = Runtime()
    now = [0.0]
    runtime.monotonic, runtime.ident = (lambda: now[0]), (lambda: next(ids))
    prefetched = Prefetched(runtime)
    for _ in range(100):
        prefetched.pop(1, 1000, renews=True, now=now[0])
    now[0] = 60.0
    for _ in range(3):
        prefetched.pop(1, 1000, renews=True, now=now[0])
    first, second, third = Turn(), Turn(), Turn()
    assert prefetched.begin(first)
    assert first.calls == 3
    assert not prefetched.begin(second), "another's is under way"
    first.over = True
    assert prefetched.begin(second)
    assert second.calls == 1
    assert not prefetched.turn(third, alone=False)
    prefetched.nothing(second)
    second.over = True
    assert prefetched.turn(third, alone=False)
    assert third.begun, "a look that was begun before the call tells nothing of it"


@pytest.mark.parametrize("over", [False, True])
def test_of_a_claim_that_was_over_all_is_to_be_held_since_a_part_may_have_been_lent_later(over):
    held = _Held()
    ask = held.ask

    def two(request):
        outcome = ask(request)
        outcome.lots = [lot._replace(where=Range(0, 0, 2), items=("a", "b")) for lot in outcome.lots]
        return outcome

    held.ask = two
    leases = Leases(held.runtime, held)
    loan = lent(leases, 10_000)
    held.now = 9.5 if over else 8.5
    leases.keeper.attend()
    assert held.asked == [(["a"], 10_000)]
    assert loan.deadline == (float("-inf") if over else 17.5)
    leases.close()


def test_what_was_lent_unheard_long_ago_is_renewed_at_once():
    held = _Held()
    ask = held.ask

    def earlier(request):
        outcome = ask(request)
        outcome.deadline -= 4 * bool(request.lend)
        return outcome

    held.ask = earlier
    leases = Leases(held.runtime, held)
    loan = lent(leases, 10_000)
    leases.keeper.attend()
    assert held.asked == [(["a"], 10_000)]
    assert loan.deadline == 9
    leases.close()
