"""Items lent together: until somebody looks at them one by one they are answered for as one."""
# ruff: noqa: SLF001  # a message is taken for a share of one: what they have in common is none of their user's concern

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count, repeat
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload
from weakref import ref

from pqueue.leases import Loan
from pqueue.message import ANSWERING, HELD, Message
from pqueue.request import Lot

if TYPE_CHECKING:
    from pqueue.receive import Receiver

T = TypeVar("T")


class Share:
    """Neighbours of one loan in one hand: what a batch has of it, or what is kept for the next calls.

    An interrupt may come between any two steps of this. So how many items are left says where they begin, and one
    assignment makes messages of it.
    """

    __slots__ = (
        "__weakref__",
        "_apart",
        "_items",
        "_loan",
        "_ordinal",
        "_receiver",
        "_start",
        "_state",
        "_stop",
        "_times",
        "attempt",
    )

    def __init__(
        self,
        receiver: Receiver,
        loan: Loan,
        place: tuple[int, int, int],
        items: list[Any],
        attempt: int,
        times: Sequence[int],
    ) -> None:
        """`place`: the ordinal, the offset that `times` begin at, and the one behind the last item; `items`: last first."""
        self._receiver = receiver
        self._loan = loan
        self._ordinal, self._start, self._stop = place
        self._items = items
        self._times = times
        self.attempt = attempt
        self._state = HELD
        self._apart: Sequence[Message[Any]] | None = None
        """Its messages, once somebody has looked at them."""

    @classmethod
    def of(cls, receiver: Receiver, loan: Loan, lot: Lot) -> Share:
        """All of what one swap lent of a range."""
        items = [*lot.items]  # a serializer's own kind of sequence, perhaps
        items.reverse()
        return cls(receiver, loan, lot.where, items, lot.attempts, lot.times)

    @property
    def offset(self) -> int:
        """Of its first item."""
        return self._stop - len(self._items)

    @property
    def _size(self) -> int:
        return len(self._items)

    @property
    def items(self) -> list[Any]:
        """What was put, in its order."""
        return self._items[::-1]

    @property
    def told(self) -> bool:
        """Whether its messages are what is answered for."""
        return self._apart is not None

    def first(self, most: int) -> Part:
        """So many of its items, or all it has, taken from it."""
        items = self._items
        offset = self._stop - len(items)
        if most == 1:
            at_ms = self._times[offset - self._start] if self._times else None
            return Message(self._receiver, self._loan, self._ordinal, offset, items.pop(), self.attempt, at_ms)
        some = items[-most:]
        del items[-most:]
        place = (self._ordinal, self._start, offset + len(some))
        return Share(self._receiver, self._loan, place, some, self.attempt, self._times)

    def messages(self) -> Sequence[Message[Any]]:
        """One for each item, which are answered for from now on instead of this; under the receiver's guard."""
        made = self._apart
        if made is None:
            state = self._state
            own = ref(self), self._receiver, self._loan, self._ordinal
            times = self._times[self.offset - self._start :] or repeat(None)
            made = [
                _Shared(*own, offset, item, self.attempt, at_ms, state)
                for offset, item, at_ms in zip(count(self.offset), reversed(self._items), times, strict=False)
            ]
            if state != ANSWERING:  # else it is not known yet what becomes of them: another thread answers for this
                self._apart = made
        return made

    def __del__(self) -> None:
        # Any lock may be held right here: it is only noted.
        try:
            if self._state < ANSWERING and self._apart is None and self._items:
                self._receiver.dropped.append((self._loan, self.offset, len(self._items)))
        except AttributeError:  # interrupted as it was made
            pass


class _Shared(Message[Any]):
    """A message of a share, which is what is answered for until the share says that its messages are."""

    __slots__ = ("_share",)

    def __init__(self, share: ref[Share], *own: Any) -> None:
        # Weakly: a batch that is dropped is to be told at once, and not when cycles are looked for.
        self._share = share
        super().__init__(*own)

    def __del__(self) -> None:
        try:
            share = self._share()
        except AttributeError:  # interrupted as it was made
            return
        if share is None or share.told:
            super().__del__()


Part = Message[Any] | Share
"""What is answered for at once."""


def first(shares: deque[Share], most: int, loan: Loan) -> list[Part]:
    """At most so many items of the loan, taken from the shares that come first."""
    found: list[Part] = []
    while shares and most and (share := shares[0])._loan is loan:
        if share._size:
            part = share.first(most)
            found.append(part)
            most -= part._size
        if not share._size:
            shares.popleft()
    return found


def size(parts: Sequence[Part]) -> int:
    """How many items these are."""
    return parts[0]._size if len(parts) == 1 else sum(part._size for part in parts)


def unanswered(parts: Sequence[Part]) -> list[Part]:
    """Those of them that nobody has answered, or is answering."""
    found: list[Part] = []
    for part in parts:
        if part._apart is not None:
            found += [message for message in part._apart if message._state < ANSWERING]
        elif part._state < ANSWERING:
            found.append(part)
    return found


class Batch(Sequence[Message[T]]):
    """Messages lent under one claim, in their order. They are answered one by one, or what is left of them at once.

    As a context manager it acts like a message, for those that were not answered within. Who needs only `items`, and one
    answer for all of them, spares the making of the messages.
    """

    def __init__(self, receiver: Receiver, parts: Sequence[Part]) -> None:
        self._receiver = receiver
        self._parts = parts
        self._size = size(parts)
        self._messages: Sequence[Message[T]] | None = None

    @property
    def items(self) -> list[T]:
        """What was put."""
        return [item for part in self._parts for item in ([part.item] if isinstance(part, Message) else part.items)]

    def ack(self, wait: bool = True) -> None:
        """Acknowledge those that are not answered yet, in one step; see `Message.ack`.

        Raises:
            ClaimLost: some were somebody else's by now; the others are acknowledged.
            StoreError: no answer; call it again to learn what came of it.
        """
        self._receiver.acknowledge(self._held(), wait, rest=True)

    def nack(self, delay: float | None = 0) -> None:
        """Give back those that are not answered yet; see `Message.nack`."""
        self._receiver.give_back(self._held(), delay, "", rest=True)

    def extend(self, seconds: float) -> None:
        """Hold those that are not answered yet for so many seconds from now, at least; see `Message.extend`."""
        held = self._held()
        self._receiver.extend(held[0] if held else self._each()[0], seconds)

    def _held(self) -> Sequence[Part]:
        return unanswered(self._parts)

    def _each(self) -> Sequence[Message[T]]:
        made = self._messages
        if made is None:
            made, whole = self._receiver.apart(self._parts)
            if whole:
                self._messages = made
        return made

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> Message[T]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Message[T]]: ...
    def __getitem__(self, index: int | slice) -> Message[T] | Sequence[Message[T]]:
        return self._each()[index]

    def __iter__(self) -> Iterator[Message[T]]:
        return iter(self._each())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._receiver.leave(self._held(), error)

    def __repr__(self) -> str:
        return f"<pqueue.Batch of {self._size}>"
