"""A queue that a command only looks at: its store, and the codecs that its meta names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pqueue import plugins
from pqueue.abc import Codec, Document, SegmentStore
from pqueue.connect import connect_store, parts
from pqueue.meta import Meta
from pqueue.names import META
from pqueue.settings import QueueSettings


@contextmanager
def looked_at(settings: QueueSettings) -> Iterator[tuple[SegmentStore, list[Codec]]]:
    """The store, closed in the end, and the codecs."""
    store = connect_store(settings)
    try:
        codecs = parts(settings)[1]
        if codecs is None:
            document = store.load(META)
            names = Meta.parse(document.data).codecs if isinstance(document, Document) else ()
            codecs = [plugins.codec(name) for name in names]
        yield store, codecs
    finally:
        store.close()


def checked(settings: QueueSettings, meta: Meta) -> None:
    """Refuse settings that name something else than the queue was made with."""
    choice = settings.serializer
    with settings.blamed():
        meta.check(settings.fixed() | ({"serializer": choice.name} if choice else {}))
