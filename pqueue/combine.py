"""Threads share commits: one works for all that wait, wakes exactly those whose work is done, and hands the lead on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pqueue.errors import Landed, QueueError, StoreError
from pqueue.runtime import Lock, Runtime

T = TypeVar("T")


class Job(Generic[T]):
    """One caller's share of a commit."""

    __slots__ = ("answered", "done", "error", "gate", "leads", "orphan", "result", "work")

    def __init__(self, work: T) -> None:
        self.work = work
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
    ) -> None:
        self._runtime = runtime
        self._lead = lead
        self._parallel = parallel
        self._weigh = weigh
        self._limit = limit
        self._unknown = unknown
        self._orphaned = orphaned
        self._guard = runtime.lock()
        self._leaders = 0
        self._waiting: deque[Job[T]] = deque()

    def run(self, work: T) -> Any:
        """The job's result, once it is done by this thread or another; raises its error.

        Raises:
            Landed: this thread was interrupted, but the job is done.
        """
        job = Job(work)
        with self._guard:
            if self._leaders < self._parallel:
                self._leaders += 1
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

    def enter(self, token: list[bool]) -> bool:
        """Lead alone, if nobody does: what a single thread does without a job; `leave` with the same token ends it."""
        with self._guard:
            if self._leaders >= self._parallel:
                return False
            self._leaders += 1
            token[0] = True
            return True

    def leave(self, token: list[bool]) -> None:
        """Hand the lead on, if `enter` took it."""
        if token[0]:
            with self._guard:
                token[0] = False
                if self._waiting:
                    self._hand_on()
                else:
                    self._leaders -= 1

    def _wait(self, job: Job[T]) -> list[Job[T]]:
        """Sleep until the job is done (an empty list), or this thread is to lead (the group)."""
        assert job.gate is not None
        try:
            job.gate.acquire()
        except BaseException as interrupt:
            # Interrupted. A job that nobody works on yet is withdrawn; the lead, if it was just handed over, goes on;
            # what becomes of a job that somebody works on is told to `orphaned`.
            with self._guard:
                if job in self._waiting:
                    self._waiting.remove(job)
                elif job.leads:
                    self._hand_on()
                elif not job.done:
                    job.orphan = True
                elif job.error is None:
                    raise Landed(job.result) from interrupt
            raise
        if job.done:
            return []
        with self._guard:
            jobs = [job]
            weight = self._weigh(job.work)
            while self._waiting:
                weight += self._weigh(self._waiting[0].work)
                if weight > self._limit:
                    break
                jobs.append(self._waiting.popleft())
        return jobs

    def _work(self, jobs: list[Job[T]]) -> None:
        try:
            self._lead(jobs)
        except BaseException:
            for job in jobs:
                if not job.answered:
                    job.fail(self._unknown("the thread that worked for this one was interrupted: outcome unknown"))
            raise
        finally:
            with self._guard:
                for job in jobs:
                    job.done = True
                    if job.orphan and job.error is None:
                        self._orphaned(job.work, job.result)
                self._hand_on()
            for job in jobs:
                if job.gate is not None and not job.leads:
                    job.gate.release()

    def _hand_on(self) -> None:
        """Give the lead to the first that waits; under the guard."""
        if self._waiting:
            heir = self._waiting.popleft()
            heir.leads = True
            assert heir.gate is not None
            heir.gate.release()
        else:
            self._leaders -= 1
