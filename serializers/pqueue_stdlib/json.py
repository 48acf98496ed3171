"""JSON: records that anything can read."""

from __future__ import annotations

import json
from types import NoneType
from typing import Any, ClassVar, Final, NoReturn

from pqueue.abc import Serializer
from pqueue.errors import SerializationError
from pqueue_stdlib.exact import Grammar, refused


class JsonSerializer(Serializer):
    """JSON in UTF-8, of just what JSON gives back as it was; the rest is refused.

    Takes None, bool, int, float, str, list and dict with keys of str, in their order, 255 levels deep. Refuses tuples,
    keys of other types, bytes, dates, NaN and infinities, text with surrogates, ints of more digits than Python
    writes out (`sys.set_int_max_str_digits`), and subclasses of any of these: `msgpack` keeps most of that.

    Typed items (`item=…`) come as pydantic writes them in JSON, a tuple as a list and a date as text, and their type
    brings them back; where it can't (a tuple in a field of Any), they are refused.
    """

    name: ClassVar[str] = "json"
    safe: ClassVar[bool] = True

    def dumps(self, item: Any) -> bytes:
        """The item's record.

        Raises:
            SerializationError: it holds something that is none of the above.
        """
        _GRAMMAR.check(item)
        try:
            return _encode(item).encode()
        except (ValueError, RecursionError) as error:  # surrogates, NaN, digits
            raise refused("json", item, str(error)) from error

    def loads(self, record: bytes) -> Any:
        """The item of a record.

        Raises:
            SerializationError: the record can't be read.
        """
        try:
            return _decode(record.decode())
        except Exception as error:
            raise SerializationError(f"json can't read a record of {len(record)} bytes: {error}") from error


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_GRAMMAR: Final = Grammar("json", (NoneType, bool, int, float, str), (list, dict), text_keys=True)
_encode: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode
_decode: Final = json.JSONDecoder(parse_constant=_constant).decode
