"""The codec `zstd`: needs the extra `codecs`."""

from pqueue_zstd.codec import ZstdCodec

__all__ = ["ZstdCodec"]
