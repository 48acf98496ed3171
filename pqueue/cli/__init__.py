"""The command line: no tracebacks, one line on standard error, an exit code that says what went wrong."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from collections.abc import Sequence

import typer

from pqueue.cli import commands, dead, manage, move, work  # noqa: F401  # they fill the app
from pqueue.cli.base import app
from pqueue.cli.exits import DATA, FAILED, INTERNAL, USAGE
from pqueue.cli.put import PutFailed
from pqueue.cli.stop import end_in_peace, ended
from pqueue.errors import CorruptSegment, QueueError, SerializationError, SettingsError, TooLarge


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit."""
    end_in_peace()
    code = run(arguments)
    ended()
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    logging.basicConfig(format="pqueue: %(message)s", level=logging.WARNING)
    try:
        code = app(args=arguments, prog_name="pqueue", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        text, code = "interrupted", 128 + signal.SIGINT
    except Exception as error:
        if os.environ.get("PQUEUE_DEBUG"):
            raise
        text, code = _told(error)
    else:
        return code if isinstance(code, int) else 0
    sys.stderr.write(f"pqueue: {text}\n")
    return code


def _told(error: Exception) -> tuple[str, int]:
    """An error's text and exit code."""
    if isinstance(error, PutFailed):
        return str(error), _told(error.cause)[1]
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", USAGE if isinstance(error, _USAGE) else FAILED
    if isinstance(error, QueueError):
        code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), FAILED)
        return _typed(str(error)), code
    message = getattr(error, "format_message", None)
    if message is not None:  # of typer, which has a copy of click in some versions
        asked = getattr(error, "ctx", None)
        return f"{message()} (see {asked.command_path if asked else 'pqueue'} --help)", USAGE
    return f"internal error: {error!r}; PQUEUE_DEBUG=1 shows where, please report it", INTERNAL


def _typed(text: str) -> str:
    """An error's text with what is to be typed, in place of what a program would say."""
    for said, typed in _TYPED:
        text = said.sub(typed, text)
    return text


_TYPED = (
    (re.compile(r"open it with create=True to make\b"), "pqueue put makes"),
    (re.compile(r"open it with create=True to finish\b"), "pqueue put finishes"),
    (
        re.compile(r"open with create=True and all the settings that it was made with\b"),
        "pqueue put with -s and all of them",
    ),
    (re.compile(r'open it with serializer="([^"]+)"'), r"say -s serializer=\1"),
)

_USAGE = FileNotFoundError | IsADirectoryError | PermissionError
_CODES = {SettingsError: USAGE, SerializationError: DATA, TooLarge: DATA, CorruptSegment: DATA}
