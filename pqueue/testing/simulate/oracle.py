"""What must hold, whatever happens: records of its own of what was put, handed out and told, and of every document."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from pqueue.testing.simulate import parse
from pqueue.testing.simulate.parse import Consumed, Listed
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


@dataclass(eq=False, slots=True)
class Take:
    """A `get` for some items that acknowledges before it returns."""

    who: str
    count: int
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
    buffered: bool = False
    """Whether puts of several items may be flushed in parts."""
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.puts: list[Put] = []
        self.takes: list[Take] = []
        self.given: list[Given] = []
        self.told: list[Told] = []
        self.acked: dict[int, Acked] = {}
        self.grants: dict[tuple[int, str], str] = {}
        self.poison: set[str] = set()
        self.uneven: set[str] = set()
        """Items that only some clients can read."""
        self.log: list[Listed] = []
        self.queue = ""
        self.head: Consumed | None = None
        self.archive: dict[str, bytearray] = {}
        self.letters: dict[str, bytes] = {}
        self.evictions: set[str] = set()
        self._tick = 0
        self._dead: set[str] = set()

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
        self._dead.add(who)

    # -- what the store sees ------------------------------------------------------------------------------------------

    def written(self, name: str, data: bytearray) -> bytearray:
        """A blob was written."""
        if name.startswith("seg/"):
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

    def evicted(self, name: str) -> None:
        """Bytes of this segment are about to be lost by the kernel."""
        self.archive[name] = bytearray(self.archive[name])
        self.evictions.add(name)

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
                if old != entry and not (old.count == -1 and old[:2] == entry[:2]):
                    self.violate(f"3: entry {ordinal} was {old} and is {entry}")
            else:
                if any(one.name == entry.name for one in log):
                    self.violate(f"3: a segment was listed twice: {entry.name}")
                if entry.name not in self.archive:
                    self.violate(f"2: listed and not there: {entry.name}")
                if ordinal and (
                    log[ordinal - 1].count == -1 or entry.base != log[ordinal - 1].base + log[ordinal - 1].count
                ):
                    self.violate(
                        f"I3: segment {ordinal} does not begin where the one before it ends: {log[-1]}, {entry}"
                    )
                log.append(entry)
            log[ordinal] = entry
        for page in range(new.first):
            if f"log/{page // 4}" not in self.letters:
                self.violate(f"8: segment {page} left the tail and is in no page")
                break

    def _head(self, new: Consumed, who: str, now_ms: int) -> None:
        old = self.head
        self.head = new
        if old is None or old.queue != new.queue:
            self.acked = {}
            return
        if new.twice:
            self.violate(f"I3: offsets {new.twice} are in two places at once")
        if new.next < old.next:
            self.violate(f"I3: next went back from {old.next} to {new.next}")
        items = new.items
        for offset, was in old.items.items():
            now = items.get(offset)
            if now is None:
                over = was.state == "claimed" and (was.until < now_ms or not self.alive(was.owner))
                self.acked[offset] = Acked(who, "expired" if over else was.state, was.claim)
            elif now is not was and now != was:
                if was.state == "claimed" and now.claim != was.claim and was.until >= now_ms and self.alive(was.owner):
                    self._stolen(offset, was.claim, who)
                if now.state == "claimed" and now.claim != was.claim:
                    self.grants[offset, now.claim] = who
        for offset in range(old.next, new.next):
            now = items.get(offset)
            if now is None:
                self.acked[offset] = Acked(who, "waiting", "")
            elif now.state == "claimed":
                self.grants[offset, now.claim] = who
        for offset in items:
            if offset not in old.items and offset < old.next:
                self.violate(f"I2: offset {offset} was acknowledged and comes back")

    def _stolen(self, offset: int, claim: str, who: str) -> None:
        if self.grants.get((offset, claim)) != who:  # its own may give it back, and take it again in the same swap
            self.stolen.append((offset, claim, who))

    @property
    def stolen(self) -> list[tuple[int, str, str]]:
        """Claims that were taken away before their time."""
        return self.__dict__.setdefault("_stolen_claims", [])  # type: ignore[no-any-return]

    # -- the end ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Judge the whole history, the queue having been drained by a fresh consumer."""
        found = self._read()
        places: dict[str, list[int]] = {}
        for offset, (item, _) in found.items():
            places.setdefault(item, []).append(offset)
        buried = self._buried()
        self._check_puts(found, places)
        self._check_order(places)
        self._check_given(places, buried)
        self._check_told()
        self._check_kept(found, buried)

    def _read(self) -> dict[int, tuple[str, int]]:
        """Offset to item, and a number for its commit: every record that any segment in the log held."""
        found: dict[int, tuple[str, int]] = {}
        commit = 0
        for ordinal, entry in enumerate(self.log):
            frames, _ = parse.segment(entry.name, bytes(self.archive.get(entry.name, b"")))
            offset = entry.base
            for frame in frames:
                commit += 1
                for record in frame:
                    found[offset] = (record.decode(), commit)
                    offset += 1
            if entry.count != -1 and offset != entry.base + entry.count:
                self.violate(
                    f"I3: segment {ordinal} holds {offset - entry.base} items and is listed with {entry.count}"
                )
        return found

    def _buried(self) -> dict[int, str]:
        buried = {}
        for name, data in self.letters.items():
            if name.startswith("dead/"):
                value = json.loads(data)
                for offset in range(value["offset"], value["offset"] + value["count"]):
                    buried[offset] = value["reason"]
        return buried

    def _check_puts(self, found: dict[int, tuple[str, int]], places: dict[str, list[int]]) -> None:
        wanted: Counter[str] = Counter()
        allowed: Counter[str] = Counter()
        for put in self.puts:
            for item in put.items:
                wanted[item] += put.outcome == OK
                allowed[item] += 9 if put.twice else put.outcome not in (PLAIN,)
            there = [places.get(item, [-1])[0] for item in put.items]
            if not self.buffered and len({found[offset][1] if offset >= 0 else 0 for offset in there}) > 1:
                self.violate(f"put_many of {put.items} is not one frame: {there}")
        for item, count in wanted.items():
            if len(places.get(item, ())) < count:
                self.violate(f"I1: the put of {item} returned, and it is not in the log")
        for item, offsets in places.items():
            if len(offsets) > allowed[item]:
                how = "I8: its put raised plainly" if not allowed[item] else "it was put fewer times"
                self.violate(f"{item} is in the log at {offsets}: {how}")

    def _check_order(self, places: dict[str, list[int]]) -> None:
        """A put that began after another one had returned is behind it."""
        events: list[tuple[int, int, int]] = []
        for index, put in enumerate(self.puts):
            offsets = [offset for item in put.items for offset in places.get(item, ())]
            if put.twice or not offsets or len(offsets) != len(put.items):
                continue
            events.append((put.began, 0, index))
            if put.outcome == OK:
                events.append((put.ended, 1, index))
        events.sort()
        behind, name = -1, ""
        for _, end, index in events:
            items = self.puts[index].items
            first, last = places[items[0]][0], places[items[-1]][0]
            if end:
                if last > behind:
                    behind, name = last, items[-1]
            elif first < behind:
                self.violate(f"I4: {items[0]} was put after the put of {name} had returned, and lies before it")

    def _check_given(self, places: dict[str, list[int]], buried: dict[int, str]) -> None:
        taken: Counter[str] = Counter()
        for item, who, how, claim, head, now_ms in self.given:
            offsets = places.get(item)
            if not offsets:
                self.violate(f"{item} was handed out to {who} and is not in the log")
                continue
            if len(offsets) > 1:
                continue
            offset = offsets[0]
            if offset in buried and (how != "lend" or self.acked.get(offset, Acked("", "", "")).claim == claim):
                self.violate(f"17: {item} was handed out to {who} and is among the dead letters")
            if how == "take":
                taken[item] += 1
                by = self.acked.get(offset)
                # Out of a claim: its own, given back in the same swap.
                own = by is not None and by.state == "claimed" and self.grants.get((offset, by.claim)) == who
                if by is None or by.who != who or not (own or by.state in ("waiting", "back", "expired")):
                    self.violate(f"I2: {item} was taken by {who}, but {by} acknowledged it")
                continue
            state = head.items.get(offset) if head else None
            if how == "lend" and (offset, claim) not in self.grants:
                self.violate(f"I2: {item} was lent to {who} under a claim that never held it")
            if self.clocks:
                continue
            if state is None or state.state != "claimed" or (claim and state.claim != claim):
                self.violate(f"16: {item} was handed out to {who} when its claim was lost: {state}")
            elif self.grants.get((offset, state.claim)) != who:
                self.violate(f"16: {item} was handed out to {who} when somebody else had claimed it")
            elif state.until < now_ms:
                self.violate(f"16: {item} was handed out to {who} {now_ms - state.until} ms after its lease")
        for item, count in taken.items():
            if count > 1:
                self.violate(f"I2: {item} was taken {count} times")

    def _check_told(self) -> None:
        for who, claim, start, stop, settled in self.told:
            acked = [self.acked.get(offset) for offset in range(start, stop)]
            own = acked.count(Acked(who, "claimed", claim))
            # Expired, and settled in the same swap, by whichever right.
            if settled > own + acked.count(Acked(who, "expired", claim)):
                self.violate(f"14: {who} was told that its claim held {settled} of {start}-{stop}, it was {own}")
            if settled < own:
                self.violate(
                    f"14: {who} was told that its claim was lost on {start}-{stop} ({settled}), it had acknowledged {own}"
                )
        for offset, claim, who in self.stolen if not self.clocks else ():
            self.violate(f"16: the claim {claim} on offset {offset} was taken away by {who} before its time")

    def _check_kept(self, found: dict[int, tuple[str, int]], buried: dict[int, str]) -> None:
        given = {one.item for one in self.given}
        certain = {item for put in self.puts if put.outcome == OK for item in put.items}
        lost: Counter[str] = Counter()
        for offset, (item, _) in found.items():
            by = self.acked.get(offset)
            if offset in buried:
                if item not in self.poison and item not in self.uneven and (item in certain or not self.evictions):
                    self.violate(f"I1: {item} is among the dead letters: {buried[offset]}")
                if item in self.uneven and item in given and by and by.state != "dying":
                    self.violate(f"17: {item} was acknowledged by {by.who} and is among the dead letters")
                continue
            if item in self.poison:
                self.violate(f"H8: {item} can't be read and is not among the dead letters")
            elif by is None:
                self.violate(f"I1: {item} at offset {offset} was never acknowledged, though everything was drained")
            elif item not in given:
                if by.state in ("waiting", "back", "expired") and by.who in self._dead:
                    lost[by.who] += 1  # in hand when its consumer died (rule 19)
                else:
                    self.violate(f"I1: {item} at offset {offset} was acknowledged by {by} and never handed out")
        for who, count in lost.items():
            most = sum(take.count for take in self.takes if take.who == who and take.outcome != OK)
            if count > most:
                self.violate(f"19: {count} items were lost with {who}, which had {most} in hand")
