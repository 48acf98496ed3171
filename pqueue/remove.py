"""Removing a queue: a tombstone first, so that whoever has it open is told, and then everything else (rule 10)."""

from __future__ import annotations

from dataclasses import replace

from pqueue.abc import Document, SegmentStore
from pqueue.errors import DocumentChanged, Landed, NotAQueue, QueueAbsent, StoreError
from pqueue.head import Head
from pqueue.names import HEAD, META, SEGMENTS, TAIL, is_name
from pqueue.roster import Roster
from pqueue.runtime import REAL, Runtime
from pqueue.tail import Tail

_TRIES = 50
_LOT = 100


def remove(store: SegmentStore, *, runtime: Runtime = REAL) -> int:
    """Remove the queue in `store` with everything in it; how many blobs were deleted.

    Clients that have it open meet the tombstones in `tail` and `head.default`, which stay, and raise `QueueGone`; only
    an opener that may create goes on from there. Interrupted, it is finished by the next call.

    Raises:
        QueueAbsent: there is none.
        NotAQueue: something else is there, or a queue without its tail.
        StoreError: the store failed, and trying again can help.
    """
    queue = _bury_tail(store, runtime)
    _bury_head(store, queue, runtime)
    blobs = [blob.name for blob in store.list("") if is_name(blob.name)]
    # A new life may begin at any time from here on, and names its pages and dead letters as this one did: so each lot
    # is preceded by a look. A segment's name never comes again.
    segments = [name for name in blobs if name.startswith(SEGMENTS)]
    others = [name for name in blobs if not name.startswith(SEGMENTS)]
    count = 0
    if not _buried(store, queue):
        segments = [name for name in segments if f"-{queue}" in name]
    else:
        store.delete([META])
    for start in range(0, len(others), _LOT):
        if not _buried(store, queue):
            break
        lot = others[start : start + _LOT]
        store.delete(lot)
        count += len(lot)
    for start in range(0, len(segments), _LOT):
        lot = segments[start : start + _LOT]
        store.delete(lot)
        count += len(lot)
    return count


def _buried(store: SegmentStore, queue: str) -> bool:
    document = store.load(TAIL)
    if not isinstance(document, Document):
        return False
    tail = Tail.parse(document.data)
    return tail.gone and tail.queue == queue


def _bury_tail(store: SegmentStore, runtime: Runtime) -> str:
    """Swap the tombstone into the tail; the queue's id."""
    queue = ""
    for _ in range(_TRIES):
        document = store.load(TAIL)
        if not isinstance(document, Document):
            if store.load(HEAD) is not None or store.load(META) is not None:
                raise NotAQueue(
                    "the document `tail` is missing, so this queue can't be removed in good order: restore it from a "
                    "backup, or delete the place by hand"
                )
            raise QueueAbsent("no queue is there")
        tail = Tail.parse(document.data)
        queue = queue or tail.queue
        if tail.gone or tail.queue != queue:
            return queue
        stone = Tail(
            queue,
            tail.grows,
            first=tail.next,
            end=tail.end,
            writers=Roster({}, tail.writers.horizon),
            boot=tail.boot,
            gone=True,
            rest=tail.rest,
        )
        if _swapped(store, TAIL, stone.dump(), document, runtime):
            return queue
    raise StoreError("the tail could not be swapped: the store does not answer, or is busy; try again")


def _bury_head(store: SegmentStore, queue: str, runtime: Runtime) -> None:
    for _ in range(_TRIES):
        document = store.load(HEAD)
        if not isinstance(document, Document):
            return
        head = Head.parse(document.data)
        if head.rest.gone or head.rest.queue != queue:
            return
        stone = head._replace(rest=replace(head.rest, spans=(), clients=Roster(), damaged=(), gone=True))
        if _swapped(store, HEAD, stone.dump(), document, runtime):
            return
    raise StoreError("the head could not be swapped: the store does not answer, or is busy; try again")


def _swapped(store: SegmentStore, name: str, data: bytes, known: Document, runtime: Runtime) -> bool:
    """Whether it is certainly in place; if not, the next look tells."""
    try:
        store.swap(name, data, known.version, sync=True)
    except Landed as landed:
        raise landed.__cause__ or landed from None
    except DocumentChanged:
        pass
    except StoreError as error:
        if store.always_answers or not error.retry:
            raise
    else:
        return True
    runtime.sleep(runtime.random.uniform(0.001, 0.02))
    return False
