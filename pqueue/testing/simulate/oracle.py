"""The oracle: records of its own of what was put, handed out and told, and of every version of the documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from pqueue.testing.simulate import parse
from pqueue.testing.simulate.conditions import PAGE
from pqueue.testing.simulate.parse import Consumed, Listed, State
from pqueue.testing.simulate.world import Fiber

OK, PLAIN, UNKNOWN, OPEN, BUFFERED = "returned", "raised plainly", "outcome unknown", "never ended", "buffered"


@dataclass(eq=False, slots=True)
class Put:
    """A put of some items, all or none."""

    who: str
    thread: str
    items: list[str]
    began: int
    ended: int = 1 << 60
    outcome: str = OPEN
    twice: bool = False
    """Whether the client may have flushed it twice, its first flush having been interrupted."""


class Given(NamedTuple):
    """An item that was handed out."""

    item: str
    who: str
    how: str
    """`take`, `lend` or `ahead`."""
    claim: str
    head: Consumed | None
    now_ms: int


class Acked(NamedTuple):
    """Who acknowledged an offset, out of which state."""

    who: str
    state: str
    claim: str


class Swap(NamedTuple):
    """A swap of the head by a client that numbers them."""

    who: str
    ident: str
    number: int


@dataclass(eq=False, slots=True)
class Take:
    """A `get` for some items that acknowledges before it returns."""

    who: str
    items: int
    outcome: str = OPEN


class Told(NamedTuple):
    """What an acknowledgement was told."""

    who: str
    claim: str
    start: int
    stop: int
    settled: int


@dataclass(eq=False)
class Oracle:
    """The whole history."""

    alive: Callable[[str], bool] = lambda _: False
    clocks: bool = False
    """Whether clocks were tampered with: then leases may be misjudged, as H12 allows."""
    calm: bool = False
    """Whether nothing goes wrong: then nothing is left behind either."""
    max_attempts: int | None = None
    buffered: bool = False
    """Whether puts of several items may be flushed in parts."""
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.puts: list[Put] = []
        self.takes: list[Take] = []
        self.given: list[Given] = []
        self.told: list[Told] = []
        self.acked: dict[int, Acked] = {}
        self.swaps: dict[int, Swap | None] = {}
        """By offset, of what was acknowledged: the swap that did it; None where swaps are not numbered."""
        self.silenced: set[Swap] = set()
        """Swaps whose client was dropped by others before it could learn that they are in place."""
        self._heard: set[Swap] = set()
        """Swaps whose client was told, or has loaded a head since, that they are in place."""
        self.grants: dict[tuple[int, str], str] = {}
        self.attempts: Counter[int] = Counter()
        """How often each offset was claimed."""
        self.rejected: set[str] = set()
        """Items that somebody wanted to be dead letters."""
        self.buried: set[str] = set()
        """Items that somebody was told are dead letters."""
        self.poison: set[str] = set()
        self.uneven: set[str] = set()
        """Items that only some clients can read."""
        self.log: list[Listed] = []
        self.queue = ""
        self.head: Consumed | None = None
        self.archive: dict[str, bytearray] = {}
        self.letters: dict[str, bytes] = {}
        self.evictions: set[str] = set()
        self.stolen: list[tuple[int, str, str]] = []
        """Claims that were taken away before their time: offset, claim, by whom."""
        self.gone: set[str] = set()
        self.restored: list[tuple[int, str, int]] = []
        """What was taken and given back unseen: the offset, by whom, after how many hand-outs of all."""
        self.tried: list[tuple[int, str, str]] = []
        """Claims that their own gave back as an attempt, before their time: offset, claim, by whom."""
        self.again: Counter[str] = Counter()
        """Items taken and never handed out that were put again when a client was closed: how often that was tried."""
        self.due = 0
        """Segments of lower ordinals ought to be deleted at the end."""
        self._tick = 0
        self.dead: set[str] = set()

    def tick(self) -> int:
        """The next moment."""
        self._tick += 1
        return self._tick

    def violate(self, text: str) -> None:
        """Something must not be."""
        self.violations.append(text)

    # -- what clients tell --------------------------------------------------------------------------------------------

    def put(self, who: str, thread: str, items: Iterable[str]) -> Put:
        """A put begins."""
        made = Put(who, thread, [*items], self.tick())
        self.puts.append(made)
        return made

    def ended(self, put: Put, outcome: str) -> None:
        """A put ends."""
        put.ended = self.tick()
        put.outcome = outcome

    def flushed(self, who: str, outcome: str) -> None:
        """A flush of what this client has buffered ended so."""
        for one in self.puts:
            if one.who == who and one.outcome == BUFFERED:
                if outcome == OK:
                    self.ended(one, OK)
                else:
                    one.twice = True
                    if outcome == UNKNOWN:
                        one.outcome = UNKNOWN

    def hand(self, item: str, who: str, how: str, now_ms: int, claim: str = "") -> None:
        """An item was handed out."""
        self.given.append(Given(item, who, how, claim, self.head, now_ms))

    def tell(self, who: str, claim: str, start: int, stop: int, settled: int) -> None:
        """An acknowledgement was told how many items its claim held."""
        self.told.append(Told(who, claim, start, stop, settled))

    def died(self, who: str) -> None:
        """This client is dead."""
        self.dead.add(who)

    # -- what the store sees ------------------------------------------------------------------------------------------

    def written(self, name: str, data: bytearray) -> bytearray:
        """A blob was written."""
        if name.startswith("seg/"):
            self.gone.discard(name)
            known = self.archive.get(name, data)
            if known[: len(data)] != data:
                self.violate(f"1: two contents under one name: {name}")
            if len(known) <= len(data):
                self.archive[name] = data
        else:
            seen = self.letters.setdefault(name, bytes(data))
            if seen != data and name.startswith("log/"):
                self.violate(f"8: two contents under one name: {name}")
        return data

    def deleted(self, name: str) -> None:
        """A blob is deleted (rule 11)."""
        kind, _, number = name.partition("/")
        if kind == "seg":
            self.gone.add(name)
            for entry in self.log:
                if entry.name == name:
                    self._freed(name, entry)
        elif kind == "log":
            for entry in self.log[int(number) * PAGE : (int(number) + 1) * PAGE]:
                self._freed(name, entry)

    def _freed(self, name: str, entry: Listed) -> None:
        if entry.items == -1:
            self.violate(f"11: {name} is deleted, and the tail does not list it as closed")
        elif any(offset not in self.acked for offset in range(entry.base, entry.base + entry.items)):
            self.violate(f"11: {name} is deleted, and not everything in {entry} is acknowledged")

    def evicted(self, name: str) -> None:
        """Bytes of this segment are about to be lost by the kernel."""
        self.archive[name] = bytearray(self.archive[name])
        self.evictions.add(name)

    def heard(self, who: str, head: Consumed | None) -> None:
        """A client was answered with this head: it knows of its swaps that are in place there."""
        if head is not None:
            told = {Swap(who, *known) for known in head.clients.items()}
            self._heard |= told
            self.silenced -= told  # by an answer that came late

    def swapped(self, document: str, data: bytes, fiber: Fiber | None, now_ms: int) -> None:
        """A document was replaced."""
        who = fiber.client.name if fiber else "-"
        if document == "tail":
            self._tail(parse.tail(data))
        elif document == "head.default":
            self._head(parse.head(data), who, now_ms)

    def _tail(self, new: parse.Log) -> None:
        if new.gone:
            return
        if new.queue != self.queue:
            self.queue = new.queue
            self.log = []
        log = self.log
        if new.first > len(log):
            self.violate(f"3: the tail begins at segment {new.first}, and only {len(log)} were ever listed")
            return
        if new.first + len(new.entries) < len(log):
            self.violate("3: segments that were listed are not any more")
        for ordinal, entry in enumerate(new.entries, new.first):
            if ordinal < len(log):
                old = log[ordinal]
                if old != entry and not (old.items == -1 and old[:2] == entry[:2]):
                    self.violate(f"3: entry {ordinal} was {old} and is {entry}")
                log[ordinal] = entry
            else:
                self._listed(ordinal, entry)
                log.append(entry)
        for ordinal in range(new.first):
            if f"log/{ordinal // PAGE}" not in self.letters:
                self.violate(f"8: segment {ordinal} left the tail and is in no page")
                break

    def _listed(self, ordinal: int, entry: Listed) -> None:
        """A segment was listed behind all others."""
        last = self.log[-1] if self.log else None
        if any(one.name == entry.name for one in self.log):
            self.violate(f"3: a segment was listed twice: {entry.name}")
        if entry.name not in self.archive or entry.name in self.gone:
            self.violate(f"2: listed and not there: {entry.name}")
        if last is not None and (last.items == -1 or entry.base != last.base + last.items):
            self.violate(f"I3: segment {ordinal} does not begin where the one before it ends: {last}, {entry}")

    def _head(self, new: Consumed, who: str, now_ms: int) -> None:
        old = self.head
        self.head = new
        if old is None or old.queue != new.queue:
            self.acked = {}
            return
        self._one_place(old, new, who)
        self._alone(old, new)
        dropped = {known for known in old.clients.items() if known[0] not in new.clients}
        self.silenced |= {swap for swap in self.swaps.values() if swap and swap[1:] in dropped} - self._heard
        numbered = (Swap(who, *known) for known in new.clients.items() if old.clients.get(known[0]) != known[1])
        signed = next(numbered, None)
        items = new.items
        for offset, was in old.items.items():
            now = items.get(offset)
            if now is None:
                over = was.state == "claimed" and not self._holds(was, now_ms)
                self.acked[offset] = Acked(who, "expired" if over else was.state, was.claim)
                self.swaps[offset] = signed
            elif now is not was and now != was:
                self._moved(offset, was, now, who, now_ms)
        for offset in range(old.next, new.next):
            now = items.get(offset)
            if now is None:
                self.acked[offset] = Acked(who, "waiting", "")
                self.swaps[offset] = signed
            elif now.state == "claimed":
                self.grants[offset, now.claim] = who
                self.attempts[offset] += 1

    def _one_place(self, old: Consumed, new: Consumed, who: str) -> None:
        """Each item is one of acknowledged, claimed, given back, dying, waiting; and does not leave the first."""
        if new.twice:
            self.violate(f"I3: offsets {new.twice} are in two places at once")
        if new.next < old.next:
            self.violate(f"I3: next went back from {old.next} to {new.next}")
        for offset in new.items:
            if offset not in old.items and offset < old.next:
                self._restored(offset, who)

    def _restored(self, offset: int, who: str) -> None:
        """Only who took it may give it back, and only while its segment is there; that it handed nothing out, see later."""
        by = self.acked.pop(offset, None)
        if by is None or by.who != who or by.state not in ("waiting", "back", "expired"):
            self.violate(f"I2: offset {offset} was acknowledged by {by}, and {who} brings it back")
        for entry in self.log:
            if (
                entry.base <= offset
                and entry.items >= 0
                and offset < entry.base + entry.items
                and entry.name in self.gone
            ):
                self.violate(f"11: offset {offset} is given back by {who}, and its segment is deleted")
        self.restored.append((offset, who, len(self.given)))

    def _alone(self, old: Consumed, new: Consumed) -> None:
        """Rule 18: no more attempts than are permitted, and the last one is claimed alone."""
        if self.max_attempts is None:
            return
        claims: dict[str, list[int]] = {}
        for offset, now in new.items.items():
            if now.attempts > self.max_attempts:
                self.violate(f"18: offset {offset} is claimed for the {now.attempts}. time")
            before = old.items.get(offset)
            if now.state == "claimed" and (before is None or before.claim != now.claim):
                claims.setdefault(now.claim, []).append(now.attempts)
        for claim, attempts in claims.items():
            if len(attempts) > 1 and max(attempts) == self.max_attempts:
                self.violate(f"18: {len(attempts)} items are claimed as {claim}, one of them for the last time")

    def _holds(self, state: State, now_ms: int) -> bool:
        """Whether a claim holds still, whatever a swap makes of it."""
        return state.until >= now_ms and self.alive(state.owner)

    def _moved(self, offset: int, was: State, now: State, who: str, now_ms: int) -> None:
        """An item that is not acknowledged went from one state to another."""
        if now.claim == was.claim:
            if now.state == "claimed" and now.attempts > was.attempts:
                self.attempts[offset] += 1  # run out unheard, and asked for again under the same id
            return
        if was.state == "claimed" and self._holds(was, now_ms) and self.grants.get((offset, was.claim)) != who:
            self.stolen.append((offset, was.claim, who))  # its own may give it back, and take it again in the same swap
        own = was.state == "claimed" and self._holds(was, now_ms) and self.grants.get((offset, was.claim)) == who
        if own and now.state in ("back", "dying") and now.attempts >= was.attempts:
            self.tried.append((offset, was.claim, who))
        if now.state == "claimed":
            self.grants[offset, now.claim] = who
            self.attempts[offset] += 1
