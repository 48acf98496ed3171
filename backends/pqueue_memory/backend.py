"""The backend `memory`."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field

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
    Wakes,
)
from pqueue.errors import BlobMissing, DocumentChanged, Landed, SegmentChanged, SettingsError, StoreRefused
from pqueue_memory.place import Place, forget, place_of, versions

__all__ = ["MemoryBackend", "MemorySettings", "forget"]


class MemorySettings(StoreSettings):
    """Which place, and whether its segments grow."""

    backend: Literal["memory"] = "memory"
    name: str = Field(min_length=1)
    """Opens of one name, in one process, share one place."""
    appends: bool = True


class MemoryBackend(SegmentStore, Appends, Owners, Wakes):
    """A store in the memory of this process; nothing of it survives the process.

    After a fork, child and parent go on with a copy each and no longer see one another.
    """

    Settings = MemorySettings
    schemes: ClassVar = ("memory",)
    always_answers = True
    in_process = True

    def __init__(self, place: Place, settings: MemorySettings) -> None:
        self._place = place
        self._mine: set[str] = set()
        self._closed = False
        self.appends = self if settings.appends else None
        self.owners = self
        self.wakes = self

    @classmethod
    def from_url(cls, url: str) -> Mapping[str, Any]:
        """The settings of `memory://NAME`."""
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise SettingsError("not a URL of the form memory://NAME") from error
        name = parts.netloc + parts.path.rstrip("/")
        if parts.scheme not in cls.schemes or not name or "@" in parts.netloc or parts.fragment:
            raise SettingsError("not a URL of the form memory://NAME")  # does not repeat what may hold a secret
        return {"backend": "memory", "name": name}

    @classmethod
    def open(cls, settings: MemorySettings, *, create: bool) -> Self:
        """Share the place of that name; with `create`, make it."""
        return cls(place_of(settings.name, create=create), settings)

    def close(self) -> None:
        """End this client's owners; every later call raises StoreRefused."""
        with self._place.lock:
            self._closed = True
            self._place.owners -= self._mine

    def _open_place(self) -> Place:
        if self._closed:
            raise StoreRefused("this store was closed; open it again")
        return self._place

    # -- blobs

    def write(self, name: str, data: bytes) -> None:  # noqa: D102
        place = self._open_place()
        with place.lock:
            place.blobs[name] = bytearray(data)

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:  # noqa: D102
        place = self._open_place()
        with place.lock, memoryview(_blob(place, name)) as view:
            return view[start:end].tobytes()

    def list(self, prefix: str, after: str = "") -> Iterator[Blob]:  # noqa: D102
        place = self._open_place()
        with place.lock:
            found = [*(Blob(name, len(data)) for name, data in place.blobs.items() if name.startswith(prefix))]
        return iter(sorted(blob for blob in found if blob.name > after))

    def delete(self, names: Iterable[str]) -> None:  # noqa: D102
        place = self._open_place()
        for name in names:
            with place.lock:
                place.blobs.pop(name, None)
                place.documents.pop(name, None)

    # -- documents

    def load(self, document: str, known: Version | None = None) -> Document | Same | None:  # noqa: D102
        place = self._open_place()
        with place.lock:
            found = place.documents.get(document)
        if found is None:
            return None
        return SAME if found.version == known else found._replace(now=_now())

    def swap(self, document: str, data: bytes, version: Version | None, sync: bool) -> Document:  # noqa: ARG002, D102
        place = self._open_place()
        placed: Document | None = None
        try:  # around the lock: an interrupt may come as that is left, too
            with place.lock:
                found = place.documents.get(document)
                if version != (found.version if found else None):
                    raise DocumentChanged(f"{document}: version {version} no longer holds")  # noqa: TRY301
                if found and document.endswith(".json"):
                    raise StoreRefused(f"{document} is made once and never replaced")  # noqa: TRY301
                new = Document(bytes(data), next(versions), _now())
                place.documents[document] = placed = new
        except BaseException as interrupt:
            if placed is not None:
                raise Landed(placed) from interrupt
            raise
        return new

    # -- appends

    def append(  # noqa: D102
        self,
        name: str,
        at: int,
        data: bytes,
        sync: bool,  # noqa: ARG002
        seal: bytes,  # noqa: ARG002
        insist: Insist | None = None,
    ) -> None:
        place = self._open_place()
        done = False
        try:
            with place.lock:
                blob = _blob(place, name)
                if len(blob) != at:
                    behind = bytes(blob[at:])
                    instead = insist(behind) if insist and behind else None
                    if instead is None:
                        raise SegmentChanged(behind)  # noqa: TRY301
                    data = instead[0]
                blob += data
                done = True
        except BaseException as interrupt:
            if done:
                raise Landed(None) from interrupt
            raise

    def settle(self, name: str) -> int:  # noqa: D102
        place = self._open_place()
        with place.lock:
            return len(_blob(place, name))

    # -- owners

    def own(self) -> str:  # noqa: D102
        place = self._open_place()
        owner = os.urandom(12).hex()
        with place.lock:
            self._mine.add(owner)
            place.owners.add(owner)
        return owner

    def alive(self, owner: str) -> bool:  # noqa: D102
        place = self._open_place()
        with place.lock:
            return owner in place.owners

    # -- wakes

    def wait(self, ready: Callable[[], bool], timeout: float) -> bool:  # noqa: D102
        place = self._open_place()
        gate = threading.Lock()  # and no condition, which an interrupt leaves half done
        gate.acquire()
        place.sleepers.append(gate)
        try:
            return ready() or gate.acquire(timeout=min(timeout, threading.TIMEOUT_MAX))
        finally:
            with suppress(ValueError):
                place.sleepers.remove(gate)

    def notify(self) -> None:  # noqa: D102
        place = self._open_place()
        while place.sleepers:
            with suppress(IndexError):
                place.sleepers.pop().release()


def _blob(place: Place, name: str) -> bytearray:
    try:
        return place.blobs[name]
    except KeyError as error:
        raise BlobMissing(f"{name} is not there") from error


def _now() -> StoreTime:
    return StoreTime("", time.monotonic_ns() // 1_000_000)
