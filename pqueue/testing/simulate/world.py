"""The scheduler: fibers of many clients in one thread, under virtual time. Every decision is drawn from one seed."""

from __future__ import annotations

import gc
import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

TICK = 0.0005
"""Virtual seconds that pass with each call of a store."""

_COLLECTS = 64
"""Calls from one collection of garbage to the next."""


class Died(BaseException):
    """Thrown into every fiber of a client that died: what its `finally` blocks do has no effect on the store."""


class Interrupt(KeyboardInterrupt):
    """Ctrl-C, as the simulator throws it."""


class Stuck(Exception):  # a finding, told as a violation
    """Nobody can move, or everybody moves for ever."""


class Call(NamedTuple):
    """A call of the store that is about to happen."""

    op: str
    name: str


class Fault(NamedTuple):
    """What goes wrong with a call."""

    kind: str
    seconds: float = 0.0


class Member(Protocol):
    """A client, as the scheduler knows it."""

    name: str
    dead: bool
    fibers: list[Fiber]


class Fiber:
    """One thread of one client."""

    __slots__ = ("client", "done", "glet", "inject", "name", "pending", "signal", "token", "user", "waiting")

    def __init__(self, client: Member, name: str, *, user: bool) -> None:
        self.client = client
        self.name = name
        self.user = user
        """Whether it is one of the user's, which Ctrl-C may meet; not one that the code started for itself."""
        self.glet: Any = None
        self.inject: BaseException | None = None
        """What is thrown where it sleeps."""
        self.pending: Call | None = None
        self.waiting = False
        self.token = 0
        self.signal = False
        """Whether it was woken, rather than having waited long enough."""
        self.done = False


class Line(NamedTuple):
    """A line of the trace."""

    now: float
    who: str
    op: str
    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.now:10.4f}  {self.who:<10} {self.op:<8} {self.name:<64} {self.what}"


@dataclass(eq=False)
class World:
    """Who is there, what time it is, who runs next."""

    rng: random.Random
    now: float = 0.0
    steps: int = 0
    stick: float = 0.0
    """The chance that whoever ran last runs on."""
    decide: Callable[[Fiber, Call], Fault | None] | None = None
    """What goes wrong with the call that this fiber is about to make."""
    mourn: Callable[[Any], None] | None = None
    """Told of each client that died."""
    trace: list[Line] = field(default_factory=list)
    crashes: list[tuple[str, BaseException]] = field(default_factory=list)
    fibers: list[Fiber] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.current: Fiber | None = None
        self.hub: Any = getcurrent()
        self.ready: list[Fiber] = []
        self.late: list[tuple[int, Callable[[], None]]] = []
        self.late_names: list[str] = []
        self._sleepers: list[tuple[float, int, int, Fiber]] = []
        self._order = itertools.count()
        self._last: Member | None = None
        self._users = 0

    # -- what fibers use ----------------------------------------------------------------------------------------------

    def call(self, client: Member, op: str, name: str) -> Fault | None:
        """A store call is about to happen: others may run first. Returns what goes wrong with it."""
        fiber = self.current
        if client.dead or fiber is None:
            raise Died
        fiber.pending = Call(op, name)
        self.ready.append(fiber)
        fault: Fault | None = self.hub.switch()
        fiber.pending = None
        if client.dead:
            raise Died
        return fault

    def park(self, timeout: float | None = None) -> bool:
        """Sleep until woken, or for so many seconds; whether woken."""
        fiber = self.current
        if fiber is None or fiber.client.dead:
            raise Died
        fiber.waiting = True
        fiber.signal = False
        if timeout is not None:
            heapq.heappush(self._sleepers, (self.now + max(timeout, 0.0), next(self._order), fiber.token, fiber))
        self.hub.switch()
        if fiber.client.dead:
            raise Died
        if fiber.inject is not None:
            error, fiber.inject = fiber.inject, None
            raise error
        return fiber.signal

    def wake(self, fiber: Fiber, *, signal: bool = True) -> None:
        """Let a sleeping fiber go on."""
        if fiber.waiting:
            fiber.waiting = False
            fiber.token += 1
            fiber.signal = signal
            self.ready.append(fiber)

    def interrupt(self, fiber: Fiber) -> None:
        """Ctrl-C while this fiber sleeps or waits for a lock."""
        if fiber.waiting:
            self.trace.append(Line(self.now, fiber.name, "-", "", "interrupted where it sleeps or waits"))
            fiber.inject = Interrupt()
            self.wake(fiber, signal=False)

    def note(self, op: str, name: str, what: str) -> None:
        """Add to the trace what became of a call."""
        fiber = self.current
        self.trace.append(Line(self.now, fiber.name if fiber else "-", op, name, what))

    # -- fibers -------------------------------------------------------------------------------------------------------

    def spawn(self, client: Member, name: str, work: Callable[[], Any], *, user: bool = False) -> Fiber:
        """A new thread of a client."""
        if client.dead:
            raise Died
        fiber = Fiber(client, name, user=user)

        def run(_: Any = None) -> None:
            try:
                work()
            except Died:
                pass
            except BaseException as error:  # noqa: BLE001  # a finding: nothing may escape
                self.crashes.append((name, error))
            self._users -= user and not fiber.done
            fiber.done = True

        fiber.glet = greenlet(run, self.hub)
        self._users += user
        client.fibers.append(fiber)
        self.fibers.append(fiber)
        self.ready.append(fiber)
        return fiber

    def bury(self, client: Member) -> None:
        """End every fiber of a client that died."""
        client.dead = True
        for fiber in client.fibers:
            if not fiber.done:
                if fiber in self.ready:
                    self.ready.remove(fiber)
                fiber.waiting = False
                fiber.token += 1
                if fiber.glet:  # begun: unwind it
                    before, self.current = self.current, fiber
                    fiber.glet.throw(Died)
                    self.current = before
                self._users -= fiber.user and not fiber.done
                fiber.done = True
        client.fibers.clear()

    # -- the hub ------------------------------------------------------------------------------------------------------

    def step(self, fiber: Fiber, fault: Fault | None = None) -> None:
        """Let this ready fiber run until it pauses again."""
        self.ready.remove(fiber)
        if fiber.pending is not None:
            self.steps += 1
            self.now += TICK
            if not self.steps % _COLLECTS:
                gc.collect()
            if self.late and self.late[0][0] <= self.steps:
                self.land(1)
            if fault is None and self.decide is not None:
                fault = self.decide(fiber, fiber.pending)
        self.current = fiber
        fiber.glet.switch(fault)
        self.current = None
        if fiber.client.dead:
            self.bury(fiber.client)
            if self.mourn is not None:
                self.mourn(fiber.client)

    def due(self) -> bool:
        """Wake whose time has come; with nobody ready, let time pass until somebody is. False: nobody ever will be."""
        sleepers = self._sleepers
        while sleepers:
            when, _, token, fiber = sleepers[0]
            if fiber.token != token or not fiber.waiting:
                heapq.heappop(sleepers)
            elif when <= self.now or not self.ready:
                heapq.heappop(sleepers)
                self.now = max(self.now, when)
                self.wake(fiber, signal=False)
            else:
                break
        return bool(self.ready)

    def rouse(self, client: Member) -> bool:
        """Let time pass until the first of this client's sleepers wakes; whether one did."""
        alive = [one for one in sorted(self._sleepers)[:] if one[3].client is client and one[3].token == one[2]]
        for when, _, _, fiber in alive:
            if fiber.waiting:
                self.now = max(self.now, when)
                self.wake(fiber, signal=False)
                return True
        return False

    def run(self, most: int) -> None:
        """Run until every user's fiber has ended and nobody is ready any more, or for so many calls.

        Raises:
            Stuck: the calls did not suffice, or a user's fiber waits for ever.
        """
        until = self.steps + most
        switches = 8 * most
        rng = self.rng
        while self.due() if self._users else self.ready:
            ready = self.ready
            fiber = ready[int(rng.random() * len(ready))]
            if self.stick and fiber.client is not self._last and rng.random() < self.stick:
                fiber = next((one for one in ready if one.client is self._last), fiber)
            self._last = fiber.client
            self.step(fiber)
            switches -= 1
            if self.steps > until or switches < 0:
                raise Stuck(
                    f"{most} calls did not suffice: {', '.join(sorted(one.name for one in ready))} go on for ever"
                )
            if self.crashes:
                return
        waiting = [one.name for one in self.fibers if not one.done and one.user]
        if waiting:
            raise Stuck(f"{', '.join(waiting)} wait for ever")

    # -- what comes late ----------------------------------------------------------------------------------------------

    def later(self, steps: int, what: str, effect: Callable[[], None]) -> None:
        """A request of somebody, perhaps dead by now, that lands after so many more calls."""
        self.late.append((self.steps + steps, effect))
        self.late.sort(key=lambda one: one[0])
        self.late_names.append(what)

    def land(self, count: int | None = None) -> None:
        """Let requests land that are late: this many, or all."""
        for _ in range(len(self.late) if count is None else count):
            self.late.pop(0)[1]()

    def end(self) -> None:
        """Unwind whatever still runs."""
        for client in self.clients():
            self.bury(client)

    def clients(self) -> Iterator[Member]:
        """Everybody that ever was."""
        seen: list[Member] = []
        for fiber in self.fibers:
            if fiber.client not in seen:
                seen.append(fiber.client)
        return iter(seen)
