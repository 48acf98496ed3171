"""The original recipe's class on this engine: change the import, and nothing else.

>>> from pqueue.recipe import PersistentQueue
>>> queue = PersistentQueue("jobs")
>>> queue.put("a")
>>> queue.close()
"""

from __future__ import annotations

import json
import marshal
import os
import pickle
import threading
from types import ModuleType
from typing import Any, ClassVar

from pqueue import plugins
from pqueue.abc import Serializer
from pqueue.connect import connect_store
from pqueue.errors import Empty, NotAQueue, QueueAbsent, QueueGone, SerializationError, SettingsError
from pqueue.importing import Imported, import_recipe
from pqueue.oldrecipe import is_old
from pqueue.queue import Queue
from pqueue.where import parse

__all__ = ["Empty", "Imported", "PersistentQueue", "import_recipe"]

_MODULES = {marshal: "marshal", pickle: "pickle", json: "json"}


class PersistentQueue:
    """A queue in a folder, for one thread or many, that keeps up to `cache_size` items in memory before it writes.

    As in the original, what was put is on the disk after `sync` or `close`, or once `cache_size` items have come
    together; a process that is killed loses the rest, and repeats what it had got since the last `sync`. Unlike there, it
    loses and repeats nothing else, several processes may use the folder at once, and `len` is right.
    """

    def __init__(self, name: str | os.PathLike[str], cache_size: int = 512, marshal: Any = marshal) -> None:
        """Open the folder, or make it.

        Args:
            name: the folder.
            cache_size: items to a file; of a folder that is there, what it was made with holds.
            marshal: what makes bytes of items: the module marshal, pickle or json, or anything with `dumps` and
                `loads`, which the folder then remembers by its name. Must be the one the folder was made with.

        Raises:
            SettingsError: `cache_size` is not positive, or `marshal` is another one.
            NotAQueue: the folder is one that the original wrote: `pqueue import recipe` moves its items to a new one.
        """
        if cache_size <= 0:
            raise SettingsError(f"cache_size must be larger than 0, not {cache_size}")
        self.name = os.fspath(name)
        self.cache_size = cache_size
        self.marshal = marshal
        self._serializer = _serializer(marshal)
        self._guard = threading.Lock()
        self._opened: Queue[Any] | None = None
        self._queue  # noqa: B018  # opens it, so that what is wrong is told here

    @property
    def _queue(self) -> Queue[Any]:
        """The queue; after `close` it is opened again, as the original could be used on."""
        queue = self._opened
        if queue is None:
            with self._guard:
                queue = self._opened = self._opened or self._open()
        return queue

    def _open(self) -> Queue[Any]:
        if is_old(self.name):
            raise NotAQueue(
                f"{self.name} was written by the original recipe: move its items to a new folder with `pqueue import recipe "
                f"--serializer marshal {self.name} NEW_FOLDER` (or pickle), and open that"
            )
        try:
            return self._connect(create=False)
        except (QueueAbsent, QueueGone):
            pass
        try:
            return self._connect(create=True)
        except SettingsError:
            return self._connect(create=False)  # made meanwhile, with another cache_size

    def _connect(self, *, create: bool) -> Queue[Any]:
        settings = parse({"backend": "local", "path": self.name, "create": create})
        store = connect_store(settings)
        fixed: dict[str, Any] = {"durability": "buffered", "segment_items": self.cache_size} if create else {}
        try:
            return Queue(store, self._serializer, create=create, fixed=fixed)
        except BaseException:
            store.close()
            raise

    def put(self, obj: Any) -> None:
        """Append an item.

        Raises:
            SerializationError: the serializer would not give it back as it is; the original would have changed it, or
                have failed at a later call.
        """
        self._queue.put(obj)

    def get(self) -> Any:
        """Take the first item.

        Raises:
            Empty: there is none; derived from `queue.Empty`.
        """
        return self._queue.get(block=False)

    def sync(self) -> None:
        """Write what is in memory."""
        self._queue.sync()

    def close(self) -> None:
        """Write what is in memory and let go of the folder."""
        with self._guard:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def __len__(self) -> int:
        return len(self._queue)

    def __bool__(self) -> bool:
        return len(self) > 0


def _serializer(marshal: Any) -> Serializer:
    """Ours of that name, or one around a module or object with `dumps` and `loads`."""
    if isinstance(marshal, Serializer):
        return marshal
    name = _MODULES.get(marshal) if isinstance(marshal, ModuleType) else None
    if name is not None:
        return plugins.serializer(name)
    if not (callable(getattr(marshal, "dumps", None)) and callable(getattr(marshal, "loads", None))):
        raise SettingsError(f"marshal must be the module marshal or pickle, or have dumps and loads, not {marshal!r}")
    return _made(marshal)


def _made(theirs: Any) -> Serializer:
    kind = theirs if isinstance(theirs, ModuleType | type) else type(theirs)
    module = getattr(kind, "__module__", "")
    called = f"{module}.{kind.__qualname__}" if module else kind.__name__

    class Theirs(Serializer):
        name: ClassVar[str] = f"recipe:{called}"
        safe: ClassVar[bool] = False

        def dumps(self, item: Any) -> bytes:
            try:
                record = theirs.dumps(item)
            except Exception as error:
                raise SerializationError(f"{called} can't keep this {type(item).__name__}: {error}") from error
            if isinstance(record, str):
                return record.encode()
            if not isinstance(record, bytes | bytearray):
                raise SerializationError(f"{called}.dumps must give bytes or str, not {type(record).__name__}")
            return bytes(record)

        def loads(self, record: bytes) -> Any:
            try:
                return theirs.loads(record)
            except Exception as error:
                raise SerializationError(f"{called} can't read a record: {error}") from error

    return Theirs()
