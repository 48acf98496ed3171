"""Moving in from folders of the original recipe: every item, in order, once, however often it is interrupted.

Before the first item a note is written into the destination, `import/ID`, that holds where the import begins; ID is made
of the folder's path and files. How far it came is what the queue's end says: so an interrupted import, run again, goes
on where it stopped, and compares what is still waiting with the folder. A second note, `import/ID-done`, ends it: run
once more, nothing happens. For this to hold nobody else may put into the queue until the import is done.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pqueue import plugins
from pqueue.abc import Document, SegmentStore
from pqueue.connect import connect, connect_store, parts
from pqueue.errors import BlobMissing, NotAQueue, QueueError, SerializationError, SettingsError, TooLarge
from pqueue.meta import Meta
from pqueue.names import META, canonical
from pqueue.oldrecipe import OldFolder
from pqueue.peek import Glance
from pqueue.queue import Queue
from pqueue.settings import QueueSettings
from pqueue.where import Where, parse
from pqueue.words import were

NOTES = "import/"
_DONE = "-done"
_BATCH = 1000


class Imported(NamedTuple):
    """What an import did."""

    moved: int
    """Items put by this call."""
    before: int
    """Items that an earlier, interrupted call had put."""

    @property
    def count(self) -> int:  # type: ignore[override]  # nobody counts within this tuple
        """All items that were in the folder."""
        return self.moved + self.before


def import_recipe(
    folder: str | os.PathLike[str],
    where: Where,
    /,
    *,
    serializer: str,
    append: bool = False,
    progress: Callable[[int], object] | None = None,
    **settings: Any,
) -> Imported:
    """Put every item of a folder that the original recipe wrote into a queue, in order; the folder stays as it is.

    Interrupted and run again, it loses and doubles nothing; run again when it was done, it does nothing. Until it is
    done nobody else may put into the queue; others may get from it. No process may have the old folder open.

    Args:
        folder: the old one.
        where: the queue, which is made if it is not there; see `pqueue.open`.
        serializer: the old folder's, `marshal` or `pickle`. Neither is safe against hostile bytes.
        append: whether items may be in the queue already, or have been.
        progress: is told how many items are in, after each batch.
        settings: of the queue; see `pqueue.open`.

    Raises:
        SettingsError: the queue is not empty; another import into it was interrupted; the serializer is the other one.
        NotAQueue: the folder is not the original recipe's.
        SerializationError: a file can't be read, or the queue's serializer can't keep an item. What is before it is in.
        QueueError: as `pqueue.open` and `put_many` do.
    """
    return import_folder(OldFolder(folder, serializer), parse(where, settings), append=append, progress=progress)


def import_folder(
    old: OldFolder, settings: QueueSettings, *, append: bool = False, progress: Callable[[int], object] | None = None
) -> Imported:
    """As `import_recipe` does."""
    if os.path.realpath(str(getattr(settings.store, "path", ""))) == os.path.realpath(old.path):
        raise SettingsError("the queue must have a place of its own, not that of the old folder")
    with _alone(old.path), connect(settings) as queue:
        store = connect_store(settings)
        try:
            return _Import(old, queue, store, settings).run(append=append, progress=progress)
        finally:
            store.close()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second import of the same folder out."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsError(f"{folder} is being imported by another process") from error
        yield
    finally:
        os.close(fd)


class _Import:
    def __init__(self, old: OldFolder, queue: Queue[Any], store: SegmentStore, settings: QueueSettings) -> None:
        self._old = old
        self._queue = queue
        self._store = store
        codecs = parts(settings)[1]
        document = store.load(META)
        assert isinstance(document, Document), "it has just been opened"
        if codecs is None:
            codecs = [plugins.codec(name) for name in Meta.parse(document.data).codecs]
        self._glance = Glance(store, codecs)

    def run(self, *, append: bool, progress: Callable[[int], object] | None) -> Imported:
        ident = self._old.ident
        notes = {blob.name.removeprefix(NOTES) for blob in self._store.list(NOTES)}
        if ident + _DONE in notes:
            return Imported(0, self._note(ident + _DONE)["count"])
        begun = {name for name in notes if not name.endswith(_DONE) and name + _DONE not in notes}
        if begun - {ident}:
            other = self._note(min(begun - {ident}))["folder"]
            raise SettingsError(
                f"an import of {other} into this queue was interrupted: run that again first (if the folder has changed "
                "since, remove the queue with `pqueue rm` and start anew)"
            )
        end = self._glance.end()
        if not begun:
            if end and not append:
                raise SettingsError(
                    f"{were(end, 'item')} put into this queue before: import into a new one, or say append (--append)"
                )
            note = {"base": end, "folder": str(self._old.path), "format": 1}
            self._store.write(NOTES + ident, canonical(note))
        before = max(0, end - self._note(ident)["base"])
        self._check(end - before, before)
        count = 0
        for items in self._old.lists():
            skipped = min(len(items), max(0, before - count))
            count += skipped
            for start in range(skipped, len(items), self._batch):
                batch = items[start : start + self._batch]
                self._put(batch, count)
                count += len(batch)
                if progress is not None:
                    progress(count)
        self._queue.sync()
        if count < before:
            raise self._mixed()
        self._store.write(NOTES + ident + _DONE, canonical({"count": count, "format": 1}))
        return Imported(count - before, before)

    @property
    def _batch(self) -> int:
        return min(_BATCH, self._queue.meta.maxsize or _BATCH)

    def _note(self, name: str) -> dict[str, Any]:
        try:
            value = json.loads(self._store.read(NOTES + name))
        except (ValueError, BlobMissing) as error:
            raise NotAQueue(f"the note {NOTES}{name} can't be read: {error}") from error
        assert isinstance(value, dict)
        return value

    def _put(self, items: Sequence[Any], at: int) -> None:
        """Put them all; of those that the queue refuses, what is before them."""
        try:
            self._queue.put_many(items)
        except (SerializationError, TooLarge) as error:
            if len(items) > 1:
                half = len(items) // 2
                self._put(items[:half], at)
                self._put(items[half:], at + half)
                return
            raise type(error)(f"item {at} of {self._old.path}: {error} ({were(at, 'item')} put before it)") from error

    def _check(self, base: int, before: int) -> None:
        """Compare what is waiting with what an earlier call must have put.

        Raises:
            SettingsError: somebody else put something.
        """
        if not before:
            return
        dumps = self._queue.serializer.dumps
        expected = (dumps(item) for items in self._old.lists() for item in items)
        at = base
        for chunk in self._glance.waiting():
            for offset, record in enumerate(chunk.records, chunk.where.start):
                if not at <= offset < base + before:
                    continue  # of before the import; or given back, and told in another order
                while at < offset:
                    next(expected, None)
                    at += 1
                if next(expected, None) != record:
                    raise self._mixed()
                at += 1

    def _mixed(self) -> QueueError:
        return SettingsError(
            "somebody else put items into this queue while the import was interrupted, so how far it came can't be "
            "told: get what is in the queue, remove it with `pqueue rm`, and import into a new one"
        )
