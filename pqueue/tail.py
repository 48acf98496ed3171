"""The tail: the document that lists the segments in order, and its pages. Immutable values, pure transitions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pqueue.errors import NewerFormat, NotAQueue
from pqueue.names import PAGE, Name, canonical
from pqueue.roster import Roster

OPEN = -1
"""The count of an entry whose segment still grows."""

CUT_AT = PAGE + 64
"""Entries in the tail at which a page is cut: some recent ones stay, so that consumers near the end read no page."""

_NEAR = 8
"""How far behind the next ordinal a look goes at the least."""

UNDERSTOOD: frozenset[str] = frozenset()
"""What a document's `needs` may hold without this version refusing it."""


class Entry(NamedTuple):
    """A listed segment."""

    ordinal: int
    name: Name
    base: int
    """The offset of its first item."""
    count: int  # type: ignore[assignment]  # as in Name
    """Its items, or OPEN."""

    @property
    def end(self) -> int:
        """The offset behind its last item; of a closed one."""
        return self.base + self.count


def check_needs(value: Mapping[str, Any], what: str) -> None:
    """Refuse a document that says it needs more than this version knows."""
    unknown = set(value.get("needs", ())) - UNDERSTOOD
    if unknown or value.get("format", 1) > 1:
        raise NewerFormat(f"{what} needs {sorted(unknown) or 'a newer format'}: upgrade pqueue to use this queue")


def parse_json(data: bytes, what: str) -> dict[str, Any]:
    """A document's JSON object.

    Raises:
        NotAQueue: it is none.
        NewerFormat: it is one that this version must not touch.
    """
    try:
        value = json.loads(data)
    except ValueError as error:
        raise NotAQueue(
            f"{what} is there but can't be read ({error}): is this place used by another program?"
        ) from error
    if not isinstance(value, dict):
        raise NotAQueue(f"{what} is there but is not a queue's: is this place used by another program?")
    check_needs(value, what)
    return value


def _short(entries: Sequence[Entry]) -> dict[str, Any]:
    """Entries in few bytes: writer's place in the table, number, hint's difference, count, and a gap where there is one."""
    places: dict[str, int] = {}
    rows = []
    end = entries[0].base if entries else 0
    for entry in entries:
        place = places.setdefault(entry.name.writer, len(places))
        row = [place, entry.name.number, entry.name.hint - entry.ordinal, entry.count]
        if entry.base != end:
            row.append(entry.base - end)
        end = entry.base + max(entry.count, 0)
        rows.append(row)
    return {"base": entries[0].base if entries else 0, "entries": rows, "ids": list(places)}


def _long(value: Mapping[str, Any], queue: str, first: int, grows: bool) -> tuple[Entry, ...]:
    ids = value["ids"]
    end = value["base"]
    entries = []
    for ordinal, row in enumerate(value["entries"], first):
        place, number, hint, count, *gap = row
        base = end + (gap[0] if gap else 0)
        name = Name(ordinal + hint, queue, ids[place], number, 0 if grows else count)
        entries.append(Entry(ordinal, name, base, count))
        end = base + max(count, 0)
    return tuple(entries)


_OWN = frozenset(("base", "boot", "end", "entries", "first", "format", "gone", "grows", "ids", "queue", "writers"))


@dataclass(frozen=True, slots=True)
class Tail:
    """The segments of a queue, in order."""

    queue: str
    grows: bool
    """Whether segments are born open and grow by appends."""
    first: int = 0
    """The ordinal of the first entry kept here; older ones are in pages."""
    entries: tuple[Entry, ...] = ()
    end: int = 0
    """The offset behind the last closed segment; with an open one, at most its base."""
    writers: Roster = field(default_factory=Roster)
    boot: str = ""
    """The boot under which the writers' times were taken."""
    gone: bool = False
    """A tombstone (rule 10)."""
    rest: Mapping[str, Any] = field(default_factory=dict)
    """What a newer version added."""

    @property
    def next(self) -> int:
        """The ordinal that the next listed segment gets."""
        return self.first + len(self.entries)

    @property
    def last(self) -> Entry | None:
        """The newest entry, the only one that may be open."""
        return self.entries[-1] if self.entries else None

    @property
    def unlisted_from(self) -> int:
        """The least hint that what is uploaded and not listed is looked for under (rule 9).

        Twice as far back as the hint of any entry kept here was behind its place: each name more that a look lists costs processor
        time, and with a page of them that was most of a commit's.
        """
        late = max((entry.ordinal - entry.name.hint for entry in self.entries), default=0)
        return max(0, self.next - min(PAGE, max(_NEAR, 2 * late)))

    def entry(self, ordinal: int) -> Entry | None:
        """The entry of this ordinal, if it is kept here."""
        index = ordinal - self.first
        return self.entries[index] if 0 <= index < len(self.entries) else None

    def listing(self, candidates: Iterable[Name], boot: str, now_ms: int) -> Tail:
        """With every candidate listed that may be, in the order given, each writer's without a gap (rule 3).

        Only closed segments of this queue; a candidate that is listed already, barred, or beyond a gap is left out.
        """
        writers = self._writers(boot)
        entries = list(self.entries)
        end = self.end
        for name in candidates:
            if name.queue != self.queue or writers.next(name.writer) != name.number:
                continue
            writers = writers.advanced(name.writer, name.number, now_ms)
            entries.append(Entry(self.first + len(entries), name, end, name.count))
            end += name.count
        # Pruned last: whoever is listed here, however long after the time before, is not silent.
        return replace(self, entries=tuple(entries), end=end, writers=writers.pruned(now_ms), boot=boot)

    def rolled(self, closed: int, name: Name, floor: int, boot: str, now_ms: int) -> Tail:
        """With the open segment closed at `closed` items and `name` open behind it (rule 23).

        `floor` is where offsets may start again: the head may be ahead of what a power cut left (rule 26).
        """
        writers = self._writers(boot)
        if writers.next(name.writer) != name.number:
            raise AssertionError("rule 3: a writer lists its segments in the order of their numbers")
        entries = self.entries
        end = self.end
        if entries:
            entries = (*entries[:-1], entries[-1]._replace(count=closed))
            end = entries[-1].end
        base = max(end, floor)
        return replace(
            self,
            entries=(*entries, Entry(self.next, name, base, OPEN)),
            end=base,
            writers=writers.advanced(name.writer, name.number, now_ms).pruned(now_ms),
            boot=boot,
        )

    def cut(self) -> tuple[str, bytes, Tail] | None:
        """The page that is due, as name and bytes, and the tail without its entries; None when none is.

        To be called on a tail *in place* only, and the page written before the swap that drops its entries (rule 8):
        so the page has the same bytes whoever writes it.
        """
        if len(self.entries) < CUT_AT or any(entry.count == OPEN for entry in self.entries[:PAGE]):
            return None
        number, off = divmod(self.first, PAGE)
        assert off == 0, "pages are cut whole"
        value = {"format": 1, "grows": self.grows, "page": number, "queue": self.queue, **_short(self.entries[:PAGE])}
        return f"log/{number}", canonical(value), replace(self, first=self.first + PAGE, entries=self.entries[PAGE:])

    def barred_up_to(self, boot: str) -> int:
        """The horizon that a new id is to be born behind (rule 1): another boot's writers may be dropped by any swap."""
        return (self.writers if boot == self.boot else self.writers.aged().pruned(0)).horizon

    def _writers(self, boot: str) -> Roster:
        return self.writers if boot == self.boot else self.writers.aged()

    def dump(self) -> bytes:
        """The document."""
        short = _short(self.entries)
        value = {
            **self.rest,
            **short,
            "boot": self.boot,
            "end": self.end,
            "first": self.first,
            "format": 1,
            "gone": self.gone,
            "grows": self.grows,
            "queue": self.queue,
            "writers": self.writers.dump(),
        }
        return canonical(value)

    @classmethod
    def parse(cls, data: bytes) -> Tail:
        """The tail of a document.

        Raises:
            NotAQueue, NewerFormat: see `parse_json`.
        """
        value = parse_json(data, "the document `tail`")
        try:
            entries = _long(value, value["queue"], value["first"], value["grows"])
            return cls(
                queue=value["queue"],
                grows=value["grows"],
                first=value["first"],
                entries=entries,
                end=value["end"],
                writers=Roster.parse(value["writers"]),
                boot=value["boot"],
                gone=value["gone"],
                rest={key: value[key] for key in value.keys() - _OWN},
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise NotAQueue(f"the document `tail` is there but is not a queue's ({error!r})") from error


def parse_page(data: bytes) -> tuple[Entry, ...]:
    """The entries of a page.

    Raises:
        NotAQueue, NewerFormat: see `parse_json`.
    """
    value = parse_json(data, "a page of the log")
    try:
        return _long(value, value["queue"], value["page"] * PAGE, value["grows"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise NotAQueue(f"a page of the log is there but is not a queue's ({error!r})") from error
