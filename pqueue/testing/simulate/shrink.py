"""A failing plan made smaller while it still fails: fewer clients, threads and things to do, fewer faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pqueue.testing.simulate.run import Part, Plan, Result, run

TRIES = 600
"""Runs that shrinking may take."""

_ORDERS = 3


def _kind(result: Result) -> str:
    """What was violated: the rule or invariant that the first violation names."""
    return result.violations[0].split(":")[0] if result.violations else ""


def _fewer_clients(plan: Plan) -> Iterator[Plan]:
    for index in range(len(plan.parts)):
        yield replace(plan, parts=plan.parts[:index] + plan.parts[index + 1 :])


def _fewer_threads(plan: Plan) -> Iterator[Plan]:
    for index, part in enumerate(plan.parts):
        for at in range(len(part.threads)):
            yield _with(plan, index, part._replace(threads=part.threads[:at] + part.threads[at + 1 :]))


def _fewer_ops(plan: Plan) -> Iterator[Plan]:
    for index, part in enumerate(plan.parts):
        for at, ops in enumerate(part.threads):
            half = len(ops) // 2
            cuts = [ops[:half], ops[half:]] if half else []
            cuts += [ops[:op] + ops[op + 1 :] for op in range(len(ops))]
            for cut in cuts:
                yield _with(plan, index, part._replace(threads=(*part.threads[:at], cut, *part.threads[at + 1 :])))


def _with(plan: Plan, index: int, part: Part) -> Plan:
    return replace(plan, parts=(*plan.parts[:index], part, *plan.parts[index + 1 :]))


def _fewer_faults(plan: Plan, result: Result) -> Iterator[Plan]:
    dealt = result.dealt
    half = len(dealt) // 2
    groups = [dealt[:half], dealt[half:]] if half > 1 else []
    for group in [*groups, *([one] for one in dealt)]:
        yield replace(plan, masked=plan.masked | frozenset(group))


def _smaller(best: Result) -> Iterator[Plan]:
    """The plans to try next, the boldest first; whoever is left may have to move in another order."""
    for order in range(_ORDERS):
        for smaller in (_fewer_clients(best.plan), _fewer_threads(best.plan)):
            for plan in smaller:
                yield replace(plan, order=plan.order + order)
    yield from _fewer_faults(best.plan, best)
    for order in range(_ORDERS):
        for plan in _fewer_ops(best.plan):
            yield replace(plan, order=plan.order + order)


def shrink(result: Result) -> Result:
    """The smallest failing run that was found from this one, of the same kind of violation."""
    kind = _kind(result)
    best = result
    tries = TRIES if kind else 0
    candidates = _smaller(best)
    while tries:
        tries -= 1
        candidate = next(candidates, None)
        if candidate is None:
            break
        tried = run(candidate)
        if _kind(tried) == kind:
            best = tried
            candidates = _smaller(best)
    return best
