"""`kill -9` at random instants: `python -m tests.faults.kills folder producer --kills 300`.

A producer tells each put that returned, a consumer each item that `get` gave it. No told put may be missing or doubled, the order
must hold, and a consumer's kill may take the one item that it had in hand.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

import pqueue
from tests.support.children import Child
from tests.support.places import Place
from tests.support.scene import scene

MOST = 0.08
"""Seconds a child works, at most, before it is killed."""


def drain(place: Place) -> list[int]:
    with place.open() as queue:
        items: list[int] = []
        while True:
            try:
                items += queue.get_many(1000, block=False)
            except pqueue.Empty:
                return items


def life(child: Child, chance: random.Random) -> None:
    """Let it begin, then kill it at a random instant of its work."""
    until = time.monotonic() + 30
    while not child.told and time.monotonic() < until and not child.hear(0.001):
        pass
    child.hear(chance.uniform(0, MOST))
    child.kill()


def producers(place: Place, kills: int, chance: random.Random) -> str:
    """Kill producers, one after another."""
    told: list[int] = []
    start = 0
    for _ in range(kills):

        def work(tell, start=start):
            with place.open(segment_items=50) as queue:
                for number in range(start, start + 1_000_000):
                    queue.put(number)
                    tell(number)

        child = Child(work)
        life(child, chance)
        told += child.told
        start += 1_000_000
    found = drain(place)
    missing = set(told) - set(found)
    doubled = len(found) - len(set(found))
    # What was in flight at a kill may be in, once, behind what had returned.
    extra = len(set(found) - set(told))
    assert not missing, f"{len(missing)} puts that had returned are missing: {sorted(missing)[:5]}"
    assert not doubled, f"{doubled} items came out twice"
    # … or in a bucket behind later ones: whoever finds it uploaded lists it.
    returned = set(told)
    kept = [number for number in found if number in returned]
    assert kept == sorted(kept), "the order is broken"
    assert extra <= kills, f"{extra} items that no put returned for"
    return f"{kills} kills of a producer: {len(told)} puts returned, 0 missing, 0 doubled, {extra} in flight got in"


def consumers(place: Place, kills: int, chance: random.Random) -> str:
    """Kill consumers, one after another, over a queue that is filled as it goes."""
    put = 0
    got: list[int] = []
    with place.open(segment_items=50) as queue:
        for _ in range(kills):
            waiting = len(queue)
            if waiting < 6000:
                queue.put_many(range(put, put + 6000))
                put += 6000

            def work(tell):
                with place.open() as mine:
                    while True:
                        tell(mine.get())

            child = Child(work)
            life(child, chance)
            assert child.told == sorted(child.told), "the order is broken"
            got += child.told
    rest = drain(place)
    everything = got + rest
    missing = set(range(put)) - set(everything)
    doubled = len(everything) - len(set(everything))
    assert not doubled, f"{doubled} items came out twice"
    assert everything == sorted(everything), "the order is broken"
    assert len(missing) <= kills, f"{len(missing)} items are missing after {kills} kills"
    return f"{kills} kills of a consumer: {len(got)} items got, 0 doubled, {len(missing)} in hand at a kill gone (at most {kills})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", choices=["folder", "folder-blobs", "bucket"])
    parser.add_argument("role", choices=["producer", "consumer"])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.randrange(1 << 32)
    print(f"{given.store}, seed {seed}", flush=True)
    with scene(given.store) as place:
        place.open(segment_items=50).close()
        run = producers if given.role == "producer" else consumers
        print(run(place, given.kills, random.Random(seed)))


if __name__ == "__main__":
    sys.exit(main())
