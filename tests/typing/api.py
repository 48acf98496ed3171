"""The public API as a user's type checker sees it: `mypy --strict tests/typing/api.py`. Never run."""

from __future__ import annotations

import queue as standard
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict, TypeVar, assert_type

from pydantic import BaseModel
from pydantic_settings import BaseSettings

import pqueue


class Application(BaseSettings):
    """Somebody's settings, with two queues in them."""

    jobs: pqueue.QueueSettings
    mails: pqueue.QueueSettings | None = None


def places(application: Application, store: pqueue.StoreSettings) -> None:
    pqueue.open("jobs")
    pqueue.open(Path("spool/jobs"), durability="synced", mode=0o770)
    pqueue.open("s3://bucket/jobs?region=eu-central-1", lease=60, client=object())
    pqueue.open({"backend": "s3", "bucket": "b", "serializer": {"name": "json"}}, create=False)
    pqueue.open(application.jobs)
    pqueue.open(store)
    settings = pqueue.parse("jobs", {"durability": "synced"})
    assert_type(settings, pqueue.QueueSettings)
    assert_type(settings.lease, float)
    assert_type(settings.store, pqueue.StoreSettings)


def items() -> None:
    with pqueue.open("jobs") as anything:
        anything.put({"id": 1})
    queue: pqueue.Queue[str] = pqueue.open("words")
    with queue as words:
        assert_type(words, pqueue.Queue[str])
        assert_type(words.put("a"), None)
        assert_type(words.put_many(letter for letter in "abc"), None)
        assert_type(words.get(), str)
        assert_type(words.get(block=False), str)
        assert_type(words.get(timeout=1.5), str)
        assert_type(words.get_many(10, timeout=0), list[str])
        assert_type(len(words), int)
        words.sync()
        words.put(1)  # type: ignore[arg-type]
        words.put_many([b"a"])  # type: ignore[list-item]


def borrowed(queue: pqueue.Queue[str]) -> None:
    message = queue.receive()
    assert_type(message, pqueue.Message[str])
    assert_type(queue.receive(block=False, lease=60), pqueue.Message[str])
    assert_type(message.item, str)
    assert_type(message.offset, int)
    assert_type(message.attempt, int)
    assert_type(message.put_at, datetime | None)
    assert_type(message.ack(), None)
    assert_type(message.nack(delay=1.5), None)
    assert_type(message.nack(None), None)
    assert_type(message.fail("why"), None)
    assert_type(message.reject("why"), None)
    assert_type(message.extend(60), None)
    with queue.receive(timeout=1.5) as held:
        assert_type(held, pqueue.Message[str])
    with queue.receive_many(10, timeout=1.5, lease=60) as batch:
        assert_type(batch, pqueue.Batch[str])
        assert_type(batch.items, list[str])
        assert_type(batch[0], pqueue.Message[str])
        assert_type(len(batch), int)
        assert_type(batch.ack(), None)
        assert_type(batch.nack(5), None)
    for one in queue.messages(timeout=1.5):
        assert_type(one, pqueue.Message[str])
    assert_type(pqueue.work("jobs", len, threads=4, timeout=0.5).done, int)
    queue.receive("a")  # type: ignore[arg-type]


def looked_at(queue: pqueue.Queue[str]) -> None:
    assert_type(queue.peek(), list[str])
    assert_type(queue.peek(10), list[str])
    assert_type(queue.stats().waiting, int)
    assert_type(queue.clear(), int)
    assert_type(queue.qsize(), int)
    assert_type(queue.maxsize, int)
    assert_type(queue.full() or queue.empty(), bool)
    assert_type(len(queue.dead), int)
    for letter in queue.dead:
        assert_type(letter, pqueue.Letter)
        assert_type(letter.offset, int)
        assert_type(letter.error, str)
    assert_type(queue.dead.get(3), pqueue.Letter)
    assert_type(queue.dead.list(), list[pqueue.Letter])
    assert_type(queue.dead.requeue(), int)
    assert_type(queue.dead.requeue([3]), int)
    assert_type(queue.dead.purge(letter), int)
    for item in queue:
        assert_type(item, str)


def as_the_standard_s(queue: pqueue.Queue[str]) -> None:
    assert_type(queue.put_stream(letter for letter in "abc"), int)
    assert_type(queue.put_stream(["a"], batch=10, progress=print), int)
    assert_type(queue.put_nowait("a"), None)
    assert_type(queue.get_nowait(), str)
    assert_type(queue.task_done(), None)
    assert_type(queue.join(), None)
    assert_type(queue.shutdown(), None)
    assert_type(queue.shutdown(immediate=True), None)
    assert_type(queue.close(), None)
    queue.put_stream([1])  # type: ignore[list-item]


class Order(BaseModel):
    """Somebody's model."""

    id: int


@dataclass
class Point:
    """Somebody's dataclass."""

    x: int


class Row(TypedDict):
    """Somebody's dict."""

    name: str


T = TypeVar("T", bound=BaseModel)


def of(model: type[T]) -> pqueue.Queue[T]:
    return pqueue.open("jobs", item=model)


def typed_items() -> None:
    with pqueue.open("s3://bucket/orders", item=Order, lease=60) as orders:
        assert_type(orders, pqueue.Queue[Order])
        assert_type(orders.get().id, int)
        assert_type(orders.get_many(10), list[Order])
        orders.put(Order(id=1))
        orders.put({"id": 1})  # type: ignore[arg-type]
        orders.put(Point(1))  # type: ignore[arg-type]
    assert_type(of(Order), pqueue.Queue[Order])
    assert_type(pqueue.open("points", item=Point), pqueue.Queue[Point])
    assert_type(pqueue.open("rows", item=Row).get()["name"], str)
    assert_type(pqueue.open("lists", item=list[Order]), pqueue.Queue[list[Order]])
    assert_type(pqueue.open("bytes", item=bytes, serializer="raw"), pqueue.Queue[bytes])
    assert_type(pqueue.open("anything"), pqueue.Queue[Any])
    either: pqueue.Queue[Order | Point] = pqueue.open("either", item=Order | Point)
    assert_type(either.get(), Order | Point)


def errors() -> str | None:
    try:
        return str(pqueue.open("jobs").get(block=False))
    except pqueue.Empty as empty:
        nothing: standard.Empty = empty
        return str(nothing)
    except (pqueue.SettingsError, pqueue.SerializationError) as error:
        value: ValueError = error
        raise TypeError from value
    except pqueue.QueueError as error:
        assert_type(error.retry, bool)
        return "again" if error.retry else None
