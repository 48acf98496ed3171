"""Processor time of one request to a bucket: `python -m tests.benchmarks.requests`, to a server on the same machine.

Ours is `pqueue_s3.bucket`, over boto3. obstore, a client in Rust, is measured beside it; docs/s3.md says why it is not used.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from pqueue_s3 import S3Settings
from pqueue_s3.bucket import Bucket, Condition, Options
from tests.benchmarks.harness import Beside, Figure, Row, Run, options, run
from tests.support.s3server import S3Server

BODY = b"x" * 4096
FIGURES = [Figure("processor", "µs", at_most=True), Figure("in all", "µs", at_most=True)]


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def each(count: int, ask: Callable[[], object]) -> Run:
    """Asks so often, in one thread: microseconds of one."""

    def run() -> dict[str, float]:
        began, used = time.perf_counter(), _processor()
        for _ in range(count):
            ask()
        per = 1e6 / count
        return {"processor": (_processor() - used) * per, "in all": (time.perf_counter() - began) * per}

    return run


class Obstore:
    """The same requests; with a digest of its own kind where ours has Content-MD5."""

    def __init__(self, server: S3Server) -> None:
        from obstore.store import S3Store

        self._store: Any = S3Store(
            config={
                "bucket": server.bucket,
                "endpoint": server.endpoint,
                "access_key_id": server.access_key,
                "secret_access_key": server.secret_key,
                "region": "us-east-1",
                "checksum_algorithm": "sha256",
            },
            client_options={"allow_http": True},
        )
        self.put()
        self._etag = self._store.head("obstore/a")["e_tag"]

    def put(self) -> None:
        self._store.put("obstore/a", BODY, use_multipart=False)

    def same(self) -> None:
        with suppress(Exception):  # NotModifiedError, whose class is of no interest here
            self._store.get("obstore/a", options={"if_none_match": self._etag})

    def get(self) -> None:
        bytes(self._store.get("obstore/a").bytes())


def rows(server: S3Server, scale: float) -> Iterator[Row]:
    bucket = Bucket(S3Settings(**server.settings(prefix="ours")))
    theirs = Obstore(server) if importlib.util.find_spec("obstore") else None
    count = max(1, int(2000 * scale))
    # Each has objects of its own: every PUT changes the ETag's object, but not the ETag, since the bytes are the same.
    known = bucket.put("a", BODY, Options())
    condition = Condition(IfNoneMatch=known.etag if known else "")
    for work, ours, name in (
        ("PUT of 4 KB", lambda: bucket.put("a", BODY, Options()), "put"),
        ("GET, not changed (304)", lambda: bucket.get("a", condition), "same"),
        ("GET of 4 KB", lambda: bucket.get("a"), "get"),
    ):
        beside = Beside("obstore", each(count, getattr(theirs, name)) if theirs else None)
        yield Row("one request", work, each(count, ours), [beside], FIGURES)


def main() -> int:
    given = options(__doc__).parse_args()
    with S3Server() as server:
        return run(rows(server, given.scale), given)


if __name__ == "__main__":
    sys.exit(main())
