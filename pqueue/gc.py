"""Collecting litter: what was uploaded, is not listed, and by rules 3 and 5 never will be (rule 13).

Nothing is taken for its age. A segment that is not listed is litter only once its writer's number has passed it, or the
horizon bars its writer; `collect` may raise that horizon to the births of writers long past, which is what frees the
uploads of those that died, and bars nobody younger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from pqueue.abc import Blob, Document, SegmentStore, StoreTime
from pqueue.errors import BlobMissing, DocumentChanged, Landed, NotAQueue, QueueAbsent, StoreError
from pqueue.head import Head
from pqueue.names import HEAD, PAGE, PAGES, SEGMENTS, TAIL, Name, birth, page_name
from pqueue.roster import Roster
from pqueue.runtime import REAL, Runtime
from pqueue.tail import OPEN, Entry, Tail, parse_page

LONG_PAST = 86_400.0
"""Seconds after which a writer that listed nothing may be barred, so that its litter can be taken."""

_TRIES = 20
_LOT = 1000

REMOVED = "of a removed queue"
OTHER = "of another queue"
PASSED = "passed by its writer, and not listed"
BARRED = "its writer is barred, and it is not listed"
CONSUMED = "consumed"
PAGE_CONSUMED = "a page of consumed segments"


class Litter(NamedTuple):
    """A blob that nobody will ever read."""

    name: str
    size: int
    why: str


class Log(NamedTuple):
    """What is known of a queue when its litter is judged; the tail was loaded after the names were listed."""

    tail: Tail
    listed: Mapping[str, Entry]
    """By name: the entries of the tail, and of every page that may hold one not yet consumed, or damaged."""
    lowest: int
    """The ordinal of the lowest item not acknowledged: everything below it was consumed."""
    damaged: frozenset[int] = frozenset()
    """Ordinals that are never deleted."""
    whole: bool = True
    """Whether all of these pages could be read: if not, what is not in `listed` may be listed all the same."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a collection did; without the taking, if it was to be dry."""

    taken: Sequence[Litter]
    waiting: int
    """Segments not listed which may be yet: those of producers at work, or of some that died lately."""
    barred: int
    """Writers that were barred for it."""


def judge(segments: Iterable[Blob], pages: Iterable[Blob], log: Log) -> tuple[list[Litter], list[Name]]:
    """What is litter, and what is neither listed nor litter; pure."""
    taken = []
    waiting = []
    for blob in segments:
        name = Name.parse(blob.name)
        if name is None:
            continue  # no segment of any version known here: never by guess
        why = _why(name, blob.name, log)
        if why:
            taken.append(Litter(*blob, why))
        elif blob.name not in log.listed:
            waiting.append(name)
    if log.tail.gone:
        return taken, waiting  # a page's name may come again in a new life: `rm` takes pages
    kept = {ordinal // PAGE for ordinal in log.damaged}
    last = min(log.lowest, log.tail.first) // PAGE
    for blob in pages:
        number = blob.name.removeprefix(PAGES)
        # One that is not cut from the tail yet may be under way (rule 8).
        if number.isdecimal() and int(number) < last and int(number) not in kept:
            taken.append(Litter(*blob, PAGE_CONSUMED))
    return taken, waiting


def _why(name: Name, text: str, log: Log) -> str:
    """Why a segment is litter; "" if it is not."""
    tail = log.tail
    if tail.gone:
        return REMOVED
    if name.queue != tail.queue:
        return OTHER
    entry = log.listed.get(text)
    if entry is not None:
        free = entry.ordinal < log.lowest and entry.count != OPEN and entry.ordinal not in log.damaged
        return CONSUMED if free else ""  # rule 11
    if not log.whole:
        return ""
    if tail.writers.applied(name.writer, name.number):
        return PASSED  # rule 3: only the next number is ever listed
    return BARRED if tail.writers.next(name.writer) is None else ""  # rule 5


def barring(tail: Tail, now: StoreTime, waiting: Iterable[Name], age_ms: int) -> tuple[Tail, int]:
    """The tail with those writers of `waiting` barred that are long past, and how many these are; pure (rule 5).

    A writer is past if it was born, and last listed anything, longer ago than `age_ms`. Where the clock does not
    outlive a boot, the births of an earlier one tell nothing as long as they lie ahead: then nobody is barred.
    """
    roster = tail.writers if now.boot == tail.boot else tail.writers.aged()
    past = now.ms - age_ms
    old = set()
    for name in waiting:
        known = roster.members.get(name.writer)
        silent = known is None or now.boot != tail.boot or known[1] <= past
        if name.queue == tail.queue and roster.next(name.writer) is not None and silent and birth(name.writer) <= past:
            old.add(name.writer)
    if not old:
        return tail, 0
    members = {ident: known for ident, known in roster.members.items() if ident not in old}
    horizon = max(roster.horizon, *map(birth, old))
    return replace(tail, writers=Roster(members, horizon), boot=now.boot), len(old)


def collect(
    store: SegmentStore, *, dry_run: bool = False, long_past: float = LONG_PAST, runtime: Runtime = REAL
) -> Report:
    """Take the litter of the queue in `store`; others may work on it meanwhile.

    Args:
        store: where the queue is.
        dry_run: only tell what would be taken; nothing is changed.
        long_past: seconds that a writer must have been silent before it is barred; see `barring`.
        runtime: for pauses.

    Raises:
        QueueAbsent, NotAQueue: there is no queue.
        StoreError: the store failed; what was taken is taken, and trying again can help.
    """
    # The names first (rule 13): what is listed or born after this is not among them.
    segments = list(store.list(SEGMENTS))
    pages = list(store.list(PAGES))
    tail, now = _tail(store)
    log = _log(store, tail)
    taken, waiting = judge(segments, pages, log)
    tail, barred = (tail, 0) if tail.gone else barring(tail, now, waiting, int(long_past * 1000))
    if barred:
        if not dry_run:
            tail, barred = _bar(store, waiting, int(long_past * 1000), runtime)
        # Anew: that swap may have met others, which list segments.
        log = log._replace(tail=tail) if dry_run else _log(store, tail)
        taken, waiting = judge(segments, pages, log)
    if not dry_run:
        for start in range(0, len(taken), _LOT):
            store.delete([one.name for one in taken[start : start + _LOT]])
    return Report(taken, len(waiting), barred)


def _tail(store: SegmentStore) -> tuple[Tail, StoreTime]:
    document = store.load(TAIL)
    if not isinstance(document, Document):
        if store.load(HEAD) is not None:
            raise NotAQueue(
                "the document `tail` is missing: restore it from a backup; without it nothing can be judged"
            )
        raise QueueAbsent("no queue is there")
    return Tail.parse(document.data), document.now


def _bar(store: SegmentStore, waiting: Sequence[Name], age_ms: int, runtime: Runtime) -> tuple[Tail, int]:
    """Swap in a tail that bars them; the tail in place, and how many are barred by it."""
    for _ in range(_TRIES):
        document = store.load(TAIL)
        if not isinstance(document, Document):
            break
        tail = Tail.parse(document.data)
        new, count = (tail, 0) if tail.gone else barring(tail, document.now, waiting, age_ms)
        if not count:
            return tail, 0
        try:
            store.swap(TAIL, new.dump(), document.version, sync=True)
        except Landed as landed:
            raise landed.__cause__ or landed from None
        except DocumentChanged:
            pass  # by a producer, or by this very call unheard: the next look tells
        except StoreError as error:
            if store.always_answers or not error.retry:
                raise
        else:
            return new, count
        runtime.sleep(runtime.random.uniform(0.01, 0.1))
    raise StoreError("the tail could not be swapped: the store does not answer, or is busy; try again")


def _log(store: SegmentStore, tail: Tail) -> Log:
    """The pages from head on, after the tail."""
    listed = {str(entry.name): entry for entry in tail.entries}
    if tail.gone:
        return Log(tail, listed, 0)
    head = _head(store)
    damaged = frozenset(head.rest.damaged)
    whole = head.rest.queue == tail.queue
    first = head.lowest[0] // PAGE
    numbers = {*range(first, tail.first // PAGE), *(one // PAGE for one in damaged if one < tail.first)}
    for number in sorted(numbers):
        try:
            entries = parse_page(store.read(page_name(number * PAGE)))
        except BlobMissing:
            entries = ()
        if entries and entries[0].name.queue == tail.queue:
            listed.update((str(entry.name), entry) for entry in entries)
            continue
        # Consumed and deleted since the head was loaded, or lost: then nothing can be told from not being listed.
        head = _head(store)
        whole = whole and number < head.lowest[0] // PAGE and number not in {one // PAGE for one in damaged}
    return Log(tail, listed, head.lowest[0] if whole else 0, damaged, whole)


def _head(store: SegmentStore) -> Head:
    document = store.load(HEAD)
    if not isinstance(document, Document):
        raise NotAQueue("the document `head.default` is missing: restore it from a backup, or finish making the queue")
    return Head.parse(document.data)
