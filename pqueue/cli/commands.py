"""The commands for items and for looking: put, get, peek, stat."""

from __future__ import annotations

import shlex
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer

from pqueue.cli import peek as peek_command
from pqueue.cli import stat as stat_command
from pqueue.cli.base import Settings, Where, app, layers_of, tell
from pqueue.cli.exits import CLOSED, DATA, NOTHING
from pqueue.cli.formats import Format
from pqueue.cli.get import copy_out
from pqueue.cli.output import Output
from pqueue.cli.progress import Progress
from pqueue.cli.put import LINES, PutFailed, Putter, check_readable
from pqueue.cli.stop import Stop, Stopped
from pqueue.connect import connect
from pqueue.errors import SerializationError, SettingsError, TooLarge
from pqueue.queue import Queue
from pqueue.where import merged
from pqueue.words import counted, were


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pqueue {version('pqueue-segments')}")
        raise typer.Exit


@app.callback()
def _main(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def put(
    where: Where,
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE", help="'-', or none: standard input.")] = None,
    how: Annotated[
        Format,
        typer.Option("--format", "-f", help="A line an item; a JSON value a line; or each file, as it is, one item."),
    ] = Format.lines,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, help="Items that one commit holds at most.")
    ] = LINES,
    given: Settings = None,
) -> int:
    """Put lines, an item each; makes the queue if it is not there.

    An item is the line's bytes without its end, so that `get` gives back every byte. With a serializer that takes no
    bytes (json) it is text, and must be UTF-8. Lines go in as they come, up to --batch at once.
    """
    paths = files or ["-"]
    check_readable(paths)
    with Stop() as stop, connect(merged(layers_of(where, given))) as queue, Progress("put") as progress:
        putter = Putter(queue, stop, how, batch, progress)
        try:
            for path in paths:
                putter.put_file(path)
        except Stopped as stopped:
            queue.sync()
            sys.stderr.write(f"pqueue: {stopped}: {were(putter.count, putter.word)} put\n")
            return stopped.code
        except PutFailed as failed:
            # A store that failed is not asked any more: that would hide why.
            if putter.count or not isinstance(failed.cause, SerializationError | TooLarge) or queue.stats().put:
                raise
            text = (
                f"{failed}; the queue is there now, and empty: pqueue rm {shlex.quote(where)} if it should be another"
            )
            raise PutFailed(failed.cause, text) from failed
    return 0


@app.command()
def get(
    where: Where,
    count: Annotated[int | None, typer.Option("-n", metavar="N", min=1, help="Items at most; 1 if not said.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Until nothing is there.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Until a signal comes, waiting for more.")] = False,
    how: Annotated[
        Format,
        typer.Option("--format", "-f", help="A line an item; as JSON, a line each; or bytes with nothing between."),
    ] = Format.lines,
    given: Settings = None,
) -> int:
    """Take items, a line each.

    Text and bytes come out as they are, anything else as JSON. An item is gone from the queue once whoever reads the
    output has it: if that is closed, or this command stopped, the rest stays. If it is killed (-9), what was not
    acknowledged comes again. `head` reads ahead, and what it read is gone: use -n instead. Exits with 1 if there is
    nothing (with --all that is no failure); does not wait, unless with --follow.
    """
    if (count is not None) + everything + follow > 1:
        raise SettingsError("-n, --all and --follow exclude each other")
    if sys.stdout is None:
        raise OSError("standard output is closed")
    shown = not sys.stdout.isatty()
    with (
        Stop() as stop,
        connect(merged(layers_of(where, given, create=False))) as queue,
        Progress("got", shown=shown) as progress,
    ):
        output = Output(sys.stdout.fileno(), stop)
        limit = None if everything or follow else count or 1
        try:
            code = copy_out(queue, output, stop, limit, how=how, follow=follow, progress=progress)
            if everything:
                _tell_held(queue)
        except Stopped as stopped:
            return stopped.code
        except BrokenPipeError:
            return CLOSED
    return code


def _tell_held(queue: Queue[Any]) -> None:
    """Say what is not there to take, and may come yet."""
    queue.sync()
    stats = queue.stats()
    if held := stats.claimed + stats.given_back:
        sys.stderr.write(f"pqueue: {counted(held, 'item')} may still come: lent to others, or given back for later\n")


@app.command()
def peek(
    where: Where,
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, help="Items at most.")] = 1,
    how: Annotated[Format, typer.Option("--format", "-f", help="As for get.")] = Format.lines,
    given: Settings = None,
) -> int:
    """Show the next items, as `get` would hand them out, and change nothing.

    Exits with 1 if there is nothing, with 4 if it could not show one of them.
    """
    code = NOTHING
    for line in peek_command.lines(layers_of(where, given, create=False), count, how):
        if isinstance(line, SerializationError):
            sys.stderr.write(f"pqueue: {line}\n")
            code = DATA
            continue
        if tell(line):
            return CLOSED
        code = DATA if code == DATA else 0
    return code


@app.command()
def stat(
    where: Where,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The documents queue.json, tail and head.default.")] = False,
    given: Settings = None,
) -> int:
    """Show what a queue holds, how it is set, and where that comes from; changes nothing."""
    return tell(stat_command.report(layers_of(where, given, create=False), as_json=as_json, raw=raw))
