"""Python's own format for compiled modules."""

from __future__ import annotations

import marshal
from types import EllipsisType, NoneType
from typing import Any, ClassVar, Final

from pqueue.abc import Serializer
from pqueue.errors import SerializationError
from pqueue_stdlib.exact import Grammar, refused

# marshal ignores bytes behind the end, and believes a size that a missing byte has made a billion: each record starts
# with its own size.
_SIZE: Final = 4


class MarshalSerializer(Serializer):
    """marshal, for what builtin types can say. Not safe: a hostile or damaged record can crash the interpreter.

    **A record depends on the Python version that wrote it**: the format may change with any minor version, so that a
    queue must be empty before its users are updated, and all of them be updated together.

    Takes None, Ellipsis, bool, int, float, complex, str, bytes, tuple, list, set, frozenset and dict with any of these
    as its keys, 255 levels deep. Refuses subclasses, and bytearray, memoryview, array and whatever else shows its
    memory, since marshal would turn them into bytes.
    """

    name: ClassVar[str] = "marshal"
    safe: ClassVar[bool] = False

    def dumps(self, item: Any) -> bytes:
        """The item's record.

        Raises:
            SerializationError: it holds something that is none of the above.
        """
        _GRAMMAR.check(item)
        try:
            data = marshal.dumps(item)
        except ValueError as error:
            raise refused("marshal", item, str(error)) from error
        return b"%b%b" % (len(data).to_bytes(_SIZE, "little"), data)

    def loads(self, record: bytes) -> Any:
        """The item of a record.

        Raises:
            SerializationError: the record can't be read.
        """
        if int.from_bytes(record[:_SIZE], "little") != len(record) - _SIZE:
            raise SerializationError(f"marshal can't read a record of {len(record)} bytes: it is of another size")
        try:
            return marshal.loads(record[_SIZE:])  # noqa: S302  # its caller asked for marshal
        except Exception as error:
            raise SerializationError(f"marshal can't read a record of {len(record)} bytes: {error!r}") from error


_GRAMMAR: Final = Grammar(
    "marshal",
    (NoneType, EllipsisType, bool, int, float, complex, str, bytes),
    (tuple, list, set, frozenset, dict),
    text_keys=False,
)
