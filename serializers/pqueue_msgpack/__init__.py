"""The default serializer: MessagePack, through ormsgpack, made exact."""

from pqueue_msgpack.serializer import MsgpackSerializer

__all__ = ["MsgpackSerializer"]
