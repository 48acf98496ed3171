"""The public API as a user's type checker sees it: `mypy --strict tests/typing/api.py`. Never run."""

from __future__ import annotations

import queue as standard
from dataclasses import dataclass
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
