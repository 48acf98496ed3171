"""The head: the document of consumption. Immutable values; every transition is a pure function on them.

What lies below `next` and in no span is acknowledged. So each item is exactly one of waiting (at or above `next`),
claimed, given back, dying, or acknowledged, and the head grows with the number of claims and not of items.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, ClassVar, NamedTuple

from pqueue.abc import StoreTime
from pqueue.errors import NotAQueue
from pqueue.names import canonical
from pqueue.roster import Roster
from pqueue.tail import parse_json

_BINARY = struct.Struct("<QQQQII")
_pack = _BINARY.pack
_new = object.__new__
_tuple = tuple.__new__  # a NamedTuple's own takes twice as long

CLAIMED, BACK, DYING = "claimed", "back", "dying"

_COUNTABLE = 1 << 53
"""Items, above which a float does not tell neighbours apart; more than any queue holds."""

LAPSED = -1
"""`until` of what came back because its claim ended, or was given back, without a word of what became of it: somebody may
have died of it (rule 18)."""

MAX_ERROR = 1024
"""Bytes of an error's text kept in a dying mark (rule 17)."""


class Range(NamedTuple):
    """Offsets [start, stop) of one segment: ranges never cross one (rule 15)."""

    ordinal: int
    start: int
    stop: int


class Span(NamedTuple):
    """A range of items below `next` that are not acknowledged, all in the same state."""

    ordinal: int
    start: int
    stop: int
    attempts: int
    """How often they were claimed."""
    state: str
    until: int
    """Store's ms: the claim's deadline, when what was given back is ready, or the burier's deadline."""
    claim: str = ""
    owner: str = ""
    wall: int = 0
    """Wall-clock ms of `until` where it is a delay: what is left of it after a reboot (rule 30)."""
    reason: str = ""
    error: str = ""

    @property
    def size(self) -> int:
        """Items."""
        return self.stop - self.start

    @property
    def lapsed(self) -> bool:
        """Whether it came back without an answer."""
        return self.state == BACK and self.until < 0


_VARYING = ("back", "claims", "dying")
_OWN = frozenset(("back", "boot", "claims", "clients", "damaged", "dying", "format", "gone", "queue", "swept"))


@dataclass(frozen=True)
class Rest:
    """All of the head but `next`: unchanged by the commonest transition, and then encoded no second time."""

    queue: str
    spans: tuple[Span, ...] = ()
    """Ascending, disjoint."""
    clients: Roster = field(default_factory=Roster)
    """Who swapped lately, and the number of the last swap applied (rule 14)."""
    boot: str = ""
    """The boot of every time in here."""
    swept: int = 0
    """Segments of lower ordinals have been deleted."""
    damaged: tuple[int, ...] = ()
    """Segments that hold bytes nobody could read: never deleted."""
    gone: bool = False
    rest: Mapping[str, Any] = field(default_factory=dict)

    _said: ClassVar[tuple[int, int, bytes] | None] = None
    """What `said` has made; the object's own, once it has."""

    @property
    def counts(self) -> tuple[int, int]:
        """Items claimed or dying, and given back."""
        claimed = back = 0
        for span in self.spans:
            if span.state == BACK:
                back += span.stop - span.start
            else:
                claimed += span.stop - span.start
        return claimed, back

    def having(self, spans: tuple[Span, ...]) -> Rest:
        """With other spans: what `replace` makes, in a tenth of its time."""
        made = _new(Rest)
        fields = made.__dict__
        fields.update(self.__dict__)
        fields["spans"] = spans
        fields["_said"] = None
        return made

    @cached_property
    def _frame(self) -> Sequence[str]:
        """The JSON around the three keys that the commonest transitions change."""
        fixed = {
            **self.rest,
            "boot": self.boot,
            "clients": self.clients.dump(),
            "damaged": list(self.damaged),
            "format": 1,
            "gone": self.gone,
            "queue": self.queue,
            "swept": self.swept,
        }
        parts = ["{"]
        for key in sorted({*fixed, *_VARYING}):
            parts[-1] += f"{'' if parts == ['{'] else ','}{quoted(key)}:"
            if key in _VARYING:
                parts.append("")
            else:
                parts[-1] += canonical(fixed[key]).decode()
        parts[-1] += "}"
        return parts

    @property
    def said(self) -> tuple[int, int, bytes]:
        """The counts, and the JSON half of the document, canonical; made once."""
        # A cached_property takes a lock, and this is made anew for nearly every swap of a consumer with claims.
        made = self._said
        if made is None:
            made = self._alone() or (*self.counts, self._encoded())
            self.__dict__["_said"] = made
        return made

    def _alone(self) -> tuple[int, int, bytes] | None:
        """`said` where one range is claimed and nothing else, as of a consumer that works one by one."""
        if len(self.spans) != 1:
            return None
        ordinal, start, stop, attempts, state, until, claim, owner, *_ = self.spans[0]
        if state != CLAIMED:
            return None
        before, behind = self._around
        text = f"{before}{quoted(claim)}:[{quoted(owner)},{until},[[{ordinal},{start},{stop},{attempts}]]]{behind}"
        return stop - start, 0, text.encode()

    @cached_property
    def _around(self) -> tuple[str, str]:
        """The JSON before and behind the only claim."""
        first, second, third, last = self._frame
        return f"{first}[]{second}{{", f"}}{third}[]{last}"

    def _encoded(self) -> bytes:
        claims: dict[str, tuple[str, int, list[str]]] = {}
        back = []
        dying = []
        for ordinal, start, stop, attempts, state, until, claim, owner, wall, reason, error in self.spans:
            if state == CLAIMED:
                claims.setdefault(claim, (owner, until, []))[2].append(f"[{ordinal},{start},{stop},{attempts}]")
            elif state == BACK:
                back.append(f"[{ordinal},{start},{stop},{attempts},{until},{wall}]")
            else:
                dying.append([ordinal, start, stop, attempts, until, claim, reason, error])
        lent = [
            f"{quoted(claim)}:[{quoted(owner)},{until},[{','.join(ranges)}]]"
            for claim, (owner, until, ranges) in (sorted(claims.items()) if len(claims) > 1 else claims.items())
        ]
        first, second, third, last = self._frame
        ends = canonical(dying).decode() if dying else "[]"
        return f"{first}[{','.join(back)}]{second}{{{','.join(lent)}}}{third}{ends}{last}".encode()


class Head(NamedTuple):
    """How far consumption has got."""

    ordinal: int
    """Of the segment that holds `offset`, or of the next one to be listed."""
    offset: int
    """`next`: the lowest offset never handed out."""
    rest: Rest

    @property
    def lowest(self) -> tuple[int, int]:
        """Ordinal and offset of the lowest item not acknowledged."""
        spans = self.rest.spans
        return (spans[0].ordinal, spans[0].start) if spans else (self.ordinal, self.offset)

    @property
    def floor(self) -> int:
        """No new item may get an offset below this (rule 26)."""
        return max([self.offset, *(span.stop for span in self.rest.spans)])

    def dump(self) -> bytes:
        """The document: 40 binary bytes, then JSON."""
        ordinal, offset, rest = self
        claimed, back, text = rest._said or rest.said  # noqa: SLF001  # its own module
        spans = rest.spans
        first, start = spans[0][:2] if spans else (ordinal, offset)
        return _pack(ordinal, offset, first, start, claimed, back) + text

    @classmethod
    def parse(cls, data: bytes, known: Rest | None = None) -> Head:
        """The head of a document; `known`, an earlier one's half, is used again as far as it is the same.

        Raises:
            NotAQueue, NewerFormat: see `parse_json`.
        """
        if len(data) < _BINARY.size:
            raise NotAQueue("the document `head.default` is there but is not a queue's")
        ordinal, offset, _, _, claimed, back = _BINARY.unpack_from(data)
        text = data[_BINARY.size :]
        if known is not None and known._said is not None and known._said[2] == text:  # noqa: SLF001  # its own module
            return cls(ordinal, offset, known)
        value = parse_json(text, "the document `head.default`")
        try:
            spans = [
                Span(ordinal, start, stop, attempts, CLAIMED, until, claim, owner)
                for claim, (owner, until, ranges) in value["claims"].items()
                for ordinal, start, stop, attempts in ranges
            ]
            spans += [
                Span(ordinal, start, stop, attempts, BACK, until, wall=wall)
                for ordinal, start, stop, attempts, until, wall in value["back"]
            ]
            spans += [
                Span(ordinal, start, stop, attempts, DYING, until, claim, reason=reason, error=error)
                for ordinal, start, stop, attempts, until, claim, reason, error in value["dying"]
            ]
            spans.sort(key=_start)
            rest = Rest(
                queue=value["queue"],
                spans=tuple(spans),
                clients=Roster.parse(value["clients"]),
                boot=value["boot"],
                swept=value["swept"],
                damaged=tuple(value["damaged"]),
                gone=value["gone"],
                rest={key: value[key] for key in value.keys() - _OWN},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise NotAQueue(f"the document `head.default` is there but is not a queue's ({error!r})") from error
        if known is not None and known.having(rest.spans) == rest:
            rest = known.having(rest.spans)  # which knows how most of it is encoded
        rest.__dict__["_said"] = (claimed, back, text)
        return cls(ordinal, offset, rest)


def tally(data: bytes) -> tuple[int, int]:
    """Of a document: `next`, and how many items below it are not acknowledged."""
    _, offset, _, _, claimed, back = _BINARY.unpack_from(data)
    return offset, claimed + back


def _start(span: Span) -> int:
    return span.start


def _stop(span: Span) -> int:
    return span.stop


def _with(head: Head, spans: Iterable[Span]) -> Head:
    """With these spans, neighbours alike in everything made one."""
    return Head(head.ordinal, head.offset, head.rest.having(tuple(_merged(sorted(spans, key=_start)))))


def _spliced(head: Head, low: int, high: int, made: Iterable[Span]) -> Head:
    """With these in place of what is from `low` to `high`, neighbours alike in everything made one."""
    spans = head.rest.spans
    before = max(0, low - 1)
    near = _merged([*spans[before:low], *made, *spans[high : high + 1]])
    return head._replace(rest=head.rest.having((*spans[:before], *near, *spans[high + 1 :])))


def _added(head: Head, span: Span) -> Head:
    at = bisect_right(head.rest.spans, span.start, key=_start)
    return _spliced(head, at, at, [span])


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in spans:
        if merged:
            last = merged[-1]
            if (
                last.stop == span.start
                and last[3:8] == span[3:8]
                and last.ordinal == span.ordinal
                and last[9:] == span[9:]
            ):
                merged[-1] = last._replace(stop=span.stop, wall=max(last.wall, span.wall))
                continue
        merged.append(span)
    return merged


Change = Callable[[Span], Span | None]
"""What becomes of a part of a span; None: it is acknowledged."""


def _edit(head: Head, where: Range, change: Change, matches: Callable[[Span], bool]) -> tuple[Head, int]:
    """Change the parts of matching spans inside a range; also how many items that were."""
    new, (count,) = _edited(head, [(where, change, matches)])
    return new, count


def _edited(head: Head, edits: Sequence[tuple[Range, Change, Callable[[Span], bool]]]) -> tuple[Head, list[int]]:
    """As `_edit`, for many ranges in ascending order, in one pass.

    Only what they touch is looked at, and its neighbours: there may be thousands of both.
    """
    spans = head.rest.spans
    low = high = bisect_right(spans, edits[0][0].start, key=_stop)
    made: list[Span] = []
    counts = [0] * len(edits)
    first = 0
    while high < len(spans) and spans[high].start < edits[-1][0].stop:
        span = spans[high]
        high += 1
        while edits[first][0].stop <= span.start:
            first += 1
        at = span.start
        for index in range(first, len(edits)):
            where, change, matches = edits[index]
            if where.start >= span.stop:
                break
            start, stop = max(at, where.start), min(span.stop, where.stop)
            if start >= stop or not matches(span):
                continue
            if at < start:
                made.append(span._replace(start=at, stop=start))
            new = change(span._replace(start=start, stop=stop))
            if new is not None:
                made.append(new)
            counts[index] += stop - start
            at = stop
        if at == span.start:
            made.append(span)
        elif at < span.stop:
            made.append(span._replace(start=at))
    return (_spliced(head, low, high, made) if any(counts) else head), counts


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
    return _with(head, spans) if spans else head


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
    return _with(head, made)


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
            head, counts[index] = _edit(head, where, change, _of(claim))
    elif answers:
        edits = [(where, change, _of(claim)) for claim, where, change in (answers[index] for index in order)]
        head, made = _edited(head, edits)
        for index, count in zip(order, made, strict=True):
            counts[index] = count
    return head, counts


def without(spans: tuple[Span, ...], claim: str, where: Range, now_ms: int) -> tuple[Span, ...] | None:
    """What `answered` makes of an acknowledgement where the range is one claim's that holds; None where it is more than that."""
    for index, span in enumerate(spans):
        if span.stop > where.start:
            if span.claim != claim or span.state != CLAIMED or span.until < now_ms:
                return None
            _, start, stop = where
            if start < span.start or stop > span.stop:
                return None
            if start == span.start and stop == span.stop:
                return spans[:index] + spans[index + 1 :]
            left: tuple[Span, ...] = () if start == span.start else (span._replace(stop=start),)
            if stop < span.stop:
                left += (_tuple(Span, (span[0], stop, *span[2:])),)
            return spans[:index] + left + spans[index + 1 :]
    return None


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
    return (_with(head, spans) if moved else head), list(held.values())


def ready(head: Head, now_ms: int) -> Iterator[Span]:
    """What was given back and is ready, lowest offset first (rule 15)."""
    return (span for span in head.rest.spans if span.state == BACK and span.until <= now_ms)


def claimed(head: Head, where: Range, claim: str, owner: str, until: int) -> Head:
    """With a ready range, or one that starts at `next`, lent to a claim; its attempt counts from here (rule 18)."""
    if where.stop > head.offset:
        new = Span(where.ordinal, where.start, where.stop, 1, CLAIMED, until, claim, owner)
        return _added(passed(head, where), new)

    def change(span: Span) -> Span:
        return span._replace(attempts=span.attempts + 1, state=CLAIMED, until=until, claim=claim, owner=owner, wall=0)

    return _edit(head, where, change, lambda span: span.state == BACK)[0]


def taken(head: Head, where: Range) -> Head:
    """With a ready range, or one that starts at `next`, claimed and acknowledged at once: what `get` does (rule 19)."""
    if where.stop > head.offset:
        return passed(head, where)
    return _edit(head, where, lambda _: None, lambda span: span.state == BACK)[0]


def restored(head: Head, where: Range, attempts: int) -> tuple[Head, int]:
    """With a range given back that `taken` had acknowledged and nobody was handed; none where its segment is freed."""
    if where.ordinal < head.lowest[0]:
        return head, 0
    back = Span(*where, attempts, BACK, 0)
    return _added(head, back), back.size


def cleared(head: Head, ordinal: int, offset: int) -> tuple[Head, int]:
    """With all that nobody has claimed, up to the log's end at this place, acknowledged; how many items that were."""
    back = sum(span.size for span in head.rest.spans if span.state == BACK)
    if not back and offset <= head.offset:
        return head, 0
    kept = _with(head, [span for span in head.rest.spans if span.state != BACK]) if back else head
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
    return _edit(head, where, dies(until, reason, error), _of(claim))


def condemned(head: Head, where: Range, claim: str, until: int, reason: str, error: str) -> tuple[Head, int]:
    """With what was given back of a range marked as on its way to the dead letters, its attempts being used up."""

    def change(span: Span) -> Span:
        return span._replace(state=DYING, until=until, claim=claim, owner="", wall=0, reason=reason, error=error)

    return _edit(head, where, change, lambda span: span.state == BACK)


def overdue(head: Head, now_ms: int) -> Iterator[Span]:
    """Dying marks whose burier is late: whoever finds one does the rest again (rule 17)."""
    return (span for span in head.rest.spans if span.state == DYING and now_ms > span.until)


def taken_over(head: Head, where: Range, claim: str, until: int) -> Head:
    """With an overdue mark given to a new burier."""
    return _edit(head, where, lambda span: span._replace(claim=claim, until=until), lambda span: span.state == DYING)[0]


def buried(head: Head, claim: str, where: Range) -> tuple[Head, int]:
    """With a dying range acknowledged, its dead letters being written."""
    return _edit(head, where, lambda _: None, lambda span: span.state == DYING and span.claim == claim)


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
