from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, ClassVar

import pytest

from pqueue.testing.stores import SegmentStoreTests, StoreFactory
from pqueue_s3 import S3Backend, S3Settings

if TYPE_CHECKING:
    from tests.support.s3server import S3Server


class TestS3(SegmentStoreTests):
    # The time is told in whole seconds, and by whichever of the server's threads answers.
    clock_slack_ms: ClassVar[int] = 1000
    large: ClassVar[int] = 9 << 20  # beyond what is sent in one piece
    rounds: ClassVar[int] = 10

    @pytest.fixture
    def store_factory(self, s3_server: S3Server) -> StoreFactory:
        settings = S3Settings(**s3_server.settings(prefix=f"conformance/{uuid.uuid4().hex}"))
        return lambda: S3Backend.open(settings, create=True)
