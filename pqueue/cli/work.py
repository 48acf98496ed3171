"""`pqueue work`: a command, or a function, for each item."""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from pqueue.cli.base import Settings, Where, app, layers_of
from pqueue.cli.exits import DATA
from pqueue.cli.formats import Format, encoded
from pqueue.errors import SerializationError, SettingsError
from pqueue.where import merged
from pqueue.work import Unfit, check_handler, work

_PLACE = "{}"


class CommandFailed(Exception):  # what a dead letter then says
    """The command ended with another exit code than 0."""


class Command:
    """Runs a command for an item: in the place of `{}` in its words, or on its standard input."""

    def __init__(self, words: Sequence[str]) -> None:
        if shutil.which(words[0]) is None:
            if Path(words[0]).is_file():
                raise SettingsError(f"{words[0]!r} can't be executed: make it executable, or name what is to run it")
            raise SettingsError(f"there is no command {words[0]!r}")
        self._words = words
        self._takes = any(_PLACE in word for word in words)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._killed = False
        self._guard = threading.Lock()

    def __call__(self, item: Any) -> None:
        """Run it.

        Raises:
            CommandFailed: its exit code is not 0.
            Unfit: the item can't be given to a command, or not so.
        """
        try:
            data = encoded(item, Format.lines).removesuffix(b"\n")
        except SerializationError as error:
            raise _unfit(
                item,
                f"no command can be given it ({error.__cause__})",
                "use --call MODULE:FUNCTION, or a handler in Python (pqueue.work)",
            ) from error
        words = [os.fsencode(word) for word in self._words]
        if self._takes:
            if b"\0" in data:
                raise _unfit(
                    item,
                    "a word of a command can't hold its zero bytes",
                    "leave {} out, to have items on standard input",
                )
            words = [word.replace(_PLACE.encode(), data) for word in words]
        # In a group of its own: Ctrl-C is for this process, which then lets the command finish.
        with subprocess.Popen(  # noqa: S603  # what the user says is what is run
            words, stdin=subprocess.DEVNULL if self._takes else subprocess.PIPE, process_group=0
        ) as process:
            with self._guard:
                self._running.add(process)
                if self._killed:  # just as it was begun
                    _kill(process)
            try:
                process.communicate(None if self._takes else data)
            except BaseException:
                _kill(process)
                raise
            finally:
                with self._guard:
                    self._running.discard(process)
        if process.returncode:
            how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit code {process.returncode}"
            raise CommandFailed(f"{self._words[0]}: {how}")

    def kill(self) -> None:
        """End those that still run, and any that is just being begun."""
        with self._guard:
            self._killed = True
            for process in self._running:
                _kill(process)


def _unfit(item: Any, why: str, instead: str) -> Unfit:
    return Unfit(f"{type(item).__name__}: {why}; it stays in the queue, uncounted: {instead}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a command, and what it has started in its group."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def function(name: str) -> Callable[[Any], object]:
    """The function `module:function`, also of a module in the current folder.

    Raises:
        SettingsError: there is none.
    """
    found = _imported("--call", "FUNCTION", name)
    try:
        check_handler(found)
    except TypeError as error:
        raise SettingsError(f"--call {name}: {error}") from None
    return found  # type: ignore[no-any-return]  # as far as can be told


def _imported(option: str, kind: str, name: str) -> Any:
    """What an option's `module:name` stands for.

    Raises:
        SettingsError: nothing.
    """
    module, colon, path = name.partition(":")
    if not (module and colon and path):
        raise SettingsError(f"{option} takes MODULE:{kind}, not {name!r}")
    sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"{option} {name}: {error}") from error
    return found


@app.command("work")
def work_(
    where: Where,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- COMMAND [ARGUMENT]", help="{} stands for the item; not within code: sh -c would run it."
        ),
    ] = None,
    call: Annotated[str, typer.Option("--call", metavar="MODULE:FUNCTION", help="Call this instead.")] = "",
    item: Annotated[
        str, typer.Option("--item", metavar="MODULE:TYPE", help="What --call is to be called with: items of this type.")
    ] = "",
    threads: Annotated[int, typer.Option("--threads", "-j", metavar="N", min=1, help="Items at a time.")] = 1,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0, help="End when none came for so long.")
    ] = None,
    given: Settings = None,
) -> int:
    """Run a command, or call a function, for each item; waits for more.

    An item is acknowledged when the command ends with 0, or the function returns; else it comes again after
    `retry_delay` (if that is not set: a second, then twice as long each time, a minute at most). It is set aside once it
    has come `max_attempts` times, if the queue was made with that (`pqueue put WHERE -s max_attempts=5 ...`); else it
    comes for ever. Without {} among the words the item is the command's standard input. At the
    first SIGTERM or Ctrl-C the items being worked on are finished; at the second they are broken off, and come again.
    An item that can't be given to a command, being neither text nor bytes nor JSON, ends this with 4, and stays. One that can't
    be read is set aside as a dead letter: this goes on, and its exit code is 4 in the end.
    """
    if bool(call) == bool(words):
        raise SettingsError("say what to do: either --call MODULE:FUNCTION, or -- COMMAND")
    if item and not call:
        raise SettingsError("--item is for --call: a command is given text")
    logging.getLogger("pqueue").setLevel(logging.INFO)
    kind = _imported("--item", "TYPE", item) if item else None
    handler = Command(words) if words else function(call)
    try:
        found = merged(layers_of(where, given, create=False))
        worked = work(found, handler, threads=threads, timeout=timeout, item=kind)
    except KeyboardInterrupt as interrupt:
        if interrupt.args != (signal.SIGTERM.name,):
            raise
        return 128 + signal.SIGTERM
    finally:
        if isinstance(handler, Command):
            handler.kill()
    return DATA if worked.unread else 0
