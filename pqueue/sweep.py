"""Deleting what a swap of the head has freed: after it, never before (rules 11, 29)."""

from __future__ import annotations

import logging

from pqueue.errors import BlobMissing, StoreError
from pqueue.head import Head
from pqueue.names import PAGE, page_name
from pqueue.parts import Parts
from pqueue.runtime import Task
from pqueue.tail import OPEN

log = logging.getLogger("pqueue")

_PATIENCE = 10.0
"""Seconds that a deletion under way is waited for at close; whoever comes next does what was not done."""

_PAGES_EVERY = 64
"""Segments between two looks for pages to delete."""


class Sweeper:
    """What one consumer deletes; one call at a time. Whoever dies before it has deleted leaves it to the next."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._view = parts.view
        self._runtime = parts.runtime
        self.swept = -1
        """Segments of lower ordinals are known to be deleted: the next swap records it."""
        self._under_way: tuple[Task[None], int] | None = None
        self._later: Head | None = None

    def finish(self) -> None:
        """Wait for what is under way, and delete what was freed meanwhile; perhaps beside another thread's swap."""
        under_way = self._under_way
        if under_way is not None and under_way[0].wait(_PATIENCE):
            self._ended()
        if self._later is not None:
            self.after(self._later, self._later, aside=False)

    def after(self, old: Head, new: Head, *, aside: bool) -> None:
        """Delete what the swap from `old` to `new`, which is in place, has freed, and what somebody who died had freed.

        With `aside`, where a request takes long, it is deleted beside whatever comes next.
        """
        under_way = self._under_way
        if under_way is not None:
            if not under_way[0].wait(0):
                self._later = new  # the next call finds what this one frees, too
                return
            self._ended()
        self._later = None
        lowest = new.lowest[0]
        if lowest <= self.swept or not (lowest > old.lowest[0] or old.rest.swept < old.lowest[0]):
            return
        try:
            segments = self._segments(new, lowest)
        except StoreError as error:
            log.warning("segments that were consumed could not be looked up, a later call deletes them: %s", error)
            return
        if segments is None:
            return
        pages = self._pages(new, lowest)
        if aside:
            self._under_way = self._runtime.start(lambda: self._delete(segments, pages)), lowest
            return
        try:
            self._delete(segments, pages)
        except StoreError as error:
            self._failed(error)
        else:
            self.swept = lowest

    def _delete(self, segments: list[str], pages: list[str]) -> None:
        """Pages last: whoever finds a page gone takes its segments for deleted."""
        if segments:
            self._store.delete(segments)
        if pages:
            self._store.delete(pages)

    def _ended(self) -> None:
        under_way, self._under_way = self._under_way, None
        if under_way is None:
            return  # another thread has seen to it
        task, lowest = under_way
        try:
            task.result()
        except StoreError as error:
            self._failed(error)
        else:
            self.swept = lowest

    @staticmethod
    def _failed(error: StoreError) -> None:
        log.warning("segments that were consumed could not be deleted, a later call tries again: %s", error)

    def _segments(self, new: Head, lowest: int) -> list[str] | None:
        """The segments below `lowest`; None where no tail that closes them is in place yet."""
        names = []
        ordinal = max(self.swept, new.rest.swept)
        while ordinal < lowest:
            try:
                entry = self._view.entry(ordinal) if ordinal < self._view.tail.next else None
                if entry is None or entry.count == OPEN:
                    self._view.load()
                    entry = self._view.entry(ordinal)
            except BlobMissing:
                # Its page is gone, so somebody has deleted what it lists; what lies behind it may still be there.
                ordinal = (ordinal // PAGE + 1) * PAGE
                continue
            if entry is None or entry.count == OPEN:
                return None
            if ordinal not in new.rest.damaged:
                names.append(str(entry.name))
            ordinal += 1
        return names

    def _pages(self, new: Head, lowest: int) -> list[str]:
        """The pages that list nothing but what is below `lowest`."""
        start = max(self.swept, new.rest.swept)
        if lowest // _PAGES_EVERY == start // _PAGES_EVERY:
            return []
        # A page may be cut only after its segments were consumed: look back far enough to meet it.
        first = max(0, start // PAGE - 2)
        last = min(lowest, self._view.tail.first) // PAGE
        kept = {ordinal // PAGE for ordinal in new.rest.damaged}
        return [page_name(page * PAGE) for page in range(first, last) if page not in kept]
