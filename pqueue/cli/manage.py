"""The commands for whole queues: ls, schema, init, gc, rm, clear, import recipe."""

from __future__ import annotations

import json
import sys
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pqueue import gc as collector
from pqueue.cli import ls as ls_command
from pqueue.cli.base import Settings, Where, Yes, app, layers_of, sure, tell
from pqueue.cli.exits import FAILED, NOTHING, USAGE
from pqueue.cli.glance import looked_at
from pqueue.cli.output import size_of
from pqueue.cli.progress import Progress
from pqueue.cli.stop import Stop, Stopped
from pqueue.connect import connect, connect_store
from pqueue.errors import NotAQueue, QueueAbsent, QueueGone, SettingsError
from pqueue.importing import import_folder
from pqueue.oldrecipe import OldFolder
from pqueue.remove import remove
from pqueue.schema import schema as schema_of
from pqueue.schema import template
from pqueue.stats import survey
from pqueue.where import merged
from pqueue.words import counted, were


class Old(StrEnum):
    """What an old folder can have been written with."""

    marshal = "marshal"
    pickle = "pickle"


@app.command()
def ls(as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False) -> int:
    """List the queues of pqueue.toml and of the environment: their places, and what waits in them.

    What is wrong with one is told on standard error, and by the exit code: 2 for settings, else 3.
    """
    text, failed = ls_command.report(as_json=as_json)
    code = tell(text)
    for name, error in failed:
        sys.stderr.write(f"pqueue: {name}: {error}\n")
    if failed and not code:
        code = FAILED if any(not isinstance(error, SettingsError) for _, error in failed) else USAGE
    return code


@app.command()
def schema() -> int:
    """Print the JSON Schema of pqueue.toml, for an editor."""
    return tell(json.dumps(schema_of(), indent=2) + "\n")


@app.command()
def init(path: Annotated[str, typer.Argument(metavar="FILE", help="Where to write it.")] = "pqueue.toml") -> int:
    """Write a pqueue.toml with the settings that every queue has, commented; never over one that is there."""
    try:
        with Path(path).open("x", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError as error:
        raise SettingsError(f"{path} is there already, and is left as it is") from error
    return tell(f"{path} was written\n")


@app.command()
def gc(
    where: Where,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be taken.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Name everything.")] = False,
    long_past: Annotated[
        float, typer.Option("--long-past", metavar="SECONDS", min=60, help="When a producer that died is given up.")
    ] = collector.LONG_PAST,
    given: Settings = None,
) -> int:
    """Delete what nobody will ever read: uploads of producers that died, what was consumed and left, another queue's.

    Safe while the queue is at work: an upload that may still become part of the queue is never taken.
    """
    store = connect_store(merged(layers_of(where, given, create=False)))
    try:
        report = collector.collect(store, dry_run=dry_run, long_past=long_past)
    finally:
        store.close()
    done = "would be deleted" if dry_run else "deleted"
    lines = [f"{one.name}: {one.why}" for one in report.taken] if verbose else []
    kinds = Counter(one.why for one in report.taken)
    for why, count in sorted(kinds.items()):
        size = sum(one.size for one in report.taken if one.why == why)
        lines.append(f"{count:,} {done}, {size_of(size)}: {why}")
    if not report.taken:
        lines.append("nothing to delete")
    if report.waiting:
        lines.append(f"{report.waiting:,} left that may still become part of the queue")
    return tell("\n".join(lines) + "\n")


@app.command()
def rm(where: Where, yes: Yes = False, given: Settings = None) -> int:
    """Remove a queue with everything in it; whoever has it open is told.

    A small tombstone is left in its place, that a new queue of the same name goes on from.
    """
    settings = merged(layers_of(where, given, create=False))
    if not yes:
        with looked_at(settings) as (store, codecs):
            try:
                held = f" and the {counted(survey(store, codecs).waiting, 'item')} waiting in it"
            except (QueueGone, QueueAbsent, NotAQueue):
                held = ""  # half made, half removed, or a part of it is lost
        if not sure(f"Remove the queue {where}{held}?", yes=yes):
            return NOTHING
    store = connect_store(settings)
    try:
        remove(store)
    finally:
        store.close()
    return 0


@app.command()
def clear(where: Where, yes: Yes = False, given: Settings = None) -> int:
    """Drop every item that is waiting, and say how many; what others have claimed stays theirs."""
    settings = merged(layers_of(where, given, create=False))
    with looked_at(settings) as (store, codecs):
        stats = survey(store, codecs)
    if not sure(f"Drop the {counted(stats.waiting + stats.given_back, 'item')} waiting in {where}?", yes=yes):
        return NOTHING
    with Stop(), connect(settings) as queue:
        count = queue.clear()  # one swap, or none: nothing to be stopped in the middle of
    return tell(f"{were(count, 'item')} dropped\n")


imports = typer.Typer(help="Move items in from elsewhere.", rich_markup_mode=None)
app.add_typer(imports, name="import")


@imports.callback()
def _imports() -> None:
    """Move items in from elsewhere."""


@imports.command("recipe")
def import_recipe(
    old: Annotated[str, typer.Argument(metavar="OLD_DIR", help="The folder that the original recipe wrote.")],
    where: Where,
    serializer: Annotated[
        Old,
        typer.Option(
            help="What the folder was written with. Neither is safe: name it only for folders that you trust."
        ),
    ],
    append: Annotated[bool, typer.Option("--append", help="Even if items were put into the queue before.")] = False,
    given: Settings = None,
) -> int:
    """Move every item of a folder of the original recipe into a queue, in order; makes the queue; the folder stays.

    Stopped or killed and run again, it goes on where it was: nothing is lost or doubled. Until it is done nobody else may
    put into the queue, and no process may have the old folder open.
    """
    count = 0
    with Stop() as stop, Progress("moved in") as progress:

        def tick(done: int) -> None:
            nonlocal count
            count = done
            progress(done)
            stop.check()

        try:
            done = import_folder(
                OldFolder(old, serializer.value), merged(layers_of(where, given)), append=append, progress=tick
            )
        except Stopped as stopped:
            sys.stderr.write(f"pqueue: {stopped}: {counted(count, 'item')} moved in; run it again to go on\n")
            return stopped.code
    before = f", {were(done.before, 'item')} moved in before" if done.before else ""
    return tell(f"{were(done.moved, 'item')} moved in{before}\n")
