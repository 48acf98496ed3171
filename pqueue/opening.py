"""Finding a queue in a store, or making one: tail, head, meta, in this order; whoever comes finishes it (rule 10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pqueue.abc import Document, SegmentStore
from pqueue.errors import DocumentChanged, Landed, NotAQueue, QueueAbsent, QueueGone, SettingsError, StoreError
from pqueue.head import Head, Rest
from pqueue.meta import Meta
from pqueue.names import HEAD, META, TAIL, draw_queue_id
from pqueue.roster import Roster
from pqueue.runtime import Runtime
from pqueue.tail import Tail

_TRIES = 20


def find(store: SegmentStore, *, create: bool, wanted: Mapping[str, Any], runtime: Runtime) -> tuple[Meta, Document]:
    """The queue's meta and the document of its tail.

    Args:
        store: where to look.
        create: whether to make one where none is.
        wanted: what the opener wants of a new queue, or says of the one that is there.
        runtime: for the new queue's id.

    Raises:
        QueueAbsent: there is none, and none may be made.
        QueueGone: it was removed, and none may be made.
        NotAQueue, NewerFormat: something else is there.
        SettingsError: it was made with something else than `wanted`.
    """
    for _ in range(_TRIES):
        try:
            found = _once(store, create=create, wanted=wanted, runtime=runtime)
        except DocumentChanged:
            found = None  # somebody else makes it, too: take what is there and go on with the next
        except Landed as landed:
            raise landed.__cause__ or landed from None
        except StoreError as error:
            if store.always_answers or not error.retry:
                raise
            runtime.sleep(runtime.random.uniform(0.01, 0.1))
            found = None
        if found is not None:
            meta, tail = found
            meta.check(wanted)
            store.recall(meta.store)
            return meta, tail
    raise StoreError(
        "the queue could not be opened: the store does not answer, or others make and remove it all the time"
    )


def _once(  # noqa: C901, PLR0912  # one question after the other, in the order that things are made
    store: SegmentStore, *, create: bool, wanted: Mapping[str, Any], runtime: Runtime
) -> tuple[Meta, Document] | None:
    """One round; None: something was made, look again."""
    # Against the order they are made in, so that whoever makes them meanwhile leaves no gap to be seen.
    documents = [store.load(name) for name in (META, HEAD, TAIL)]
    meta, head, tail = (one if isinstance(one, Document) else None for one in documents)
    if tail is None:
        if meta is not None or head is not None:
            raise NotAQueue(
                "the document `tail` is missing while `queue.json` or `head.default` is there: restore it from a backup, or "
                "remove the rest to start anew"
            )
        if not create:
            raise QueueAbsent("no queue is there: open it with create=True to make one")
        strangers = store.strangers()
        if strangers:
            some = ", ".join([*strangers[:3], *(["…"] if len(strangers) > 3 else [])])  # noqa: PLR2004
            raise NotAQueue(f"no queue is there, but somebody's files are ({some}): name a place of its own")
        Meta("", **wanted)  # refuse bad wishes before anything is made
        queue = draw_queue_id(runtime)
        store.swap(TAIL, Tail(queue, grows=store.appends is not None).dump(), None, sync=True)
        return None
    listed = Tail.parse(tail.data)
    if listed.gone:
        if not create:
            raise QueueGone("the queue was removed: open it with create=True to make a new one in its place")
        _renew(store, tail, meta, runtime)
        return None
    if head is None or Head.parse(head.data).rest.gone:
        if meta is not None and head is None and Meta.parse(meta.data).queue == listed.queue:
            raise NotAQueue(
                "the document `head.default` is missing: restore it from a backup; it is never made anew by itself"
            )
        if meta is not None:
            store.delete([META])  # of the queue that was removed
        store.swap(HEAD, Head(0, 0, Rest(listed.queue)).dump(), head.version if head else None, sync=True)
        return None
    if meta is None:
        if listed.next and "serializer" not in wanted:
            if isinstance(store.load(META), Document):
                return None  # made, and put to, meanwhile
            raise NotAQueue(
                "the document `queue.json` is missing though items were put: restore it from a backup; or, to have it made "
                "anew, open with create=True and all the settings that it was made with, `serializer` at least"
            )
        if not create:
            raise QueueAbsent("no queue is there, only one that is half made: open it with create=True to finish it")
        made = replace(Meta(listed.queue, **wanted), appends=listed.grows, store=dict(store.probe()))
        store.swap(META, made.dump(), None, sync=True)
        return None
    known = Meta.parse(meta.data)
    if known.queue != listed.queue or Head.parse(head.data).rest.queue != listed.queue:
        raise NotAQueue("`queue.json`, `tail` and `head.default` are of different queues: restore them from one backup")
    if known.appends != (store.appends is not None):
        raise SettingsError(f"this queue was made with appends={known.appends}: leave `appends` out or set it so")
    return known, tail


def _renew(store: SegmentStore, tail: Document, meta: Document | None, runtime: Runtime) -> None:
    """A new life in the place of a queue that was removed: a new id, born at its own horizon (rule 10)."""
    if meta is not None:
        store.delete([META])
    queue = draw_queue_id(runtime)
    now = tail.now
    new = Tail(queue, grows=store.appends is not None, writers=Roster({}, now.ms), boot=now.boot)
    store.swap(TAIL, new.dump(), tail.version, sync=True)
