"""What `receive` lends: an item, until it is answered."""

from __future__ import annotations

from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from pqueue.leases import Loan

if TYPE_CHECKING:
    from pqueue.receive import Receiver

T = TypeVar("T")

HELD, UNSURE, ANSWERING, ANSWERED = range(4)
"""What became of a message; unsure: its answer was sent, and no answer to that came."""


class Message(Generic[T]):
    """An item lent until it is answered: by `ack`, `nack` or `reject`, once.

    As a context manager it acknowledges on success, and on an exception gives the item back, with the queue's
    `retry_delay` and the exception's text; unless it was answered within. While it is not answered and its process
    lives, its lease is renewed (`auto_extend`). One that is dropped without an answer is renewed no more, so that it
    comes again when its lease ends; where a loop's claim was for several, once the others are answered, too.
    """

    __slots__ = ("_at_ms", "_loan", "_ordinal", "_receiver", "_state", "attempt", "item", "offset")

    _size: ClassVar = 1
    _apart: ClassVar = None
    """As a share's."""

    item: T
    """What was put."""
    offset: int
    """Its position in the queue's life."""
    attempt: int
    """How often it has been handed out, this time included; 1 for the first time."""

    def __init__(
        self,
        receiver: Receiver,
        loan: Loan,
        ordinal: int,
        offset: int,
        item: T,
        attempt: int,
        at_ms: int | None,
        state: int = HELD,
    ) -> None:
        self._receiver = receiver
        self._loan = loan
        self._ordinal = ordinal
        self._at_ms = at_ms
        self.item = item
        self.offset = offset
        self.attempt = attempt
        self._state = state

    @property
    def put_at(self) -> datetime | None:
        """When it was put, by the clock of whoever put it; None where the queue does not record it (`record_times`)."""
        return None if self._at_ms is None else datetime.fromtimestamp(self._at_ms / 1000, UTC)

    def ack(self, wait: bool = True) -> None:
        """Done: nobody gets the item again. On return that is as durable as the queue promises.

        Args:
            wait: whether to wait for that. If not, it is sent with the next claim, or within the queue object's
                `ack_linger` (but at least 0.05 s), at `sync` and at `close`; a crash before that repeats the item, and
                one whose lease has run out by then is only logged. Where a swap is a request this saves most of them.

        Raises:
            ClaimLost: too late, or answered before; nothing was removed.
            StoreError: no answer; call it again to learn what came of it.
            ShutDown: the queue object is closed; the item is handed out again.
        """
        self._receiver.acknowledge((self,), wait)

    def nack(self, delay: float | None = 0, *, counted: bool = True) -> None:
        """Give it back, to be handed out again after so many seconds; None: after the queue's `retry_delay`.

        After its last attempt (`max_attempts`) it becomes a dead letter instead. Not `counted`, this was no attempt.

        Raises:
            ClaimLost, StoreError: see `ack`.
        """
        self._receiver.give_back((self,), delay, "", counted=counted)

    def fail(self, error: str) -> None:
        """Give it back after the queue's `retry_delay`; the text is kept with it if this was its last attempt.

        Raises:
            ClaimLost, StoreError: see `ack`.
        """
        self._receiver.give_back((self,), None, error)

    def reject(self, reason: str = "") -> None:
        """Nobody is to try this item again: it becomes a dead letter, with the reason.

        Raises:
            ClaimLost, StoreError: see `ack`.
        """
        self._receiver.reject((self,), reason)

    def extend(self, seconds: float) -> None:
        """Hold it for so many seconds from now, at least; with it, whatever was lent under the same claim.

        Raises:
            ClaimLost: it is somebody else's by now.
            StoreError: no answer.
            ValueError: `seconds` is negative, or no number.
        """
        self._receiver.extend(self, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._receiver.leave((self,), error)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a message can't be pickled: only the queue object that received it can answer for it; hand on its `item`"
        )

    def __del__(self) -> None:
        # Any lock may be held right here: it is only noted.
        try:
            if self._state < ANSWERING:
                self._receiver.dropped.append((self._loan, self.offset, 1))
        except AttributeError:  # interrupted as it was made
            pass

    def __repr__(self) -> str:
        state = ("", ", unsure", ", being answered", ", answered")[self._state]
        return f"<pqueue.Message {self.offset}, attempt {self.attempt}{state}>"
