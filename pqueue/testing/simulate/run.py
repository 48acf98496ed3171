"""One run: a plan drawn from a seed, carried out; then a calm in which a fresh consumer drains the queue; judgement."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from pqueue.testing.simulate.client import WHOLE, Client, Op, Setup
from pqueue.testing.simulate.conditions import conditions
from pqueue.testing.simulate.faults import PROFILES, Faults
from pqueue.testing.simulate.judge import Judge
from pqueue.testing.simulate.oracle import Oracle
from pqueue.testing.simulate.store import Place
from pqueue.testing.simulate.world import Line, Member, Stuck, World

MOST = 6000
"""Calls of the store that suffice for any plan: beyond them somebody goes on for ever."""

STORES = ("memory", "appending")


class Part(NamedTuple):
    """One client of a plan: what each of its threads does."""

    name: str
    threads: tuple[tuple[Op, ...], ...]
    linger: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What is done in a run."""

    seed: int
    store: str
    setup: Setup
    parts: tuple[Part, ...]
    profile: int
    answers: bool
    cut: bool
    owned: bool
    stick: float
    masked: frozenset[tuple[str, int]] = frozenset()
    """Faults left out."""
    order: int = 0
    """Another number, another order in which the same things happen."""


@dataclass(eq=False)
class Result:
    """What came of it."""

    plan: Plan
    violations: list[str]
    trace: list[Line]
    dealt: list[tuple[str, int]] = field(default_factory=list)
    """The faults, by client and count."""
    steps: int = 0

    @property
    def failed(self) -> bool:
        """Whether something was violated."""
        return bool(self.violations)

    def text(self) -> str:
        """For people."""
        plan = self.plan
        about = f"answers={plan.answers} cut={plan.cut} owned={plan.owned}"
        lines = [
            f"seed {plan.seed} --store {plan.store}: profile {plan.profile}, {plan.setup}, {about}",
            *(f"  {part.name}: {part.threads}{f' linger {part.linger}' if part.linger else ''}" for part in plan.parts),
            *map(str, self.trace),
            *(f"VIOLATION {text}" for text in self.violations),
        ]
        return "\n".join(lines)


def _producer(rng: random.Random, buffered: bool) -> tuple[Op, ...]:
    ops = []
    for _ in range(rng.randint(2, 7)):
        draw = rng.random()
        if draw < 0.5:
            ops.append(Op("put"))
        elif draw < 0.72:
            ops.append(Op("put", rng.randint(2, 4)))
        elif draw < 0.78:
            ops.append(Op("poison"))
        elif draw < 0.8:
            ops.append(Op("bad"))
        elif draw < 0.9:
            ops.append(Op("sleep", seconds=rng.choice((0.01, 0.1, 1.0, 3.0))))
        else:
            ops.append(Op("sync" if buffered else "put"))
    return tuple(ops)


def _consumer(rng: random.Random, lends: bool) -> tuple[Op, ...]:
    ops = []
    for _ in range(rng.randint(3, 7)):
        draw = rng.random()
        if draw < 0.2:
            ops.append(Op("sleep", seconds=rng.choice((0.01, 0.1, 0.6, 3.0))))
        elif lends and draw < 0.8:
            choices = tuple(rng.choice((0, 0, 0, 1, 2, 3, 4, 5)) for _ in range(3))
            ops.append(Op("lend", rng.randint(1, 4), choices, rng.choice((0.0, 0.0, 0.5, 3.0))))
        elif lends and draw < 0.9:
            ops.append(Op("loop", rng.randint(1, 4), (), rng.choice((0.0, 0.0, 0.4, 1.5))))
        else:
            ops.append(Op("get", rng.randint(1, 4), (), rng.choice((0.0, 0.0, 0.0, 0.5))))
    return tuple(ops)


def _receiver(rng: random.Random) -> tuple[Op, ...]:
    ops = []
    for _ in range(rng.randint(3, 7)):
        if rng.random() < 0.2:
            ops.append(Op("sleep", seconds=rng.choice((0.01, 0.1, 0.6, 3.0))))
        else:
            choices = tuple(rng.choice((0, 0, 0, 0, 1, 2, 3, 4, 5, 6)) for _ in range(3))
            if rng.random() < 0.3:
                choices = (rng.choice((WHOLE, WHOLE, WHOLE + 1)),)
            ops.append(Op("receive", rng.choice((1, 1, 2, 4)), choices, rng.choice((0.0, 0.0, 0.5, 3.0))))
    return tuple(ops)


def plan(seed: int, store: str) -> Plan:
    """The plan of a seed."""
    rng = random.Random(f"{store} {seed}")
    grows = store == "appending"
    durability = rng.choices(("written", "synced", "buffered"), (6, 2, 1.5))[0]
    buffered = durability == "buffered"
    profile = rng.randrange(len(PROFILES))
    style = rng.choice(("take", "take", "lend", "both", "ahead"))
    parts = []
    for index in range(rng.randint(1, 3)):
        threads = tuple(_producer(rng, buffered) for _ in range(rng.choice((1, 1, 1, 2, 3))))
        parts.append(Part(f"P{index}", threads))
    for index in range(rng.randint(1, 2)):
        lends = style == "lend" or (style == "both" and rng.random() < 0.5)
        threads = tuple(_consumer(rng, lends) for _ in range(rng.choice((1, 1, 1, 2))))
        parts.append(Part(f"C{index}", threads, 0.3 if style == "ahead" else 0.0))
    if rng.random() < 0.15:
        collect = [Op("collect", seconds=rng.choice((0.05, 2.0, 60.0))), Op("sleep", seconds=rng.choice((0.05, 3.0)))]
        parts.append(Part("G", (tuple(collect * rng.randint(1, 2)),)))
    if rng.random() < 0.2:
        parts.append(Part("B", (_producer(rng, buffered)[:3] + _consumer(rng, style == "lend")[:3],)))
    # Drawn beside the rest, so that a seed stays what it is.
    more = random.Random(f"messages {store} {seed}")
    for index in range(more.choice((0, 0, 1, 2))):
        threads = tuple(_receiver(more) for _ in range(more.choice((1, 1, 2))))
        parts.append(Part(f"M{index}", threads))
    setup = Setup(
        durability=durability,
        segment_items=rng.choice((1, 2, 4, 8)),
        max_attempts=rng.choice((None, None, 3)),
        lease=rng.choice((1.0, 2.0)),
        prefetch=rng.choice((1, 3)),
        eager=more.random() < 0.3,
    )
    return Plan(
        seed=seed,
        store=store,
        setup=setup,
        parts=tuple(parts),
        profile=profile,
        answers=rng.random() < (0.8 if grows else 0.15),
        cut=grows and rng.random() < 0.5,
        owned=rng.random() < 0.4,
        stick=rng.choice((0.0, 0.0, 0.5, 0.9)),
    )


class Run:
    """A world with its place, clients and oracle."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        grows = plan.store == "appending"
        self.world = World(random.Random(f"{plan.store} {plan.seed} order {plan.order}"), stick=plan.stick)
        self.oracle = Oracle()
        self.place = Place(
            self.oracle, grows, plan.answers, plan.cut, plan.owned, boot="boot" if grows else "", offset_ms=1_000_000
        )
        self.oracle.alive = lambda owner: not owner or self.place.alive(owner)
        self.faults = Faults(
            self.world, f"{plan.store} {plan.seed}", PROFILES[plan.profile], plan.answers, grows, plan.masked
        )
        self.oracle.clocks = "clock jumps" in PROFILES[plan.profile].weights
        self.oracle.calm = bool(plan.parts) and not PROFILES[plan.profile].weights
        self.oracle.max_attempts = plan.setup.max_attempts
        self.oracle.buffered = plan.setup.durability == "buffered"
        self.clients: list[Client] = []
        self._reborn: dict[str, int] = {}

    def client(self, name: str, *, linger: float = 0.0) -> Client:
        """A new client."""
        setup = self.plan.setup._replace(linger=linger)
        made = Client(name, self.world, self.place, self.oracle, setup, f"{self.plan.store} {self.plan.seed}")
        self.clients.append(made)
        return made

    def begin(self, part: Part) -> None:
        """Start a client of the plan."""
        client = self.client(part.name, linger=part.linger)
        for index, ops in enumerate(part.threads):
            client.thread(f"{part.name}/{index}" if index else part.name, ops)

    def mourn(self, member: Member) -> None:
        """A client has died; another comes in its place."""
        self.oracle.died(member.name)
        part = next((one for one in self.plan.parts if one.name == member.name.rstrip("'")), None)
        if part is not None and not self.faults.off:
            self.begin(part._replace(name=f"{member.name}'", threads=part.threads[:1]))

    def calm(self) -> None:
        """Nothing goes wrong any more: everybody winds up, then a fresh consumer drains the queue."""
        world = self.world
        self.faults.off = True
        world.land()
        alive = [client for client in self.clients if not client.dead]
        for client in alive:
            # Some close with whatever they were interrupted in.
            hasty = random.Random(f"ends {self.plan.store} {self.plan.seed} {client.name}").random() < 0.4
            client.thread(f"{client.name} ends", [Op("drain", 3)] * (client.gets and not hasty) + [Op("close")])
        world.run(MOST)
        world.now += 3 * self.plan.setup.lease + 500
        last = self.client("Z")
        last.thread("Z", [Op("drain", 4), Op("sleep", seconds=40.0), Op("drain", 4)])
        world.run(MOST)
        self.oracle.due = self.oracle.head.ordinal if self.oracle.head else 0
        last.thread("Z", [Op("put"), Op("sync"), Op("drain"), Op("put"), Op("sync"), Op("drain"), Op("close")])
        world.run(MOST)

    def result(self) -> Result:
        """Carry the plan out and judge."""
        with conditions(self.world.crashes):
            return self.ended(self._act)

    def _act(self) -> None:
        self.world.decide = self.faults
        self.world.mourn = self.mourn
        for part in self.plan.parts:
            self.begin(part)
        self.finish()

    def finish(self) -> None:
        """Let everybody end, then drain the queue."""
        self.world.run(MOST)
        if not self.world.crashes:
            self.calm()

    def ended(self, act: Callable[[], None]) -> Result:
        """Judge what happens in `act`."""
        try:
            act()
        except Stuck as error:
            self.oracle.violate(f"I6: {error}")
        finally:
            self.world.end()
            for client in self.clients:
                client.leave()
        result = self.judged()
        self.world.fibers.clear()
        return result

    def judged(self) -> Result:
        """The oracle's word on what has happened."""
        for who, error in self.world.crashes:
            self.oracle.violate(f"{who} crashed: {type(error).__name__}: {error}")
        if not self.oracle.violations:
            Judge(self.oracle).check()
            if not self.oracle.violations and not any(one.item.startswith("Z.") for one in self.oracle.given):
                self.oracle.violate("I6: a fresh put is not delivered")
        return Result(self.plan, self.oracle.violations, self.world.trace, self.faults.dealt, self.world.steps)


def run(made: Plan) -> Result:
    """Carry a plan out."""
    return Run(made).result()
