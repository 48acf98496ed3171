"""Holding claims, retry delays, dead letters as bytes, and the head's short ways against its long ones."""

import json
import logging

import pytest

from pqueue import head as h
from pqueue.errors import NotAQueue, StoreError
from pqueue.head import BACK, DYING, Head, Range, Rest, Span
from pqueue.leases import Tab
from pqueue.letters import parsed, written
from pqueue.names import canonical
from pqueue.request import Answer
from pqueue.retry import Retry, RetryDelay
from pqueue.runtime import REAL

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
    spans = h.without(head.rest.spans, "a", Range(0, *where), 50)
    assert spans == h.acknowledged(head, "a", Range(0, *where))[0].rest.spans


@pytest.mark.parametrize(("claim", "where", "now"), [("b", (0, 1), 0), ("a", (0, 1), 101), ("a", (8, 11), 0)])
def test_the_short_way_is_for_what_one_claim_holds(claim, where, now):
    assert h.without(claimed((0, 10)).rest.spans, claim, Range(0, *where), now) is None


def test_what_used_up_its_attempts_is_marked_as_it_is():
    head, _ = h.given_back(claimed((0, 2)), "a", Range(0, 0, 2))
    head, count = h.condemned(head, Range(0, 0, 1), "b", 200, "attempts", "why")
    first, second = head.rest.spans
    assert (count, first.state, first.attempts, first.error, second.state) == (1, DYING, 1, "why", BACK)


class Asked:
    """Leases that fail when they are told to."""

    def __init__(self):
        self.fails = True
        self.asked = []

    def ask(self, answers, **_):
        self.asked.append(list(answers))
        if self.fails:
            raise StoreError("no answer")
        return [answer.where.stop - answer.where.start - 1 for answer in answers], None


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
