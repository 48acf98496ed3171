"""What a bucket's store says that it sent is what a proxy before the server saw."""

from __future__ import annotations

import json
import os
import re
import threading
import uuid
from collections import Counter
from datetime import datetime

import botocore.session
import pytest
from botocore.config import Config

import pqueue
from pqueue import cli
from pqueue.errors import DocumentChanged, StoreError
from pqueue_s3 import S3Backend, S3Settings
from pqueue_s3.client import make
from pqueue_s3.listed import read_listed
from tests.support.s3faults import ANSWER_LOST, CUT_SHORT, SLOW_DOWN, Script
from tests.support.s3proxy import S3Proxy

AS = {"PUT": "PUT", "SWAP": "PUT", "GET": "GET", "LIST": "LIST", "HEAD": "HEAD", "DELETE": "DELETE", "POST": "DELETE"}
"""A conditional PUT is billed like any other, and many deletions in one request like one of them."""


def seen(proxy):
    counts = Counter()
    for kind, count in proxy.counts().items():
        if kind in AS:
            counts[AS[kind]] += count
    return dict(counts)


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def proxy(s3_server, script):
    with S3Proxy(s3_server.port, script) as proxy:
        yield proxy


@pytest.fixture
def settings(s3_server, proxy):
    return s3_server.settings(prefix=f"requests/{uuid.uuid4().hex}", endpoint_url=proxy.endpoint)


def test_each_request_counts_by_its_kind_and_each_attempt_of_one_that_is_repeated(proxy, settings, script):
    store = S3Backend.open(S3Settings(**settings), create=True)
    first = store.swap("tail", b"1", None, sync=True)
    with pytest.raises(DocumentChanged):
        store.swap("tail", b"2", None, sync=True)
    store.load("tail", first.version)
    store.load("other")
    script.add("PUT", ANSWER_LOST, SLOW_DOWN)
    store.write("seg/a", b"1")
    script.add("GET", CUT_SHORT)
    store.read("seg/a")
    store.write("seg/b", b"1")
    assert [blob.name for blob in store.list("seg/")] == ["seg/a", "seg/b"]
    store.delete(["seg/a", "seg/b"])
    store.delete(["tail"])
    assert store.requests() == seen(proxy) == {"LIST": 2, "PUT": 6, "GET": 4, "DELETE": 2}
    store.close()
    assert store.requests() == seen(proxy)


@pytest.fixture
def clients(settings, monkeypatch):
    """Ours, and one of the same session that reads everything."""
    sessions = []
    get_session = botocore.session.get_session
    monkeypatch.setattr(botocore.session, "get_session", lambda: sessions.append(get_session()) or sessions[-1])
    client = make(S3Settings(**settings))
    other = sessions[0].create_client(
        "s3",
        endpoint_url=settings["endpoint_url"],
        region_name=settings["region"],
        aws_access_key_id=settings["access_key_id"],
        aws_secret_access_key=settings["secret_access_key"],
        config=Config(s3={"addressing_style": "path"}),
    )
    yield client, other
    client.close()
    other.close()


def test_no_time_is_spent_on_dates_but_by_what_fetches_credentials(clients, settings):
    clients[0].put_object(Bucket=settings["bucket"], Key="dated/1", Body=b"1")
    found, dated = (one.get_object(Bucket=settings["bucket"], Key="dated/1") for one in clients)
    assert found["Body"].read() == dated["Body"].read() == b"1"
    assert isinstance(found["LastModified"], str)
    assert isinstance(dated["LastModified"], datetime), "the roles and tokens of a profile end at a date"


def test_of_a_listing_names_and_sizes_are_read_and_they_are_what_boto3_reads(clients, settings):
    names = ["1", "2 and 3", "a&b<c>", "%2F+%", "\u00e4\u2192", "quoted\"'"]
    for size, name in enumerate(names):
        clients[0].put_object(Bucket=settings["bucket"], Key=f"listed/{name}", Body=bytes(size))
    after = ""
    seen = {}
    while True:
        asked = {"Bucket": settings["bucket"], "Prefix": "listed/", "MaxKeys": 4, "StartAfter": after}
        found, whole = (one.list_objects_v2(**asked) for one in clients)
        assert found["Contents"] == [{"Key": each["Key"], "Size": each["Size"]} for each in whole["Contents"]]
        others = found.keys() - {"Contents", "ResponseMetadata"}
        assert others == whole.keys() - {"Contents", "ResponseMetadata"}
        assert {key: found[key] for key in others} == {key: whole[key] for key in others}
        seen |= {each["Key"]: each["Size"] for each in found["Contents"]}
        if not found["IsTruncated"]:
            break
        after = found["Contents"][-1]["Key"]
    assert seen == {f"listed/{name}": size for size, name in enumerate(names)}
    assert "Contents" not in clients[0].list_objects_v2(Bucket=settings["bucket"], Prefix="nothing/")


LISTED = b"<Contents><Key>a</Key><Size>1</Size></Contents>"


def test_boto3_gets_no_names_to_read():
    answer = {"status_code": 200, "body": b"<ListBucketResult><Name>b</Name>" + LISTED + b"</ListBucketResult>"}
    instead = {}
    read_listed(response_dict=answer, customized_response_dict=instead)
    assert answer["body"] == b"<ListBucketResult><Name>b</Name></ListBucketResult>"
    assert instead == {"Contents": [{"Key": "a", "Size": 1}]}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<ListBucketResult>" + LISTED),
        (200, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>"),
        (200, b"<Error>" + LISTED + b"</Error>"),
        (200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"),
        (200, b"<ListBucketResult>" + LISTED + b"<Contents><Key>b</Key></Contents></ListBucketResult>"),
        (200, b"<ListBucketResult>" + LISTED + b"<Contents><Size>1</Size></Contents></ListBucketResult>"),
        (200, b"<ListBucketResult>" + LISTED + b"<Contents><Key/><Size>1</Size></Contents></ListBucketResult>"),
        (
            200,
            b'<ListBucketResult xmlns:x="y">'
            + LISTED
            + LISTED.replace(b"Contents", b"x:Contents")
            + b"</ListBucketResult>",
        ),
        (503, b"<ListBucketResult>" + LISTED + b"</ListBucketResult>"),
    ],
)
def test_what_is_no_whole_listing_is_left_to_boto3(status, body):
    answer, instead = {"status_code": status, "body": body}, {}
    read_listed(response_dict=answer, customized_response_dict=instead, operation_model=None)
    assert (answer, instead) == ({"status_code": status, "body": body}, {})


def test_what_is_never_answered_counts_as_often_as_it_was_sent(proxy, settings, script):
    store = S3Backend.open(S3Settings(**settings), create=True)
    script.add("SWAP", ANSWER_LOST, ANSWER_LOST, ANSWER_LOST)
    with pytest.raises(StoreError):
        store.swap("tail", b"1", None, sync=True)
    assert store.requests() == seen(proxy) == {"LIST": 1, "PUT": 3}
    store.close()


def test_a_queue_tells_its_own_and_threads_lose_none(proxy, settings):
    with pqueue.open({"store": {"backend": "s3", **settings}}) as queue:
        threads = [threading.Thread(target=lambda: [queue.put(n) for n in range(10)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(queue.get_many(100)) > 0
        told = queue.stats().requests
        assert told == seen(proxy)
        assert told["PUT"] > 4
        before = sum(told.values())
        assert sum(queue.stats().requests.values()) > before, "the survey's own requests count, too"


def test_a_client_of_ones_own_counts_what_the_queue_sends_by_it(proxy, settings):
    client = make(S3Settings(**settings))
    own = {"backend": "s3", "bucket": settings["bucket"], "prefix": settings["prefix"], "client": client}
    with pqueue.open({"store": own}) as one, pqueue.open({"store": own}) as other:
        one.put(1)
        before = one.stats().requests
        client.list_objects_v2(Bucket=settings["bucket"])
        other.put(2)
        after = Counter(one.stats().requests) - Counter(before)
        assert "PUT" not in after
        total = Counter(one.stats().requests) + Counter(other.stats().requests) + Counter(LIST=1)
        assert total == seen(proxy)
    client.list_objects_v2(Bucket=settings["bucket"])
    client.close()


def test_a_forked_child_begins_at_nothing(settings):
    store = S3Backend.open(S3Settings(**settings), create=True)
    store.write("seg/a", b"1")
    child = os.fork()
    if not child:
        status = 1
        try:
            store.read("seg/a")
            status = 0 if store.requests() == {"GET": 1} else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.requests() == {"LIST": 1, "PUT": 1}
    store.close()


def test_stat_tells_what_it_sent_itself(proxy, settings, capfd):
    with pqueue.open({"store": {"backend": "s3", **settings}}) as queue:
        queue.put(1)
    proxy.counts(reset=True)
    where = [f"s3://{settings['bucket']}/{settings['prefix']}?endpoint_url={proxy.endpoint}&addressing_style=path"]
    where += ["--set", "region=us-east-1"]
    keys = {"AWS_ACCESS_KEY_ID": settings["access_key_id"], "AWS_SECRET_ACCESS_KEY": settings["secret_access_key"]}
    with pytest.MonkeyPatch.context() as patch:
        for key, value in keys.items():
            patch.setenv(key, value)
        assert cli.run(["stat", *where]) == 0
        line = re.search(r"requests sent +(.+)", capfd.readouterr().out)
        sent = {kind: int(count) for count, kind in (each.split() for each in line[1].split(", "))}
        assert sent == seen(proxy)
        assert cli.run(["stat", "--json", *where]) == 0
        assert json.loads(capfd.readouterr().out)["requests"] == sent


def test_a_folder_sends_none(tmp_path, capfd):
    with pqueue.open(tmp_path / "jobs") as queue:
        queue.put(1)
        assert queue.stats().requests == {}
    assert cli.run(["stat", str(tmp_path / "jobs")]) == 0
    assert "requests" not in capfd.readouterr().out
