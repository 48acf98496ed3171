"""Many processes on one queue: `python -m tests.faults.crowd folder --items 200000 --batch 1`.

None of the items may be lost or doubled, and each producer's must come to each consumer in their order.
"""

from __future__ import annotations

import argparse
import sys
import time
from array import array
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.children import Child
from tests.support.places import Place
from tests.support.scene import scene

MOST = 1 << 32
"""Items of one producer."""


def produce(place: Place, me: int, count: int, batch: int) -> None:
    with place.open() as queue:
        numbers = range(me * MOST, me * MOST + count)
        if batch == 1:
            for number in numbers:
                queue.put(number)
        else:
            for start in range(0, count, batch):
                queue.put_many(numbers[start : start + batch])


def consume(place: Place, batch: int, out: Path) -> None:
    """Get until the end sign, which is put once for each consumer behind everything else."""
    got = array("q")
    with place.open() as queue:
        while True:
            items = [queue.get()] if batch == 1 else queue.get_many(batch)
            if items[-1] is None:
                got.extend(item for item in items if item is not None)
                for _ in range(items.count(None) - 1):
                    queue.put(None)  # the others'
                break
            got.extend(items)
    out.write_bytes(got.tobytes())


def run(place: Place, producers: int, consumers: int, items: int, batch: int, patience: float) -> float:
    """The rate, in items a second."""
    place.open().close()
    each = items // producers
    with TemporaryDirectory(prefix="pqueue-") as folder:
        started = time.monotonic()
        makers = [Child(lambda _, me=me: produce(place, me, each, batch)) for me in range(producers)]
        outs = [Path(folder) / str(number) for number in range(consumers)]
        takers = [Child(lambda _, out=out: consume(place, batch, out)) for out in outs]
        for child in makers:
            child.join(patience)
        with place.open() as queue:
            for _ in takers:
                queue.put(None)
        for child in takers:
            child.join(patience)
        seconds = time.monotonic() - started
        got = [array("q", out.read_bytes()) for out in outs]
    everything = sorted(item for one in got for item in one)
    wanted = [me * MOST + number for me in range(producers) for number in range(each)]
    lost = len(set(wanted) - set(everything))
    assert everything == wanted, f"{lost} lost, {len(everything) - len(set(everything))} doubled"
    for one in got:
        for me in range(producers):
            mine = [item for item in one if item // MOST == me]
            assert mine == sorted(mine), "a producer's order is broken"
    with place.open() as queue:
        assert len(queue) == 0
    return len(wanted) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", choices=["folder", "folder-blobs", "bucket"])
    parser.add_argument("--producers", type=int, default=4)
    parser.add_argument("--consumers", type=int, default=4)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--patience", type=float, default=600.0, help="seconds")
    given = parser.parse_args()
    with scene(given.store) as place:
        rate = run(place, given.producers, given.consumers, given.items, given.batch, given.patience)
    print(
        f"{given.store}: {given.producers} producers and {given.consumers} consumers, {given.items} items by {given.batch}: "
        f"0 lost, 0 doubled, order kept; {rate:,.0f} items a second"
    )


if __name__ == "__main__":
    sys.exit(main())
