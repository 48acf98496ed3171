"""What two processes can do to one another in a folder between two steps of one of them."""

import contextlib

from pqueue.errors import DocumentChanged
from pqueue_local import LocalBackend, LocalSettings, slotfile


def test_a_swap_made_while_another_client_loads_is_never_overwritten(tmp_path, monkeypatch):
    """Between the loader's read of a slot and its note of it, somebody swaps with a sync."""
    settings = LocalSettings(path=tmp_path / "q")
    one, two, three = (LocalBackend.open(settings, create=True) for _ in range(3))
    one.swap("head.default", b"0", None, sync=True)
    for number in range(1, 4):
        two.swap("head.default", b"%d" % number, two.load("head.default").version, sync=False)
    one.load("head.default")
    two.swap("head.default", b"4", two.load("head.default").version, sync=False)
    real = slotfile.SlotFile.remember
    armed = [True]

    def remember(self, slot, **more):
        if armed.pop() if armed else False:
            two.swap("head.default", b"two's", two.load("head.default").version, sync=True)
        return real(self, slot, **more)

    monkeypatch.setattr(slotfile.SlotFile, "remember", remember)
    old = one.load("head.default")
    assert old.data == b"4"
    with contextlib.suppress(DocumentChanged):
        one.swap("head.default", b"one's, on top of 4", old.version, sync=False)
        raise AssertionError("two swaps of one version succeeded")
    for store in (one, two, three):
        assert store.load("head.default").data == b"two's"
        store.close()
