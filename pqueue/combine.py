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
    """One caller's share of a commit."""

    __slots__ = ("done", "ended", "error", "gate", "group", "landed", "leads", "orphan", "result", "thread", "work")

    def __init__(self, work: T, thread: int) -> None:
        self.work = work
        self.thread = thread
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = False
        self.leads = False
        self.orphan = False
        self.landed = False
        """Its caller was interrupted, but knows that it is done."""
        self.ended = False
        """Nothing is left to do for its caller."""
        self.gate: Lock | None = None
        self.group: Group[T] | None = None
        """That it is led in."""


class Group(Generic[T]):
    """Jobs that are done together."""

    __slots__ = ("jobs", "results")

    def __init__(self) -> None:
        self.jobs: list[Job[T]] = []
        self.results: Sequence[Any] | None = None
        """Each one's; None until all are there."""


class Combiner(Generic[T]):
    """Runs `lead(works)` for groups of jobs, at most `parallel` at a time, each job in one group.

    `lead` returns each job's result, in order, a `QueueError` for one that failed; it may raise only what interrupts it,
    as `Landed` with the results if they are there. If they are not, the others of the group are led again, where that
    is harmless (`again`); else they get `unknown`. `weigh` bounds a group: the jobs of one weigh at most `limit`
    together, or are one. `orphaned` is told the work and the result of a job that was done after its caller had been interrupted.

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
        weigh: Callable[[T], int] = lambda _: 1,
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
        self._weigh = weigh
        self._limit = limit
        self._unknown = unknown
        self._orphaned = orphaned
        self._brief = brief
        self._again = again
        self._ident = runtime.ident
        self._guard = runtime.lock()
        self._leading: list[int] = []
        """The threads that lead."""
        self._waiting: deque[Job[T]] = deque()

    def run(self, work: T) -> Any:
        """The job's result, once it is done by this thread or another; raises its error.

        Raises:
            Landed: this thread was interrupted, but the job is done.
        """
        job = Job(work, self._ident())
        group: Group[T] = Group()
        try:
            try:
                self._join(job, group)
                if not group.jobs:
                    self._wait(job, group)
                if group.jobs:
                    works = [one.work for one in group.jobs]
                    try:
                        group.results = self._lead(works)
                    except Landed as landed:
                        group.results = cast("Sequence[Any]", landed.result)
                        raise landed.__cause__ or landed from None
            finally:
                try:
                    self._end(job, group)
                finally:
                    if not job.ended:
                        self._end(job, group)
                    group.jobs.clear()  # a job knows its group: what was handed out would stay until cycles are looked for
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

    def _join(self, job: Job[T], group: Group[T]) -> None:
        """Lead, for a group of one; or get in line."""
        me = job.thread
        with self._guard:
            if me in self._leading:
                self._leading.remove(me)
            if len(self._leading) < self._parallel:
                job.group = group
                group.jobs.append(job)
                self._leading.append(me)
            else:
                job.gate = self._runtime.lock()
                job.gate.acquire()
                self._waiting.append(job)

    def _wait(self, job: Job[T], group: Group[T]) -> None:
        """Sleep until the job is done, or this thread is to lead: then with as many behind it as a group may hold."""
        assert job.gate is not None
        job.gate.acquire()
        if job.done:
            return
        with self._guard:
            if job in self._waiting:
                self._waiting.remove(job)
            job.group = group
            group.jobs.append(job)
            weight = self._weigh(job.work)
            while self._waiting and not self._waiting[0].leads:
                one = self._waiting[0]
                weight += self._weigh(one.work)
                if weight > self._limit:
                    break
                one.group = group
                group.jobs.append(one)
                self._waiting.popleft()

    def _end(self, job: Job[T], group: Group[T]) -> None:
        """Hand the lead on and wake those whose jobs are done.

        Or the caller was interrupted while it waited: a job that nobody works on yet is withdrawn; the lead, if it was
        just handed over, goes on; what becomes of a job that somebody works on is told to `orphaned`.
        """
        jobs = group.jobs
        if not jobs and job.done:
            job.landed = job.error is None
            job.ended = True
            return
        with self._guard:
            if jobs and jobs[-1].group is group and jobs[-1] in self._waiting:  # interrupted just as it was taken
                self._waiting.remove(jobs[-1])
            self._settle(job, group)
            if not jobs and not job.done:
                if job in self._waiting:
                    self._waiting.remove(job)
                elif not job.leads:
                    job.orphan = True
            job.landed = job.done and job.error is None
            if jobs or (job.leads and not job.done):
                self._hand_on(job.thread)
        for one in jobs:
            if one.group is group and one.done and one.gate is not None:  # not one that another leads by now
                self._open(one)
        job.ended = True

    def _settle(self, leader: Job[T], group: Group[T]) -> None:
        """Each of its jobs is done now, or back in line; under the guard."""
        results = group.results
        for index in range(len(group.jobs) - 1, -1, -1):
            job = group.jobs[index]
            if job.group is not group or job.done:
                continue
            if results is not None:
                self._conclude(job, results[index])
            elif self._again and job is not leader and not job.orphan:
                self._give_back(job)
            else:
                self._conclude(
                    job, self._unknown("the thread that worked for this one was interrupted: outcome unknown")
                )

    def _give_back(self, job: Job[T]) -> None:
        """To the head of the line, once; under the guard."""
        if job not in self._waiting:
            self._waiting.appendleft(job)
        job.group = None

    def _conclude(self, job: Job[T], result: Any) -> None:
        """It is done, one way or the other; under the guard."""
        if isinstance(result, QueueError):
            job.error = result
        else:
            job.result = result
        job.done = True
        if job.orphan and job.error is None:
            job.orphan = False
            self._orphaned(job.work, job.result)

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
            self._open(job)

    @staticmethod
    def _open(job: Job[T]) -> None:
        """Wake its caller; twice is no more than once, since it waits only once."""
        assert job.gate is not None
        if job.gate.locked():
            job.gate.release()
