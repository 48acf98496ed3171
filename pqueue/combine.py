"""Threads share commits: one works for all that wait, wakes exactly those whose work is done, and hands the lead on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pqueue.errors import Landed, QueueError, StoreError
from pqueue.runtime import Lock, Runtime

T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")


class Job(Generic[T]):
    """One caller's share of a commit."""

    __slots__ = ("answered", "done", "error", "gate", "leads", "orphan", "result", "thread", "work")

    def __init__(self, work: T, thread: int) -> None:
        self.work = work
        self.thread = thread
        self.result: Any = None
        self.error: BaseException | None = None
        self.answered = False
        self.done = False
        self.leads = False
        self.orphan = False
        self.gate: Lock | None = None

    def answer(self, result: Any = None) -> None:
        """It succeeded."""
        self.result = result
        self.answered = True

    def fail(self, error: BaseException) -> None:
        """It did not."""
        self.error = error
        self.answered = True


class Combiner(Generic[T]):
    """Runs `lead(jobs)` for groups of jobs, at most `parallel` at a time, each job in one group.

    `lead` answers or fails each job and may raise only what interrupts it; jobs that it leaves unanswered then get
    `unknown`. `weigh` bounds a group: the jobs of one weigh at most `limit` together, or are one. `orphaned` is told
    the work and the result of a job that was done after its caller had been interrupted.

    An interrupt (Ctrl-C) may come between any two steps of this, too. So whoever hands on the lead does it again if
    it was not done, each step being harmless when repeated; and a thread that comes while it is noted as leading was interrupted
    before it could do even that, so its lead is void.
    """

    def __init__(
        self,
        runtime: Runtime,
        lead: Callable[[list[Job[T]]], None],
        *,
        parallel: int = 1,
        weigh: Callable[[T], int] = lambda _: 1,
        limit: int = 1 << 16,
        unknown: type[QueueError] = StoreError,
        orphaned: Callable[[T, Any], None] = lambda _, __: None,
        brief: bool = False,
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
        me = self._ident()
        job = Job(work, me)
        with self._guard:
            if me in self._leading:
                self._leading.remove(me)
            if len(self._leading) < self._parallel:
                self._leading.append(me)
                jobs = [job]
            else:
                job.gate = self._runtime.lock()
                job.gate.acquire()
                self._waiting.append(job)
                jobs = []
        if not jobs:
            jobs = self._wait(job)
        if jobs:
            try:
                self._work(jobs)
            except BaseException as interrupt:
                if job.answered and job.error is None:
                    raise Landed(job.result) from interrupt
                raise
        if job.error is not None:
            raise job.error
        return job.result

    def alone(self, act: Callable[[U], V], what: U) -> V | None:
        """What `act` returns, done without a job where nobody leads; else None."""
        if self._brief:  # others wait for the guard meanwhile: a lead taken and left takes longer than many an act
            with self._guard:
                return None if self._leading else act(what)
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
            return act(what) if token[0] else None
        finally:
            try:
                self._leave(token)
            finally:
                if token[0]:  # interrupted
                    self._leave(token)

    def _leave(self, token: list[int]) -> None:
        """Hand the lead on, if `alone` took it; called again if the token says so, since it may be interrupted."""
        me = token[0]
        if me:
            with self._guard:
                if self._waiting or self._parallel > 1:
                    self._hand_on(me)
                else:
                    self._leading.clear()
                token[0] = 0

    def _wait(self, job: Job[T]) -> list[Job[T]]:
        """Sleep until the job is done (an empty list), or this thread is to lead (the group)."""
        assert job.gate is not None
        try:
            job.gate.acquire()
        except BaseException as interrupt:
            self._withdraw(job, interrupt)
            raise
        if job.done:
            return []
        with self._guard:
            if job in self._waiting:
                self._waiting.remove(job)
            jobs = [job]
            weight = self._weigh(job.work)
            while self._waiting and not self._waiting[0].leads:
                weight += self._weigh(self._waiting[0].work)
                if weight > self._limit:
                    break
                jobs.append(self._waiting.popleft())
        return jobs

    def _withdraw(self, job: Job[T], interrupt: BaseException) -> None:
        """The caller was interrupted while it waited.

        A job that nobody works on yet is withdrawn; the lead, if it was just handed over, goes on; what becomes of a
        job that somebody works on is told to `orphaned`.
        """
        with self._guard:
            if job in self._waiting:
                self._waiting.remove(job)
            if job.leads:
                self._hand_on(job.thread)
            elif job.done:
                if job.error is None:
                    raise Landed(job.result) from interrupt
            else:
                job.orphan = True

    def _work(self, jobs: list[Job[T]]) -> None:
        try:
            self._lead(jobs)
        except BaseException:
            for job in jobs:
                if not job.answered:
                    job.fail(self._unknown("the thread that worked for this one was interrupted: outcome unknown"))
            raise
        finally:
            finished = [False]
            try:
                self._finish(jobs, finished)
            finally:
                if not finished[0]:
                    self._finish(jobs, finished)

    def _finish(self, jobs: list[Job[T]], finished: list[bool]) -> None:
        """Hand the lead on and wake those whose jobs are done."""
        with self._guard:
            for job in jobs:
                job.done = True
                if job.orphan and job.error is None:
                    job.orphan = False
                    self._orphaned(job.work, job.result)
            self._hand_on(jobs[0].thread)
        for job in jobs[1:]:
            self._open(job)
        finished[0] = True

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
