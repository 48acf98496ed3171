"""The commands and their options."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer

from pqueue.cli import stat as stat_command
from pqueue.cli.exits import CLOSED
from pqueue.cli.get import copy_out
from pqueue.cli.output import Output
from pqueue.cli.put import Putter, check_readable
from pqueue.cli.stop import Stop, Stopped
from pqueue.connect import connect
from pqueue.errors import SettingsError
from pqueue.where import Layer, layers, merged

app = typer.Typer(
    name="pqueue",
    help="A durable FIFO queue in a folder or a bucket.",
    epilog="Exit codes: 0 done, 1 nothing there (get), 2 wrong usage or settings, 3 no queue or its store failed, "
    "4 an item was refused or could not be read, 130 Ctrl-C, 141 the output was closed, 143 terminated.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Where = Annotated[
    str,
    typer.Argument(metavar="WHERE", help="A folder, a URL (s3://BUCKET/PREFIX), or a name in pqueue.toml."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="A setting, over those of WHERE; may be repeated."),
]


def _layers(where: str, given: list[str] | None, **more: Any) -> Sequence[Layer]:
    values: dict[str, Any] = {}
    for one in given or ():
        key, equals, value = one.partition("=")
        if not equals:
            raise SettingsError(f"--set takes KEY=VALUE, not {key!r}")
        values[key] = value
    return layers(where, {**values, **more}, "--set")


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
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="'-', or none: standard input.")
    ] = None,
    given: Settings = None,
) -> int:
    """Put lines, an item each; makes the queue if it is not there.

    An item is the line's bytes without its end, so that `get` gives back every byte. With a serializer that takes no
    bytes (json) it is text, and must be UTF-8. Lines go in as they come, up to a thousand at once.
    """
    paths = files or ["-"]
    check_readable(paths)
    with Stop() as stop, connect(merged(_layers(where, given))) as queue:
        putter = Putter(queue, stop)
        try:
            for path in paths:
                putter.put_file(path)
        except Stopped as stopped:
            sys.stderr.write(f"pqueue: {stopped}: {putter.count} lines were put\n")
            return stopped.code
    return 0


@app.command()
def get(
    where: Where,
    count: Annotated[int | None, typer.Option("-n", metavar="N", min=1, help="Items at most; 1 if not said.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Until nothing is there.")] = False,
    given: Settings = None,
) -> int:
    """Take items, a line each.

    Text and bytes come out as they are, anything else as JSON. An item is gone from the queue once whoever reads the
    output has it: if that is closed, or this command stopped, the rest stays. If it is killed (-9), what was not
    acknowledged comes again. Exits with 1 if there is nothing (with --all that is no failure); does not wait.
    """
    if everything and count is not None:
        raise SettingsError("-n and --all exclude each other")
    if sys.stdout is None:
        raise OSError("standard output is closed")
    with Stop() as stop, connect(merged(_layers(where, given, create=False))) as queue:
        output = Output(sys.stdout.fileno(), stop)
        try:
            return copy_out(queue, output, stop, None if everything else count or 1)
        except Stopped as stopped:
            return stopped.code
        except BrokenPipeError:
            return CLOSED


@app.command()
def stat(
    where: Where,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The documents queue.json, tail and head.default.")] = False,
    given: Settings = None,
) -> int:
    """Show what a queue holds, how it is set, and where that comes from; changes nothing."""
    text = stat_command.report(_layers(where, given, create=False), as_json=as_json, raw=raw)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is buffered can't be written either, and would be complained of at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    return 0
