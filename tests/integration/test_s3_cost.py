"""The benchmarks of a bucket's requests run, on next to nothing; and a queue asks for no more than docs/s3.md says it may."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pqueue
from tests.support.benchmarks import benchmark

ROOT = Path(__file__).parents[2]
NEEDED = {"PUT": "s3:PutObject", "GET": "s3:GetObject", "LIST": "s3:ListBucket", "DELETE": "s3:DeleteObject"}


def test_the_cost_of_each_batch_is_told_and_of_an_hour_in_which_nothing_comes():
    told = benchmark("cost", "--commits", "2", "--batches", "1", "10", "--idle", "0.5", "--settle", "0")
    for row in ("by 1: put_many", "by 10: put_stream", "by 10: get_many, ack_linger=0", "by 10: receive_many, ack"):
        assert re.search(rf"^{row} +\d", told, re.MULTILINE), row
    assert re.search(r"^by 1: put_many +2,000,000 +0 +0 +0 +0 +10\.0000$", told, re.MULTILINE), told
    assert re.search(r"^a queue that is open +0 +0 +0 +0 +0 +0\.0000$", told, re.MULTILINE), told


def test_each_request_s_processor_time_is_told():
    told = benchmark("requests", "--scale", "0.002", "--rounds", "1")
    assert told.count(": processor") == told.count(": in all") == 3


def test_a_queue_needs_the_permissions_that_the_page_names(s3_server):
    store = {"backend": "s3", **s3_server.settings(prefix="permissions")}
    with pqueue.open({"store": store}, max_attempts=1) as queue:
        queue.put_many(range(10))
        queue.put_stream(range(10), batch=2)
        queue.get()
        with queue.receive_many(3) as batch:
            batch.ack()
        queue.receive().reject("no use")
        assert len(queue.dead) == 1
        queue.dead.requeue()
        queue.get_many(100)
        queue.sync()
        sent = queue.stats().requests
    assert set(sent) == set(NEEDED)
    page = (ROOT / "docs" / "s3.md").read_text("utf-8")
    policy = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])
    assert {action for one in policy["Statement"] for action in one["Action"]} == set(NEEDED.values())
