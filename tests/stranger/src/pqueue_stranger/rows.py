"""The serializer `csv`: an item is a row, a list of texts."""

from __future__ import annotations

import csv
import io
from typing import Any, ClassVar

from pqueue.abc import Serializer
from pqueue.errors import SerializationError


class CsvSerializer(Serializer):
    """A record is one line of CSV in UTF-8, without its end. Takes lists of str and nothing else."""

    name: ClassVar[str] = "csv"
    safe: ClassVar[bool] = True

    def dumps(self, item: Any) -> bytes:
        """The item's line.

        Raises:
            SerializationError: it is no list of str, or no text that CSV or UTF-8 can hold.
        """
        if type(item) is not list:
            raise _refused(item, "a row is a list")
        longest = csv.field_size_limit()
        for field in item:
            if type(field) is not str:
                raise _refused(field, "a row's fields are text")
            if len(field) > longest:
                raise _refused(field, f"longer than {longest} characters, which is all that csv reads")
        try:
            return _line(item).encode()
        except (csv.Error, UnicodeEncodeError) as error:
            raise _refused(item, str(error)) from error

    def loads(self, record: bytes) -> Any:
        """The row of a line.

        Raises:
            SerializationError: the record is no line that `dumps` writes.
        """
        try:
            line = record.decode()
            rows = list(csv.reader(io.StringIO(line, newline=""), strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise SerializationError(f"csv can't read a record of {len(record)} bytes: {error}") from error
        row = rows[0] if rows else []
        if len(rows) > 1 or _line(row) != line:  # csv passes over line ends, and reads what it would write otherwise
            raise SerializationError(f"csv can't read a record of {len(record)} bytes: it is not one row")
        return row


def _line(row: list[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="").writerow(row)
    return text.getvalue()


def _refused(item: Any, why: str) -> SerializationError:
    return SerializationError(f"csv can't keep this {type(item).__name__}: {why}; msgpack and json keep more")
