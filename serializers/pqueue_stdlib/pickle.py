"""Any object that Python can pickle."""

from __future__ import annotations

import pickle
from io import BytesIO
from typing import Any, ClassVar

from pqueue.abc import Serializer
from pqueue.errors import SerializationError
from pqueue_stdlib.exact import refused


class PickleSerializer(Serializer):
    """pickle, protocol 5. Not safe: **loading a hostile record runs whatever its author wants**.

    Keeps subclasses, enums, dataclasses and models, as exactly as their classes pickle themselves: of a class's
    instance it records the class's name, so whoever loads it must be able to import it.
    """

    name: ClassVar[str] = "pickle"
    safe: ClassVar[bool] = False

    def dumps(self, item: Any) -> bytes:
        """The item's record.

        Raises:
            SerializationError: it can't be pickled.
        """
        try:
            return pickle.dumps(item, 5)
        except Exception as error:  # an item's own methods take part, and raise what they like
            raise refused("pickle", item, repr(error)) from error

    def loads(self, record: bytes) -> Any:
        """The item of a record.

        Raises:
            SerializationError: the record can't be read, or its class not be found.
        """
        file = BytesIO(record)
        try:
            item = pickle.load(file)  # noqa: S301  # its caller asked for pickle
        except Exception as error:
            raise SerializationError(f"pickle can't read a record of {len(record)} bytes: {error!r}") from error
        if file.tell() != len(record):
            raise SerializationError(f"pickle can't read a record of {len(record)} bytes: it ends at {file.tell()}")
        return item
