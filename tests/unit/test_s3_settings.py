from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from pqueue.errors import SettingsError, StoreError
from pqueue_s3 import S3Backend, S3Settings
from pqueue_s3.errors import translated


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://my.bucket-1/orders", "my.bucket-1", "orders"),
        ("s3://bucket/a/b%20c/", "bucket", "a/b c"),
        ("s3://bucket/orders?region=eu-west-1&request_attempts=5", "bucket", "orders"),
    ],
)
def test_a_url_names_bucket_and_prefix(url: str, bucket: str, prefix: str) -> None:
    settings = S3Settings(**S3Backend.from_url(url))
    assert (settings.backend, settings.bucket, settings.prefix) == ("s3", bucket, prefix)


@pytest.mark.parametrize(
    "url",
    [
        "s3:///orders",
        "s3:bucket",
        "https://bucket/orders",
        "s3://bucket/a#b",
        "s3://hunter2@bucket/orders",
        "s3://key:hunter2@bucket/orders",
        "s3://bucket/orders?secret_access_key=hunter2",
        "s3://bucket/orders?access_key_id=hunter2",
        "s3://bucket/orders?session_token=hunter2",
        "s3://bucket/orders?client=hunter2",
        "s3://bucket/orders?session_token",
    ],
)
def test_a_url_of_another_kind_or_with_a_secret_is_refused(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        S3Backend.from_url(url)
    assert "hunter2" not in str(caught.value)


def test_what_a_url_s_query_says_is_read_from_text() -> None:
    settings = S3Settings.model_validate(
        {
            "bucket": "bucket",
            "region": "eu-west-1",
            "endpoint_url": "http://localhost:9000",
            "addressing_style": "path",
            "connect_timeout": "2.5",
            "read_timeout": "12",
            "max_pool_connections": "8",
            "request_attempts": "5",
            "sse": "aws:kms",
        }
    )
    assert (settings.connect_timeout, settings.read_timeout) == (2.5, 12.0)
    assert (settings.max_pool_connections, settings.request_attempts) == (8, 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bucket": ""},
        {"endpoint_url": "localhost:9000"},
        {"endpoint_url": "http://key:hunter2@localhost:9000"},
        {"addressing_style": "diagonal"},
        {"request_attempts": 0},
        {"connect_timeout": -1},
        {"sse": "rot13"},
        {"backend": "local"},
        {"bukket": "x"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        S3Settings(**{"bucket": "bucket", **wrong})


def test_secrets_and_a_client_of_ones_own_are_not_shown() -> None:
    settings = S3Settings(
        bucket="bucket", access_key_id="hunter2", secret_access_key="hunter2", session_token="hunter2", client=object()
    )
    for shown in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert "hunter2" not in shown
        assert "client" not in shown


def test_waits_longer_than_servers_answer_late() -> None:
    assert S3Settings(bucket="bucket").read_timeout > 7


def test_importing_the_backend_does_not_import_boto3() -> None:
    code = "import sys, pqueue_s3; assert not any('boto' in name for name in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_without_boto3_the_error_is_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingsError, match=r"pip install 'pqueue-segments\[s3\]'"):
        S3Backend.open(S3Settings(bucket="bucket"), create=True)


def test_a_service_that_takes_connections_and_says_nothing_is_told_of() -> None:
    from botocore.exceptions import ReadTimeoutError

    told = translated(ReadTimeoutError(endpoint_url="http://127.0.0.1:9"), "can't load", effect=False)
    assert isinstance(told, StoreError)
    assert "check endpoint_url, or allow more than `read_timeout`" in str(told)
