"""What every command has: the program, WHERE, settings, and the question before something is lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from pqueue.cli.exits import CLOSED
from pqueue.cli.output import writing
from pqueue.errors import SettingsError
from pqueue.where import Layer, layers, merged

app = typer.Typer(
    name="pqueue",
    help="A durable FIFO queue in a folder or a bucket.",
    epilog="Exit codes: 0 done, 1 nothing there (get, peek) or not wanted (rm, clear, dead purge), 2 wrong usage or settings, "
    "3 no queue or its store failed, 4 an item was refused, could not be read or given to a command, 130 Ctrl-C, 141 the "
    "output was closed, 143 terminated.",
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
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def layers_of(where: str, given: list[str] | None, **more: Any) -> Sequence[Layer]:
    """Everything that is said of a queue, the options among it.

    Raises:
        SettingsError: an option is wrong, or no command can do anything with a queue like this.
    """
    values: dict[str, Any] = {}
    for one in given or ():
        key, equals, value = one.partition("=")
        if not equals:
            raise SettingsError(f"--set takes KEY=VALUE, not {key!r}")
        if key in more:
            raise SettingsError(f"--set {key} is not for this command, which never makes a queue (pqueue put does)")
        values[key] = value
    found = layers(where, {**values, **more}, "--set")
    if merged(found).store.backend == "memory":
        raise SettingsError(
            "a queue in memory ends with its process, so a command has no use for it: name a folder or a bucket"
        )
    return found


def sure(question: str, *, yes: bool) -> bool:
    """Whether it is to be done.

    Raises:
        SettingsError: nobody is there to be asked.
    """
    if yes:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise SettingsError("nobody is there to be asked: say --yes")
    return typer.confirm(question, err=True)


def tell(text: str | bytes) -> int:
    """Write it to standard output; the exit code."""
    if sys.stdout is None:
        raise OSError("standard output is closed")
    try:
        with writing():
            if isinstance(text, bytes):
                sys.stdout.flush()
                sys.stdout.buffer.write(text)
            else:
                sys.stdout.write(text)
            sys.stdout.flush()
    except BrokenPipeError:
        # What is buffered can't be written either, and would be complained of at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    return 0
