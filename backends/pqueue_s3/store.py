"""`S3Backend`: the store contract in terms of objects."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from pqueue.abc import SAME, Blob, Document, Same, SegmentStore, StoreSettings, Version
from pqueue.errors import BlobMissing, DocumentChanged, StoreRefused
from pqueue_s3 import probe
from pqueue_s3.bucket import BATCH, BEHIND_END, UNCHANGED, Bucket, Condition, Options, Range
from pqueue_s3.errors import Answer
from pqueue_s3.settings import S3Settings, from_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

NONCE: Final = 16
"""Random bytes before a document's content: an ETag may be a digest, and no two swaps may have the same version."""


class S3Backend(SegmentStore):
    """A queue in a bucket, for any number of hosts."""

    Settings: ClassVar[type[StoreSettings]] = S3Settings
    schemes = ("s3",)
    clock_step_ms = 1000
    ack_linger = 1.0
    """A swap takes some 25 ms: the acknowledgements of `get` ride together."""

    def __init__(self, settings: S3Settings) -> None:
        self._bucket = Bucket(settings)
        self._quotes = True
        self._documents = Options()
        if settings.sse or settings.kms_key_id:
            self._documents["ServerSideEncryption"] = settings.sse or "aws:kms"
        if settings.kms_key_id:
            self._documents["SSEKMSKeyId"] = settings.kms_key_id
        self._blobs = self._documents.copy()
        if settings.storage_class:
            self._blobs["StorageClass"] = settings.storage_class

    @classmethod
    def from_url(cls, url: str) -> Mapping[str, Any]:
        """The settings in `s3://BUCKET/PREFIX`."""
        return from_url(url)

    @classmethod
    def open(cls, settings: S3Settings, *, create: bool) -> Self:  # noqa: ARG003
        """Connect to the bucket, which must be there: `create` makes none."""
        if settings.bucket.endswith("--x-s3"):
            raise StoreRefused(f"{settings.bucket} is a directory bucket, which lists in no order: use another kind")
        store = cls(settings)
        try:
            # Not HeadBucket, whose answers have no body to tell what is wrong; and to list must be allowed anyhow.
            store._bucket.page("", "", 1)
        except BaseException:
            store.close()
            raise
        return store

    def probe(self) -> Mapping[str, Any]:
        """Try that conditions are honoured, and in which form ETags are to be given."""
        facts = probe.probe(self._bucket, self._documents)
        self.recall(facts)
        return facts

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Take in which form ETags are to be given."""
        self._quotes = bool(facts.get(probe.ETAG_QUOTES, True))

    def write(self, name: str, data: bytes) -> None:
        """Put an object, without a condition."""
        self._bucket.put(name, data, self._blobs)

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Get an object, or a range of one."""
        nothing = end is not None and end <= start
        if nothing:
            start, end = 0, 1  # to learn whether it is there
        part = Range(Range=f"bytes={start}-{'' if end is None else end - 1}") if start or end is not None else None
        got = self._bucket.get(name, part=part)
        if isinstance(got, Answer):
            if got.status == BEHIND_END:
                return b""
            raise BlobMissing(f"{name} is not in the bucket")
        if nothing:
            return b""
        return got.body if got.partial or part is None else got.body[start:end]

    def list(self, prefix: str, after: str = "") -> Iterator[Blob]:
        """Names in order, a thousand a request."""
        more = True
        while more:
            blobs, more = self._bucket.page(prefix, after)
            for blob in blobs:
                if blob.name <= after:
                    raise StoreRefused(f"the bucket does not list in order ({blob.name} behind {after}): use another")
                after = blob.name
                if "/" in after:
                    yield blob

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, a thousand a request."""
        left = iter(names)
        while batch := tuple(islice(left, BATCH)):
            self._bucket.delete(batch)

    def load(self, document: str, known: Version | None = None) -> Document | Same | None:
        """Get a document's object, unless its ETag is still `known`."""
        got = self._bucket.get(document, None if known is None else Condition(IfNoneMatch=self._etag(known)))
        if isinstance(got, Answer):
            return SAME if got.status == UNCHANGED else None
        if got.etag == known:
            return SAME
        return Document(got.body if document.endswith(".json") else got.body[NONCE:], got.etag, got.now)

    def swap(self, document: str, data: bytes, version: Version | None, sync: bool) -> Document:  # noqa: ARG002
        """Put a document's object if its ETag is still `version`, or there is none."""
        if version is not None and document.endswith(".json"):
            raise StoreRefused(f"{document} is made once and never replaced")
        condition = Condition(IfNoneMatch="*") if version is None else Condition(IfMatch=self._etag(version))
        body = data if document.endswith(".json") else os.urandom(NONCE) + data
        stored = self._bucket.put(document, body, self._documents, condition)
        if isinstance(stored, Answer):
            raise DocumentChanged(f"{document} is not as last loaded ({stored.status} {stored.code}): load it and look")
        return Document(data, stored.etag, stored.now)

    def requests(self) -> Mapping[str, int]:
        """What was sent, by kind."""
        return self._bucket.requests()

    def close(self) -> None:
        """Close the connections."""
        self._bucket.close()

    def _etag(self, version: Version) -> str:
        return str(version) if self._quotes else str(version).strip('"')
