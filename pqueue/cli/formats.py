"""Items to bytes of a file and back: lines, JSON lines, or bytes as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from math import isinf
from typing import Any, NoReturn

from pqueue.errors import SerializationError


class Format(StrEnum):
    """How items stand in a file."""

    lines = "lines"
    jsonl = "jsonl"
    raw = "raw"


def encoded(item: Any, how: Format = Format.lines) -> bytes:
    """An item's line; with `raw`, its bytes and nothing else.

    Raises:
        SerializationError: it can't be written so.
    """
    kind = type(item)
    if how is not Format.jsonl:
        end = b"" if how is Format.raw else b"\n"
        if kind is bytes:
            return bytes(item + end)
        if kind is bytearray:  # what `put` makes of a last line without its end
            return bytes(item)
        if kind is str:
            return _utf8(item) + end
        if how is Format.raw:
            raise _refused(item, "raw writes bytes and text only")
    try:
        text = json.dumps(item, ensure_ascii=False, allow_nan=False)
        if json.loads(text) != item:
            raise ValueError("JSON would change it")  # noqa: TRY301  # one message for all that no line can hold
    except (TypeError, ValueError, RecursionError) as error:
        if kind is bytes or kind is bytearray:
            raise SerializationError(
                "JSON can't hold this item, which is bytes: it stays in the queue, get it with --format raw (or lines)"
            ) from error
        raise _refused(item, str(error)) from error
    return _utf8(text) + b"\n"


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _refused(text, str(error)) from error


def _refused(item: Any, why: str) -> SerializationError:
    return SerializationError(
        f"no line can hold this item, a {type(item).__name__} ({why}): it stays in the queue, get it in Python"
    )


def values(lines: Sequence[bytes], first: int) -> tuple[list[Any], SerializationError | None]:
    """The values of JSON lines, up to the first that is none; empty lines are passed. `first` is the first one's number."""
    found: list[Any] = []
    for number, line in enumerate(lines, first):
        text = line.strip()
        if not text:
            continue
        try:
            found.append(_DECODE(text.decode()))
        except (ValueError, RecursionError) as error:
            return found, SerializationError(f"line {number} is not JSON: {error}")
    return found, None


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _number(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise ValueError(f"{text} is too large for a float, and would not come out again")
    return value


_DECODE = json.JSONDecoder(parse_constant=_constant, parse_float=_number).decode
