"""Folders that the original recipe wrote: `index`, and numbered files of one dumped list each."""

from __future__ import annotations

import hashlib
import marshal
import os
import pickle
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pqueue.errors import NotAQueue, SerializationError, SettingsError
from pqueue.words import counted

_INDEX = "index"
_TEMPORARY = "tempfile"
"""The original writes `index` anew under this name, removes the old one, and renames: it may die between the two."""

SERIALIZERS = ("marshal", "pickle")


def is_old(folder: str | os.PathLike[str]) -> bool:
    """Whether the original recipe wrote this folder, and no queue of this project's is in it."""
    path = Path(folder)
    return _positions(path / _INDEX) is not None and not (path / "queue.json").exists()


def refuse(folder: str | os.PathLike[str]) -> None:
    """Keep a queue from being made beside the files of the original recipe.

    Raises:
        NotAQueue: they are there; says the command that moves them in.
    """
    path = Path(folder).expanduser().absolute()
    try:
        if not is_old(path):
            return
        kind = _written_by(path)
    except OSError:  # told by whoever opens the folder next, as the error that it is
        return
    old, new = shlex.quote(str(path)), shlex.quote(f"{path}.new")
    raise NotAQueue(
        f"{path} is a folder of the original PersistentQueue recipe, and no queue: move its items into a new one with "
        f"`pqueue import recipe --serializer {kind} {old} {new}`; it stays as it is"
    )


def _written_by(folder: Path) -> str:
    """The serializer that its files look like; the first, if none of them tells."""
    for path in folder.iterdir():
        if path.name.isdigit() and path.is_file():
            with path.open("rb") as file:
                kind = _looks_like(file.read(2))
            if kind:
                return kind
    return SERIALIZERS[0]


def _positions(path: Path) -> tuple[int, int] | None:
    """Head and tail; None where this is no such file."""
    try:
        with path.open("rb") as file:
            words = file.read(64).split()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    if len(words) != 2 or not all(word.isdigit() for word in words):  # noqa: PLR2004  # head and tail
        return None
    head, tail = map(int, words)
    return (head, tail) if head < tail else None


class OldFolder:
    """One of them, to be read from the start; it is never written to."""

    def __init__(self, folder: str | os.PathLike[str], serializer: str) -> None:
        """Look at the folder and at its first list.

        Args:
            folder: with the file `index`.
            serializer: what the original was made with, `marshal` or `pickle`; neither is safe, so that the caller has
                to name it.

        Raises:
            SettingsError: another serializer, or the folder is of another one.
            NotAQueue: the folder is not the original recipe's, or a file of it is missing.
            SerializationError: the first list can't be read.
            OSError: the folder can't be read.
        """
        if serializer not in SERIALIZERS:
            raise SettingsError(
                f"the original recipe's serializer must be marshal or pickle, whichever it was made with, not {serializer!r}"
            )
        self.path = Path(folder).absolute()
        self._serializer = serializer
        self._load = _loader(serializer)
        positions = _positions(self.path / _INDEX) or (
            None if (self.path / _INDEX).exists() else _positions(self.path / _TEMPORARY)
        )
        if positions is None:
            raise NotAQueue(
                f"{self.path} is not a folder of the original recipe: no file `index` with two numbers, head and tail, is in it"
            )
        self.head, self.tail = positions
        missing = [number for number in range(self.head + 1, self.tail) if not self._file(number).is_file()]
        if missing:
            raise NotAQueue(
                f"{self.path} lacks {counted(len(missing), 'file')} between head ({self.head}) and tail ({self.tail}), the "
                f"first being {missing[0]}: restore what is missing; nothing was moved"
            )
        for items in self.lists():
            if items:
                break

    def _file(self, number: int) -> Path:
        return self.path / str(number)

    @property
    def ident(self) -> str:
        """The same as long as the folder is not moved or written to."""
        told = [str(self.path), self._serializer, str(self.head), str(self.tail)]
        for number in range(self.head, self.tail + 1):
            try:
                found = self._file(number).stat()
            except FileNotFoundError:
                continue
            told.append(f"{number} {found.st_size} {found.st_mtime_ns}")
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]

    def lists(self) -> Iterator[Sequence[Any]]:
        """The lists in order, one in memory at a time.

        Raises:
            SettingsError: a file is of the other serializer.
            SerializationError: a file can't be read.
        """
        for number in range(self.head, self.tail + 1):
            try:
                data = self._file(number).read_bytes()
            except FileNotFoundError:
                if number in (self.head, self.tail):
                    continue  # the caches were empty, or the process died before it wrote them
                raise
            if data:
                yield self._list(self._file(number), data)

    def _list(self, path: Path, data: bytes) -> Sequence[Any]:
        kind = _looks_like(data)
        if kind not in ("", self._serializer):
            raise SettingsError(
                f"{path} was written by {kind}, not by {self._serializer}: name {kind} as the serializer"
            )
        try:
            items = self._load(data)
        except Exception as error:
            raise SerializationError(f"{path} can't be read by {self._serializer}: {error!r}") from error
        if type(items) is not list:
            raise SerializationError(f"{path} holds no list but a {type(items).__name__}: not a file of the recipe's")
        return items


def _looks_like(data: bytes) -> str:
    """Which of the two wrote a list that starts so; "" if neither did."""
    if not data:
        return ""
    first = data[0]
    if first & 0x7F == ord("["):  # marshal's type code of a list, with its flag or without
        return "marshal"
    # pickle: PROTO, or the start of a list in the protocols 0 and 1
    return "pickle" if first == 0x80 or data[:2] in (b"(l", b"]q", b"]r", b"].") else ""  # noqa: PLR2004


def _loader(serializer: str) -> Callable[[bytes], Any]:
    """The bare module's `loads`, which the caller named: our own serializers of that name write another format."""
    return marshal.loads if serializer == "marshal" else pickle.loads
