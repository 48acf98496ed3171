"""Workers that are killed (-9) while they work: `python -m tests.faults.workers folder --items 50000`, or bucket.

Each worker tells what it was handed and what it has acknowledged. Every item must be acknowledged in the end, and only what a
worker held when it was killed may have been handed out more than once. Prints the time from a kill to the next hand-out of what
was held.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time

from tests.support.children import Child
from tests.support.places import Place
from tests.support.scene import scene

PATIENCE = 600.0
"""Seconds for everything."""


class Crew:
    """Workers, and what they told."""

    def __init__(self, place: Place, count: int, lease: float) -> None:
        self._place = place
        self._lease = lease
        self.crew = [self._worker() for _ in range(count)]
        self.heard = [0] * count
        self.holder: dict[int, int] = {}
        """Item to the worker that holds it, as far as it told."""
        self.acked: set[int] = set()
        self.killed_with: dict[int, float] = {}
        """Items held at a kill, and when that was."""
        self.waits: list[float] = []
        self.again = 0

    def _worker(self) -> Child:
        def work(tell):
            with self._place.open(lease=self._lease) as queue:
                for message in queue.messages(timeout=3 + 2 * self._lease):
                    tell(2 * message.item)
                    message.ack()
                    tell(2 * message.item + 1)

        return Child(work)

    def hear(self) -> int:
        """Take in what was told; how many workers still work."""
        working = 0
        for number, child in enumerate(self.crew):
            working += not child.hear(0.002)
            self._take_in(number)
        return working

    def _take_in(self, number: int) -> None:
        now = time.monotonic()
        told = self.crew[number].told
        for word in told[self.heard[number] :]:
            item, done = divmod(word, 2)
            if done:
                assert item not in self.acked, f"item {item} was acknowledged twice"
                self.acked.add(item)
                del self.holder[item]
            else:
                assert item not in self.acked, f"item {item} was handed out after its acknowledgement had returned"
                if item in self.killed_with:
                    self.again += 1
                    self.waits.append(now - self.killed_with.pop(item))
                else:
                    assert item not in self.holder, f"item {item} was handed to two workers that live"
                self.holder[item] = number
        self.heard[number] = len(told)

    def kill(self, number: int) -> None:
        """One of them, and put another in its place."""
        self.crew[number].kill()
        now = time.monotonic()
        self._take_in(number)
        for item in [item for item, holder in self.holder.items() if holder == number]:
            del self.holder[item]
            self.killed_with[item] = now
        self.crew[number] = self._worker()
        self.heard[number] = 0

    def end(self) -> None:
        for child in self.crew:
            child.join(PATIENCE)


def run(place: Place, items: int, workers: int, pause: float, lease: float, chance: random.Random) -> str:
    with place.open(segment_items=5000) as queue:
        for start in range(0, items, 1000):
            queue.put_many(range(start, min(items, start + 1000)))
    began = time.monotonic()
    crew = Crew(place, workers, lease)
    kills = 0
    due = began + pause
    while len(crew.acked) + len(crew.killed_with) < items and time.monotonic() < began + PATIENCE:
        if not crew.hear():
            break
        if time.monotonic() >= due and len(crew.acked) < 0.97 * items:
            crew.kill(chance.randrange(workers))
            kills += 1
            due = time.monotonic() + pause * chance.uniform(0.3, 1.7)
    took = time.monotonic() - began
    while crew.hear():
        pass
    crew.end()
    # What was held at a kill and never came again had been acknowledged, and the worker had no time to tell.
    untold = len(crew.killed_with)
    assert len(crew.acked) + untold == items, f"{items - len(crew.acked) - untold} items were never acknowledged"
    with place.open() as queue:
        assert len(queue) == 0, f"{len(queue)} items are left"
        assert not queue.dead
    waits = sorted(crew.waits) or [0.0]
    return (
        f"{items} items by {workers} workers, {kills} kills: every item acknowledged, {crew.again} handed out again, all of "
        f"them held at a kill ({untold} were acknowledged and not told); {items / took:,.0f} items a second\n"
        f"from a kill to the next hand-out: {statistics.median(waits):.3f} s (median), {waits[-1]:.3f} s (most)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", choices=["folder", "folder-blobs", "bucket"])
    parser.add_argument("--items", type=int, help="50,000 in a folder, 5,000 in a bucket if not said")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two kills, on average")
    parser.add_argument("--lease", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.randrange(1 << 32)
    print(f"{given.store}, seed {seed}", flush=True)
    with scene(given.store) as place:
        items = given.items or (5_000 if given.store == "bucket" else 50_000)
        print(run(place, items, given.workers, given.pause, given.lease, random.Random(seed)))


if __name__ == "__main__":
    sys.exit(main())
