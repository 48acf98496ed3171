"""Queues in a bucket: S3, and what speaks its protocol and honours its conditions.

Every blob and every document is one object, `PREFIX/NAME`. A document's object is 16 random bytes, so that equal
contents get different ETags, and then its content; one whose name ends in `.json` is plain, since it never changes.
"""

from pqueue_s3.settings import S3Settings
from pqueue_s3.store import S3Backend

__all__ = ["S3Backend", "S3Settings"]
