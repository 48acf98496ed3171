"""Rules taken out of the real code, one at a time: each patches it to what it would be without that rule.

A rule that nothing here misses is a rule that no test keeps.
"""

# What is taken out of the code is private to it, on purpose.
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from pqueue import ahead, claims, gc, listing, roster, transitions
from pqueue.abc import Document
from pqueue.burying import Burier
from pqueue.claims import Consumer
from pqueue.errors import (
    BlobMissing,
    CorruptSegment,
    DocumentChanged,
    Landed,
    PutUncertain,
    StoreError,
)
from pqueue.frames import End, Shape
from pqueue.grow import Growing
from pqueue.leading import Leader
from pqueue.listing import Listing
from pqueue.names import canonical, dead_name
from pqueue.reader import Reader
from pqueue.receive import Receiver
from pqueue.request import Answer
from pqueue.roster import Roster
from pqueue.scanner import Scanner
from pqueue.swaps import Swaps
from pqueue.tail import Entry, Tail
from pqueue.testing.simulate.scenarios import SCENARIOS
from pqueue.testing.simulate.store import SimStore

Patches = Callable[[], list[tuple[Any, str, Any]]]


@dataclass(frozen=True)
class Removal:
    """One rule taken out."""

    rule: str
    what: str
    scenario: str
    patches: Patches

    def caught(self) -> str:
        """What the oracle says in its scenario without the rule; "" if nothing, or only that the script can't go on."""
        with self.applied():
            violations = SCENARIOS[self.scenario].play().violations
        # A client that crashed, or never comes where the script wants it, tells of a removal that fits the code no more.
        if not violations or any("crashed" in one or one.startswith("I6: scenario") for one in violations):
            return ""
        return violations[0]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it, the code is without the rule."""
        made = self.patches()
        before = [(owner, name, owner.__dict__[name]) for owner, name, _ in made]
        for owner, name, value in made:
            setattr(owner, name, value)
        try:
            yield
        finally:
            for owner, name, value in before:
                setattr(owner, name, value)


REMOVALS: list[Removal] = []


def _removal(rule: str, what: str, scenario: str) -> Callable[[Patches], Patches]:
    def note(patches: Patches) -> Patches:
        REMOVALS.append(Removal(rule, what, scenario, patches))
        return patches

    return note


class _Again(Exception):  # control flow of a removal
    """A put is to be sent once more, under another name."""


# -- producing --------------------------------------------------------------------------------------------------------


@_removal("1", "an id is kept over a fork", "a fork puts beside its parent")
def _keeps_id() -> list[tuple[Any, str, Any]]:
    original = Listing.forget

    def forget(self: Any) -> None:
        kept = getattr(self, "_writer", ""), getattr(self, "_number", 0)
        original(self)
        self._writer, self._number = kept

    return [(Listing, "forget", forget)]


@_removal("1", "a birth is the clock's time, even at or before the horizon", "a writer is born behind the horizon")
def _birth_by_clock() -> list[tuple[Any, str, Any]]:
    def draw_id(runtime: Any, now_ms: int, _: int) -> str:
        return f"{now_ms:012x}{runtime.random.getrandbits(48):012x}"

    return [(listing, "draw_id", draw_id)]


@_removal("2", "a segment is listed though its upload was not confirmed", "an upload is lost")
def _lists_unconfirmed() -> list[tuple[Any, str, Any]]:
    def upload(self: Any, one: Any, _: Any) -> None:
        with suppress(StoreError):
            self._store.write(str(one.name), one.data)
        one.whole = True
        one.settled.set()

    return [(Listing, "_upload", upload)]


def _any_number(accepts: Callable[[Roster, Any], bool]) -> Callable[..., Tail]:
    """`Tail.listing` with another test of a candidate's number."""

    def lists(self: Tail, candidates: Any, boot: str, now_ms: int) -> Tail:
        writers = self.writers
        entries = list(self.entries)
        end = self.end
        for name in candidates:
            if name.queue != self.queue or not accepts(writers, name):
                continue
            writers = writers.advanced(name.writer, name.number, now_ms)
            entries.append(Entry(self.first + len(entries), name, end, name.count))
            end += name.count
        return replace(self, entries=tuple(entries), end=end, writers=writers.pruned(now_ms), boot=boot)

    return lists


def _gap(writers: Roster, name: Any) -> bool:
    following = writers.next(name.writer)
    return following is not None and name.number >= following


@_removal("3", "a writer's numbers may have gaps", "the second of two uploads in flight is there first")
def _gaps() -> list[tuple[Any, str, Any]]:
    return [(Tail, "listing", _any_number(_gap))]


@_removal("3", "whatever was uploaded may be listed", "somebody else lists an upload whose own swap is on its way")
def _anything() -> list[tuple[Any, str, Any]]:
    return [(Tail, "listing", _any_number(lambda _, __: True)), (Listing, "_settled", _settled_by_swap)]


def _settled_by_swap(self: Any, upload: Any) -> bool:
    """Done once a tail that this very object swapped in lists it."""
    return any(entry.name == upload.name for entry in self._view.tail.entries) and self._swaps > 0


@_removal("4", "a swap without an answer is taken for done", "a swap of the tail is lost")
def _taken_for_done() -> list[tuple[Any, str, Any]]:
    original = Listing._ask

    def ask(self: Any, new: Tail, state: Any) -> Document | None:
        try:
            return original(self, new, state)
        except StoreError:
            return Document(new.dump(), state.version, state.now)

    return [(Listing, "_ask", ask)]


def _put_again(self: Any, records: Sequence[bytes], original: Any = Listing.commit) -> None:
    for _ in range(3):
        try:
            original(self, records)
        except _Again:
            continue
        return


@_removal("4", "a swap without an answer is tried again under another name", "the answer to a swap of the tail is lost")
def _under_another_name() -> list[tuple[Any, str, Any]]:
    original = Listing._ask

    def ask(self: Any, new: Tail, state: Any) -> Document | None:
        try:
            return original(self, new, state)
        except StoreError as error:
            raise _Again from error

    return [(Listing, "_ask", ask), (Listing, "commit", _put_again)]


@_removal(
    "5",
    "a writer is dropped without raising the horizon",
    "an upload comes back after its segment was consumed and its writer dropped",
)
def _no_horizon() -> list[tuple[Any, str, Any]]:
    def pruned(self: Roster, now_ms: int) -> Roster:
        kept = {one: known for one, known in self.members.items() if known[1] >= now_ms - roster.SILENT_MS}
        return Roster(kept, self.horizon)

    return [(Roster, "pruned", pruned)]


@_removal("5", "an open put of a dropped writer is uploaded anew", "a writer is dropped while its put is open")
def _uploaded_anew() -> list[tuple[Any, str, Any]]:
    original = Listing._settled

    def settled(self: Any, upload: Any) -> bool:
        try:
            return original(self, upload)
        except PutUncertain as error:
            raise _Again from error

    return [(Listing, "_settled", settled), (Listing, "commit", _put_again)]


@_removal("6", "a put that is given up raises plainly", "an upload is given up and found by another")
def _plainly() -> list[tuple[Any, str, Any]]:
    return [(Listing, "_uncertain", staticmethod(lambda: StoreError("not put")))]


@_removal("7", "uploads in flight are listed in any order", "two uploads in flight are listed by one swap")
def _any_order() -> list[tuple[Any, str, Any]]:
    original = Listing._candidates

    def candidates(self: Any, found: Any) -> Iterator[Any]:
        return reversed([*original(self, found)])

    return [(Tail, "listing", _any_number(_gap)), (Listing, "_candidates", candidates)]


def _swap_with_page(*, own: bool, first: bool) -> Callable[..., None]:
    """`Listing._swap` that cuts its page of what it adds (`own`), or drops entries before the page is there."""

    def swap(self: Any, _: Any, found: Any) -> None:
        state = self._view.state
        base = state.tail
        page = None if own else base.cut()
        try:
            if page is not None:
                base = page[2]
            new = base.listing(self._candidates(found), state.now.boot, state.now.ms)
            if own:
                page = new.cut()
                if page is not None:
                    new = page[2]
            if page is not None and not first:
                self._store.write(page[0], page[1])
            document = self._ask(new, state)
            if page is not None and first:
                self._store.write(page[0], page[1])
        except (DocumentChanged, StoreError):
            self._look = True
            self._pause(1)
            return
        self._heard = self._runtime.monotonic()
        self._look = document is None
        if document is not None:
            self._view.take(new, document)
            self._swaps += 1

    return swap


@_removal("8", "a page is cut of what the same swap adds", "a page is due in a swap that is lost")
def _own_additions() -> list[tuple[Any, str, Any]]:
    return [(Listing, "_swap", _swap_with_page(own=True, first=False))]


@_removal("8", "entries are dropped before their page is there", "a writer dies when its swap has dropped entries")
def _dropped_first() -> list[tuple[Any, str, Any]]:
    return [(Listing, "_swap", _swap_with_page(own=False, first=True))]


@_removal("10", "lives are told apart by births alone", "an upload of an earlier life is found")
def _by_births() -> list[tuple[Any, str, Any]]:
    original = Tail.listing

    def lists(self: Tail, candidates: Any, boot: str, now_ms: int) -> Tail:
        return original(self, (name._replace(queue=self.queue) for name in candidates), boot, now_ms)

    return [(Tail, "listing", lists)]


@_removal("13", "gc takes whatever is not listed", "litter is collected when an upload is not yet listed")
def _takes_unlisted() -> list[tuple[Any, str, Any]]:
    original = gc._why

    def why(name: Any, text: str, log: Any) -> str:
        return original(name, text, log) if text in log.listed else gc.PASSED

    return [(gc, "_why", why)]


@_removal("13", "gc does not look at the entries from head on", "litter is collected when nothing is consumed")
def _no_entries() -> list[tuple[Any, str, Any]]:
    original = gc._log

    def log(store: Any, tail: Tail) -> Any:
        return original(store, tail)._replace(listed={})

    return [(gc, "_log", log)]


@_removal("13", "gc reads the tail before it lists the names", "litter is collected while a new life begins")
def _tail_first() -> list[tuple[Any, str, Any]]:
    def collect(store: Any, **_: Any) -> None:
        tail = gc._tail(store)[0]
        segments = [*store.list("seg/")]
        taken = gc.judge(segments, [], gc._log(store, tail))[0]
        store.delete([one.name for one in taken])

    return [(gc, "collect", collect)]


# -- consuming --------------------------------------------------------------------------------------------------------


@_removal(
    "11",
    "a segment is deleted before the head that frees it is in place",
    "a consumer dies when its last item is not yet acknowledged",
)
def _deletes_first() -> list[tuple[Any, str, Any]]:
    original = Swaps.swap

    def swap(self: Any, old: Any, version: Any, new: Any, *carried: Any) -> bool:
        self._sweeper.after(old, new, aside=False)
        return original(self, old, version, new, *carried)

    return [(Swaps, "swap", swap)]


@_removal("12", "a segment that is missing is taken for lost", "a consumer meets a segment that others have consumed")
def _taken_for_lost() -> list[tuple[Any, str, Any]]:
    original = Leader._plan

    def plan(self: Any, head: Any, requests: Any) -> Any:
        try:
            return original(self, head, requests)
        except BlobMissing as error:
            raise CorruptSegment("a segment is missing") from error

    return [(Leader, "_plan", plan)]


@_removal("14", "nobody looks whether a swap was applied", "the answer to an acknowledgement is lost")
def _never_looks() -> list[tuple[Any, str, Any]]:
    def ours(self: Any) -> bool:
        self.load()
        self._open = None
        return False

    return [(Swaps, "_ours", ours)]


@_removal(
    "14",
    "another plan bears the number of one that was refused and may land",
    "a swap is refused for its own first sending which then lands",
)
def _plans_anew() -> list[tuple[Any, str, Any]]:
    original = Swaps._resolved

    def resolved(self: Any) -> bool:
        return self.version != self._open.version and bool(original(self))

    return [(Swaps, "_resolved", resolved)]


@_removal("14", "an absent claim is taken for an applied swap", "an acknowledgement is lost and so is its claim")
def _absent_is_ok() -> list[tuple[Any, str, Any]]:
    def ours(self: Any) -> bool:
        self.load()
        self._open = None
        return True

    return [(Swaps, "_ours", ours)]


@_removal(
    "14",
    "who was dropped with a swap open goes on and says nothing",
    "a consumer is dropped before it learns what it took",
)
def _dropped_in_silence() -> list[tuple[Any, str, Any]]:
    original = Swaps._ours

    def ours(self: Any) -> bool:
        try:
            return bool(original(self))
        except StoreError:
            if self._client:
                raise
            return False

    return [(Swaps, "_ours", ours)]


@_removal(
    "14",
    "what was taken and not heard of is forgotten at close",
    "what was taken unheard is more than the next call wants",
)
def _forgets_at_close() -> list[tuple[Any, str, Any]]:
    def restore(self: Any) -> list[Any]:
        self._owing.taken.clear()
        return []

    return [(Consumer, "restore", restore)]


@_removal(
    "16",
    "the lease is counted from the answer that hands the items out",
    "the answers to a claim are lost until its lease is over",
)
def _late_lease() -> list[tuple[Any, str, Any]]:
    original = Consumer.ask

    def ask(self: Any, request: Any) -> Any:
        outcome = original(self, request)
        outcome.deadline = self._runtime.monotonic() + 0.9 * request.lease_ms / 1000
        return outcome

    return [(Consumer, "ask", ask)]


@_removal("16", "a message is lent however late", "a message is lent when its lease is over")
def _lent_late() -> list[tuple[Any, str, Any]]:
    def lend(self: Any, count: int, least: int, lease_ms: int, *, renews: bool, into: Any) -> None:
        self._leases.borrow(count, lease_ms, into, renews=renews, least=least)

    return [(Receiver, "_lend", lend)]


@_removal("17", "who finds a mark whose burier is late lets it be", "who rejects dies before the letter is written")
def _unburied() -> list[tuple[Any, str, Any]]:
    return [(transitions, "overdue", lambda _, __: ())]


@_removal("18", "an item is claimed with neighbours to the last", "items come for the last time")
def _in_company() -> list[tuple[Any, str, Any]]:
    return [(transitions, "allowance", lambda wanted, _, __: wanted)]


@_removal("18", "what could not be read counts as an attempt", "what was claimed by its place can not be read")
def _unread_counts() -> list[tuple[Any, str, Any]]:
    return [(claims, "Answer", lambda claim, where, **_: Answer(claim, where, back=True))]


@_removal("18", "what nobody was handed counts as an attempt", "what was claimed ahead is given back at close")
def _unseen_counts() -> list[tuple[Any, str, Any]]:
    return [(ahead, "_unseen", lambda loan, where: Answer(loan.claim, where, back=True))]


@_removal("17", "a dead letter is written without a mark", "a burier sleeps while another reads what it could not")
def _no_mark() -> list[tuple[Any, str, Any]]:
    def set_aside(self: Any, head: Any, version: Any, grave: Any, *_: Any) -> Any:
        letter = {"count": 1, "offset": grave.where.start, "reason": grave.reason}
        self._store.write(dead_name(grave.where.start), canonical(letter))
        new = transitions.taken(transitions.rebooted(head, self._swaps.time(), self._runtime.wall_ms()), grave.where)
        return grave.error if self._swaps.swap(head, version, self._picker.stepped(new)) else None

    return [(Burier, "set_aside", set_aside)]


# -- the folder -------------------------------------------------------------------------------------------------------


@_removal("22", "an append does not compare the size", "two append at one place")
def _no_compare() -> list[tuple[Any, str, Any]]:
    def check(self: Any, name: str, _: int, data: bytes, seal: bytes, __: object) -> tuple[bytearray, bytes, bytes]:
        return self._blob(name), data, seal

    return [(SimStore, "_check", check)]


@_removal("22", "an append goes to the end of the file, not of whole frames", "a writer dies inside an append")
def _end_of_file() -> list[tuple[Any, str, Any]]:
    original = Growing._learn

    def learn(self: Any) -> Any:
        known = original(self)
        if known.text and not known.sealed:
            known.at = self._appends.settle(known.text)
        return known

    return [(Growing, "_learn", learn)]


@_removal("23", "a segment is rolled without a seal", "somebody rolls while another appends")
def _no_seal() -> list[tuple[Any, str, Any]]:
    original = Growing._roll

    def roll(self: Any, known: Any) -> None:
        known.sealed = True
        original(self, known)

    return [(Growing, "_roll", roll)]


@_removal("23", "torn bytes close a segment without a look under its lock", "a write under way looks torn")
def _torn_unlocked() -> list[tuple[Any, str, Any]]:
    original = Growing._learn

    def learn(self: Any) -> Any:
        known = original(self)
        if known.entry is not None and known.shape is not None and not known.sealed:
            scanner = Scanner(self._store, known.entry.name, self._parts.codecs, grows=True)
            while scanner.end is End.OPEN and scanner.more():
                pass
            known.sealed = scanner.end is not End.OPEN
        return known

    return [(Growing, "_learn", learn)]


@_removal("24", "who rolls and loses the swap lists its own segment all the same", "two open the first segment")
def _lists_own() -> list[tuple[Any, str, Any]]:
    original = Growing._swap

    def swap(self: Any, new: Tail, version: Any, name: Any) -> bool:
        if original(self, new, version, name):
            return True
        state = self._view.state
        return original(self, state.tail.rolled(0, name, 0, state.now.boot, state.now.ms), state.version, name)

    return [(Growing, "_swap", swap)]


@_removal("25", "a failed sync is followed by no seal", "a sync fails and its page is dropped after it was read")
def _no_seal_after_failure() -> list[tuple[Any, str, Any]]:
    return [(SimStore, "_closes", lambda _self, _blob, _seal: None)]


@_removal(
    "25",
    "the seal does not count the frame whose sync failed",
    "a sync fails and its page is dropped after it was read",
)
def _not_counted() -> list[tuple[Any, str, Any]]:
    return [(Shape, "beyond", lambda _self, _data, count: count)]


class _Absolute(Shape):
    """Frames that hold their first offset in the log, not within their segment."""

    __slots__ = ("base",)
    base: int

    def decode(self, data: bytes, at: int, count: int) -> Any:
        """The frames, if they lie where their writer expected them to."""
        found = super().decode(data, at, count + self.base)
        frames = [frame._replace(first=frame.first - self.base) for frame in found.frames]
        return found._replace(frames=frames, count=found.count - self.base)


@_removal("27", "a frame holds its first offset in the log", "a segment is listed behind another than expected")
def _absolute() -> list[tuple[Any, str, Any]]:
    begin, scans = Listing.begin, Reader._scanner

    def begins(self: Any, commit: Any, records: Sequence[bytes], follows: Any) -> bool:
        placed = begin(self, commit, records, follows)
        base = self._view.state.tail.end + sum(one.name.count for one in commit.before)
        shape = Shape(commit.upload.name)
        commit.upload.data = shape.header + shape.frame(records, base)
        return placed

    def scanner(self: Any, entry: Entry) -> Any:
        made = scans(self, entry)
        made.shape = _Absolute(entry.name)
        made.shape.base = entry.base
        return made

    return [(Listing, "begin", begins), (Reader, "_scanner", scanner)]


@_removal(
    "29",
    "a producer that finds the open segment missing does not look again",
    "the open segment is rolled consumed and deleted",
)
def _never_again() -> list[tuple[Any, str, Any]]:
    def missing(_: Any, known: Any) -> None:
        raise CorruptSegment(f"the open segment {known.text} is missing from the store")

    return [(Growing, "_missing", missing)]


@_removal(
    "32", "after an exception, equal places are taken for the own frame", "ctrl c meets an append that others wait for"
)
def _not_ours() -> list[tuple[Any, str, Any]]:
    original = SimStore._wrong

    def wrong(self: Any, fault: Any, op: str, name: str, effect: Any) -> Any:
        try:
            return original(self, fault, op, name, effect)
        except KeyboardInterrupt as interrupt:
            if op == "append":
                raise Landed(None) from interrupt
            raise

    return [(SimStore, "_wrong", wrong)]


@_removal("32", "an exception inside an append is not looked after", "an append is interrupted inside")
def _no_look() -> list[tuple[Any, str, Any]]:
    def interrupted(_: Any) -> None:
        raise StoreError("interrupted inside the append: not written")

    return [(SimStore, "_interrupted", interrupted)]


__all__ = ["REMOVALS", "Removal"]
