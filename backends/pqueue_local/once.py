"""Documents that are made once: plain files."""

import os

from pqueue.abc import SAME, Document, Same, Version
from pqueue.errors import DocumentChanged, StoreRefused
from pqueue_local import disk
from pqueue_local.clock import now
from pqueue_local.folder import Folder
from pqueue_local.foreign import surface, translated


class OnceDocument:
    """One document of a folder that is never replaced: rule 20's meta. Its version is its file's identity."""

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self._name = name
        self._synced: Version = ""
        folder.document(name)

    def load(self, known: Version | None) -> Document | Same | None:
        """As `SegmentStore.load`."""
        with translated(f"load {self._name}"):
            try:
                fd = os.open(self._folder.document(self._name), os.O_RDONLY)
            except FileNotFoundError:
                return None
            try:
                found = os.fstat(fd)
                version = _version(found)
                if version == known == self._synced:
                    return SAME
                data = disk.read_range(fd, 0, found.st_size)
            finally:
                os.close(fd)
            if version != self._synced:  # rule 21: its maker may not have got to it
                disk.sync_directory(self._folder.root)
                self._synced = version
        return SAME if version == known else Document(data, version, now())

    def swap(self, data: bytes, version: Version | None, sync: bool) -> Document:  # noqa: ARG002  # always synced
        """As `SegmentStore.swap`."""
        if version is not None:
            raise StoreRefused(f"{self._name} is made once and never replaced")
        path = self._folder.document(self._name)
        done: Document | None = None
        try:
            with self._folder.temporary(data) as temporary:
                made = Document(data, _version(temporary.stat()), now())
                try:
                    if temporary.link(path):
                        disk.sync_directory(self._folder.root)
                        done = made
                except BaseException:
                    # rule 20, as 32: look whether it is there, and is ours
                    if temporary.is_at(path):
                        disk.sync_directory(self._folder.root)
                        done = made
                    raise
        except BaseException as error:  # noqa: BLE001  # raised again by `surface`
            surface(error, f"make {self._name}", done, stands=done is not None)
        if done is None:
            raise DocumentChanged(f"{self._name} is already there")
        self._synced = done.version
        return done

    def delete(self) -> None:
        """Remove the document, if it is there."""
        with translated(f"delete {self._name}"):
            self._folder.document(self._name).unlink(missing_ok=True)

    def drop(self) -> None:
        """Keep nothing open; as ever."""


def _version(found: os.stat_result) -> Version:
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}"
