"""Items that are bytes already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pqueue.abc import Serializer
from pqueue_stdlib.exact import refused

if TYPE_CHECKING:
    from collections.abc import Sequence


class RawSerializer(Serializer):
    """No serializer at all: an item is bytes, and so is its record."""

    name: ClassVar[str] = "raw"
    safe: ClassVar[bool] = True

    def dumps(self, item: Any) -> bytes:
        """The item itself.

        Raises:
            SerializationError: it is not bytes.
        """
        if type(item) is not bytes:
            raise refused("raw", item, "it takes bytes alone")
        return item

    def loads(self, record: bytes) -> Any:
        """The record itself."""
        return record

    def loads_many(self, records: Sequence[bytes]) -> Sequence[Any]:
        """The records themselves."""
        return records
