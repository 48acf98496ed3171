"""`pqueue dead`: what could not be delivered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from pqueue.cli.base import Settings, Where, Yes, app, layers_of, sure, tell
from pqueue.cli.exits import DATA, NOTHING
from pqueue.cli.formats import encoded
from pqueue.connect import connect
from pqueue.errors import QueueError, SerializationError, SettingsError
from pqueue.letters import Letter
from pqueue.queue import Queue
from pqueue.where import merged
from pqueue.words import counted, were

dead = typer.Typer(
    help="Items that were set aside: delivered too often, rejected, or unreadable.", rich_markup_mode=None
)
app.add_typer(dead, name="dead")

Offsets = Annotated[list[int] | None, typer.Argument(metavar="OFFSET", help="Which; none: all of them.")]


@contextmanager
def _opened(where: str, given: list[str] | None) -> Iterator[Queue[Any]]:
    with connect(merged(layers_of(where, given, create=False))) as queue:
        yield queue


def _chosen(queue: Queue[Any], offsets: Iterable[int]) -> list[Letter]:
    try:
        return [queue.dead.get(offset) for offset in offsets]
    except KeyError as error:
        raise SettingsError(str(error.args[0])) from error


@dead.command("list")
def list_(
    where: Where,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    given: Settings = None,
) -> int:
    """List them: offset, reason, attempts, last error."""
    lines = []
    with _opened(where, given) as queue:
        for letter in queue.dead:
            if as_json:
                value = {"offset": letter.offset, "reason": letter.reason, "attempts": letter.attempts}
                lines.append(json.dumps({**value, "items": letter.count, "error": letter.error}))
            else:
                error = " ".join(letter.error.split())
                more = f" ({letter.count} items)" if letter.count > 1 else ""
                lines.append(f"{letter.offset}  {letter.reason}{more}  {letter.attempts}  {error}".rstrip())
    return tell("".join(f"{line}\n" for line in lines))


@dead.command()
def show(where: Where, offsets: Offsets = None, given: Settings = None) -> int:
    """Print their items as `get` would, a line each; the bytes of what can't be read. They stay."""
    code = 0
    with _opened(where, given) as queue:
        for letter in _chosen(queue, offsets) if offsets else queue.dead:
            try:
                line = encoded(queue.dead.item(letter))
            except (QueueError, SerializationError):
                line, code = letter.record + b"\n", DATA
            closed = tell(line)
            if closed:
                return closed
    return code


@dead.command()
def requeue(where: Where, offsets: Offsets = None, given: Settings = None) -> int:
    """Put them at the end of the queue again, and say how many. Killed meanwhile, it repeats one at most.

    Those whose bytes were damaged or lost stay, and are told.
    """
    with _opened(where, given) as queue:
        chosen = _chosen(queue, offsets) if offsets else None
        count = queue.dead.requeue(chosen)
        whole = all(letter.whole for letter in (queue.dead if chosen is None else chosen))
    return tell(f"{were(count, 'item')} put into the queue again\n") or (0 if whole else DATA)


@dead.command()
def purge(where: Where, offsets: Offsets = None, yes: Yes = False, given: Settings = None) -> int:
    """Delete them, and say how many."""
    with _opened(where, given) as queue:
        chosen = _chosen(queue, offsets) if offsets else None
        count = len(queue.dead) if chosen is None else len(chosen)
        if not sure(f"Delete {counted(count, 'dead letter')} of {where}?", yes=yes):
            return NOTHING
        count = queue.dead.purge(chosen)
    return tell(f"{were(count, 'dead letter')} deleted\n")
