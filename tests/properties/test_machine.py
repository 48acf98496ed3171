"""The whole interface against a plain deque, while objects are opened anew, doubled, forked and killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import deque
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import pqueue
from tests.support import places
from tests.support.children import Child

MAXSIZE = 12

items = st.one_of(st.integers(-5, 5), st.text(max_size=3), st.tuples(st.booleans(), st.none()))
some = st.lists(items, min_size=1, max_size=5)


class Machine(RuleBasedStateMachine):
    """One queue, up to three objects on it, and what it should hold."""

    kind = "memory"
    server = None

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pqueue-machine-"))
        self.place = places.make(self.kind, self.folder, lambda: self.server)
        self.model = deque()
        self.open = []
        self.handed = []
        """For each object, what it handed out and nobody said done."""

    @initialize(bounded=st.booleans(), segment=st.sampled_from([2, 7, 65_536]))
    def make(self, bounded, segment):
        self.maxsize = MAXSIZE if bounded else 0
        self.settings = {"maxsize": self.maxsize, "segment_items": segment}
        self._open_one()

    def _open_one(self):
        self.open.append(self.place.open(**self.settings))
        self.handed.append(0)

    def _one(self, which):
        return which % len(self.open)

    @property
    def _forks(self):
        return self.kind != "memory"

    # -- producing

    @rule(which=st.integers(0, 2), item=items)
    def put(self, which, item):
        q = self.open[self._one(which)]
        if self.maxsize and len(self.model) >= self.maxsize:
            for refused in (lambda: q.put_nowait(item), lambda: q.put(item, timeout=0.01)):
                with pytest.raises(pqueue.Full):
                    refused()
        else:
            q.put(item)
            self.model.append(item)

    @rule(which=st.integers(0, 2), batch=some)
    def put_many(self, which, batch):
        q = self.open[self._one(which)]
        if self.maxsize and len(self.model) + len(batch) > self.maxsize:
            with pytest.raises(pqueue.Full):
                q.put_many(batch, block=False)
        else:
            q.put_many(batch)
            self.model.extend(batch)

    @rule(which=st.integers(0, 2), batch=some, size=st.integers(1, 3))
    def put_stream(self, which, batch, size):
        room = self.maxsize - len(self.model) if self.maxsize else len(batch)
        told = []
        count = self.open[self._one(which)].put_stream(iter(batch[:room]), batch=size, progress=told.append)
        assert count == len(batch[:room])
        assert told == sorted(set(told))
        assert told[-1:] == [count][: len(told)]
        self.model.extend(batch[:room])

    @rule(which=st.integers(0, 2), batch=st.lists(items, max_size=4))
    def put_stream_that_fails(self, which, batch):
        if self.maxsize and len(self.model) + len(batch) > self.maxsize:
            return
        with pytest.raises(pqueue.SerializationError) as caught:
            self.open[self._one(which)].put_stream([*batch, object(), "never"], batch=2)
        assert caught.value.put_so_far == len(batch)
        self.model.extend(batch)

    @rule(which=st.integers(0, 2), batch=some)
    def put_what_is_refused(self, which, batch):
        q = self.open[self._one(which)]
        for refused in (lambda: q.put(object()), lambda: q.put_many([*batch, object()])):
            with pytest.raises(pqueue.SerializationError):
                refused()

    # -- consuming

    @rule(which=st.integers(0, 2))
    def get(self, which):
        which = self._one(which)
        q = self.open[which]
        if self.model:
            assert q.get() == self.model.popleft()
            self.handed[which] += 1
        else:
            for refused in (q.get_nowait, lambda: q.get(timeout=0.01)):
                with pytest.raises(pqueue.Empty):
                    refused()

    @rule(which=st.integers(0, 2), count=st.integers(1, 6))
    def get_many(self, which, count):
        which = self._one(which)
        if self.model:
            got = self.open[which].get_many(count)
            assert 1 <= len(got) <= count
            assert got == [self.model.popleft() for _ in got]
            self.handed[which] += len(got)

    @rule(which=st.integers(0, 2), keep=st.integers(0, 4))
    def iterate(self, which, keep):
        which = self._one(which)
        for count, item in enumerate(self.open[which], 1):
            assert item == self.model.popleft()
            self.handed[which] += 1
            if count > keep:
                return
        assert not self.model

    @rule(which=st.integers(0, 2), count=st.integers(1, 6))
    def peek(self, which, count):
        assert self.open[self._one(which)].peek(count) == list(self.model)[:count]

    @rule(which=st.integers(0, 2))
    def clear(self, which):
        assert self.open[self._one(which)].clear() == len(self.model)
        self.model.clear()

    @rule(which=st.integers(0, 2))
    def task_done(self, which):
        which = self._one(which)
        if self.handed[which]:
            self.open[which].task_done()
            self.handed[which] -= 1
        else:
            with pytest.raises(ValueError, match="too many times"):
                self.open[which].task_done()

    @rule(which=st.integers(0, 2))
    def join(self, which):
        which = self._one(which)
        if not self.model and not self.handed[which]:
            self.open[which].join()

    # -- objects and processes

    @rule(which=st.integers(0, 2), flush=st.booleans())
    def reopen(self, which, flush):
        which = self._one(which)
        q = self.open.pop(which)
        self.handed.pop(which)
        if flush:
            q.sync()
        q.close()
        with pytest.raises(pqueue.ShutDown):
            q.put(1)
        self._open_one()

    @rule(which=st.integers(0, 2), immediate=st.booleans())
    def shut_down(self, which, immediate):
        which = self._one(which)
        q = self.open[which]
        q.shutdown(immediate)
        with pytest.raises(pqueue.ShutDown):
            q.put(1)
        if self.model and not immediate:
            assert q.get() == self.model.popleft()
        else:
            with pytest.raises(pqueue.ShutDown):
                q.get()
        self.reopen(which, flush=False)

    @precondition(lambda self: len(self.open) < 3)
    @rule()
    def second_object(self):
        self._open_one()

    @precondition(lambda self: self._forks)
    @rule(batch=some, take=st.integers(0, 3))
    def second_process(self, batch, take):
        """It opens the queue by itself, acts, and ends well."""
        self._in_child(None, batch, take, kill=False)

    @precondition(lambda self: self._forks)
    @rule(which=st.integers(0, 2), batch=some, take=st.integers(0, 3))
    def fork(self, which, batch, take):
        """The child uses the object that its parent has open."""
        self._in_child(self.open[self._one(which)], batch, take, kill=False)

    @precondition(lambda self: self._forks)
    @rule(which=st.none() | st.integers(0, 2), batch=some, take=st.integers(0, 3))
    def kill(self, which, batch, take):
        """The child is killed without closing anything: what had returned stands."""
        self._in_child(None if which is None else self.open[self._one(which)], batch, take, kill=True)

    def _in_child(self, q, batch, take, *, kill):
        if self.maxsize:
            batch = batch[: self.maxsize - len(self.model)]
        expected = [*self.model, *batch][:take]

        def work(tell):
            mine = self.place.open(**self.settings) if q is None else q
            for item in batch:
                mine.put(item)
            got = [mine.get() for _ in expected]
            tell(int(got == expected))
            if kill:
                with contextlib.suppress(BaseException):
                    mine.get(timeout=60) if not len(mine) else os.read(os.pipe()[0], 1)
            mine.close()

        child = Child(work)
        if kill:
            while not child.told:
                assert not child.hear(0.005)
            child.kill()
        else:
            child.join(60)
        assert child.told == [1]
        self.model.extend(batch)
        for _ in expected:
            self.model.popleft()

    # -- always

    @invariant()
    def counts(self):
        for q in self.open:
            assert len(q) == q.qsize() == len(self.model)
            assert q.empty() == (not self.model)
            assert q.full() == bool(self.maxsize and len(self.model) >= self.maxsize)
            assert q

    def teardown(self):
        left = []
        for q in self.open:
            left += list(q)
            q.close()
        if self.open:
            assert left == list(self.model)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.mark.parametrize(("kind", "examples", "steps"), [("memory", 60, 40), ("folder", 60, 30), ("bucket", 10, 20)])
def test_a_queue_is_a_deque_whatever_happens_to_its_objects_and_processes(kind, examples, steps, request):
    server = request.getfixturevalue("s3_server") if kind == "bucket" else None
    machine = type("Machine", (Machine,), {"kind": kind, "server": server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
