"""Ctrl-C at each point of a call where Python may handle a signal: as a function begins, behind a call, at a jump back."""

from __future__ import annotations

import dis
import functools
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import pqueue

ONLY = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11),
    reason="later versions of CPython trace instructions otherwise: raised there, an interrupt is not where a signal's would be",
)
_OURS = (str(Path(pqueue.__file__).parent) + os.sep, os.sep + "pqueue_")
_CALLS = ("CALL", "CALL_FUNCTION_EX")
_GENERATOR, _BEGUN = 0x20, 2


@functools.cache
def _instructions(code: CodeType) -> dict[int, tuple[str, int | None]]:
    """By offset: its name, and where an error of it is handled."""
    table = dis._parse_exception_table(code)  # type: ignore[attr-defined]
    return {
        one.offset: (one.opname, next((entry.target for entry in table if entry.start <= one.offset < entry.end), None))
        for one in dis.get_instructions(code)
    }


def _yielded(frame: FrameType) -> bool:
    """Whether a generator goes on behind a `yield`, and not behind a `yield from`."""
    return (frame.f_code.co_code[frame.f_lasti], frame.f_code.co_code[frame.f_lasti + 1]) == (dis.opmap["RESUME"], 1)


def _chain(error: BaseException | None) -> Sequence[BaseException]:
    """It and what it came of; an error may be raised again as what it came of."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


class Interrupted:
    """What came of a call that was interrupted at its `at`-th point in our code, counted from 0."""

    def __init__(self, call: Callable[[], Any], at: int, kind: type[BaseException] = KeyboardInterrupt) -> None:
        """`kind`: what the signal's handler raises."""
        self.where = ""
        """The point; empty where the call has fewer."""
        self.error: BaseException | None = None
        self._left = at
        self._kind = kind
        self._before: dict[FrameType, tuple[str, int | None]] = {}
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            call()
        except kind as error:
            self.error = error
        except TypeError as error:
            if (
                str(error) != "'traceback' object is not callable"
            ):  # CPython 3.11, rarely: its own stack, mixed up by tracing
                raise
            self.error = error
        finally:
            sys.settrace(before)
            self._before.clear()  # else all that the call had in hand lives as long as this
            for error in _chain(self.error):
                error.__traceback__ = None

    def _called(self, frame: FrameType, event: str, _: Any) -> Any:
        caller = frame.f_back
        if caller in self._before:
            self._before[caller] = ("", None)  # no signal is handled as a function of Python returns
        if not frame.f_code.co_filename.startswith(_OURS[0]) and _OURS[1] not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if not frame.f_code.co_flags & _GENERATOR or frame.f_lasti <= _BEGUN or _yielded(frame):
            self._point(frame)
        return self._step

    def _point(self, frame: FrameType) -> None:
        self._left -= 1
        if self._left == -1:
            self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
            raise self._kind

    def _step(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "return":
            self._before.pop(frame, None)
        elif event == "opcode":
            now = _instructions(frame.f_code)[frame.f_lasti]
            name, handler = self._before.get(frame, ("", None))
            self._before[frame] = now
            if (name in _CALLS and handler == now[1]) or now[0].startswith("JUMP_BACKWARD"):
                self._point(frame)
        return self._step


def in_time(call: Callable[[], Any], where: str, seconds: float = 20) -> Any:
    """What it returns, in another thread; a failure that says where that hangs."""
    told: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            told.append(call())
        except BaseException as error:  # noqa: BLE001  # raised by the caller
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise AssertionError(f"after an interrupt at {where}") from failed[0]
    if not told:
        assert thread.ident is not None
        stack = traceback.format_stack(sys._current_frames()[thread.ident])
        raise AssertionError(f"after an interrupt at {where} this hangs:\n{''.join(stack[-6:])}")
    return told[0]


def counting(step: int = 1) -> Iterator[int]:
    """0, step, …: until the caller finds no point there."""
    at = 0
    while True:
        yield at
        at += step
