"""What a queue holds, read from its documents; nothing is changed and no item is read."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from pqueue.abc import Codec, Document, SegmentStore
from pqueue.errors import NotAQueue, QueueError
from pqueue.frames import End
from pqueue.head import BACK, CLAIMED, Head
from pqueue.meta import Meta
from pqueue.names import DEAD, HEAD, META, SEGMENTS, TAIL
from pqueue.opening import find
from pqueue.reader import Scanner
from pqueue.runtime import REAL
from pqueue.tail import OPEN
from pqueue.view import View


@dataclass(frozen=True, slots=True)
class Stats:
    """A queue at about one moment; exact where nobody acts."""

    queue: str
    """Its id."""
    waiting: int
    """Items never handed out."""
    claimed: int
    """Items lent and not acknowledged."""
    given_back: int
    """Items to be handed out again."""
    dying: int
    """Items on their way to the dead letters."""
    dead: int
    """Dead letters."""
    put: int
    """Items that were ever put."""
    segments: int
    bytes: int
    """Of all segments that are stored."""
    meta: Meta


def survey(store: SegmentStore, codecs: list[Codec]) -> Stats:
    """Count.

    Args:
        store: where the queue is.
        codecs: as meta names them.

    Raises:
        QueueAbsent, NotAQueue, StoreError: see `find`.
    """
    meta, tail = find(store, create=False, wanted={}, runtime=REAL)
    view = View(store, meta.queue, tail)
    document = store.load(HEAD)
    if not isinstance(document, Document):
        raise NotAQueue(
            "the document `head.default` is gone: restore it from a backup; it is never made anew by itself"
        )
    head = Head.parse(document.data)
    view.load()
    end = _end(store, view, codecs)
    counts = dict.fromkeys((CLAIMED, BACK, ""), 0)
    for span in head.rest.spans:
        counts[span.state if span.state in counts else ""] += span.size
    sizes = [blob.size for blob in store.list(SEGMENTS)]
    return Stats(
        queue=meta.queue,
        waiting=max(0, end - head.offset),
        claimed=counts[CLAIMED],
        given_back=counts[BACK],
        dying=counts[""],
        dead=sum(1 for _ in store.list(DEAD)),
        put=max(end, head.offset),
        segments=len(sizes),
        bytes=sum(sizes),
        meta=meta,
    )


def _end(store: SegmentStore, view: View, codecs: list[Codec]) -> int:
    """The offset behind the last whole frame; nothing is mended, as a `Reader` would."""
    last = view.tail.last
    if last is None or last.count != OPEN:
        return view.tail.end
    scanner = Scanner(store, last.name, codecs, grows=view.tail.grows)
    while scanner.end is not End.SEALED and scanner.more():
        pass
    return last.base + scanner.count


def documents(store: SegmentStore) -> dict[str, Any]:
    """The documents as they are stored, for a person to read; None for one that is not there.

    What can't be read as what it should be is shown in base64.
    """
    shown: dict[str, Any] = {}
    for name in (META, TAIL, HEAD):
        document = store.load(name)
        shown[name] = _shown(name, document.data) if isinstance(document, Document) else None
    return shown


def _shown(name: str, data: bytes) -> Any:
    try:
        if name != HEAD:
            return json.loads(data)
        head = Head.parse(data)
        ordinal, offset = head.lowest
        lowest = {"offset": offset, "ordinal": ordinal}
        return {
            "lowest": lowest,
            "next": {"offset": head.offset, "ordinal": head.ordinal},
            **json.loads(head.rest.json),
        }
    except (ValueError, QueueError):
        return {"base64": base64.b64encode(data).decode()}
