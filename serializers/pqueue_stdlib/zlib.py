"""Compression."""

from __future__ import annotations

import zlib
from typing import ClassVar

from pqueue.abc import Codec


class ZlibCodec(Codec):
    """zlib, as everywhere."""

    name: ClassVar[str] = "zlib"

    def __init__(self, level: int = 1) -> None:
        """Compress at a level from 1 (fast) to 9 (small); any level's output decodes the same."""
        if level not in range(1, 10):
            raise ValueError(f"a level from 1 to 9, not {level}")
        self._level = level

    def encode(self, data: bytes, place: bytes) -> bytes:  # noqa: ARG002  # nothing is bound to it
        """The compressed bytes."""
        return zlib.compress(data, self._level)

    def decode(self, data: bytes, place: bytes) -> bytes:  # noqa: ARG002
        """What `encode` was given.

        Raises:
            ValueError: the bytes do not decode, or end too early or too late.
        """
        # zlib.decompress would ignore what stands behind the end.
        decoder = zlib.decompressobj()
        try:
            plain = decoder.decompress(data)
        except zlib.error as error:
            raise ValueError(f"{len(data)} bytes are not zlib's: {error}") from error
        if not decoder.eof or decoder.unused_data:
            raise ValueError(f"{len(data)} bytes of zlib's end too {'late' if decoder.eof else 'early'}")
        return plain
