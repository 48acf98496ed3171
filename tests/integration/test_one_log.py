"""Several objects on one log that grows: none is kept from writing by the others, or reads what they have consumed."""

import itertools
import pathlib

import pytest

import pqueue
from pqueue import grow
from pqueue.frames import Shape
from pqueue.names import Name
from tests.support.points import ONLY, Interrupted, counting, in_time


class Beaten:
    """The way to the store of one before each of whose appends somebody else puts something, however often it tries."""

    def __init__(self, appends, rival, most):
        self._appends = appends
        self._rival = rival
        self.tries = 0
        self._most = most

    def append(self, *how, **more):
        self.tries += 1
        assert self.tries <= self._most, "it never gets its turn"
        self._rival.put(f"small {self.tries}")
        return self._appends.append(*how, **more)


@pytest.mark.parametrize("durability", ["written", "synced"])
@pytest.mark.parametrize("settings", [{}, {"segment_items": 9}, {"record_times": True}])
def test_who_comes_too_late_each_time_has_its_turn_all_the_same(place, durability, settings):
    """Without it, one with much to write never writes it while another writes a little all the time."""
    if not place.appends:
        return
    with place.open(durability=durability, **settings) as queue, place.open() as rival:
        queue.put("first")
        way = queue._log._way
        beaten = way._appends = Beaten(way._appends, rival, 60)
        for number in range(5):
            queue.put_many([f"large {number}", f"behind {number}"])
        assert beaten.tries <= 5 * (grow._PATIENCE + 3)
        found = [*queue]
    assert found[0] == "first"
    assert [item for item in found if item.startswith("small")] == [f"small {one + 1}" for one in range(beaten.tries)]
    large = [(index, item) for index, item in enumerate(found) if item.startswith("large")]
    assert [item for _, item in large] == [f"large {number}" for number in range(5)]
    assert all(found[index + 1] == f"behind {number}" for number, (index, _) in enumerate(large))


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("durability", ["written", "synced"])
def test_an_interrupt_anywhere_in_it(place, monkeypatch, durability):
    if not place.appends:
        return
    monkeypatch.setattr(grow, "_PATIENCE", 0)
    for at in counting(1):
        mine = place.again()
        with mine.open(durability=durability) as queue, mine.open() as rival:
            queue.put("a")
            rival.put("b")
            cut = Interrupted(lambda queue=queue: queue.put_many("pq"), at)
            rival.put("c")
            found = in_time(lambda queue=queue: (queue.put("d"), [*queue])[1], cut.where)
            assert [item for item in found if item in "abcd"] == [*"abcd"], (cut.where, found)
            put = "".join(item for item in found if item in "pq")
            assert put in ("", "pq"), (cut.where, found)
            if not cut.where:
                assert put == "pq"
                break
    assert at > 20


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("size", [40, 400])
def test_what_others_have_consumed_is_hardly_read(place, monkeypatch, batch, size):
    """In a stretch of its own each of four gets what is next; what the others get meanwhile it need not decode."""
    if not place.appends:
        return
    decoded = [0]
    real = Shape.decode

    def decode(self, data, at, count):
        found = real(self, data, at, count)
        decoded[0] += found.count - count
        return found

    total = 8400
    with place.open() as queue:
        for first in range(0, total, batch):
            queue.put_many([f"{number:0{size}d}" for number in range(first, first + batch)])
    queues = [place.open() for _ in range(4)]
    monkeypatch.setattr(Shape, "decode", decode)
    got = []
    for queue in itertools.cycle(queues):
        try:
            got += [queue.get_nowait() for _ in range(70)]
        except pqueue.Empty:
            break
    assert [int(item) for item in got] == list(range(total))
    assert decoded[0] < 3 * total, "each of them has read all of it"
    for queue in queues:
        queue.close()


def got(queue):
    """All that can be got; of damage it is told once."""
    found = []
    while True:
        try:
            found.append(queue.get_nowait())
        except pqueue.CorruptSegment:
            continue
        except pqueue.Empty:
            return found


def damage(place, item):
    """Flip a bit of an item, in a folder's only segment."""
    [segment] = (pathlib.Path(place.store["path"]) / "seg").iterdir()
    raw = bytearray(segment.read_bytes())
    raw[raw.index(item) + 2] ^= 1
    segment.write_bytes(raw)


@pytest.mark.parametrize("durability", ["written", "synced"])
def test_damage_in_an_open_segment_is_closed_off_though_others_go_on_behind_it(place, durability):
    """Those that have appended before see no damage: whoever comes fresh closes the segment, however fast they are."""
    if place.kind != "folder":
        return
    rival = place.open(durability=durability)
    for number in range(20):
        rival.put(f"before {number}")
    damage(place, b"before 7")
    with place.open(durability=durability) as queue:
        way = queue._log._way
        way._appends = Beaten(way._appends, rival, 12)
        queue.put("fresh")
        assert len(queue) == 21 + way._appends.tries
        found = got(queue)
    assert found[:19] == [f"before {number}" for number in range(20) if number != 7]
    assert sorted(found[19:]) == sorted(["fresh", *(f"small {one + 1}" for one in range(way._appends.tries))])
    assert [letter.offset for letter in rival.dead.list()] == [7]
    rival.close()


def test_a_writer_closes_off_damage_in_what_others_have_written(place):
    if place.kind != "folder":
        return
    with place.open() as queue, place.open() as rival:
        queue.put("first")
        for number in range(60):
            rival.put(f"before {number:02d}")
        damage(place, b"before 07")
        queue.put("last")
        assert len(queue) == 62
        assert got(queue) == ["first", *(f"before {number:02d}" for number in range(60) if number != 7), "last"]


def test_what_lies_behind_damage_in_an_open_segment_counts(place):
    if place.kind != "folder":
        return
    with place.open(maxsize=20) as queue:
        for number in range(20):
            queue.put(f"before {number:02d}")
    damage(place, b"before 07")
    damage(place, b"before 11")
    with place.open() as queue:
        assert len(queue) == queue.qsize() == queue.stats().waiting == queue.stats().put == 20
        assert queue.peek(20) == [f"before {number:02d}" for number in range(20) if number not in (7, 11)]
        with pytest.raises(pqueue.Full):
            queue.put("one too many", block=False)
        assert got(queue) == [f"before {number:02d}" for number in range(20) if number not in (7, 11)]
        assert len(queue) == 0


class Segment:
    """The only segment of a queue into which two items are put, open to whatever is written behind them."""

    def __init__(self, place, queue):
        queue.put_many("ab")
        self.store = place.connect()
        self.name = next(self.store.list("seg/")).name

    @property
    def size(self):
        return self.store.appends.settle(self.name)

    def add(self, data):
        self.store.appends.append(self.name, self.size, data, False, b"")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.store.close()


@pytest.fixture
def searches(monkeypatch):
    """Each search for a frame behind bytes that do not check out."""
    found = []
    search = Shape.search
    monkeypatch.setattr(Shape, "search", lambda *how: found.append(how) or search(*how))
    return found


def test_torn_bytes_are_searched_once_for_what_lies_behind_them(place, searches):
    """Else each look of a full queue's producer at its bound would search what a killed one has left."""
    if not place.appends:
        return
    with place.open() as queue, Segment(place, queue) as segment:

        def looks():
            searches.clear()
            assert [len(queue) for _ in range(3)] == [2, 2, 2]
            return len(searches)

        assert looks() == 0
        segment.add(bytes(range(256)) * 100)
        assert looks() == 1
        assert looks() == 0
        segment.add(b"more")
        assert looks() == 1


def test_the_bytes_of_a_write_under_way_are_not_searched(place, searches, monkeypatch):
    if not place.appends:
        return
    with place.open() as queue, Segment(place, queue) as segment:
        frame = Shape(Name.parse(segment.name)).frame([b"x" * 1000] * 100, 2)
        at = segment.size
        segment.add(frame[:5000])
        read = segment.store.read

        def growing(_, name, start=0, end=None):
            """What it takes to read is time in which more is written."""
            found = read(name, start, end)
            size = segment.size
            if end is None and size < at + len(frame):
                segment.add(frame[size - at : size - at + 5000])
            return found

        monkeypatch.setattr(type(queue._store), "read", growing)
        counts = [len(queue) for _ in range(40)]
        assert counts == sorted(counts)
        assert {*counts} == {2, 102}
        assert not searches


def test_nothing_is_insisted_on_behind_a_seal(place, monkeypatch):
    if not place.appends:
        return
    monkeypatch.setattr(grow, "_PATIENCE", 0)
    with place.open(segment_items=4) as queue, place.open() as rival:
        queue.put(0)
        for number in range(1, 6):
            rival.put(number)
        queue.put(6)
        assert len(rival) == 7
        assert [*rival] == list(range(7))


def test_nothing_is_insisted_on_behind_torn_bytes(place, monkeypatch):
    if place.kind != "folder":
        return
    monkeypatch.setattr(grow, "_PATIENCE", 0)
    with place.open() as queue, place.open() as rival:
        queue.put(0)
        rival.put(1)
        [segment] = (pathlib.Path(place.store["path"]) / "seg").iterdir()
        with segment.open("ab") as file:
            file.write(b"torn")
        queue.put(2)
        assert len(rival) == 3
        assert got(rival) == [0, 1, 2]
