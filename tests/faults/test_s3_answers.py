"""Answers that are lost, late, odd or forged between a client and a real server."""

from __future__ import annotations

import os
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from pqueue.abc import SAME, Document
from pqueue.errors import BlobMissing, DocumentChanged, StoreError, StoreRefused
from pqueue_s3 import S3Backend, S3Settings
from tests.support.s3faults import (
    ANSWER_LOST,
    CONFLICT,
    CUT_SHORT,
    DONE_BUT_CONFLICT,
    DONE_BUT_UNAVAILABLE,
    REQUEST_LOST,
    SLOW_DOWN,
    Fault,
    Script,
    Seeded,
)
from tests.support.s3proxy import S3Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.s3server import S3Server

SECONDS = 20.0
"""Within which every failure is told."""


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def proxy(s3_server: S3Server, script: Script) -> Iterator[S3Proxy]:
    with S3Proxy(s3_server.port, script) as proxy:
        yield proxy
        assert not script.left


@pytest.fixture
def settings(s3_server: S3Server) -> dict[str, Any]:
    return s3_server.settings(prefix=f"answers/{uuid.uuid4().hex}")


@pytest.fixture
def store(proxy: S3Proxy, settings: dict[str, Any]) -> Iterator[S3Backend]:
    """A client behind the proxy."""
    store = S3Backend.open(S3Settings(**{**settings, "endpoint_url": proxy.endpoint}), create=True)
    yield store
    store.close()


@pytest.fixture
def other(settings: dict[str, Any]) -> Iterator[S3Backend]:
    """A client of the same place whose requests nothing happens to."""
    store = S3Backend.open(S3Settings(**settings), create=True)
    yield store
    store.close()


@pytest.mark.parametrize("lost", [ANSWER_LOST, DONE_BUT_UNAVAILABLE])
def test_a_swap_that_landed_unheard_is_told_changed_and_is_in(
    store: S3Backend, other: S3Backend, script: Script, proxy: S3Proxy, lost: Fault
) -> None:
    """H1: the library sends it again, the server refuses its own success, and a load shows our content."""
    for version, data in ((None, b"made"), ("known", b"replaced")):
        known = version and other.load("tail")
        script.add("SWAP", lost)
        with pytest.raises(DocumentChanged):
            store.swap("tail", data, known.version if isinstance(known, Document) else None, sync=True)
        assert other.load("tail").data == data
        assert store.load("tail").data == data
    counts = proxy.counts()
    assert (counts["SWAP 200"], counts["SWAP 412"]) == (2, 2)


def test_a_swap_that_was_lost_on_its_way_is_sent_again(store: S3Backend, script: Script) -> None:
    script.add("SWAP", REQUEST_LOST, SLOW_DOWN)
    document = store.swap("tail", b"1", None, sync=True)
    assert store.load("tail", document.version) is SAME


def test_a_conflict_is_told_changed_whether_it_landed_or_not(store: S3Backend, script: Script, proxy: S3Proxy) -> None:
    """H9: never tried again blindly; the caller loads and looks."""
    first = store.swap("tail", b"1", None, sync=True)
    script.add("SWAP", CONFLICT, DONE_BUT_CONFLICT)
    with pytest.raises(DocumentChanged, match="409"):
        store.swap("tail", b"2", first.version, sync=True)
    assert store.load("tail", first.version) is SAME
    with pytest.raises(DocumentChanged, match="409"):
        store.swap("tail", b"3", first.version, sync=True)
    assert store.load("tail").data == b"3"
    assert proxy.counts()["SWAP"] == 3


def test_a_document_deleted_meanwhile_is_told_changed_and_not_made(store: S3Backend, other: S3Backend) -> None:
    first = store.swap("tail", b"1", None, sync=True)
    other.delete(["tail"])
    with pytest.raises(DocumentChanged):
        store.swap("tail", b"2", first.version, sync=True)
    assert store.load("tail") is None


def test_a_service_that_is_busy_for_long_is_an_error_that_may_be_tried_again(
    store: S3Backend, script: Script, proxy: S3Proxy
) -> None:
    script.add("SWAP", SLOW_DOWN, SLOW_DOWN, SLOW_DOWN)
    with pytest.raises(StoreError, match="SlowDown") as caught:
        store.swap("tail", b"1", None, sync=True)
    assert type(caught.value) is StoreError
    assert caught.value.retry
    assert proxy.counts()["SWAP"] == 3
    script.add("PUT", SLOW_DOWN, SLOW_DOWN, SLOW_DOWN)
    with pytest.raises(StoreError, match="SlowDown"):
        store.write("seg/a", b"1")


def test_an_answer_that_never_comes_leaves_the_outcome_open(store: S3Backend, other: S3Backend, script: Script) -> None:
    script.add("SWAP", ANSWER_LOST, REQUEST_LOST, REQUEST_LOST)
    with pytest.raises(StoreError) as caught:
        store.swap("tail", b"1", None, sync=True)
    assert type(caught.value) is StoreError
    assert other.load("tail").data == b"1"


def test_a_write_may_be_lost_and_repeated(store: S3Backend, script: Script) -> None:
    script.add("PUT", ANSWER_LOST, REQUEST_LOST)
    store.write("seg/a", b"1")
    assert store.read("seg/a") == b"1"


def test_a_write_sent_late_again_comes_back_as_litter_only(store: S3Backend, script: Script, proxy: S3Proxy) -> None:
    """H1: deleted in between, it is there once more, with the same bytes; nothing else is touched."""
    script.add("PUT", Fault(again=0.3))
    store.write("seg/a", b"1")
    store.delete(["seg/a"])
    until = time.monotonic() + SECONDS
    while not proxy.counts()["again 200"]:
        assert time.monotonic() < until
    assert store.read("seg/a") == b"1"


def test_a_swap_sent_late_again_changes_nothing(store: S3Backend, script: Script, proxy: S3Proxy) -> None:
    first = store.swap("tail", b"1", None, sync=True)
    script.add("SWAP", Fault(again=0.2))
    second = store.swap("tail", b"2", first.version, sync=True)
    third = store.swap("tail", b"1", second.version, sync=True)
    until = time.monotonic() + SECONDS
    while not proxy.counts()["again 412"]:
        assert time.monotonic() < until
    assert store.load("tail", third.version) is SAME


def test_reads_that_are_lost_or_cut_short_are_asked_for_again(store: S3Backend, script: Script) -> None:
    data = os.urandom(100_000)
    store.write("seg/a", data)
    document = store.swap("tail", data, None, sync=True)
    script.add("GET", CUT_SHORT, ANSWER_LOST, CUT_SHORT)
    assert store.read("seg/a") == data
    script.add("GET", CUT_SHORT)
    assert store.read("seg/a", 10, 90_000) == data[10:90_000]
    script.add("GET", CUT_SHORT)
    assert store.load("tail")[:2] == document[:2]
    script.add("LIST", ANSWER_LOST)
    assert [blob.name for blob in store.list("seg/")] == ["seg/a"]
    script.add("POST", ANSWER_LOST)
    store.delete(["seg/a", "seg/b"])
    script.add("DELETE", ANSWER_LOST)
    store.delete(["seg/a"])
    with pytest.raises(BlobMissing):
        store.read("seg/a")


def test_reads_that_are_always_cut_short_end_in_an_error(store: S3Backend, script: Script) -> None:
    store.write("seg/a", b"x" * 1000)
    script.add("GET", CUT_SHORT, CUT_SHORT, CUT_SHORT)
    with pytest.raises(StoreError, match="seg/a"):
        store.read("seg/a")


def test_an_answer_that_comes_after_seconds_is_waited_for(store: S3Backend, script: Script, proxy: S3Proxy) -> None:
    """H9: some servers answer losers one to six seconds late; another attempt would only make it later."""
    store.swap("tail", b"1", None, sync=True)
    script.add("SWAP", Fault(hold=1.5))
    with pytest.raises(DocumentChanged):
        store.swap("tail", b"2", None, sync=True)
    assert proxy.counts()["SWAP"] == 2


def test_one_put_is_one_round_trip(store: S3Backend, proxy: S3Proxy) -> None:
    """Nothing is asked before a body of ordinary size is sent; one that is sent in blocks comes through as well."""
    expected: list[bytes] = []

    def look(request: Any, **_: Any) -> None:
        expected.append(request.headers.get("Expect", b""))

    store._bucket._client.get().meta.events.register("before-send.s3.PutObject", look)
    large = bytes(9 << 20)
    store.write("seg/a", b"1" * 100_000)
    store.swap("tail", b"1", None, sync=True)
    store.write("seg/large", large)
    assert expected == [b"", b"", b"100-continue"]
    assert store.read("seg/large") == large


def test_many_faults_lose_no_swap(s3_server: S3Server, settings: dict[str, Any]) -> None:
    """Additions to one document, each tried until it is seen in it, all get in once."""
    rule = Seeded(
        7, answer_lost=0.1, request_lost=0.1, conflict=0.1, done_but_conflict=0.1, again=0.1, again_within=0.1
    )
    with S3Proxy(s3_server.port, rule) as proxy:
        store = S3Backend.open(
            S3Settings(**{**settings, "endpoint_url": proxy.endpoint, "request_attempts": 10}), create=True
        )
        try:
            for number in range(40):
                entry = b"%d\n" % number
                while True:
                    now = store.load("tail")
                    data, version = (now.data, now.version) if isinstance(now, Document) else (b"", None)
                    if entry in data.splitlines(keepends=True):
                        break
                    try:
                        store.swap("tail", data + entry, version, sync=True)
                    except DocumentChanged:
                        continue
            assert store.load("tail").data == b"".join(b"%d\n" % number for number in range(40))
            counts = proxy.counts()
            assert counts["SWAP 412"]
        finally:
            store.close()


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"access_key_id": "AKnobody"}, "InvalidAccessKeyId.*access key"),
        ({"secret_access_key": "wrong"}, "SignatureDoesNotMatch.*secret key"),
        ({"bucket": "no-such-bucket"}, "NoSuchBucket.*create it"),
    ],
)
def test_what_is_wrong_is_told_at_once(settings: dict[str, Any], changed: dict[str, Any], code: str) -> None:
    began = time.monotonic()
    with pytest.raises(StoreRefused, match=code):
        S3Backend.open(S3Settings(**{**settings, **changed}), create=True)
    assert time.monotonic() - began < 2


def test_a_bucket_that_goes_is_told(settings: dict[str, Any], s3_server: S3Server) -> None:
    store = S3Backend.open(S3Settings(**settings), create=True)
    client = store._bucket._client.get()
    try:
        client.create_bucket(Bucket="going")
        gone = S3Backend.open(S3Settings(**{**settings, "bucket": "going"}), create=True)
        client.delete_bucket(Bucket="going")
        for call in (
            lambda: gone.swap("tail", b"1", None, sync=True),
            lambda: gone.load("tail"),
            lambda: gone.read("seg/a"),
        ):
            with pytest.raises(StoreRefused, match="NoSuchBucket"):
                call()
        gone.close()
    finally:
        store.close()


def test_a_client_of_ones_own_is_used_and_left_open(settings: dict[str, Any]) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=settings["endpoint_url"],
        aws_access_key_id=settings["access_key_id"],
        aws_secret_access_key=settings["secret_access_key"],
        region_name="us-east-1",
    )
    store = S3Backend.open(S3Settings(bucket=settings["bucket"], prefix=settings["prefix"], client=client), create=True)
    store.probe()
    store.write("seg/a", b"1")
    document = store.swap("tail", b"1", None, sync=True)
    assert store.load("tail", document.version) is SAME
    store.delete(["seg/a", "tail"])
    store.close()
    assert client.list_objects_v2(Bucket=settings["bucket"], Prefix=settings["prefix"])["KeyCount"] == 0
    client.close()


def test_a_forked_child_makes_connections_of_its_own(settings: dict[str, Any]) -> None:
    store = S3Backend.open(S3Settings(**settings), create=True)
    first = store.swap("tail", b"1", None, sync=True)
    parents = store._bucket._client.get()
    child = os.fork()
    if not child:
        status = 1
        try:
            second = store.swap("tail", b"child", first.version, sync=True)
            fresh = store._bucket._client.get() is not parents
            status = 0 if fresh and store.load("tail", second.version) is SAME else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store._bucket._client.get() is parents
    assert store.load("tail").data == b"child"
    store.close()


def test_a_closed_store_says_so(settings: dict[str, Any]) -> None:
    store = S3Backend.open(S3Settings(**settings), create=True)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.load("tail")
