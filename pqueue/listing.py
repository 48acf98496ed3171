"""Producing where nothing can be appended: each commit is a segment, uploaded under a new name, then listed by a swap.

Whoever swaps lists every segment that is there, other writers' too (rule 9), so that nobody starves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from pqueue.abc import Document
from pqueue.errors import (
    AnotherQueue,
    DocumentChanged,
    Landed,
    NotAQueue,
    PutUncertain,
    QueueGone,
    StoreError,
    StoreFull,
    StoreRefused,
)
from pqueue.frames import Shape
from pqueue.names import SEGMENTS, TAIL, Name, draw_id
from pqueue.parts import Parts
from pqueue.runtime import Event, Task
from pqueue.tail import Tail
from pqueue.view import State

IN_FLIGHT = 8
"""Uploads of one writer at a time."""

_WAVES, _SHARED = 4, 2
"""How many commits a stream has under way for each upload at a time: alone, so that it sends while a swap lists; and where
others produce, too, whose swaps list what is there anyway."""

LOOK_EVERY = 8
"""Swaps of a stream between two looks: without it, four streams got 13, 13, 13 and 393 of the commits (rule 9)."""

LIST_EVERY = 4
"""Swaps lost one after another between two listings."""

SILENT = 60.0
"""Seconds after which a writer loads the tail before it uploads, lest it was dropped meanwhile (rule 5)."""

_UPLOADS = 3
"""Tries of an upload, beside those of the store's own library."""

_GIVE_UP = 60.0
"""Seconds without a word from the store after which a commit is `PutUncertain`."""

_JITTER = 0.02


class _Upload:
    """A segment on its way into the log."""

    __slots__ = ("data", "done", "ended", "failed", "name", "settled", "whole")

    def __init__(self, name: Name, data: bytes, settled: Event) -> None:
        self.name = name
        self.data = data
        self.settled = settled
        """Set once the upload has ended, either way."""
        self.whole = False
        self.done = False
        """A tail in place lists it."""
        self.failed = False
        """It, or one before it of the same writer, was given up (rule 6)."""
        self.ended = False
        """Nothing is done about it any more."""


class Commit:
    """A commit, on its way from the moment that `begin` gives it its place.

    Whoever made it calls `end` whatever happens: what has a place and does not come would hold up all behind it.
    """

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self.upload: _Upload | None = None
        self.before: list[_Upload] = []

    def begin(self, records: Sequence[bytes], before: Commit | None = None) -> bool:
        """Take the next place for them, nothing is sent yet; False where they should follow `before` and that has failed."""
        return self._listing.begin(self, records, before)

    def finish(self, sent: Callable[[], object] = lambda: None) -> None:
        """Upload and list it; raises as `Listing.commit`. In any thread. `sent` is called between the two."""
        assert self.upload is not None
        self._listing.finish(self.upload, self.before, sent)

    def end(self) -> None:
        """Make sure that nothing waits for it: if it was not sent, nothing of it will be."""
        if self.upload is not None and not self.upload.ended:
            self._listing.abandon(self.upload)

    @property
    def failed(self) -> bool:
        """Whether it, or one before it, was given up: what follows it can't be listed either."""
        return self.upload is None or (self.upload.failed and not self.upload.done)


class Listing:
    """One writer of a queue whose segments are written whole. Up to `parallel` commits at a time, in order."""

    parallel = IN_FLIGHT
    waves = _WAVES

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store
        self._view = parts.view
        self._runtime = parts.runtime
        self._timed = parts.meta.record_times
        self.forget()

    def forget(self) -> None:
        """In a forked child: a new writer that knows nothing (rule 31)."""
        self._guard = self._runtime.lock()
        self._lister = self._runtime.lock()
        self._writer = ""
        self._number = 0
        self._open: list[_Upload] = []
        self._look = False
        self._swaps = 0
        self._losses = 0
        self._idle = 0
        self._swap_seconds = 0.025
        self._heard = self._runtime.monotonic()

    def commit(self, records: Sequence[bytes]) -> Literal[True]:
        """Make the records the log's next items, all or none; True once they are.

        Raises:
            StoreFull, StoreRefused: they are not in the log, and never will be.
            PutUncertain: they may be, or may still get in.
        """
        commit = Commit(self)
        try:
            commit.begin(records)
            commit.finish()
        finally:
            commit.end()
        return True

    def abandon(self, upload: _Upload) -> None:
        """Send nothing of it: its number is passed over, so its followers are given up, too."""
        self._give_up(upload)
        self._end(upload)

    def finish(self, upload: _Upload, before: list[_Upload], sent: Callable[[], object]) -> None:
        """Upload it and have it listed."""
        try:
            self._upload(upload, before)
            sent()
            for earlier in before:
                earlier.settled.wait(_GIVE_UP)  # listed in order (rule 7)
            with self._lister:
                self._list(upload)
        except BaseException as error:
            self._give_up(upload)
            if upload.whole and isinstance(error, (AnotherQueue, QueueGone, NotAQueue)):
                # Rule 10: it may have been listed before that.
                raise PutUncertain(f"the items may have been in the queue before it went: {error}") from error
            raise
        finally:
            self._end(upload)

    def _end(self, upload: _Upload) -> None:
        upload.settled.set()
        with self._guard:
            if upload in self._open:  # else it was interrupted just as it began, or ended
                self._open.remove(upload)
        upload.ended = True

    def mend(self) -> None:
        """Nothing: a segment that is listed is whole."""

    def begin(self, commit: Commit, records: Sequence[bytes], follows: Commit | None) -> bool:
        """Name the next segment, behind those that are under way; see `Commit.begin`."""
        with self._guard:
            if follows is not None and follows.failed:
                return False
            if self._runtime.monotonic() - self._heard > SILENT and not self._open:
                self._view.load()  # rule 5
                self._heard = self._runtime.monotonic()
            state = self._view.state
            if not self._writer or (not self._open and state.tail.writers.next(self._writer) != self._number):
                self._writer = draw_id(self._runtime, state.now.ms, state.tail.barred_up_to(state.now.boot))  # rule 1
                self._number = 0
            name = Name(state.tail.next + len(self._open), state.tail.queue, self._writer, self._number, len(records))
            shape = Shape(name, self._parts.codecs)
            data = shape.header + shape.frame(records, 0, self._runtime.wall_ms() if self._timed else None)
            commit.before = [*(one for one in self._open if one.name.writer == self._writer)]  # so: see `bounds`
            upload = _Upload(name, data, self._runtime.event())
            commit.upload, self._number = upload, self._number + 1  # nothing interrupts this: `end` knows of the number
            self._open.append(upload)
            return True

    def _upload(self, upload: _Upload, before: list[_Upload]) -> None:
        """Rule 2: whole and durable before anything lists it."""
        try:
            for attempt in range(1, _UPLOADS + 1):
                try:
                    self._store.write(str(upload.name), upload.data)
                except (StoreFull, StoreRefused):
                    if attempt == 1 and not any(one.failed for one in before):
                        raise  # refused in so many words: nothing is there (rule 6)
                    raise self._uncertain("it was refused, and a try or a commit before it not answered") from None
                except StoreError as error:
                    if attempt == _UPLOADS:
                        raise self._uncertain() from error
                    self._pause(attempt * 10)
                else:
                    upload.whole = True
                    return
        finally:
            upload.settled.set()

    def _give_up(self, upload: _Upload) -> None:
        """What follows it in this writer's numbers can't be listed any more: uncertain, too, and a new id (rule 6)."""
        with self._guard:
            for one in self._open:
                if one.name.writer == upload.name.writer and one.name.number >= upload.name.number and not one.done:
                    one.failed = True
            if self._writer == upload.name.writer:
                self._writer = ""

    @staticmethod
    def _uncertain(why: str = "the store did not answer") -> PutUncertain:
        return PutUncertain(
            f"{why}: the items may be in the queue, or get in later; put them again only if twice is harmless"
        )

    def _list(self, upload: _Upload) -> None:
        """Swap until a tail in place lists it; one thread at a time."""
        if self._settled(upload):
            return  # along with one of this writer's that was before it
        started = self._runtime.monotonic()
        won = self._swaps
        found: list[Name] = []
        while not self._settled(upload):
            if upload.failed:
                raise self._uncertain("a commit of this object before it was given up")
            if self._runtime.monotonic() - started > _GIVE_UP:
                raise self._uncertain()
            if self._look:
                try:
                    found = self._see(upload, found)
                except StoreRefused:
                    raise self._uncertain() from None
                except StoreError:
                    self._pause(10)
                    continue
                self._look = False
                continue
            self._swap(upload, found)
        if self._swaps == won:
            self._look = True  # somebody else listed it: this commit met another writer

    def _settled(self, upload: _Upload) -> bool:
        """Whether the tail, as known, lists it (rule 4); takes note of all that it lists."""
        writers = self._view.tail.writers
        for one in tuple(self._open):
            if not one.done and writers.applied(one.name.writer, one.name.number):
                one.done = True
        if not upload.done and writers.next(upload.name.writer) is None:
            # Dropped, and barred by the horizon: it was listed before that, or never will be (rule 5).
            raise PutUncertain(
                "this writer was silent for so long that it was dropped from the tail: the items may be in the queue, or not"
            )
        return upload.done

    def _see(self, upload: _Upload, found: list[Name]) -> list[Name]:
        """Look: load the tail and list what is uploaded, in parallel (rule 9); nothing is waited for once it is in.

        Behind a lost swap what was `found` for it will do, mostly: a third of all listings, and of a commit's price.
        """
        if found and self._losses % LIST_EVERY:
            self._view.load()
            return found
        after = f"{SEGMENTS}{self._view.tail.unlisted_from:012d}"
        listing = self._runtime.start(lambda: [blob.name for blob in self._store.list(SEGMENTS, after)])
        self._view.load()
        if self._settled(upload):
            return []
        names = (Name.parse(name) for name in listing.result())
        return [name for name in names if name is not None and name.count]

    def _candidates(self, found: list[Name]) -> Iterator[Name]:
        """Every segment known to be there, writers in random order, each one's by number (rules 3, 9)."""
        by_writer: dict[str, set[Name]] = {}
        for name in found:
            by_writer.setdefault(name.writer, set()).add(name)
        for one in tuple(self._open):
            if one.whole and not one.failed:
                by_writer.setdefault(one.name.writer, set()).add(one.name)
        writers = sorted(by_writer)
        self._runtime.random.shuffle(writers)
        for writer in writers:
            yield from sorted(by_writer[writer], key=lambda name: name.number)

    def _swap(self, upload: _Upload, found: list[Name]) -> None:
        """One swap that lists all that is there; after it, the view or `_look` is such that `_list` goes on."""
        state = self._view.state
        base = state.tail
        page = base.cut()
        if page is not None:
            base = page[2]
        new = base.listing(self._candidates(found), state.now.boot, state.now.ms)
        if new.next == base.next:
            # An upload before it is still on its way: a swap would list nothing, and only make others lose theirs.
            self._look = True
            self._idle += 1
            self._pause(1 << min(6, self._idle))
            return
        self._idle = 0
        try:
            if page is not None:
                self._store.write(page[0], page[1])  # before the swap that drops its entries (rule 8)
            began = self._runtime.monotonic()
            document = self._ask(new, state)
        except Landed as landed:
            assert isinstance(landed.result, Document)
            self._view.take(new, landed.result)
            raise landed.__cause__ or landed from None
        except (DocumentChanged, StoreError) as error:
            if isinstance(error, StoreRefused):
                raise self._uncertain() from error
            self._look = True
            self._losses += 1
            if self._losses > 1 or not isinstance(error, DocumentChanged):
                self._pause(1)  # before the next try, not before the look that mostly finds this commit listed (H9)
            return
        self._heard = self._runtime.monotonic()
        if document is None:
            self._look = True
            return
        self._losses = 0
        self._swap_seconds += (self._heard - began - self._swap_seconds) / 8
        self._view.take(new, document)
        self._swaps += 1
        met = any(entry.name.writer != upload.name.writer for entry in new.entries[base.next - new.first :])
        streams = len(self._open) > 1
        self._look = met or (streams and self._swaps % LOOK_EVERY == 0)
        self.waves = _SHARED if met else _WAVES

    def _ask(self, new: Tail, state: State) -> Document | None:
        """The swap's answer; None once the tail is known to be another while the answer is still out (rule 9)."""
        data = new.dump()
        swap: Task[Document] = self._runtime.start(lambda: self._store.swap(TAIL, data, state.version, sync=False))
        patience = max(0.1, 4 * self._swap_seconds)
        started = self._runtime.monotonic()
        while not swap.wait(patience):
            if self._runtime.monotonic() - started > _GIVE_UP:
                raise StoreError("the store did not answer")
            try:
                self._view.load()
            except StoreError:
                continue
            if self._view.state.version != state.version:
                return None
        return swap.result()

    def _pause(self, times: int) -> None:
        self._runtime.sleep(self._runtime.random.uniform(0, _JITTER * times))
