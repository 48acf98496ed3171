"""Edits of a head's spans: what becomes of the items in some ranges. Pure.

There may be thousands of spans: only what an edit touches is looked at, and its neighbours, which are made one if they are alike.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from pqueue.head import CLAIMED, Head, Range, Span

_tuple = tuple.__new__  # a NamedTuple's own takes twice as long


def _start(span: Span) -> int:
    return span.start


def _stop(span: Span) -> int:
    return span.stop


def having(head: Head, spans: Iterable[Span]) -> Head:
    """With these spans, neighbours alike in everything made one."""
    return Head(head.ordinal, head.offset, head.rest.having(tuple(merged(sorted(spans, key=_start)))))


def spliced(head: Head, low: int, high: int, made: Iterable[Span]) -> Head:
    """With these in place of what is from `low` to `high`, neighbours alike in everything made one."""
    spans = head.rest.spans
    before = max(0, low - 1)
    near = merged([*spans[before:low], *made, *spans[high : high + 1]])
    return head._replace(rest=head.rest.having((*spans[:before], *near, *spans[high + 1 :])))


def added(head: Head, span: Span) -> Head:
    """With one more."""
    at = bisect_right(head.rest.spans, span.start, key=_start)
    return spliced(head, at, at, [span])


def merged(spans: Sequence[Span]) -> list[Span]:
    """These, ascending, with neighbours alike in everything made one."""
    made: list[Span] = []
    for span in spans:
        if made:
            last = made[-1]
            if (
                last.stop == span.start
                and last[3:8] == span[3:8]
                and last.ordinal == span.ordinal
                and last[9:] == span[9:]
            ):
                made[-1] = last._replace(stop=span.stop, wall=max(last.wall, span.wall))
                continue
        made.append(span)
    return made


Change = Callable[[Span], Span | None]
"""What becomes of a part of a span; None: it is acknowledged."""


def edit(head: Head, where: Range, change: Change, matches: Callable[[Span], bool]) -> tuple[Head, int]:
    """Change the parts of matching spans inside a range; also how many items that were."""
    new, (count,) = edited(head, [(where, change, matches)])
    return new, count


def edited(head: Head, edits: Sequence[tuple[Range, Change, Callable[[Span], bool]]]) -> tuple[Head, list[int]]:
    """As `edit`, for many ranges in ascending order, in one pass.

    Only what they touch is looked at, and its neighbours: there may be thousands of both.
    """
    spans = head.rest.spans
    low = high = bisect_right(spans, edits[0][0].start, key=_stop)
    made: list[Span] = []
    counts = [0] * len(edits)
    first = 0
    while high < len(spans) and spans[high].start < edits[-1][0].stop:
        span = spans[high]
        high += 1
        while edits[first][0].stop <= span.start:
            first += 1
        at = span.start
        for index in range(first, len(edits)):
            where, change, matches = edits[index]
            if where.start >= span.stop:
                break
            start, stop = max(at, where.start), min(span.stop, where.stop)
            if start >= stop or not matches(span):
                continue
            if at < start:
                made.append(span._replace(start=at, stop=start))
            new = change(span._replace(start=start, stop=stop))
            if new is not None:
                made.append(new)
            counts[index] += stop - start
            at = stop
        if at == span.start:
            made.append(span)
        elif at < span.stop:
            made.append(span._replace(start=at))
    return (spliced(head, low, high, made) if any(counts) else head), counts


def without(spans: tuple[Span, ...], claim: str, where: Range, now_ms: int) -> tuple[Span, ...] | None:
    """What `answered` makes of an acknowledgement where the range is one claim's that holds; None where it is more than that."""
    _, start, stop = where
    for index, span in enumerate(spans):
        ordinal, first, last, attempts, state, until, holder, owner, wall, reason, error = span
        if last > start:
            if holder != claim or state != CLAIMED or until < now_ms or start < first or stop > last:
                return None
            left: tuple[Span, ...] = () if start == first else (span._replace(stop=start),)
            if stop < last:
                left += (
                    _tuple(Span, (ordinal, stop, last, attempts, state, until, holder, owner, wall, reason, error)),
                )
            return left if len(spans) == 1 else spans[:index] + left + spans[index + 1 :]
    return None
