"""A store of its own: what a place holds, and one client's way to it, on which every call may go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from pqueue.abc import (
    SAME,
    Appends,
    Blob,
    Document,
    Insist,
    Owners,
    Same,
    SegmentStore,
    StoreSettings,
    StoreTime,
    Version,
)
from pqueue.errors import (
    BlobMissing,
    DocumentChanged,
    Landed,
    QueueError,
    SegmentChanged,
    StoreError,
    StoreFull,
    StoreRefused,
    SyncFailed,
)
from pqueue.names import HEAD
from pqueue.testing.simulate.oracle import Oracle
from pqueue.testing.simulate.parse import Consumed
from pqueue.testing.simulate.world import Died, Fault, Fiber, Interrupt, Line, World

R = TypeVar("R")

_INSIDE = frozenset(("", "torn", "dies inside", "write under way", "sync fails", "interrupted inside"))
"""What goes wrong with an append under its lock."""

LATE = 25
"""Calls after which a late request lands."""


@dataclass(eq=False)
class Place:
    """What the store holds."""

    oracle: Oracle
    grows: bool
    answers: bool
    """Whether a swap or an append that raises `StoreError` has not happened."""
    cut: bool = False
    """Whether it says that a power cut may cost its end (none comes here)."""
    owned: bool = False
    boot: str = ""
    blobs: dict[str, bytearray] = field(default_factory=dict)
    documents: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    offset_ms: int = 0
    """Of the store's clock against virtual time."""
    versions: int = 0
    owners: dict[str, SimStore] = field(default_factory=dict)
    held: dict[str, list[Fiber]] = field(default_factory=dict)
    """Segments that somebody appends to, and who waits for that."""
    evicted: list[tuple[str, int, int]] = field(default_factory=list)
    """Frames whose sync failed: their bytes may be gone from now on."""

    def alive(self, owner: str) -> bool:
        """Whether this owner's process lives and holds it."""
        store = self.owners.get(owner)
        return store is not None and store.holds

    def evict(self) -> None:
        """The kernel drops the pages that it could not write; they read as what is on the disk."""
        for name, start, stop in self.evicted:
            blob = self.blobs.get(name)
            if blob is not None:
                self.oracle.evicted(name)
                blob[start:stop] = bytes(stop - start)
        self.evicted.clear()


class SimStore(SegmentStore, Appends, Owners):
    """One client's way to a place."""

    Settings = StoreSettings

    def __init__(self, world: World, place: Place, client: Any) -> None:
        self._world = world
        self._place = place
        self._client = client
        self._closed = False
        self.appends = self if place.grows else None
        self.owners = self if place.owned else None
        self.always_answers = place.answers
        self.cut_loses_end = place.cut

    @classmethod
    def from_url(cls, url: str) -> Mapping[str, Any]:
        """There is none."""
        raise NotImplementedError

    @classmethod
    def open(cls, settings: Any, *, create: bool) -> Self:
        """There is none."""
        raise NotImplementedError

    def close(self) -> None:
        """Later calls are refused."""
        self._closed = True

    @property
    def holds(self) -> bool:
        """Whether its owners live."""
        return not self._closed and not self._client.dead

    # -- the way ------------------------------------------------------------------------------------------------------

    def _do(self, op: str, name: str, effect: Callable[[], R]) -> R:
        world = self._world
        fault = world.call(self._client, op, name)
        if self._closed:
            raise StoreRefused("this store was closed")
        if fault is not None:
            return self._wrong(fault, op, name, effect)
        fiber = world.current
        try:
            result = effect()
        except QueueError as error:
            world.trace.append(Line(world.now, fiber.name if fiber else "-", op, name, type(error).__name__))
            raise
        world.trace.append(Line(world.now, fiber.name if fiber else "-", op, name, ""))
        return result

    def _wrong(self, fault: Fault, op: str, name: str, effect: Callable[[], R]) -> R:  # noqa: C901, PLR0912, PLR0915
        world = self._world
        kind = fault.kind
        seconds = fault.seconds
        told = f"{kind} {seconds:.3f} s" if seconds else kind

        def done() -> R:
            try:
                result = effect()
            except QueueError as error:
                world.note(op, name, f"{told}: {type(error).__name__}")
                raise
            world.note(op, name, f"{told}: done")
            return result

        if kind == "lost request":
            world.note(op, name, told)
            raise StoreError("no answer: the request was lost")
        if kind == "late":
            world.note(op, name, told)
            self._later(op, name, effect, int(seconds) or LATE)
            raise StoreError("no answer: the request is late")
        if kind == "conflict":  # with its own first sending, say, which is still under way
            world.note(op, name, told)
            self._later(op, name, effect, int(seconds) or LATE)
            raise DocumentChanged("another write is under way")
        if kind == "full":
            world.note(op, name, told)
            raise StoreFull("no room")
        if kind == "refused":
            world.note(op, name, told)
            raise StoreRefused("no")
        if kind == "dies inside":  # a deletion: not atomic
            world.note(op, name, told)
            self._remove(name.split()[::2])
            self._client.dead = True
            raise Died
        if kind == "dies before":
            world.note(op, name, told)
            self._client.dead = True
            raise Died
        if kind == "interrupted before":
            world.note(op, name, told)
            raise Interrupt
        if kind == "slow before":
            world.note(op, name, told)
            world.park(seconds)
            return done()
        if kind == "freezes before":
            world.note(op, name, told)
            world.park(seconds)
            self._client.runtime.lag += seconds
            return done()
        if kind == "clock jumps":
            self._place.offset_ms += int(seconds * 1000)
            return done()
        try:
            result = done()
        except QueueError as error:
            if kind == "lost answer":
                raise StoreError("no answer: the answer was lost") from error
            if kind == "dies after":
                self._client.dead = True
                raise Died from None
            if kind == "slow after":
                world.park(seconds)
            raise
        if kind == "lost answer":
            raise StoreError("no answer: the answer was lost")
        if kind == "resent":
            raise DocumentChanged("that version no longer holds")
        if kind == "again":
            self._later(op, name, effect, int(seconds) or LATE)
        elif kind == "dies after":
            self._client.dead = True
            raise Died
        elif kind == "interrupted after":
            if op in ("swap", "append"):
                raise Landed(result) from Interrupt()
            raise Interrupt
        elif kind == "interrupted unheard":
            raise Interrupt
        elif kind == "slow after":
            world.park(seconds)
        return result

    def _later(self, op: str, name: str, effect: Callable[[], R], steps: int) -> None:
        who = self._client.name

        def land() -> None:
            try:
                effect()
                what = "lands late"
            except QueueError as error:
                what = f"arrives late: {type(error).__name__}"
            self._world.trace.append(Line(self._world.now, f"({who})", op, name, what))

        self._world.later(steps, f"{op} {name}", land)

    # -- blobs --------------------------------------------------------------------------------------------------------

    def write(self, name: str, data: bytes) -> None:  # noqa: D102
        def effect() -> None:
            place = self._place
            if place.grows and name in place.blobs:
                return
            place.blobs[name] = place.oracle.written(name, bytearray(data))

        self._do("write", name, effect)

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:  # noqa: D102
        return self._do("read", name, lambda: bytes(self._blob(name)[start:end]))

    def list(self, prefix: str, after: str = "") -> Iterator[Blob]:  # noqa: D102
        def effect() -> list[Blob]:
            blobs = self._place.blobs
            return [Blob(one, len(blobs[one])) for one in sorted(blobs) if one.startswith(prefix) and one > after]

        return iter(self._do("list", prefix, effect))

    def delete(self, names: Iterable[str]) -> None:  # noqa: D102
        every = [*names]

        def effect() -> None:
            self._remove(every)

        self._do("delete", " ".join(every), effect)

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            self._place.oracle.deleted(name)
            self._place.blobs.pop(name, None)
            self._place.documents.pop(name, None)

    def _blob(self, name: str) -> bytearray:
        try:
            return self._place.blobs[name]
        except KeyError as error:
            raise BlobMissing(f"{name} is not there") from error

    # -- documents ----------------------------------------------------------------------------------------------------

    def _now(self) -> StoreTime:
        return StoreTime(self._place.boot, int(self._world.now * 1000) + self._place.offset_ms)

    def load(self, document: str, known: Version | None = None) -> Document | Same | None:  # noqa: D102
        def effect() -> Document | Same | None:
            found = self._place.documents.get(document)
            if found is None:
                return None
            return SAME if found[1] == known else Document(found[0], found[1], self._now())

        return self._heard(document, "load", effect)

    def swap(self, document: str, data: bytes, version: Version | None, sync: bool) -> Document:  # noqa: ARG002, D102
        fiber = self._world.current

        def effect() -> Document:
            place = self._place
            found = place.documents.get(document)
            if version != (found[1] if found else None):
                raise DocumentChanged(f"{document}: version {version} no longer holds")
            if found and document.endswith(".json"):
                raise StoreRefused(f"{document} is made once")
            place.versions += 1
            place.documents[document] = (data, place.versions)
            now = self._now()
            place.oracle.swapped(document, data, fiber, now.ms)
            return Document(data, place.versions, now)

        return self._heard(document, "swap", effect)

    def _heard(self, document: str, op: str, effect: Callable[[], R]) -> R:
        """As `_do`; what the client learns of the head by it is the oracle's to know."""
        oracle = self._place.oracle
        seen: list[Consumed | None] = [None]

        def done() -> R:
            result = effect()
            seen[0] = oracle.head if document == HEAD else None
            return result

        try:
            result = self._do(op, document, done)
        except Landed:
            oracle.heard(self._client.name, seen[0])
            raise
        oracle.heard(self._client.name, seen[0])
        return result

    # -- appends ------------------------------------------------------------------------------------------------------

    def append(  # noqa: D102
        self, name: str, at: int, data: bytes, sync: bool, seal: bytes, insist: Insist | None = None
    ) -> None:
        world = self._world
        place = self._place
        fault = world.call(self._client, "append", name)
        kind = fault.kind if fault else ""
        self._locked(name)
        if kind not in _INSIDE:
            assert fault is not None
            self._wrong(fault, "append", name, lambda: self._append(name, at, data, insist))
            return
        if not kind:
            try:
                self._append(name, at, data, insist)
            except QueueError as error:
                world.note("append", name, type(error).__name__)
                raise
            world.note("append", name, "")
            return
        blob, data, seal = self._check(name, at, data, seal, insist)
        half = len(data) // 2
        world.note("append", name, kind)
        if kind == "interrupted inside":
            blob += data
            self._interrupted()
        place.held[name] = []
        try:
            if kind == "sync fails" and sync:
                blob += data
                place.evicted.append((name, len(blob) - len(data), len(blob)))
                world.later(LATE, "evict", place.evict)
                self._closes(blob, seal)
                raise SyncFailed("the disk did not confirm it")
            blob += data[:half]
            if kind == "torn":
                raise StoreError("the write failed in the middle")
            if kind == "dies inside":
                self._client.dead = True
                raise Died
            world.park(0.002)
            blob += data[half:]
            world.note("append", name, "is whole")
        finally:
            for one in place.held.pop(name):
                world.wake(one)

    def _locked(self, name: str) -> None:
        """Wait until nobody appends to it."""
        fiber = self._world.current
        assert fiber is not None
        while name in self._place.held:
            self._place.held[name].append(fiber)
            self._world.park()

    def _check(
        self, name: str, at: int, data: bytes, seal: bytes, insist: Insist | None
    ) -> tuple[bytearray, bytes, bytes]:
        """The blob, what to append to it, and what to seal it with."""
        blob = self._blob(name)
        if len(blob) == at:
            return blob, data, seal
        behind = bytes(blob[at:])
        instead = insist(behind) if insist and behind else None
        if instead is None:
            raise SegmentChanged(behind)
        return blob, *instead

    def _append(self, name: str, at: int, data: bytes, insist: Insist | None) -> None:
        blob, data, _ = self._check(name, at, data, b"", insist)
        blob += data

    def _closes(self, blob: bytearray, seal: bytes) -> None:
        """In the same hold of the lock (rule 25)."""
        blob += seal

    def _interrupted(self) -> None:
        """Before the lock is let go: the frame is whole (rule 32)."""
        raise Landed(None) from Interrupt()

    def settle(self, name: str) -> int:  # noqa: D102
        self._world.call(self._client, "settle", name)
        self._locked(name)
        return len(self._blob(name))

    # -- owners -------------------------------------------------------------------------------------------------------

    def own(self) -> str:  # noqa: D102
        owner = f"owner {len(self._place.owners)}"
        self._place.owners[owner] = self
        return owner

    def alive(self, owner: str) -> bool:  # noqa: D102
        return self._place.alive(owner)
