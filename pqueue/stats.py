"""What a queue holds, read from its documents; nothing is changed and no item is read."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pqueue.abc import Codec, Document, SegmentStore
from pqueue.cursor import Damage
from pqueue.errors import BlobMissing, NotAQueue, QueueError
from pqueue.head import BACK, CLAIMED, Head
from pqueue.meta import Meta
from pqueue.names import DEAD, HEAD, META, SEGMENTS, TAIL
from pqueue.opening import find
from pqueue.reader import Reader
from pqueue.runtime import REAL, Runtime
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
    backlog: int
    """Bytes of the segments that hold what is not acknowledged, less the share of the first that is."""
    oldest: float | None
    """Seconds since the oldest item that is not acknowledged was put, by this machine's clock; None where there is none,
    or the queue records no times (`record_times`)."""
    buffered: int = 0
    """Items that only the object asked knows of."""
    repeated: int = 0
    """Items that the object asked has handed out and that had been handed out before."""
    lost: int = 0
    """Items that the object asked found to be damaged or gone in a power cut."""
    put_rate: float | None = None
    """Items put a second, by anybody, since the object was asked before; None the first time."""
    get_rate: float | None = None
    """Items acknowledged or set aside a second, likewise."""
    requests: Mapping[str, int] = field(default_factory=dict, compare=False)
    """Requests that the object asked has sent since it was opened, by kind, each attempt counted and those of this survey,
    too; empty where the store bills none (see `SegmentStore.requests`)."""

    @property
    def done(self) -> int:
        """Items that were ever acknowledged or set aside."""
        return self.put - self.waiting - self.claimed - self.given_back - self.dying


class Rates:
    """What one object remembers of the last `Stats` it gave."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._last: tuple[float, Stats] | None = None

    def over(self, stats: Stats) -> Stats:
        """With the rates since the last ones."""
        now = self._runtime.monotonic()
        last, self._last = self._last, (now, stats)
        if last is None or now <= last[0]:
            return stats
        seconds = now - last[0]
        return replace(
            stats,
            put_rate=max(0, stats.put - last[1].put) / seconds,
            get_rate=max(0, stats.done - last[1].done) / seconds,
        )


def survey(store: SegmentStore, codecs: Sequence[Codec]) -> Stats:
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
    end = Reader(store, view, codecs, REAL, lambda: None).end()
    counts = dict.fromkeys((CLAIMED, BACK, ""), 0)
    for span in head.rest.spans:
        counts[span.state if span.state in counts else ""] += span.size
    sizes = dict(store.list(SEGMENTS))
    stored = sum(sizes.values())
    found = Stats(
        queue=meta.queue,
        waiting=max(0, end - head.offset),
        claimed=counts[CLAIMED],
        given_back=counts[BACK],
        dying=counts[""],
        dead=sum(1 for _ in store.list(DEAD)),
        put=max(end, head.offset),
        segments=len(sizes),
        bytes=stored,
        meta=meta,
        backlog=max(0, stored - _passed(view, head, end, sizes)),
        oldest=_oldest(store, view, codecs, head) if meta.record_times else None,
    )
    return replace(found, requests=dict(store.requests()))


def _passed(view: View, head: Head, end: int, sizes: dict[str, int]) -> int:
    """Bytes of the segment of the lowest item that lie before it, or of the whole log where all is acknowledged."""
    ordinal, offset = head.lowest
    if offset >= end:
        return sum(sizes.values())
    try:
        entry = view.entry(ordinal)
    except BlobMissing:
        return 0
    if entry is None:
        return 0
    count = end - entry.base if entry.count == OPEN else entry.count
    size = sizes.get(str(entry.name), 0)
    return size * min(count, max(0, offset - entry.base)) // count if count else 0


def _oldest(store: SegmentStore, view: View, codecs: Sequence[Codec], head: Head) -> float | None:
    try:
        chunk = Reader(store, view, codecs, REAL, lambda: None).chunk(*head.lowest, 1)
    except (Damage, BlobMissing):
        return None
    if chunk is None or not chunk.times:
        return None
    return max(0, REAL.wall_ms() - chunk.times[0]) / 1000


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
            **json.loads(head.rest.said[2]),
        }
    except (ValueError, QueueError):
        return {"base64": base64.b64encode(data).decode()}
