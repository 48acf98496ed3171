"""Blobs: whole files."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pqueue.abc import Blob
from pqueue.errors import BlobMissing
from pqueue_local import disk
from pqueue_local.descriptors import Cache, Descriptor
from pqueue_local.folder import Folder
from pqueue_local.foreign import foreign, ours, translated

_KEPT = 4


class Blobs:
    """The blobs of a folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._kept: Cache[Descriptor] = Cache(_KEPT)

    def write(self, name: str, data: bytes) -> None:
        """As `SegmentStore.write`."""
        path = self._folder.blob(name)
        # rule 21: a temporary file, synced, given its name, the directory synced. By link and not rename: a repeated
        # write that lands late finds the name taken, and does not put a newborn file in the place of a grown one
        with translated(f"write {name}"), self._folder.temporary(data) as temporary:
            temporary.link(path)
            disk.sync_directory(path.parent)

    def read(self, name: str, start: int, end: int | None) -> bytes:
        """As `SegmentStore.read`."""
        try:  # not by `translated`, which costs as much as the read of a few frames
            blob = self._kept.get(name) or self._open(name)
            found = os.fstat(blob.fd)
            if not found.st_nlink:
                self._kept.forget(name)
                blob = self._open(name)
                found = os.fstat(blob.fd)
            size = found.st_size
            if end is None or end > size:
                end = size
            return disk.read_range(blob.fd, start, end) if start < end else b""
        except OSError as error:
            if not foreign(error):
                raise
            raise ours(error, f"read {name}") from error

    def _open(self, name: str) -> Descriptor:
        path = self._folder.blob(name)
        try:
            return self._kept.add(name, Descriptor(os.open(path, os.O_RDONLY)))
        except FileNotFoundError as error:
            raise BlobMissing(f"{name} is not there") from error

    def list(self, prefix: str, after: str) -> Iterator[Blob]:
        """As `SegmentStore.list`."""
        with translated(f"list {prefix or 'all blobs'}"):
            directory = self._folder.directory(prefix)
            path = self._folder.root / directory
            names = [name for name in _walk(path, directory) if name.startswith(prefix) and name > after]
        return self._sized(sorted(names))

    def _sized(self, names: Sequence[str]) -> Iterator[Blob]:
        for name in names:
            with translated(f"list {name}"):
                try:
                    size = self._folder.blob(name).stat().st_size
                except FileNotFoundError:
                    continue
            yield Blob(name, size)

    def delete(self, name: str) -> None:
        """Remove the blob, if it is there."""
        path = self._folder.blob(name)
        self._kept.forget(name)
        with translated(f"delete {name}"):
            try:
                fd = os.open(path, os.O_WRONLY)
            except FileNotFoundError:
                return
            try:
                path.unlink(missing_ok=True)
                # An append elsewhere, whose descriptor is open, would match the size and be lost; now it looks.
                os.ftruncate(fd, os.fstat(fd).st_size + 1)
            except OSError as error:
                if error.errno != errno.EFBIG:  # as large as this process may make a file: gone all the same
                    raise
            finally:
                os.close(fd)

    def close(self) -> None:
        """Let go of descriptors."""
        self._kept.drop()


def _walk(path: Path, name: str) -> Iterator[str]:
    """The names of all files below a directory, but those of the root: these are documents."""
    try:
        entries = os.scandir(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            inner = f"{name}/{entry.name}" if name else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(path / entry.name, inner)
            elif name:
                yield inner
