"""When an item that was given back is handed out again."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, model_validator

from pqueue.runtime import Runtime


class RetryDelay(BaseModel, extra="forbid", frozen=True):
    """Seconds until the next attempt: `first`, then each time `factor` as many, `most` at most, give or take `jitter`.

    A number stands for a constant: `first` alone, with `factor` 1 and no jitter.
    """

    first: float = Field(1.0, ge=0, allow_inf_nan=False)
    factor: float = Field(2.0, ge=1, allow_inf_nan=False)
    most: float = Field(300.0, ge=0, allow_inf_nan=False)
    jitter: float = Field(0.1, ge=0, le=1)

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.first > self.most:
            raise ValueError(f"'first' ({self.first:g} s) is more than 'most' ({self.most:g} s): say a larger 'most'")
        return self

    @classmethod
    def constant(cls, seconds: float) -> RetryDelay:
        """The same for every attempt."""
        return cls(first=seconds, factor=1, most=seconds, jitter=0)

    def seconds(self, attempt: int, chance: float) -> float:
        """After so many attempts; `chance` in [0, 1) is what the jitter draws."""
        try:
            grown = self.first * self.factor ** (attempt - 1)
        except OverflowError:  # a power of a thousand attempts is no float any more
            grown = self.most
        return min(self.most, grown) * (1 + self.jitter * (2 * chance - 1))


class Retry:
    """One queue object's delays.

    Chance is drawn anew only every tenth of a delay: so neighbours that are given back together stay one range of the
    head, however many they are.
    """

    def __init__(self, runtime: Runtime, delay: RetryDelay) -> None:
        self._runtime = runtime
        self._delay = delay
        self._chance = 0.5
        self._until = 0.0

    def ms(self, attempt: int) -> int:
        """The delay after this attempt."""
        now = self._runtime.monotonic()
        if now >= self._until:
            self._chance = self._runtime.random.random()
            self._until = now + self._delay.seconds(attempt, 0.5) / 10
        return int(1000 * self._delay.seconds(attempt, self._chance))


def text_of(error: object) -> str:
    """What an exception, or a reason, says: text that can be stored, whatever it is made of."""
    try:
        text = str(error)
    except Exception as bad:  # noqa: BLE001  # anybody's code
        text = f"a {type(error).__name__} that can't be shown: {type(bad).__name__}"
    return text.encode(errors="backslashreplace").decode()
