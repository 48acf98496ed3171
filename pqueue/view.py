"""What one queue object knows of the tail: loaded, checked to be its own queue's, and looked up by ordinal."""

from __future__ import annotations

from typing import NamedTuple

from pqueue.abc import SAME, Document, SegmentStore, StoreTime, Version
from pqueue.errors import AnotherQueue, BlobMissing, NotAQueue, QueueGone
from pqueue.names import PAGE, TAIL, page_name
from pqueue.tail import Entry, Tail, parse_page

_PAGES = 8


class State(NamedTuple):
    """A tail as the store holds it: what a swap rests on, taken at once, since threads share a view."""

    tail: Tail
    version: Version
    now: StoreTime


class View:
    """The newest tail known, shared by the producing and the consuming side."""

    def __init__(self, store: SegmentStore, queue: str, document: Document) -> None:
        self._store = store
        self._queue = queue
        self._pages: dict[int, tuple[Entry, ...]] = {}
        self.state: State
        self.take(Tail.parse(document.data), document)

    @property
    def tail(self) -> Tail:
        """The newest tail known."""
        return self.state.tail

    def take(self, tail: Tail, document: Document) -> None:
        """Know this tail, which was loaded or swapped in.

        Raises:
            QueueGone, AnotherQueue: it is not this queue's any more (rule 10).
        """
        if tail.queue != self._queue:
            raise AnotherQueue(
                f"the queue was deleted and made anew while this object was open (it is {tail.queue} now, "
                f"{self._queue} was opened): open it again"
            )
        if tail.gone:
            raise QueueGone("the queue was removed while it was open")
        self.state = State(tail, document.version, document.now)

    def load(self) -> bool:
        """Look again; whether the tail has changed since this object, any of its threads, last knew it.

        Raises:
            QueueGone, AnotherQueue: see `take`.
            NotAQueue: the tail is not there any more.
        """
        document = self._store.load(TAIL, self.state.version)
        if document is SAME:
            return False
        if document is None:
            raise NotAQueue(
                "the document `tail` is gone: the queue was removed by hand, or damaged. If the rest is there, restore "
                "`tail` from a backup; it is never made anew by itself"
            )
        assert isinstance(document, Document)
        self.take(Tail.parse(document.data), document)
        return True

    def entry(self, ordinal: int) -> Entry | None:
        """The entry of this ordinal; None where none is listed yet.

        Raises:
            BlobMissing: its page was deleted, so everything in it was acknowledged.
        """
        tail = self.tail
        if ordinal >= tail.first:
            return tail.entry(ordinal)
        page = self._pages.get(ordinal // PAGE)
        if page is None:
            page = parse_page(self._store.read(page_name(ordinal)))
            if page[0].name.queue != self._queue:
                raise BlobMissing(f"{page_name(ordinal)} is another queue's")
            while len(self._pages) >= _PAGES:
                self._pages.pop(min(self._pages), None)
            self._pages[ordinal // PAGE] = page
        return page[ordinal % PAGE]
