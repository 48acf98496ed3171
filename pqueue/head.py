"""The head: the document of consumption, as immutable values and as bytes.

What lies below `next` and in no span is acknowledged. So each item is exactly one of waiting (at or above `next`),
claimed, given back, dying, or acknowledged, and the head grows with the number of claims and not of items.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from json.encoder import encode_basestring_ascii as quoted
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple

from pqueue.errors import NotAQueue
from pqueue.names import canonical
from pqueue.roster import Roster
from pqueue.tail import parse_json

_BINARY = struct.Struct("<QQQQII")
_pack = _BINARY.pack
_new = object.__new__
_tuple = tuple.__new__  # a NamedTuple's own takes twice as long

CLAIMED, BACK, DYING = "claimed", "back", "dying"


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
    _lone: ClassVar[tuple[int, Sequence[Any], bytes, bytes]] = (-1, (), b"", b"")
    """The only claim that was encoded last: its ordinal, all of it but start and stop, and the JSON before and behind those."""

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
        span = self.spans[0]
        ordinal, start, stop = span[:3]
        known, same, before, behind = self._lone
        if ordinal != known or span[3:8] != same:  # another claim than was encoded last
            attempts, state, until, claim, owner = span[3:8]
            if state != CLAIMED:
                return None
            first, second, third, last = self._frame
            before = f"{first}[]{second}{{{quoted(claim)}:[{quoted(owner)},{until},[[{ordinal},".encode()
            behind = f",{attempts}]]]}}{third}[]{last}".encode()
            self.__dict__["_lone"] = ordinal, span[3:8], before, behind
        return stop - start, 0, b"%b%d,%d%b" % (before, start, stop, behind)

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
            spans.sort(key=attrgetter("start"))
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
