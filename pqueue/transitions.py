"""The transitions of consumption, as pure functions on a head: claim, acknowledge, give back, extend, expire, bury."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from pqueue.abc import StoreTime
from pqueue.head import BACK, CLAIMED, DYING, Head, Range, Span
from pqueue.spans import Change, added, edit, edited, having

_COUNTABLE = 1 << 53
"""Items, above which a float does not tell neighbours apart; more than any queue holds."""

LAPSED = -1
"""`until` of what came back because its claim ended, or was given back, without a word of what became of it: somebody may
have died of it (rule 18)."""

MAX_ERROR = 1024
"""Bytes of an error's text kept in a dying mark (rule 17)."""


def rounded(now_ms: int, delay_ms: int) -> int:
    """`now + delay`, rounded up to a tenth of the delay, so that neighbours given back together are one range."""
    step = max(1, delay_ms // 10)
    return -(-(now_ms + delay_ms) // step) * step


def rebooted(head: Head, now: StoreTime, wall_ms: int) -> Head:
    """Under the clock of `now`: another boot's claims are long past, its delays fall back to the wall clock (rule 30)."""
    rest = head.rest
    if rest.boot == now.boot:
        return head
    spans = []
    for span in rest.spans:
        until = -1 if span.state != BACK else now.ms + max(0, span.wall - wall_ms) if span.wall else min(0, span.until)
        spans.append(span._replace(until=until, owner=""))
    head = head._replace(rest=replace(rest, boot=now.boot, clients=rest.clients.aged()))
    return having(head, spans) if spans else head


def expired(
    head: Head,
    now_ms: int,
    alive: Callable[[str], bool] | None,
    unseen: Collection[str] = (),
    most: int | None = None,
) -> Head:
    """With claims given back whose deadline has passed, or whose owner is known to be dead (rule 16).

    Each owner is asked for once: that is a call of the system. `unseen`: claims that their holder gives back in this
    very swap, since nobody was handed what they hold: late or not, that is no attempt. `most`: so many ranges may lie
    there lapsed then, the lowest first; None: any number.
    """
    owners = {span.owner for span in head.rest.spans if span.state == CLAIMED and span.owner} if alive else ()
    dead = {owner for owner in owners if alive is not None and not alive(owner)}

    def lost(span: Span) -> bool:
        late = span.state == CLAIMED and (now_ms > span.until or span.owner in dead)
        return late and span.claim not in unseen

    spans = head.rest.spans
    late = [index for index, span in enumerate(spans) if lost(span)]
    if most is not None:
        del late[max(0, most - sum(span.lapsed for span in spans)) :]
    if not late:
        return head
    made = [*spans]
    for index in late:
        made[index] = _back(spans[index], LAPSED, 0)
    return having(head, made)


def _back(span: Span, until: int, wall: int) -> Span:
    return Span(span.ordinal, span.start, span.stop, span.attempts, BACK, until, wall=wall)


def nothing(_: Span) -> None:
    """A change: acknowledged."""


def back(until: int = 0, wall: int = 0, *, counted: bool = True) -> Change:
    """A change: ready again at `until`; uncounted, its attempt did not happen (rule 18)."""

    def change(span: Span) -> Span:
        if counted:
            return _back(span, until, wall)
        # It may have been lapsed before this claim, which is not known any more: it is again, to be careful.
        return _back(span._replace(attempts=span.attempts - 1), until or LAPSED, wall)

    return change


def dies(until: int, reason: str, error: str) -> Change:
    """A change: marked as on its way to the dead letters (rule 17)."""
    text = error.encode(errors="backslashreplace")[:MAX_ERROR].decode(errors="ignore")
    return lambda span: span._replace(state=DYING, until=until, owner="", reason=reason, error=text)


def _of(claim: str) -> Callable[[Span], bool]:
    return lambda span: span.state == CLAIMED and span.claim == claim


def answered(head: Head, answers: Sequence[tuple[str, Range, Change]]) -> tuple[Head, list[int]]:
    """With what each claim still holds of its range changed; for each, how many items that were (rule 14)."""
    order = sorted(range(len(answers)), key=lambda index: answers[index][1].start)
    counts = [0] * len(answers)
    if any(answers[two][1].start < answers[one][1].stop for one, two in pairwise(order)):
        for index, (claim, where, change) in enumerate(answers):  # the same items twice: one after the other
            head, counts[index] = edit(head, where, change, _of(claim))
    elif answers:
        edits = [(where, change, _of(claim)) for claim, where, change in (answers[index] for index in order)]
        head, made = edited(head, edits)
        for index, count in zip(order, made, strict=True):
            counts[index] = count
    return head, counts


def extended(head: Head, claims: Iterable[str], until: int) -> tuple[Head, list[int]]:
    """With these claims' deadlines moved on, never back; for each, how many items it still holds."""
    held = dict.fromkeys(claims, 0)
    spans = []
    moved = False
    for span in head.rest.spans:
        if span.state == CLAIMED and span.claim in held:
            held[span.claim] += span.size
            if span.until < until:
                moved = True
                span = span._replace(until=until)  # noqa: PLW2901  # the same one, later
        spans.append(span)
    return (having(head, spans) if moved else head), list(held.values())


def ready(head: Head, now_ms: int) -> Iterator[Span]:
    """What was given back and is ready, lowest offset first (rule 15)."""
    return (span for span in head.rest.spans if span.state == BACK and span.until <= now_ms)


def claimed(head: Head, where: Range, claim: str, owner: str, until: int) -> Head:
    """With a ready range, or one that starts at `next`, or both, lent to a claim; its attempt counts from here (rule 18)."""
    if where.start < head.offset < where.stop:
        head = claimed(head, where._replace(stop=head.offset), claim, owner, until)
        where = where._replace(start=head.offset)
    if where.stop > head.offset:
        new = Span(where.ordinal, where.start, where.stop, 1, CLAIMED, until, claim, owner)
        return added(passed(head, where), new)

    def change(span: Span) -> Span:
        return span._replace(attempts=span.attempts + 1, state=CLAIMED, until=until, claim=claim, owner=owner, wall=0)

    return edit(head, where, change, lambda span: span.state == BACK)[0]


def taken(head: Head, where: Range) -> Head:
    """With a ready range, or one that starts at `next`, claimed and acknowledged at once: what `get` does (rule 19)."""
    if where.stop > head.offset:
        return passed(head, where)
    return edit(head, where, lambda _: None, lambda span: span.state == BACK)[0]


def restored(head: Head, where: Range, attempts: int) -> tuple[Head, int]:
    """With a range given back that `taken` had acknowledged and nobody was handed; none where its segment is freed."""
    if where.ordinal < head.lowest[0]:
        return head, 0
    back = Span(*where, attempts, BACK, 0)
    return added(head, back), back.size


def cleared(head: Head, ordinal: int, offset: int) -> tuple[Head, int]:
    """With all that nobody has claimed, up to the log's end at this place, acknowledged; how many items that were."""
    back = sum(span.size for span in head.rest.spans if span.state == BACK)
    if not back and offset <= head.offset:
        return head, 0
    kept = having(head, [span for span in head.rest.spans if span.state != BACK]) if back else head
    count = back + max(0, offset - head.offset)
    return (kept._replace(ordinal=ordinal, offset=offset) if offset > head.offset else kept), count


def passed(head: Head, where: Range) -> Head:
    """With `next` moved behind a range that starts there, or behind a gap that a power cut left before it."""
    assert where.start >= head.offset, "a range at `next` starts at `next`"
    return head._replace(ordinal=where.ordinal, offset=where.stop)


def stepped(head: Head, ordinal: int, offset: int) -> Head:
    """With `next` at the start of a later segment, everything before it having been handed out."""
    return head._replace(ordinal=ordinal, offset=max(offset, head.offset))


def dying(head: Head, claim: str, where: Range, until: int, reason: str, error: str) -> tuple[Head, int]:
    """With what this claim holds of a range marked as on its way to the dead letters (rule 17)."""
    return edit(head, where, dies(until, reason, error), _of(claim))


def condemned(head: Head, where: Range, claim: str, until: int, reason: str, error: str) -> tuple[Head, int]:
    """With what was given back of a range marked as on its way to the dead letters, its attempts being used up."""

    def change(span: Span) -> Span:
        return span._replace(state=DYING, until=until, claim=claim, owner="", wall=0, reason=reason, error=error)

    return edit(head, where, change, lambda span: span.state == BACK)


def overdue(head: Head, now_ms: int) -> Iterator[Span]:
    """Dying marks whose burier is late: whoever finds one does the rest again (rule 17)."""
    return (span for span in head.rest.spans if span.state == DYING and now_ms > span.until)


def taken_over(head: Head, where: Range, claim: str, until: int) -> Head:
    """With an overdue mark given to a new burier."""
    return edit(head, where, lambda span: span._replace(claim=claim, until=until), lambda span: span.state == DYING)[0]


def buried(head: Head, claim: str, where: Range) -> tuple[Head, int]:
    """With a dying range acknowledged, its dead letters being written."""
    return edit(head, where, lambda _: None, lambda span: span.state == DYING and span.claim == claim)


def held(head: Head, claim: str) -> list[Span]:
    """What a claim still holds."""
    return [span for span in head.rest.spans if span.state == CLAIMED and span.claim == claim]


def allowance(wanted: int, attempts: int, max_attempts: int | None) -> int:
    """How many items that were claimed `attempts` times one claim may take (rule 18).

    n^(1 - attempts / (max_attempts - 1)): 1000, 32, 1 for three attempts; so a poisonous item buries itself alone.
    """
    if max_attempts is None:
        return wanted
    if attempts >= max_attempts - 1:
        return 1
    return max(1, int(round(min(wanted, _COUNTABLE) ** (1 - attempts / (max_attempts - 1)))))
