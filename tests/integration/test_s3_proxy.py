"""The proxy that benchmarks and fault tests stand on: what it counts and delays is what happens."""

from __future__ import annotations

import http.client
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from pqueue.errors import DocumentChanged, StoreError
from pqueue_s3 import S3Backend, S3Settings
from tests.support.s3faults import Fault, Request, Seeded
from tests.support.s3proxy import Delays, S3Proxy, S3ProxyProcess

if TYPE_CHECKING:
    from tests.support.s3server import S3Server


def test_a_process_of_its_own_counts_and_delays(s3_server: S3Server) -> None:
    with S3ProxyProcess(s3_server.port, Delays(write=0.2, read=0.1)) as proxy:
        settings = s3_server.settings(prefix=f"proxy/{uuid.uuid4().hex}", endpoint_url=proxy.endpoint)
        store = S3Backend.open(S3Settings(**settings), create=True)
        assert proxy.counts(reset=True) == {"LIST": 1, "LIST 200": 1, "bytes": 0}
        began = time.monotonic()
        first = store.swap("tail", b"1" * 984, None, sync=True)
        written = time.monotonic()
        store.load("tail", first.version)
        loaded = time.monotonic()
        assert written - began >= 0.2
        assert loaded - written >= 0.1
        with pytest.raises(DocumentChanged):
            store.swap("tail", b"", None, sync=True)
        store.write("seg/a", b"1")
        store.write("seg/b", b"1")
        store.read("seg/a", 0, 1)
        store.delete(["seg/a", "seg/b"])
        store.delete(["tail"])
        store.close()
        counts = proxy.counts()
        sent = counts.pop("bytes")
        assert sent > 1000
        assert counts == {
            "SWAP": 2,
            "SWAP 200": 1,
            "SWAP 412": 1,
            "GET": 2,
            "GET 304": 1,
            "GET 206": 1,
            "PUT": 2,
            "PUT 200": 2,
            "POST": 1,
            "POST 200": 1,
            "DELETE": 1,
            "DELETE 204": 1,
        }


def test_a_process_of_its_own_draws_faults_by_its_seed(s3_server: S3Server) -> None:
    with S3ProxyProcess(s3_server.port, Delays(), Seeded(1, slow_down=1.0)) as proxy:
        settings = s3_server.settings(prefix="proxy", endpoint_url=proxy.endpoint, request_attempts=1)
        with pytest.raises(StoreError, match="SlowDown"):
            S3Backend.open(S3Settings(**settings), create=True)
        assert proxy.counts() == {"LIST": 1, "bytes": 0}


def test_a_seed_draws_each_fault_as_often_as_it_is_told_to() -> None:
    rule = Seeded(3, answer_lost=0.1, slow_down=0.2, conflict=0.1, again=0.1, late=0.1)
    drawn = [rule(Request("SWAP", "/")) for _ in range(5000)]
    assert drawn == [*map(Seeded(3, answer_lost=0.1, slow_down=0.2, conflict=0.1, again=0.1, late=0.1), _swaps(5000))]
    for share, count in (
        (0.1, sum(fault == Fault(answer=False) for fault in drawn)),
        (0.2, sum(fault is not None and fault.status == 503 for fault in drawn)),
        (0.1, sum(fault is not None and fault.status == 409 for fault in drawn)),
        (0.1, sum(fault is not None and fault.again > 0 for fault in drawn)),
        (0.1, sum(fault is not None and fault.hold > 0 for fault in drawn)),
        (0.4, drawn.count(None)),
    ):
        assert abs(count / 5000 - share) < 0.02


def _swaps(count: int) -> list[Request]:
    return [Request("SWAP", "/")] * count


def test_bodies_in_chunks_and_requests_that_ask_first(s3_server: S3Server) -> None:
    """Both ways of sending a body go through; unsigned, so the server's refusal shows that it understood them."""
    with S3Proxy(s3_server.port) as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        for headers, body in (
            ({"Transfer-Encoding": "chunked"}, [b"one", b"two"]),
            ({"Expect": "100-continue", "Content-Length": "3"}, b"one"),
        ):
            connection.request("PUT", "/queues/proxy/a", body, headers, encode_chunked=isinstance(body, list))
            answer = connection.getresponse()
            assert answer.status == 403
            answer.read()
        connection.request("HEAD", "/queues/proxy/a")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (403, b"")
        connection.close()
        assert proxy.counts() == {"PUT": 2, "PUT 403": 2, "HEAD": 1, "HEAD 403": 1, "bytes": 21 + 3}
