"""Serializers and a codec that need nothing but the standard library."""

from pqueue_stdlib.json import JsonSerializer
from pqueue_stdlib.marshal import MarshalSerializer
from pqueue_stdlib.pickle import PickleSerializer
from pqueue_stdlib.raw import RawSerializer
from pqueue_stdlib.zlib import ZlibCodec

__all__ = ["JsonSerializer", "MarshalSerializer", "PickleSerializer", "RawSerializer", "ZlibCodec"]
