"""Services that speak S3 and don't keep all of it."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from pqueue.abc import SAME, Blob, Document
from pqueue.errors import DocumentChanged, SettingsError, StoreError, StoreFull, StoreRefused
from pqueue_s3 import S3Backend, S3Settings
from tests.support.s3likes import S3Like


def opened(like: S3Like, **more: Any) -> S3Backend:
    return S3Backend.open(S3Settings(**like.settings(**more)), create=True)


@pytest.fixture
def store_of(request: pytest.FixtureRequest) -> Any:
    def store_of(like: S3Like, **more: Any) -> S3Backend:
        store = opened(like, **more)
        request.addfinalizer(store.close)
        return store

    return store_of


@pytest.mark.parametrize("quotes", ["either", "with"])
def test_an_honest_service_passes_the_probe(store_of: Any, quotes: str) -> None:
    with S3Like(quotes=quotes) as like:
        assert store_of(like).probe() == {"etag_quotes": True}
        assert like.objects == {}


def test_etags_without_quotes_where_only_those_are_known(store_of: Any) -> None:
    with S3Like(quotes="without") as like:
        facts = store_of(like).probe()
        assert facts == {"etag_quotes": False}
        later = store_of(like)
        later.recall(facts)
        first = later.swap("tail", b"1", None, sync=True)
        assert later.load("tail", first.version) is SAME
        second = later.swap("tail", b"2", first.version, sync=True)
        with pytest.raises(DocumentChanged):
            later.swap("tail", b"3", first.version, sync=True)
        assert later.load("tail")[:2] == second[:2]


@pytest.mark.parametrize(
    ("ways", "named"),
    [
        ({"heeds_none_match": False}, r"If-None-Match: \*"),
        ({"heeds_match": False}, "If-Match with an ETag that is no longer its own"),
        ({"heeds_match_of_absent": False}, "deleted object anew in spite of If-Match"),
        ({"quotes": "never"}, "If-Match with the object's own ETag, with quotes and without"),
        ({"etag_of_content": False}, "same ETag to different contents"),
        ({"dated": False}, "Date"),
        ({"unsupported": frozenset({"If-None-Match"})}, "NotImplemented.*conditional writes"),
        ({"unsupported": frozenset({"If-Match"})}, "NotImplemented.*conditional writes"),
    ],
)
def test_the_probe_refuses_a_service_that_does_not_keep_conditions(
    store_of: Any, ways: dict[str, Any], named: str
) -> None:
    with S3Like(**ways) as like:
        with pytest.raises(StoreRefused, match=named):
            store_of(like).probe()
        assert like.objects == {}


def test_a_service_that_lists_in_no_order_is_refused(store_of: Any) -> None:
    with S3Like(ordered=False) as like:
        store = store_of(like)
        store.write("seg/a", b"")
        store.write("seg/b", b"")
        with pytest.raises(StoreRefused, match="order"):
            list(store.list("seg/"))


def test_a_service_that_ignores_where_a_listing_goes_on_is_refused(store_of: Any) -> None:
    with S3Like(pages=False) as like:
        store = store_of(like)
        store.write("seg/a", b"")
        with pytest.raises(StoreRefused, match="order"):
            list(store.list("seg/", "seg/a"))
        assert list(store.list("seg/")) == [Blob("seg/a", 0)]


def test_ranges_of_a_service_that_always_sends_the_whole(store_of: Any) -> None:
    with S3Like(ranges=False) as like:
        store = store_of(like)
        store.write("seg/a", b"0123456789")
        assert store.read("seg/a", 3, 7) == b"3456"
        assert store.read("seg/a", 8) == b"89"
        assert store.read("seg/a", 20, 30) == b""
        assert store.read("seg/a", 4, 4) == b""


def test_deletes_one_by_one_where_batches_are_not_known(store_of: Any) -> None:
    with S3Like(batches=False) as like:
        store = store_of(like)
        for name in ("seg/a", "seg/b", "seg/c", "seg/d"):
            store.write(name, b"")
        store.delete(["seg/a", "seg/b"])
        store.delete(["seg/c", "seg/d"])
        assert like.objects == {}
        assert sum(request.startswith("POST") for request in like.requests) == 1


def test_a_batch_that_deletes_only_some_raises(store_of: Any) -> None:
    with S3Like(refused_names=frozenset({"b"})) as like:
        store = store_of(like)
        for name in ("seg/a", "seg/b"):
            store.write(name, b"")
        with pytest.raises(StoreRefused, match=r"seg/b.*AccessDenied|AccessDenied.*seg/b"):
            store.delete(["seg/a", "seg/b"])
        assert list(like.objects) == ["queue/seg/b"]


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (403, "AccessDenied", StoreRefused, "s3:PutObject"),
        (403, "InvalidAccessKeyId", StoreRefused, "access key"),
        (403, "SignatureDoesNotMatch", StoreRefused, "secret key"),
        (403, "RequestTimeTooSkewed", StoreRefused, "clock"),
        (400, "ExpiredToken", StoreRefused, "renew"),
        (400, "AuthorizationHeaderMalformed", StoreRefused, "region"),
        (404, "NoSuchBucket", StoreRefused, "create it"),
        (507, "InsufficientStorage", StoreFull, ""),
        (507, "XMinioStorageFull", StoreFull, ""),
        (403, "QuotaExceeded", StoreFull, ""),
        (503, "SlowDown", StoreError, ""),
        (500, "InternalError", StoreError, ""),
        (429, "TooManyRequests", StoreError, ""),
        (400, "RequestTimeout", StoreError, ""),
    ],
)
def test_every_answer_becomes_an_error_of_ours(
    store_of: Any, status: int, code: str, kind: type[StoreError], said: str
) -> None:
    with S3Like() as like:
        store = store_of(like)
        like.refuses = (status, code)
        calls = [
            lambda: store.write("seg/a", b"1"),
            lambda: store.read("seg/a"),
            lambda: list(store.list("seg/")),
            lambda: store.delete(["seg/a"]),
            lambda: store.delete(["seg/a", "seg/b"]),
            lambda: store.load("tail"),
            lambda: store.swap("tail", b"1", None, sync=True),
            lambda: store.swap("tail", b"1", '"1"', sync=True),
            lambda: opened(like),
        ]
        for call in calls:
            with pytest.raises(StoreError, match=code) as caught:
                call()
            assert type(caught.value) is kind
            assert caught.value.retry is (kind is not StoreRefused)
            assert said in str(caught.value)
            assert caught.value.__cause__ is not None


def test_a_refusal_after_a_lost_answer_leaves_the_outcome_open(store_of: Any) -> None:
    """The last attempt was refused in so many words, the one before may have been carried out."""
    with S3Like() as like:
        store = store_of(like, request_attempts=2)
        answers = iter([(500, "InternalError"), (403, "ExpiredToken")] * 2)

        class Then(S3Like):
            refuses = property(lambda self: next(answers), lambda self, value: None)  # type: ignore[assignment]

        like.__class__ = Then
        with pytest.raises(StoreError) as caught:
            store.write("seg/a", b"1")
        assert type(caught.value) is StoreError
        with pytest.raises(StoreRefused):
            store.read("seg/a")


def test_a_service_nobody_listens_at(request: pytest.FixtureRequest) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        settings = S3Settings(
            bucket="bucket",
            endpoint_url=f"http://127.0.0.1:{held.getsockname()[1]}",
            access_key_id="key",
            secret_access_key="secret",
            region="us-east-1",
        )
        with pytest.raises(StoreError, match="endpoint_url") as caught:
            S3Backend.open(settings, create=True)
        assert caught.value.retry


def test_a_service_that_never_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = S3Settings(
            bucket="bucket",
            endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}",
            access_key_id="key",
            secret_access_key="secret",
            region="us-east-1",
            read_timeout=0.2,
            request_attempts=2,
        )
        with pytest.raises(StoreError, match="Read timeout") as caught:
            S3Backend.open(settings, create=True)
        assert type(caught.value) is StoreError


def test_no_keys_anywhere() -> None:
    with S3Like() as like, pytest.raises(StoreRefused, match="give keys"):
        opened(like, access_key_id=None, secret_access_key=None)


def test_a_name_that_no_bucket_can_have() -> None:
    with pytest.raises(StoreRefused, match="check the bucket's name"):
        S3Backend.open(S3Settings(**S3Backend.from_url("s3://localhost:9000/orders")), create=True)


def test_a_profile_that_is_not_there() -> None:
    with S3Like() as like, pytest.raises(SettingsError, match="nobody"):
        opened(like, profile="nobody")


def test_a_directory_bucket_is_refused() -> None:
    with pytest.raises(StoreRefused, match="directory bucket"):
        S3Backend.open(S3Settings(bucket="queues--use1-az4--x-s3"), create=True)


def test_new_objects_are_kept_as_the_settings_say(store_of: Any) -> None:
    seen: list[tuple[str, dict[str, str]]] = []
    with S3Like() as like:
        store = store_of(like, storage_class="STANDARD_IA", kms_key_id="key-1")

        def look(params: dict[str, Any], **_: Any) -> None:
            seen.append((params["url_path"], dict(params["headers"])))

        store._bucket._client.get().meta.events.register("before-call.s3.PutObject", look)
        store.write("seg/a", b"")
        document = store.swap("tail", b"", None, sync=True)
        assert isinstance(document, Document)
    (_, blob), (_, tail) = seen
    assert blob["x-amz-storage-class"] == "STANDARD_IA"
    assert "x-amz-storage-class" not in tail
    for headers in (blob, tail):
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"
