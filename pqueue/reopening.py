"""What a queue object was opened by: enough to open the same queue again, in another process, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pqueue.errors import AnotherQueue
from pqueue.settings import QueueSettings
from pqueue.typed import ItemType


@dataclass(frozen=True, slots=True)
class Origin:
    """What `connect` was given."""

    settings: QueueSettings
    item: ItemType | None = None


def reopen(settings: QueueSettings, item: Any, queue: str) -> Any:
    """The queue of this id: how a pickle of one is read.

    Raises:
        AnotherQueue: it was removed and made anew.
        See `open` for the rest.
    """
    from pqueue.connect import connect  # noqa: PLC0415  # which imports the queue, which imports this

    opened = connect(settings.model_copy(update={"create": False}), None if item is None else ItemType(item))
    if opened.meta.queue != queue:
        opened.close()
        raise AnotherQueue(f"the queue that was pickled ({queue}) was removed, and another is in its place")
    return opened
