"""Try, on an object of its own, that a service honours conditions: some accept the headers and ignore them."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Any, Final

from pqueue.errors import StoreError, StoreRefused
from pqueue_s3.bucket import Bucket, Condition, Options, Stored
from pqueue_s3.errors import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

ETAG_QUOTES: Final = "etag_quotes"
"""Whether ETags are given back as they came, in quotes, or without them."""


def probe(bucket: Bucket, options: Options) -> Mapping[str, Any]:
    """What later openers need to know of the service.

    Raises:
        StoreRefused: it ignores or lacks a condition; says which.
    """
    name = f"probe-{secrets.token_hex(16)}"
    try:
        return _probe(bucket, name, options)
    finally:
        # What it raised, if it did, says more than that its object could not be deleted either.
        with contextlib.suppress(StoreError):
            bucket.delete([name])


def _probe(bucket: Bucket, name: str, options: Options) -> Mapping[str, Any]:
    def put(condition: Condition) -> Stored | Answer:
        return bucket.put(name, secrets.token_bytes(32), options, condition)

    first = put(Condition(IfNoneMatch="*"))
    if isinstance(first, Answer):
        raise _refused(f"refuses to make a new object with If-None-Match: * ({first.status} {first.code})")
    if isinstance(put(Condition(IfNoneMatch="*")), Stored):
        raise _refused("overwrites an object in spite of If-None-Match: *")
    # A form of the ETag counts only if it is accepted while right and refused once stale: a service that compares
    # the quotes too refuses everything in one form, one that ignores If-Match accepts everything in both.
    for quotes in (True, False):
        given = first.etag if quotes else first.etag.strip('"')
        second = put(Condition(IfMatch=given))
        if isinstance(second, Answer):
            continue
        if second.etag == first.etag:
            raise _refused("gives the same ETag to different contents")
        if isinstance(put(Condition(IfMatch=given)), Stored):
            raise _refused("overwrites an object in spite of an If-Match with an ETag that is no longer its own")
        _probe_unchanged(bucket, name, second.etag)
        bucket.delete([name])
        if isinstance(put(Condition(IfMatch=second.etag if quotes else second.etag.strip('"'))), Stored):
            raise _refused("makes a deleted object anew in spite of If-Match")
        return {ETAG_QUOTES: quotes}
    raise _refused("refuses an If-Match with the object's own ETag, with quotes and without")


def _probe_unchanged(bucket: Bucket, name: str, etag: str) -> None:
    got = bucket.get(name)
    if isinstance(got, Answer):
        raise _refused(f"does not show an object that was just written ({got.status} {got.code})")
    if got.etag != etag:
        raise _refused(f"tells another ETag when an object is read ({got.etag}) than when it was written ({etag})")


def _refused(what: str) -> StoreRefused:
    return StoreRefused(f"no queue can be kept here: the service {what}")
