from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.s3server import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server, one for each test process, started by the first test that asks for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with S3Server() as server:
            yield server
