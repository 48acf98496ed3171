"""What a plug-in implements: `SegmentStore` and its mix-ins, `Serializer`, `Codec`. Everything else rests on these.

A store keeps two kinds of things under names like `seg/NAME` or `tail`:

- **blobs**, written whole under a name that nobody ever uses for other bytes;
- **documents**, small and replaced by compare-and-set.

Foreign errors never leave a store: each backend maps them to `pqueue.errors` in one place, `raise … from`.
Every method may be called by any number of threads at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple, Self

from pydantic import BaseModel

Version = int | str
"""A document's version: opaque, never the same for two swaps, even of equal content."""


class StoreTime(NamedTuple):
    """The store's clock. Only times of one `boot` can be compared; another boot's are long past."""

    boot: str
    """The boot id of the machine (a folder), or "" where the clock outlives reboots (a bucket)."""
    ms: int
    """Milliseconds; a bucket's count from the epoch, a folder's from the boot (CLOCK_BOOTTIME)."""


class Document(NamedTuple):
    """A document as the store holds it."""

    data: bytes
    version: Version
    now: StoreTime


class Blob(NamedTuple):
    """A name and its size in bytes, as listed."""

    name: str
    size: int


class _Same:
    """The type of `SAME`."""

    def __repr__(self) -> str:
        return "SAME"


SAME: Final = _Same()
"""`load`'s answer for "still the version you know"."""
Same = _Same


class StoreSettings(BaseModel, extra="forbid", frozen=True):
    """What every backend's settings have in common; a backend adds its own and fixes `backend` to its name."""

    backend: str


class SegmentStore(ABC):
    """A place for blobs and documents."""

    Settings: ClassVar[type[StoreSettings]]
    """The model of this backend's settings; its `backend` is a `Literal` of the plug-in's name."""

    schemes: ClassVar[Sequence[str]] = ()
    """URL schemes that name this backend; `from_url` reads them."""

    appends: Appends | None = None
    """Set (commonly to `self`) by a store whose segments can grow. Fixed for the queue's life by its meta."""
    owners: Owners | None = None
    """Set by a store that knows at once when a process on the same machine has died."""
    wakes: Wakes | None = None
    """Set by a store that can wake waiters in other processes."""
    cut_loses_end: bool = False
    """Whether a power cut may cost blobs' or documents' newest unsynced bytes (a folder's, not a bucket's)."""
    ack_linger: float = 0.0
    """Seconds that acknowledgements of `get` wait for one another unless the opener says; above 0 where a swap is dear."""
    in_process: bool = False
    """Whether the place is this process's memory, so that nobody else can open it."""
    clock_step_ms: int = 0
    """By how much the store's time may lag behind its clock, because it is told in larger steps (a bucket's: seconds)."""
    document_bytes: int = 1 << 20
    """Up to so many bytes a document is taken. The head is kept below: how much may be lent in pieces is a matter of this."""
    always_answers: bool = False
    """Whether a swap or append that raises `StoreError` is known not to have happened (a folder's; never a network's)."""

    @classmethod
    @abstractmethod
    def from_url(cls, url: str) -> Mapping[str, Any]:
        """The settings that a URL of one of `schemes` states, except its query, as a mapping for `Settings`.

        Raises:
            SettingsError: the URL is not of this backend, or holds a secret.
        """

    @classmethod
    @abstractmethod
    def open(cls, settings: Any, *, create: bool) -> Self:
        """Connect to the place that `settings` names; with `create`, make the place (a folder; never a bucket).

        Raises:
            QueueAbsent: the place is not there.
            StoreRefused: it is there and may not be used, or can't keep this contract.
        """

    def probe(self) -> Mapping[str, Any]:
        """Called once, before a queue is made: try that the store keeps this contract; tell what later openers need.

        The answer is recorded in the queue's meta and given to `recall` by every opener. Leaves nothing behind.

        Raises:
            StoreRefused: the store ignores conditions, or can't lock, or the like.
        """
        return {}

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Take what `probe` told when the queue was made."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Make the blob `name`: whole or not at all, durable on return, visible to everyone from then on.

        One name never gets two contents, so the call may be repeated, by the store's own retries too; a repetition
        that lands late is harmless. Concurrent writers of one name write the same bytes.

        Raises:
            StoreFull: no room; nothing is there.
            StoreError: the outcome is unknown, or (StoreRefused) the store said no.
        """

    @abstractmethod
    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes [start, end) of a blob; fewer, or none, past its end.

        Of a blob that is growing by `append`, a prefix of what is there at some moment during the call; its last
        bytes may be a write under way.

        Raises:
            BlobMissing: no such blob.
        """

    @abstractmethod
    def list(self, prefix: str, after: str = "") -> Iterator[Blob]:
        """Names that start with `prefix` and sort behind `after`, ascending.

        Misses none that was there before the call and was not deleted during it. Documents are not listed.
        """

    @abstractmethod
    def delete(self, names: Iterable[str]) -> None:
        """Remove blobs or documents, any number; an absent name is no error. Not atomic, in any order.

        Where a power cut loses the end, a deletion may be undone by it.
        """

    @abstractmethod
    def load(self, document: str, known: Version | None = None) -> Document | Same | None:
        """The newest version of a document; None where it is not there; `SAME` where it is still `known`.

        What it returns is as durable as the swap that made it asked for, even if that swap's caller died before it
        got there. Sees every swap that returned before the call.
        """

    @abstractmethod
    def swap(self, document: str, data: bytes, version: Version | None, sync: bool) -> Document:
        """Replace the document if `version` (None: it is not there yet) still holds. Atomic; seen by all on return.

        Survives the death of every process on return; with `sync`, a power cut too. A document whose name ends in
        `.json` is made once (version None) and never replaced.

        Raises:
            DocumentChanged: that version no longer holds, *or an earlier attempt of this very call landed*.
            StoreFull: no room; not replaced.
            Landed: interrupted, but replaced.
            SyncFailed: replaced and seen by all, perhaps not durable.
            StoreError: the outcome is unknown, unless the store declares `always_answers`.
        """

    def strangers(self) -> Sequence[str]:
        """What lies in this place that no queue has put there, where none is: then none is made among it."""
        return ()

    def requests(self) -> Mapping[str, int]:
        """How many requests this object sent since it was opened, by kind (`PUT`, `LIST` …); nothing where none is billed.

        Each attempt counts, also those that the store's own client repeats. A forked child begins at nothing. May be
        asked at any time, closed or not.
        """
        return {}

    @abstractmethod
    def close(self) -> None:
        """Let go of descriptors and connections; a second call does nothing. Calls under way may fail."""


Insist = Callable[[bytes], tuple[bytes, bytes] | None]
"""Called with the bytes behind `at`: `data` and `seal` for behind these, instead of those that came too late; or None."""


class Appends(ABC):
    """A store whose blobs can grow."""

    @abstractmethod
    def append(self, name: str, at: int, data: bytes, sync: bool, seal: bytes, insist: Insist | None = None) -> None:
        """Add `data` to a blob if its size is exactly `at`; lock, compare, write and sync in one hold of a lock.

        If it is larger, and `insist` is there, that is asked in the same hold, and what it returns is added instead, at the end.

        Survives the process's death on return; with `sync`, a power cut too.
        A write cut short by a full disk is undone in the same hold. Where the sync fails, the data stays and `seal`
        is written behind it in the same hold (torn bytes, if even that fails).

        Raises:
            SegmentChanged: the size is another; holds the bytes behind `at`, read in the same hold.
            BlobMissing: no such blob.
            StoreFull: no room; nothing was written.
            SyncFailed: written, sealed, perhaps not durable.
            Landed: interrupted, but the data is whole and (with `sync`) durable.
            StoreError: not written, if the store declares `always_answers`; torn bytes may stand at `at`.
        """

    @abstractmethod
    def settle(self, name: str) -> int:
        """The blob's size in bytes, after any append under way has ended.

        Raises:
            BlobMissing: no such blob.
        """


class Owners(ABC):
    """Identities that the operating system drops with the process."""

    @abstractmethod
    def own(self) -> str:
        """A new identity, held until `close` or the process's death. Never given twice within one boot's life."""

    @abstractmethod
    def alive(self, owner: str) -> bool:
        """Whether the process that owns it lives; one of an earlier boot does not."""


class Wakes(ABC):
    """Wakes waiters, in other processes too."""

    @abstractmethod
    def wait(self, ready: Callable[[], bool], timeout: float) -> bool:
        """Register, ask `ready()`, then sleep until `notify` or for `timeout` seconds; whether it was woken or ready."""

    @abstractmethod
    def notify(self) -> None:
        """Wake every registered waiter of this store. Cheap where nobody waits."""


class Serializer(ABC):
    """Items to records and back. A plug-in's class; made without arguments or from its settings."""

    name: ClassVar[str]
    """As the queue's meta records it."""
    safe: ClassVar[bool]
    """Whether loading a hostile record can do no more than raise. One that is not is used only if its caller names it."""

    @abstractmethod
    def dumps(self, item: Any) -> bytes:
        """The item's record; what `loads` gives back equals it in value and type.

        Raises:
            SerializationError: it can't keep this item; names the type and the serializers that would.
        """

    @abstractmethod
    def loads(self, record: bytes) -> Any:
        """The item of a record.

        Raises:
            SerializationError: the record can't be read.
        """

    def loads_many(self, records: Sequence[bytes]) -> Sequence[Any]:
        """The items of many records, in order; a plug-in overrides it where that is faster than one by one.

        Records that one producer put at once come as a sequence with `joined`, their bytes one behind another (`bytes`, or
        a `memoryview`): to cut them out one by one may take longer than to read them.

        Raises:
            SerializationError: one of them can't be read.
        """
        return [self.loads(record) for record in records]


class Codec(ABC):
    """Bytes to bytes and back: compression or encryption of a whole frame's payload."""

    name: ClassVar[str]
    """As meta and the segment's header record it."""

    @abstractmethod
    def encode(self, data: bytes, place: bytes) -> bytes:
        """The encoded bytes; `place` (queue, segment, position) is what encryption binds them to."""

    @abstractmethod
    def decode(self, data: bytes, place: bytes) -> bytes:
        """What `encode` was given.

        Raises:
            ValueError: the bytes do not decode, or not at this place.
        """
