"""A place for a queue in a program of its own: a folder, or a bucket of a server that the program starts."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support import places
from tests.support.s3server import S3Server


@contextlib.contextmanager
def scene(kind: str) -> Iterator[places.Place]:
    """A fresh place of this kind, removed at the end."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pqueue-")))
        yield places.make(kind, folder, lambda: stack.enter_context(S3Server()))
