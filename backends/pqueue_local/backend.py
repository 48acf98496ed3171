"""The backend `local`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from pqueue.abc import Blob, Document, Same, SegmentStore, Version
from pqueue_local.appends import Segments
from pqueue_local.blobs import Blobs
from pqueue_local.clock import boot
from pqueue_local.documents import SlotDocument
from pqueue_local.folder import Folder
from pqueue_local.once import OnceDocument
from pqueue_local.owners import owners_of
from pqueue_local.probe import probe
from pqueue_local.settings import SCHEME, LocalSettings, settings_of
from pqueue_local.slots import ROOM
from pqueue_local.wakes import FolderWakes


class LocalBackend(SegmentStore):
    """A store in a folder of a local file system.

    Everything survives the death of any process; what asked for a sync, a power cut too. A client may be used by any
    number of threads, and goes on working in a forked child. A process that is stopped (SIGSTOP) in the instant of a
    swap or append stops those who want to do the same, until it goes on or dies.

    `appends`, `owners` and `wakes` are objects of their own, so that an append, or a notify, goes through one call.
    """

    Settings = LocalSettings
    schemes: ClassVar = (SCHEME,)
    cut_loses_end = True
    always_answers = True
    document_bytes = ROOM

    def __init__(self, folder: Folder, *, appends: bool) -> None:
        self._folder = folder
        self._blobs = Blobs(folder)
        self._segments = Segments(folder)
        self._owners = owners_of(folder)
        self._documents: dict[str, SlotDocument | OnceDocument] = {}
        self.appends = self._segments if appends else None
        self.owners = self._owners
        self.wakes = self._wakes = FolderWakes(folder)

    @classmethod
    def from_url(cls, url: str) -> Mapping[str, Any]:
        """The settings of `file:///absolute/path`."""
        return settings_of(url)

    @classmethod
    def open(cls, settings: LocalSettings, *, create: bool) -> Self:
        """Open the folder; with `create`, make it."""
        folder = Folder.open(settings.path, settings.mode, create=create)
        boot()
        return cls(folder, appends=settings.appends)

    def probe(self) -> Mapping[str, Any]:  # noqa: D102
        self._folder.check_open()
        probe(self._folder)
        return {}

    def strangers(self) -> Sequence[str]:  # noqa: D102
        return self._folder.strangers

    def write(self, name: str, data: bytes) -> None:  # noqa: D102
        self._blobs.write(name, data)

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:  # noqa: D102
        return self._blobs.read(name, start, end)

    def list(self, prefix: str, after: str = "") -> Iterator[Blob]:  # noqa: D102
        return self._blobs.list(prefix, after)

    def delete(self, names: Iterable[str]) -> None:  # noqa: D102
        for name in names:
            if "/" in name:
                self._segments.forget(name)
                self._blobs.delete(name)
            else:
                self._document(name).delete()

    def load(self, document: str, known: Version | None = None) -> Document | Same | None:  # noqa: D102
        return (self._documents.get(document) or self._document(document)).load(known)

    def swap(self, document: str, data: bytes, version: Version | None, sync: bool) -> Document:  # noqa: D102
        return (self._documents.get(document) or self._document(document)).swap(data, version, sync)

    def close(self) -> None:  # noqa: D102
        if not self._folder.closed:
            self._folder.closed = True
            self._owners.close()
            self._wakes.close()
        self._blobs.close()
        self._segments.close()
        for document in list(self._documents.values()):
            document.drop()

    def _document(self, name: str) -> SlotDocument | OnceDocument:
        kind = OnceDocument if name.endswith(".json") else SlotDocument
        return self._documents.setdefault(name, kind(self._folder, name))
