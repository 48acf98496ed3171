"""`pqueue move`: what waits in one queue, into another, acknowledged once it is there."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from pqueue.abc import Document
from pqueue.cli.base import Settings, app, layers_of, tell
from pqueue.cli.exits import DATA
from pqueue.cli.filler import Filler
from pqueue.cli.progress import Progress
from pqueue.cli.put import LINES, PutFailed
from pqueue.cli.stop import Stop, Stopped
from pqueue.connect import connect, connect_store
from pqueue.errors import (
    CorruptSegment,
    PutUncertain,
    QueueAbsent,
    QueueError,
    SerializationError,
    SettingsError,
    TooLarge,
)
from pqueue.lending import Lending
from pqueue.names import META
from pqueue.queue import Queue
from pqueue.settings import QueueSettings
from pqueue.where import merged
from pqueue.words import were

_FIRST = 100
"""Items borrowed before it is known how large they are; fewer where they are large."""

_BYTES = 1 << 24
"""Bytes that are worth a commit, and may be in memory; as many items as that are one, if --batch allows it."""

_SOME = 8
"""Items whose size is looked at."""


@app.command("move")
def move_(
    old: Annotated[str, typer.Argument(metavar="FROM", help="The queue to empty; a WHERE as for the others.")],
    new: Annotated[str, typer.Argument(metavar="TO", help="The queue to fill.")],
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, help="Items that one commit holds at most.")
    ] = LINES,
    given: Settings = None,
    given_from: Annotated[
        list[str] | None, typer.Option("--set-from", metavar="KEY=VALUE", help="A setting of FROM; --set is of TO.")
    ] = None,
) -> int:
    """Move every item that waits in a queue to another one, in order, and say how many; makes TO if it is not there.

    TO may be in another place, and have another serializer or other settings. An item is acknowledged in FROM once the
    put into TO has returned: however this ends, none is lost; if it is killed (-9), or a put's outcome is not known, one
    batch at most is there twice when it is run again. What others hold, what rests after it failed, and dead letters stay.
    """
    with Stop() as stop, connect(merged(layers_of(old, given_from, create=False))) as source:
        wanted = merged(layers_of(new, given))
        made = not _is_there(wanted)
        with connect(wanted) as target, Progress("moved") as progress:
            if source.meta.queue == target.meta.queue:
                raise SettingsError("FROM and TO are one queue, or copies of one: name another to move its items to")
            filler = Filler(target, stop, batch, progress)
            try:
                whole = move(source, filler, stop)
            except Stopped as stopped:
                sys.stderr.write(f"pqueue: {stopped}: {were(filler.count, 'item')} moved; run it again to go on\n")
                return stopped.code
            except QueueError as error:
                unsure = isinstance(error, PutUncertain)
                doubt = " and perhaps some more" if unsure else ""
                text = f"{error} ({were(filler.count, 'item')} moved before this{doubt}; the rest stays in FROM"
                if made and not (filler.count or unsure):
                    text += f"; TO was made for this and is empty: pqueue rm {shlex.quote(new)}"
                if isinstance(error, SerializationError | TooLarge):
                    text += f"; FROM begins with the item that was refused: pqueue peek {shlex.quote(old)}"
                raise PutFailed(error, f"{text})") from error
    return tell(f"{were(filler.count, 'item')} moved\n") or (0 if whole else DATA)


def _is_there(settings: QueueSettings) -> bool:
    try:
        store = connect_store(settings.model_copy(update={"create": False}))
    except QueueAbsent:
        return False
    try:
        return isinstance(store.load(META), Document)
    finally:
        store.close()


def move(source: Queue[Any], filler: Filler, stop: Stop) -> bool:
    """Put the items of a queue into the one of `filler`, in order, until there is none; whether all could be read.

    Each batch is acknowledged together with the borrowing of the next one: a process that is killed repeats one batch at
    most, and loses none.

    Raises:
        Stopped: a signal came. Whatever ends it, what was put is acknowledged, and the rest is left.
        QueueError: see `Filler.put`; or a batch can't be borrowed.
    """
    told = ""
    whole = True
    wanted, least = min(filler.batch, _FIRST), 1
    with source.lending() as lending:
        while True:
            stop.check()
            try:
                items = lending.take(wanted, least)
            except (CorruptSegment, SerializationError) as error:
                # Logged where it was set aside. One that can't be set aside comes again, and ends this.
                if str(error) == told:
                    raise
                whole, told = False, str(error)
                continue
            if not items:
                return whole
            if lending.current():
                _hand_over(items, lending, filler)
                wanted = least = min(filler.batch, 2 * wanted, _fitting(items, filler.queue))
            else:
                lending.drop()  # slept past the lease: others may have them (rule 16)


def _hand_over(items: Sequence[Any], lending: Lending, filler: Filler) -> None:
    """Put them, and call done what is stored."""
    before = filler.count
    try:
        try:
            filler.put(items)
        except SerializationError:
            taken = _takeable(items, filler.queue)
            if taken:
                filler.put(items[:taken])
            raise
    finally:
        filler.queue.sync()  # of `buffered`, that it is stored before it is acknowledged
        lending.done(filler.count - before)


def _fitting(items: Sequence[Any], queue: Queue[Any]) -> int:
    """How many such items make a commit of `_BYTES`."""
    some = items[:: -(-len(items) // _SOME)]
    return max(1, _BYTES * len(some) // max(1, sum(len(queue.serializer.dumps(item)) for item in some)))


def _takeable(items: Sequence[Any], queue: Queue[Any]) -> int:
    """How many of them come before the first that the queue refuses."""
    for count, item in enumerate(items):
        try:
            queue.serializer.dumps(item)
        except SerializationError:
            return count
    return len(items)
