"""Dead letters as bytes: `dead/OFFSET`. The same mark and record are the same bytes, whoever writes them (rule 17)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from pqueue.errors import NotAQueue
from pqueue.head import Span
from pqueue.names import canonical
from pqueue.tail import parse_json


@dataclass(frozen=True, slots=True)
class Letter:
    """An item that was set aside, as a dead letter: `queue.dead` lists them, puts them again, deletes them."""

    offset: int
    """Its place in the queue; of several that were damaged or lost at once, the lowest one's."""
    reason: str
    """`attempts`: handed out too often; `rejected`; `unreadable`: by the serializer; `damaged`: its bytes do not check
    out; `lost` in a power cut."""
    attempts: int
    """How often it was claimed."""
    error: str
    """The last one, as far as it is known: at most 1 KB."""
    record: bytes
    """The item as its serializer made it; what is left of a damaged one."""
    count: int = 1
    """Items, where several were damaged or lost at once."""

    @property
    def whole(self) -> bool:
        """Whether the record is an item's, so that it can be put again."""
        return self.reason not in ("damaged", "lost")


def written(span: Span, queue: str, raw: bytes) -> bytes:
    """The letter of a dying mark."""
    letter = {
        "attempts": span.attempts,
        "count": span.size,
        "error": span.error,
        "format": 1,
        "offset": span.start,
        "queue": queue,
        "reason": span.reason,
        "record": base64.b64encode(raw).decode(),
    }
    return canonical(letter)


def parsed(data: bytes, name: str) -> Letter:
    """What `written` made.

    Raises:
        NotAQueue, NewerFormat: see `parse_json`.
    """
    value = parse_json(data, f"the dead letter `{name}`")
    try:
        record = base64.b64decode(value["record"], validate=True)
        return Letter(value["offset"], value["reason"], value["attempts"], value["error"], record, value["count"])
    except (KeyError, TypeError, binascii.Error) as error:
        raise NotAQueue(f"the dead letter `{name}` is there but is none ({error!r})") from error
