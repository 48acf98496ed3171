"""As people wrote them for the original recipe; argument: the folder."""

import sys
from queue import Empty

from IMPORT import PersistentQueue

name = sys.argv[1]
ELEMENTS = 1000

p = PersistentQueue(name, 10)
print(f"Enqueueing {ELEMENTS} items, cache size = {p.cache_size}")
for a in range(ELEMENTS // 2):
    p.put(a)
p.sync()
for a in range(ELEMENTS // 2, ELEMENTS):
    p.put(a)
p.sync()
p.close()

p = PersistentQueue(name, 10)
print(f"Before dequeueing: {len(p)}")
got = [p.get() for _ in range(ELEMENTS // 2)]
p.close()
p = PersistentQueue(name, 10)
try:
    while True:
        got.append(p.get())
except Empty:
    pass
assert got == list(range(ELEMENTS)), got
p.put({"a": (1, 2.5, None)})
p.put(b"bytes")
assert p.get() == {"a": (1, 2.5, None)}
assert len(p) == 1
p.close()
p.put("after close")
print(len(p), p.get(), p.get())
p.close()
