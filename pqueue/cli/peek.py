"""`pqueue peek`: the next items, left where they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pqueue import plugins
from pqueue.cli.formats import Format, encoded
from pqueue.cli.glance import checked, looked_at
from pqueue.connect import parts
from pqueue.errors import SerializationError
from pqueue.peek import Glance
from pqueue.where import Layer, merged


def lines(found: Sequence[Layer], count: int, how: Format) -> Iterator[bytes | SerializationError]:
    """At most `count` items, as they are to be written, or why one can't be."""
    settings = merged(found)
    with looked_at(settings) as (store, codecs):
        glance = Glance(store, codecs)
        checked(settings, glance.meta)
        serializer = parts(settings)[0] or plugins.recorded_serializer(glance.meta.serializer)
        for chunk in glance.waiting():
            for record in chunk.records:
                if not count:
                    return
                count -= 1
                try:
                    line: bytes | SerializationError = encoded(serializer.loads(record), how)
                except SerializationError as error:
                    line = error
                yield line
