"""Items of one type: validated when they are put, built when they are handed out, the same in value and type."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    SerializeAsAny,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic import dataclasses as pydantic_dataclasses
from typing_extensions import TypedDict

import pqueue
from pqueue.testing.serializers import difference

SAFE = ("msgpack", "json")
T = TypeVar("T")


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Size(StrEnum):
    S = "s"


class Line(BaseModel):
    sku: str
    count: int = Field(gt=0)


class GiftLine(Line):
    note: str = ""


class Order(BaseModel):
    id: int
    lines: list[Line] = []
    at: datetime | None = None
    price: Decimal = Decimal("0.00")
    color: Color = Color.RED
    size: Size = Size.S
    place: Path = Path("/")
    pair: tuple[int, str] = (1, "a")
    tags: frozenset[str] = frozenset()
    address: ipaddress.IPv4Address | None = None


class Named(BaseModel):
    model_config = ConfigDict(extra="forbid")
    from_: str = Field(alias="from")
    deep: list[Named] = Field(default=[], validation_alias="in", serialization_alias="out")

    @computed_field
    @property
    def twice(self) -> str:
        return 2 * self.from_


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    id: int


class Box(BaseModel, Generic[T]):
    content: T


@dataclass
class Point:
    x: int
    y: int = 0
    path: list[Point] = field(default_factory=list)


@pydantic_dataclasses.dataclass(frozen=True)
class Checked:
    n: Annotated[int, Field(ge=0)]


class Row(TypedDict):
    id: int
    name: str


class Pair(NamedTuple):
    a: int
    b: str


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    name: str


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue"


FULL = Order(
    id=1 << 40,
    lines=[Line(sku="a", count=2)],
    at=datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=timezone(timedelta(hours=2))),
    price=Decimal("1.50"),
    color=Color.BLUE,
    place=Path("/tmp/x"),
    pair=(2, "b"),
    tags=frozenset({"x", "y"}),
    address=ipaddress.IPv4Address("10.0.0.1"),
)


@pytest.mark.parametrize("serializer", [*SAFE, "pickle"])
@pytest.mark.parametrize(
    ("kind", "items"),
    [
        (Order, [Order(id=1), FULL]),
        (Named, [Named(**{"from": "a", "in": [{"from": "b"}]})]),
        (Open, [Open(id=1, more=[1, {"a": None}])]),
        (Box[int], [Box[int](content=1)]),
        (Box[list[Line]], [Box[list[Line]](content=[Line(sku="a", count=1)])]),
        (Point, [Point(1), Point(1, 2, [Point(3)])]),
        (Checked, [Checked(0)]),
        (Row, [{"id": 1, "name": "a"}]),
        (Pair, [Pair(1, "b")]),
        (list[Line], [[], [Line(sku="a", count=1)]]),
        (dict[int, date], [{1: date(2024, 1, 2)}]),
        (tuple[time, ...], [(), (time(1, 2, 3),)]),
        (int | str, [1, "1"]),
        (int | None, [1, None]),
        (Annotated[int, Field(gt=0)], [1]),
        (Annotated[Cat | Dog, Field(discriminator="kind")], [Dog(name="a"), Cat(name="a")]),
        (Cat | Dog, [Dog(name="a"), Cat(name="a")]),
        (UUID, [UUID(int=5)]),
        (set[Color], [{Color.RED}]),
        (deque[int], [deque([1, 2])]),
        (OrderedDict[str, int], [OrderedDict(b=1, a=2)]),
        (bytes, [b"", b"text"]),
        (float, [-0.0, 1e300]),
        (timedelta, [timedelta(days=-1, microseconds=1)]),
        (Any, [{"a": [1, None]}]),
    ],
)
def test_what_comes_out_is_what_went_in(path: Path, serializer: str, kind: Any, items: list[Any]):
    with pqueue.open(path, item=kind, serializer=serializer) as queue:
        queue.put_many(items)
        for item in items:
            queue.put(item)
        for item in items:
            assert not difference(item, queue.get(block=False))
        for found, item in zip(queue.get_many(100), items, strict=True):
            assert found == item
            assert type(found) is type(item)


class Step(Enum):
    FIRST = (1, 2)


def test_what_json_can_t_say_msgpack_keeps(path: Path):
    class Full(BaseModel):
        data: bytes
        zone: datetime
        step: Step | None = None
        anything: Any = None
        either: date | str = ""

    item = Full(data=b"\xff", zone=datetime(2024, 1, 1, fold=1, tzinfo=ZoneInfo("Europe/Berlin")))
    item.step = Step.FIRST
    item.anything = (1, {2})
    item.either = date(2024, 1, 1)
    with pqueue.open(path, item=Full) as queue:
        queue.put(item)
        assert not difference(dict(item), dict(queue.get()))
    with pqueue.open(path.with_name("json"), item=Full, serializer="json") as queue:
        for changes in (
            {"data": b"\xff"},
            {"zone": item.zone},
            {"step": item.step},
            {"anything": (1,)},
            {"either": item.either},
        ):
            plain = Full(data=b"", zone=datetime(2024, 1, 1, tzinfo=UTC))
            queue.put(plain)
            with pytest.raises(pqueue.SerializationError, match="json"):
                queue.put(plain.model_copy(update=changes))
            back = queue.get(block=False)
            assert back == plain
            assert back.zone.utcoffset() == timedelta(0)


def test_an_item_read_from_text_can_be_put(path: Path):
    item = Order.model_validate_json('{"id": 1, "at": "2024-01-01T00:00:00+02:00"}')
    with pqueue.open(path, item=Order) as queue:
        queue.put(item)
        assert queue.get() == item


@pytest.mark.parametrize("serializer", [*SAFE, "pickle"])
@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"id": 1}, "dict would become .*Order"),
        ({"sku": 1}, "this dict is no Order: id: Field required"),
        ("text", "this str is no Order"),
        (None, "this NoneType is no Order"),
        (Order.model_construct(id="x"), "this Order is no Order: id: Input should be a valid integer"),
        (Order.model_construct(id="1"), "id: str would become int"),
        (Order.model_construct(lines=[]), "id: Field required"),
        (Order.model_construct(id=1, lines=[Line.model_construct(sku="a", count=0)]), r"lines\.0\.count: .* greater"),
        (
            Order(id=1, lines=[Line(sku="a", count=1), GiftLine(sku="a", count=1)]),
            r"lines\[1\]: .*GiftLine would become .*Line",
        ),
        (Order.model_construct(id=True), "id: bool would become int"),
        (Order.model_construct(id=1, lines=()), "lines: tuple would become list"),
    ],
)
def test_a_wrong_item_is_refused_and_the_field_named(path: Path, serializer: str, item: Any, told: str):
    with pqueue.open(path, item=Order, serializer=serializer) as queue:
        with pytest.raises(pqueue.SerializationError, match=told):
            queue.put(item)
        with pytest.raises(pqueue.SerializationError, match=told):
            queue.put_many([Order(id=1), item])
        assert len(queue) == 0
        with pytest.raises(pqueue.Empty):
            queue.get(block=False)


def test_an_instance_of_a_subclass_is_refused(path: Path):
    with (
        pqueue.open(path, item=Line) as queue,
        pytest.raises(pqueue.SerializationError, match=r"GiftLine would become .*Line"),
    ):
        queue.put(GiftLine(sku="a", count=1))
    with pqueue.open(path, item=Line | GiftLine) as queue:
        queue.put(GiftLine(sku="a", count=1))
        assert type(queue.get()) is GiftLine


def test_members_of_a_union_that_look_alike_are_refused(path: Path):
    class Left(BaseModel):
        n: int

    class Right(BaseModel):
        n: int

    with pqueue.open(path, item=Left | Right) as queue:
        queue.put(Left(n=1))
        with pytest.raises(pqueue.SerializationError, match=r"Right would become .*Left"):
            queue.put(Right(n=1))
        assert type(queue.get()) is Left


class Secretive(BaseModel):
    secret: SecretStr


class Excluding(BaseModel):
    n: int = Field(default=1, exclude=True)


class Rounding(BaseModel):
    x: float

    @field_serializer("x")
    def _round(self, x: float) -> float:
        return round(x)


class Growing(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def _grow(cls, n: int) -> int:
        return n + 1


class Failing(BaseModel):
    n: int

    @model_validator(mode="after")
    def _fail(self) -> Failing:
        raise KeyError(self.n)


class Hiding(BaseModel):
    n: int
    _seen: list[int] = PrivateAttr(default_factory=list)


class Holding(BaseModel):
    line: SerializeAsAny[Line]


def hiding() -> Hiding:
    item = Hiding(n=1)
    item._seen.append(1)
    return item


@pytest.mark.parametrize("serializer", SAFE)
@pytest.mark.parametrize(
    ("item", "told"),
    [
        (Secretive(secret="hunter2"), "secret|SecretStr"),
        (Excluding(n=2), "n: the int would become another"),
        (Rounding(x=1.5), "x: the float would become another"),
        (Growing(n=1), "n: the int would become another"),
        (Failing.model_construct(n=1), "KeyError|can't be taken apart as Failing"),
        (hiding(), "_seen: the list would become another"),
        (Holding(line=GiftLine(sku="a", count=1)), "line: .*GiftLine would become .*Line"),
    ],
)
def test_what_a_model_would_change_is_refused(path: Path, serializer: str, item: Any, told: str):
    with pqueue.open(path, item=type(item), serializer=serializer) as queue:
        with pytest.raises(pqueue.SerializationError, match=told) as caught:
            queue.put(item)
        assert "hunter2" not in str(caught.value)
        assert len(queue) == 0
    assert not any(b"hunter2" in file.read_bytes() for file in path.rglob("*") if file.is_file())


def test_what_a_model_makes_up_again_does_no_harm(path: Path):
    class Cached(BaseModel):
        n: int
        _seen: int = PrivateAttr(default=0)

        @cached_property
        def twice(self) -> int:
            return 2 * self.n

    item = Cached(n=1)
    assert item.twice == 2
    with pqueue.open(path, item=Cached) as queue:
        queue.put(item)
        assert queue.get() == item


def test_an_endless_item_is_refused(path: Path):
    point = Point(1)
    point.path.append(point)
    with pqueue.open(path, item=Point) as queue, pytest.raises(pqueue.SerializationError, match="can't be taken apart"):
        queue.put(point)


def test_an_opener_without_a_type_gets_and_puts_plain_values(path: Path):
    with pqueue.open(path, item=Order) as typed, pqueue.open(path) as plain:
        assert typed.meta.serializer == "msgpack"
        typed.put(Order(id=1, at=datetime(2024, 1, 1, tzinfo=UTC), tags=frozenset("a")))
        found = plain.get()
        assert found["at"] == datetime(2024, 1, 1, tzinfo=UTC)
        assert (found["color"], found["place"], found["tags"], found["pair"]) == ("red", "/", frozenset("a"), (1, "a"))
        plain.put({"id": "7", "lines": [{"sku": "a", "count": 1}]})
        assert typed.get() == Order(id=7, lines=[Line(sku="a", count=1)])


def test_a_record_that_is_no_longer_of_the_type_is_a_dead_letter_told_once(path: Path):
    class Renamed(BaseModel):
        id: int
        customer: str

    with pqueue.open(path, item=Order) as old:
        old.put_many(Order(id=n) for n in range(3))
        with pqueue.open(path) as plain:
            plain.put({"id": 3, "customer": "c"})
        old.put(Order(id=4))
    with pqueue.open(path, item=Renamed) as new:
        with pytest.raises(pqueue.SerializationError, match=r"offset 0 .*no .*Renamed: customer: Field required"):
            new.get(block=False)
        told, found = 1, []
        while True:
            try:
                found += new.get_many(10, block=False)
            except pqueue.SerializationError:
                told += 1
            except pqueue.Empty:
                break
        assert found == [Renamed(id=3, customer="c")]
        assert told == 4
        assert len(new) == 0


def test_a_newer_version_of_a_model_reads_what_an_older_one_put(path: Path):
    class Newer(BaseModel):
        number: int
        customer: str = "unknown"

        @model_validator(mode="before")
        @classmethod
        def _of_version_1(cls, data: Any) -> Any:
            if isinstance(data, dict) and "id" in data:
                data = {**data, "number": data.pop("id")}
            return data

    with pqueue.open(path, item=Order) as old:
        old.put(Order(id=1))
    with pqueue.open(path, item=Newer) as new:
        new.put(Newer(number=2, customer="c"))
        assert new.get_many(5) == [Newer(number=1), Newer(number=2, customer="c")]


def test_bytes_alone_stay_bytes_under_every_serializer(path: Path):
    for serializer in ("raw", "marshal", "pickle", "msgpack"):
        with pqueue.open(path.with_name(serializer), item=bytes, serializer=serializer) as queue:
            queue.put(b"\xff\x00")
            queue.put(b"text")
            assert queue.get_many(2) == [b"\xff\x00", b"text"]
            with pytest.raises(pqueue.SerializationError):
                queue.put("text")


def test_a_type_that_pydantic_does_not_know_is_refused_before_anything_is_made(path: Path):
    class Unknown:
        pass

    class Unfinished(BaseModel):
        later: NotThere  # noqa: F821

    for kind in (Unknown, object(), list[Unknown], Unfinished):
        with pytest.raises(pqueue.SettingsError, match="can't be of the type"):
            pqueue.open(path, item=kind)
    assert not path.exists()


def test_an_unsafe_serializer_stays_one(path: Path):
    pqueue.open(path, item=Line, serializer="pickle").close()
    with pytest.raises(pqueue.SettingsError, match="pickle"):
        pqueue.open(path, item=Line)


def test_threads_share_one_typed_queue(path: Path):
    from concurrent.futures import ThreadPoolExecutor

    items = [Order(id=n, color=Color.BLUE) for n in range(200)]
    with pqueue.open(path, item=Order) as queue, ThreadPoolExecutor(4) as pool:
        list(pool.map(queue.put, items))
        assert sorted((queue.get(block=False) for _ in items), key=lambda it: it.id) == items


@pytest.mark.parametrize("serializer", ["msgpack", "json", "marshal", "raw"])
@pytest.mark.parametrize("item", [Order(id=1), Point(1), Color.RED], ids=lambda item: type(item).__name__)
def test_without_a_type_what_needs_one_is_refused_with_how_to_name_it(path: Path, serializer: str, item: Any):
    with pqueue.open(path, serializer=serializer) as queue:
        for one in (item, [item]) if serializer != "raw" else (item,):
            with pytest.raises(pqueue.SerializationError) as caught:
                queue.put(one)
            text = str(caught.value)
            name = type(item).__name__
            assert f"pqueue.open(where, item={name}) or item=list[{name}]" in text
            assert text.index("item=") < text.index("pickle")
        assert len(queue) == 0
        with pytest.raises(pqueue.SerializationError) as caught:
            queue.put(object())
        assert "item=" not in str(caught.value)
