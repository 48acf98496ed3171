"""Threads share commits: one works for all that wait, wakes exactly those whose work is done, and hands the lead on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

from pqueue.errors import Landed, QueueError, StoreError
from pqueue.runtime import Lock, Runtime

T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")


class Job(Generic[T]):
    """One caller's share of a commit; for the one that leads, those that are done with it, too.

    What every job begins with is its class's: many threads make one for each item, and few get to lead.
    """

    result: Any = None
    error: BaseException | None = None
    done = False
    leads = False
    orphan = False
    landed = False
    """Its caller was interrupted, but knows that it is done."""
    ended = False
    """Nothing is left to do for its caller."""
    gate: Lock | None = None
    leader: Job[T] | None = None
    """Whose caller works on it, if its own does not."""
    jobs: Sequence[Job[T]] = ()
    """Those that its caller leads, itself first."""
    results: Sequence[Any] | None = None
    """Each one's of those; None until all are there."""

    def __init__(self, work: T, thread: int, weight: int) -> None:
        self.work = work
        self.thread = thread
        self.weight = weight


class Combiner(Generic[T]):
    """Runs `lead(works)` for groups of jobs, at most `parallel` at a time, each job in one group.

    `lead` returns each job's result, in order, a `QueueError` for one that failed; it may raise only what interrupts it,
    as `Landed` with the results if they are there. If they are not, the others of the group are led again, where that
    is harmless (`again`); else they get `unknown`. The jobs of a group weigh at most `limit` together, or are one.
    `orphaned` is told the work and the result of a job that was done after its caller had been interrupted.

    An interrupt (Ctrl-C) may come between any two steps of this, too. So whoever leads, or waits, ends that in a
    `finally`, and again if it was interrupted there, each step being harmless when repeated; and a thread that comes
    while it is noted as leading was interrupted before it could do even that, so its lead is void.
    """

    def __init__(
        self,
        runtime: Runtime,
        lead: Callable[[Sequence[T]], Sequence[Any]],
        *,
        parallel: int = 1,
        limit: int = 1 << 16,
        unknown: type[QueueError] = StoreError,
        orphaned: Callable[[T, Any], None] = lambda _, __: None,
        brief: bool = False,
        again: bool = False,
    ) -> None:
        """`brief`: what is done alone is done before a thread that sleeps could be woken."""
        self._runtime = runtime
        self._lead = lead
        self._parallel = parallel
        self._limit = limit
        self._unknown = unknown
        self._orphaned = orphaned
        self._brief = brief
        self._again = again
        self._ident = runtime.ident
        self._lock = runtime.lock
        self._guard = runtime.lock()
        self._leading: list[int] = []
        """The threads that lead."""
        self._waiting: deque[Job[T]] = deque()

    def run(self, work: T, weight: int = 1) -> Any:
        """The job's result, once it is done by this thread or another; raises its error.

        Raises:
            Landed: this thread was interrupted, but the job is done.
        """
        job = Job(work, self._ident(), weight)
        try:
            try:
                self._join(job)
                if job.gate is not None:
                    job.gate.acquire()  # until it is done, or this thread is to lead
                    if not job.done:
                        self._gather(job)
                if job.jobs:
                    works = [one.work for one in job.jobs]
                    try:
                        job.results = self._lead(works)
                    except Landed as landed:
                        job.results = cast("Sequence[Any]", landed.result)
                        raise landed.__cause__ or landed from None
            finally:
                if job.done and not job.jobs:  # no call, so no interrupt
                    job.landed = job.error is None
                else:
                    try:
                        self._end(job)
                    finally:
                        if not job.ended:
                            self._end(job)
                        job.jobs = ()  # it is one of them: what was handed out would stay until cycles are looked for
        except BaseException as interrupt:
            if job.landed:
                raise Landed(job.result) from interrupt
            raise
        if job.error is not None:
            raise job.error
        return job.result

    def alone(self, act: Callable[[U], V], what: U) -> V | None:
        """What `act` returns, done without a job where nobody leads; else None.

        Raises:
            Landed: this thread was interrupted, but `act` had returned something.
        """
        result = None
        try:
            if self._brief:  # others wait for the guard meanwhile: a lead taken and left takes longer than many an act
                with self._guard:
                    if not self._leading:
                        result = act(what)
                return result
            if len(self._leading) >= self._parallel:  # or was, just now: then `run` leads
                return None
            token = [0]
            me = self._ident()
            try:
                with self._guard:
                    leading = self._leading
                    if me in leading:  # handed to a call of this thread that an interrupt ended
                        leading.remove(me)
                    if len(leading) < self._parallel:
                        token[0] = me
                        leading.append(me)
                if token[0]:
                    result = act(what)
                return result
            finally:
                try:
                    self._leave(token)
                finally:
                    if token[0]:  # interrupted
                        self._leave(token)
        except BaseException as interrupt:
            if result is not None:
                raise Landed(result) from interrupt
            raise

    def _leave(self, token: list[int]) -> None:
        """Hand the lead on, if `alone` took it; called again if the token says so, since it may be interrupted."""
        me = token[0]
        if me:
            with self._guard:
                if self._waiting or self._parallel > 1:
                    self._hand_on(me)
                elif me in self._leading:
                    self._leading.remove(me)
                token[0] = 0

    def _join(self, job: Job[T]) -> None:
        """Lead, with nobody else's job yet; or get in line."""
        me = job.thread
        with self._guard:
            if me in self._leading:
                self._leading.remove(me)
            if len(self._leading) < self._parallel:
                job.jobs = [job]
                self._leading.append(me)
            else:
                job.gate = self._lock()
                job.gate.acquire()
                self._waiting.append(job)

    def _gather(self, job: Job[T]) -> None:
        """Lead, for as many of those behind it as a group may hold."""
        with self._guard:
            waiting = self._waiting
            if job in waiting:
                waiting.remove(job)
            job.jobs = jobs = [job]
            weight = job.weight
            while waiting and not waiting[0].leads:
                one = waiting[0]
                weight += one.weight
                if weight > self._limit:
                    break
                one.leader = job
                jobs.append(one)
                waiting.popleft()

    def _end(self, job: Job[T]) -> None:
        """Hand the lead on and wake those whose jobs are done.

        Or the caller was interrupted while it waited: a job that nobody works on yet is withdrawn; the lead, if it was
        just handed over, goes on; what becomes of a job that somebody works on is told to `orphaned`.
        """
        jobs = job.jobs
        with self._guard:
            if jobs and jobs[-1].leader is job and jobs[-1] in self._waiting:  # interrupted just as it was taken
                self._waiting.remove(jobs[-1])
            self._settle(job)
            if not jobs and not job.done:
                if job in self._waiting:
                    self._waiting.remove(job)
                elif not job.leads:
                    job.orphan = True
            job.landed = job.done and job.error is None
            if jobs or (job.leads and not job.done):
                self._hand_on(job.thread)
        for one in jobs:
            gate = one.gate
            # Not one that another leads by now.
            if gate is not None and one.leader is job and one.done and gate.locked():
                gate.release()
        job.ended = True

    def _settle(self, leader: Job[T]) -> None:
        """Each of its jobs is done now, or back in line; under the guard."""
        results = leader.results
        jobs = leader.jobs
        for index in range(len(jobs) - 1, -1, -1):
            job = jobs[index]
            if job.done or (job is not leader and job.leader is not leader):
                continue
            if results is not None:
                result = results[index]
            elif self._again and job is not leader and not job.orphan:
                self._give_back(job)
                continue
            else:
                result = self._unknown("the thread that worked for this one was interrupted: outcome unknown")
            if isinstance(result, QueueError):
                job.error = result
            else:
                job.result = result
            job.done = True
            if job.orphan and job.error is None:
                job.orphan = False
                self._orphaned(job.work, job.result)

    def _give_back(self, job: Job[T]) -> None:
        """To the head of the line, once; under the guard."""
        if job not in self._waiting:
            self._waiting.appendleft(job)
        job.leader = None

    def _hand_on(self, me: int) -> None:
        """Give the lead to those that have waited longest; under the guard. Each takes itself off the list."""
        if me in self._leading:
            self._leading.remove(me)
        for job in self._waiting:
            if not job.leads:
                if len(self._leading) >= self._parallel:
                    break
                job.leads = True
            if job.thread not in self._leading:
                self._leading.append(job.thread)
            gate = job.gate
            assert gate is not None
            if gate.locked():  # twice is no more than once, since its caller waits only once
                gate.release()
