"""A stage: the scheduler's decisions are the script's. What a scenario is written with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pqueue.names import HEAD, META, TAIL
from pqueue.tail import Tail
from pqueue.testing.simulate.client import Client, Op, Setup
from pqueue.testing.simulate.conditions import conditions
from pqueue.testing.simulate.run import Plan, Result, Run
from pqueue.testing.simulate.world import Fault, Fiber, Stuck

NEVER = 1e9
"""Calls after which a resend lands: when the script lets it."""


class Stage:
    """One scenario's world. Only the client that the script names moves, and only so far."""

    def __init__(
        self,
        name: str,
        store: str = "memory",
        *,
        answers: bool = False,
        cut: bool = False,
        clocks: bool = False,
        **setup: Any,
    ) -> None:
        self.name = name
        plan = Plan(
            seed=0,
            store=store,
            setup=Setup(**{"segment_items": 2, **setup}),
            parts=(),
            profile=0,
            answers=answers,
            cut=cut,
            owned=False,
            stick=0.0,
        )
        self.run = Run(plan)
        self.world = self.run.world
        self.place = self.run.place
        self.oracle = self.run.oracle
        self.oracle.clocks = clocks
        self._conditions = conditions(self.world.crashes)
        self._conditions.__enter__()
        self._held: set[Fiber] = set()
        self._at: dict[Client, Fiber] = {}

    # -- clients ------------------------------------------------------------------------------------------------------

    def client(self, name: str, *, blind: Iterable[str] = (), linger: float = 0.0) -> Client:
        """A client that has the queue open."""
        made = self.opening(name, blind=blind, linger=linger)
        self.finish(made)
        return made

    def opening(self, name: str, *, blind: Iterable[str] = (), linger: float = 0.0) -> Client:
        """A client that is about to open the queue."""
        made = self.run.client(name, linger=linger)
        made.blind.update(blind)
        self.world.spawn(made, name, made.open, user=True)
        return made

    def fork(self, parent: Client, name: str) -> Client:
        """A child of this client: what it had in memory, then what the code does after a fork."""
        child = self.client(name)
        way: Any = parent.open()._log._way  # noqa: SLF001  # a fork copies what is private, too
        copy: Any = child.open()._log._way  # noqa: SLF001
        copy._writer, copy._number = way._writer, way._number  # noqa: SLF001
        copy._view.state = way._view.state  # noqa: SLF001
        child.open().forget()
        return child

    def begin(
        self, client: Client, what: str, count: int = 1, choices: tuple[int, ...] = (), seconds: float = 0.0
    ) -> Fiber:
        """Start doing something in a new thread, up to its first call."""
        fiber = client.thread(f"{client.name}/{len(client.fibers)}", [Op(what, count, choices, seconds)])
        self.world.step(fiber)
        return fiber

    def do(
        self, client: Client, what: str, count: int = 1, choices: tuple[int, ...] = (), seconds: float = 0.0
    ) -> None:
        """Do something to its end."""
        self.begin(client, what, count, choices, seconds)
        self.finish(client)

    # -- steps --------------------------------------------------------------------------------------------------------

    def until(self, client: Client, op: str, name: str = "") -> None:
        """Let the client move until it is about to make such a call."""
        for _ in range(2000):
            for fiber in self._ready(client):
                if fiber.pending is not None and fiber.pending.op == op and fiber.pending.name.startswith(name):
                    self._at[client] = fiber
                    return
            if not self._move(client):
                break
        raise Stuck(f"scenario {self.name!r}: {client.name} never comes to {op} {name}")

    def go(self, client: Client, kind: str = "", seconds: float = 0.0) -> None:
        """Let that call happen, perhaps wrong."""
        fiber = self._at.pop(client)
        self._held.discard(fiber)
        self.world.step(fiber, Fault(kind, seconds) if kind else None)
        if client.dead:
            self.oracle.died(client.name)

    def hold(self, client: Client) -> Fiber:
        """Keep that call back while the client's other threads move."""
        fiber = self._at.pop(client)
        self._held.add(fiber)
        return fiber

    def release(self, client: Client, fiber: Fiber) -> None:
        """What was held is what `go` lets happen."""
        self._at[client] = fiber

    def wrong(self, client: Client, op: str, kind: str, name: str = "", seconds: float = 0.0) -> None:
        """Let the client move to such a call, and that go wrong."""
        self.until(client, op, name)
        self.go(client, kind, seconds)

    def finish(self, client: Client) -> None:
        """Let the client move until its threads have ended, but for those held."""
        for _ in range(3000):
            if self.world.crashes:
                raise Stuck(f"scenario {self.name!r}: {client.name} crashed")
            if all(fiber.done or fiber in self._held for fiber in client.fibers if fiber.user):
                return
            if not self._move(client):
                break
        raise Stuck(f"scenario {self.name!r}: {client.name} never ends")

    def kill(self, client: Client) -> None:
        """It dies where it is."""
        self.world.bury(client)
        self.oracle.died(client.name)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.now += seconds

    def jump(self, seconds: float) -> None:
        """The store's clock alone moves on, or back."""
        self.place.offset_ms += int(seconds * 1000)

    def land(self) -> None:
        """What was sent again lands."""
        self.world.land()

    def remove(self) -> None:
        """The queue is removed: a tombstone in the tail, then the head and the rest are deleted (rule 10)."""
        data, _ = self.place.documents[TAIL]
        self.place.versions += 1
        self.place.documents[TAIL] = (replace(Tail.parse(data), gone=True).dump(), self.place.versions)
        del self.place.documents[HEAD], self.place.documents[META]
        self.oracle.log = []
        for put in self.oracle.puts:
            put.items.clear()

    def _ready(self, client: Client) -> list[Fiber]:
        return [fiber for fiber in self.world.ready if fiber.client is client and fiber not in self._held]

    def _move(self, client: Client) -> bool:
        """One step of this client; whether it can."""
        ready = self._ready(client)
        if not ready:
            if not self.world.rouse(client):
                return False
            ready = self._ready(client)
        self.world.step(ready[0])
        return True

    # -- the end ------------------------------------------------------------------------------------------------------

    def judge(self) -> Result:
        """Let everybody end, drain the queue, judge."""
        self._held.clear()
        result = self.run.ended(self.run.finish)
        self._conditions.__exit__(None, None, None)
        return result

    def end(self, error: Stuck | None) -> Result:
        """The script can't go on."""

        def fail() -> None:
            if error is not None:
                raise error

        result = self.run.ended(fail)
        self._conditions.__exit__(None, None, None)
        return result
