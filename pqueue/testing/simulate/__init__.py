"""A deterministic simulator: many producers and consumers run the real code on one store, and everything goes wrong.

Each client runs in fibers of its own; every call of the store is a point at which a seeded scheduler decides who runs
next and what goes wrong: answers and requests that are lost, requests that land late, deaths before and after an
effect, interrupts, clocks that jump, torn appends. An oracle with records of its own judges the whole history. The same
seed is the same run.

    python -m pqueue.testing.simulate --seeds 0-1999 --jobs 2
    python -m pqueue.testing.simulate --store memory --trace 1234
    python -m pqueue.testing.simulate --rules

It needs the package `greenlet` (the extra `test`).
"""
