"""Turns: whoever loses one swap after another for long asks the others to let it have the next one.

Swaps are optimistic: of two that were planned from one version, the one that takes longer to plan loses; and who has lost
takes longer, since it has to load first. Against somebody who swaps all the time it would lose for good, and each loss costs
both of them as much as some swaps. So after its second one it notes beside the document until when it wants to be alone, and
the others wait that long with their next swap, once. Two that swap all the time are served by turns so, of a millisecond
each. No lock is kept, so a process that dies with such a note, or does not come back, costs the others a quarter of
a second at most.
"""

import os
import time
from contextlib import suppress
from secrets import randbelow

from pqueue_local import slots
from pqueue_local.clock import now
from pqueue_local.slotfile import SlotFile

LOSSES = 2
"""Swaps lost in a row after which somebody asks."""
MOST_MS = 250
"""Milliseconds that it asks for, at most."""

_LOOK = 0.001
"""Seconds between two looks whether the other is done. It goes on meanwhile: the shorter, the more turns, and lost swaps."""
_IDLE_MS = 1000
"""Milliseconds after which a loss is not part of the row of those before it."""
_SHIFT = 24
_TOKEN = (1 << _SHIFT) - 1
_WORD = slots.TURN // 8


class Turn:
    """One object's losses of one document, and what it has asked for."""

    def __init__(self) -> None:
        self.losses = 0
        """In a row."""
        self._last = self._mine = 0

    def lost(self, file: SlotFile) -> None:
        """Another version was found; under the lock."""
        ms = now().ms
        took, self._last = ms - self._last, ms
        if took > _IDLE_MS:
            self.losses = 0
        self.losses += 1
        if self.losses == 1:
            self._mine = 0
        if self.losses >= LOSSES and not self.owes(file):
            # For each row another, so that a forked child's is its own.
            self._mine = self._mine or 1 + randbelow(_TOKEN)
            self._note(file, ms + min(MOST_MS, 2 * took + 1) << _SHIFT | self._mine)

    def won(self, file: SlotFile) -> None:
        """A swap is in place, after losses; under the lock."""
        self.losses = 0
        if self._mine and file.words[_WORD] & _TOKEN == self._mine:
            self._note(file, 0)

    def owes(self, file: SlotFile) -> bool:
        """Whether somebody else has asked, and its time is not over. After a boot or a bad write it is nobody's."""
        word = file.words[_WORD]
        return word & _TOKEN != self._mine and 0 < (word >> _SHIFT) - now().ms <= MOST_MS

    def give(self, file: SlotFile) -> None:
        """Wait until that is done, or its time is over; without the lock."""
        while self.owes(file):
            time.sleep(_LOOK)

    @staticmethod
    def _note(file: SlotFile, word: int) -> None:
        with suppress(OSError):  # it is lost time and no more
            os.pwrite(file.fd, word.to_bytes(8, "little"), slots.TURN)
