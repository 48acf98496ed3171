"""What must hold at the end, whatever has happened: the invariants, judged on the oracle's records."""

from __future__ import annotations

import json
from collections import Counter
from typing import NamedTuple

from pqueue.testing.simulate import parse
from pqueue.testing.simulate.oracle import OK, PLAIN, Acked, Given, Oracle, Put


class Stored(NamedTuple):
    """An item of the log."""

    item: str
    commit: int
    """The number of its frame."""


class Judge:
    """Judges a history after a fresh consumer has drained the queue."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._violate = oracle.violate
        self._found = self._read()
        self._places: dict[str, list[int]] = {}
        for offset, stored in self._found.items():
            self._places.setdefault(stored.item, []).append(offset)
        self._buried = self._letters()

    def check(self) -> None:
        """Everything."""
        self._check_puts()
        self._check_frames()
        self._check_order()
        self._check_given()
        self._check_restored()
        self._check_tried()
        self._check_told()
        self._check_kept()
        if self._oracle.calm:
            self._check_swept()

    def _read(self) -> dict[int, Stored]:
        """By offset: every record that any segment in the log held."""
        found: dict[int, Stored] = {}
        commit = 0
        for ordinal, entry in enumerate(self._oracle.log):
            frames, _ = parse.segment(entry.name, bytes(self._oracle.archive.get(entry.name, b"")))
            offset = entry.base
            for frame in frames:
                commit += 1
                for record in frame:
                    found[offset] = Stored(record.decode(), commit)
                    offset += 1
            if entry.items not in (-1, offset - entry.base):
                self._violate(f"I3: segment {ordinal} holds {offset - entry.base} items, listed with {entry.items}")
        return found

    def _letters(self) -> dict[int, str]:
        """Offset to reason, of the dead letters."""
        buried = {}
        for name, data in self._oracle.letters.items():
            if name.startswith("dead/"):
                value = json.loads(data)
                for offset in range(value["offset"], value["offset"] + value["count"]):
                    buried[offset] = value["reason"]
        return buried

    def _check_puts(self) -> None:
        """I1, I8: what returned is in the log, once; what raised plainly is not."""
        wanted: Counter[str] = Counter()
        allowed: Counter[str] = Counter()
        for put in self._oracle.puts:
            for item in put.items:
                wanted[item] += put.outcome == OK
                allowed[item] += 9 if put.twice else put.outcome != PLAIN
        allowed.update(self._oracle.again)
        for item, count in wanted.items():
            if len(self._places.get(item, ())) < count:
                self._violate(f"I1: the put of {item} returned, and it is not in the log")
        for item, offsets in self._places.items():
            if len(offsets) > allowed[item]:
                how = "it was put fewer times" if allowed[item] else "its put raised plainly"
                self._violate(f"{'I3' if allowed[item] else 'I8'}: {item} is in the log at {offsets}: {how}")

    def _check_frames(self) -> None:
        """What is put at once is one frame, all or none."""
        if self._oracle.buffered:
            return
        for put in self._oracle.puts:
            there = [self._places.get(item, [-1])[0] for item in put.items]
            if len({self._found[offset].commit if offset >= 0 else 0 for offset in there}) > 1:
                self._violate(f"put_many of {put.items} is not one frame: {there}")

    def _check_order(self) -> None:
        """I4: a put that began after another one had returned is behind it."""
        events: list[tuple[int, bool, Put]] = []
        for put in self._oracle.puts:
            offsets = [offset for item in put.items for offset in self._places.get(item, ())]
            if not put.twice and offsets and len(offsets) == len(put.items):
                events.append((put.began, False, put))
                if put.outcome == OK:
                    events.append((put.ended, True, put))
        events.sort(key=lambda event: event[:2])
        behind, name = -1, ""
        for _, ended, put in events:
            first, last = self._places[put.items[0]][0], self._places[put.items[-1]][0]
            if not ended and first < behind:
                self._violate(f"I4: {put.items[0]} was put after the put of {name} had returned, and lies before it")
            elif ended and last > behind:
                behind, name = last, put.items[-1]

    def _check_given(self) -> None:
        """I2: what was handed out, to whom, by which right."""
        taken: Counter[str] = Counter()
        for given in self._oracle.given:
            offsets = self._places.get(given.item)
            if not offsets:
                self._violate(f"I3: {given.item} was handed out to {given.who} and is not in the log")
            elif len(offsets) == 1:
                self._check_letter(given, offsets[0])
                if given.how == "take":
                    taken[given.item] += 1
                    self._check_taken(given, offsets[0])
                else:
                    self._check_lent(given, offsets[0])
        for item, count in taken.items():
            if count > 1:
                self._violate(f"I2: {item} was taken {count} times")

    def _check_restored(self) -> None:
        """I2: what was taken and given back had not been handed out."""
        for offset, who, before in self._oracle.restored:
            stored = self._found.get(offset)
            for given in self._oracle.given[:before]:
                if stored is not None and (given.item, given.who, given.how) == (stored.item, who, "take"):
                    self._violate(f"I2: {given.item} was handed out to {who}, which gave it back then")

    def _check_tried(self) -> None:
        """Rule 18: what is given back as an attempt was handed out; but what can't be read may be set aside in the same swap."""
        unread = self._oracle.poison | self._oracle.uneven
        handed = {(given.item, given.claim) for given in self._oracle.given}
        for offset, claim, who in self._oracle.tried:
            stored = self._found.get(offset)
            if stored is not None and stored.item not in unread and (stored.item, claim) not in handed:
                self._violate(f"18: {who} gave back {stored.item} as an attempt, and had handed it to nobody")

    def _check_letter(self, given: Given, offset: int) -> None:
        by = self._oracle.acked.get(offset)
        if given.how != "take" and self._buried.get(offset) in ("attempts", "rejected"):
            return  # delivered, and in vain
        if given.how == "ahead" and self._buried.get(offset) == "damaged" and self._evicted(given.item):
            return  # lent while its page was there; the lease ran out, and whoever was next found the page dropped
        if offset in self._buried and (given.how != "lend" or (by is not None and by.claim == given.claim)):
            self._violate(f"17: {given.item} was handed out to {given.who} and is among the dead letters")

    def _check_taken(self, given: Given, offset: int) -> None:
        by = self._oracle.acked.get(offset)
        # Out of a claim: its own, given back in the same swap.
        own = by is not None and by.state == "claimed" and self._oracle.grants.get((offset, by.claim)) == given.who
        if by is None or by.who != given.who or not (own or by.state in ("waiting", "back", "expired")):
            self._violate(f"I2: {given.item} was taken by {given.who}, but {by} acknowledged it")

    def _check_lent(self, given: Given, offset: int) -> None:
        """Nothing is handed out whose lease has run out (rule 16)."""
        item, who, how, claim, head, now_ms = given
        grants = self._oracle.grants
        if how == "lend" and (offset, claim) not in grants:
            self._violate(f"I2: {item} was lent to {who} under a claim that never held it")
        if self._oracle.clocks:
            return
        state = head.items.get(offset) if head else None
        if state is None or state.state != "claimed" or claim not in ("", state.claim):
            self._violate(f"16: {item} was handed out to {who} when its claim was lost: {state}")
        elif grants.get((offset, state.claim)) != who:
            self._violate(f"16: {item} was handed out to {who} when somebody else had claimed it")
        elif state.until < now_ms:
            self._violate(f"16: {item} was handed out to {who} {now_ms - state.until} ms after its lease")

    def _check_told(self) -> None:
        """Rule 14: an acknowledgement is told what it did; rule 16: no claim ends before its time."""
        oracle = self._oracle
        for who, claim, start, stop, settled in oracle.told:
            acked = [oracle.acked.get(offset) for offset in range(start, stop)]
            own = acked.count(Acked(who, "claimed", claim))
            # Expired, and settled in the same swap, by whichever right.
            if settled > own + acked.count(Acked(who, "expired", claim)):
                self._violate(f"14: {who} was told that its claim held {settled} of {start}-{stop}, it was {own}")
            if settled < own:
                self._violate(
                    f"14: {who} was told that its claim on {start}-{stop} was lost, it had acknowledged {own}"
                )
        for offset, claim, who in () if oracle.clocks else oracle.stolen:
            self._violate(f"16: the claim {claim} on offset {offset} was taken away by {who} before its time")

    def _check_kept(self) -> None:
        """I1: everything was handed out, or is a dead letter with good reason, or was in the hand of one that is gone."""
        oracle = self._oracle
        given = {one.item for one in oracle.given}
        lost: Counter[str] = Counter()
        for offset, stored in self._found.items():
            item, by = stored.item, oracle.acked.get(offset)
            if offset in self._buried:
                self._check_buried(offset, item, by if item in given else None)
            elif item in oracle.poison:
                self._violate(f"H8: {item} can't be read and is not among the dead letters")
            elif by is None:
                self._violate(f"I1: {item} at offset {offset} was never acknowledged, though everything was drained")
            elif item not in given:
                # In hand when its consumer died (rule 19), or was dropped before it could learn that it has it (rule 14).
                gone = by.who in oracle.dead or oracle.swaps.get(offset) in oracle.silenced
                if by.state in ("waiting", "back", "expired") and gone:
                    lost[by.who] += 1
                else:
                    self._violate(f"I1: {item} at offset {offset} was acknowledged by {by} and never handed out")
        letters = {self._found[offset].item for offset in self._buried if offset in self._found}
        for item in oracle.buried - letters:
            self._violate(f"17: {item} was rejected, and is not among the dead letters")
        for who, count in lost.items():
            most = sum(take.items for take in oracle.takes if take.who == who and take.outcome != OK)
            if count > most:
                self._violate(f"19: {count} items were lost with {who}, which had {most} in hand")

    def _check_swept(self) -> None:
        """What was consumed is deleted by one of the next swaps."""
        for ordinal, entry in enumerate(self._oracle.log[: self._oracle.due]):
            if entry.name not in self._oracle.gone:
                self._violate(f"11: segment {ordinal} was consumed, and is not deleted: {entry.name}")

    def _check_buried(self, offset: int, item: str, by: Acked | None) -> None:
        oracle = self._oracle
        reason = self._buried[offset]
        if reason in ("attempts", "rejected"):
            if by is not None and by.state != "dying":
                self._violate(f"17: {item} was acknowledged by {by.who} and is among the dead letters")
            if reason == "rejected" and item not in oracle.rejected:
                self._violate(f"17: nobody rejected {item}")
            if reason == "attempts" and oracle.attempts[offset] < (oracle.max_attempts or 1 << 30):
                self._violate(f"18: {item} was set aside after {oracle.attempts[offset]} attempts")
        elif item in oracle.uneven:
            if by is not None and by.state != "dying":
                self._violate(f"17: {item} was acknowledged by {by.who} and is among the dead letters")
        elif item not in oracle.poison and not self._evicted(item):
            self._violate(f"I1: {item} is among the dead letters: {self._buried[offset]}")

    def _evicted(self, item: str) -> bool:
        """Whether its bytes may be gone for good reason: a disk that failed to sync dropped pages, and no put of it returned."""
        oracle = self._oracle
        return bool(oracle.evictions) and not any(item in put.items for put in oracle.puts if put.outcome == OK)
