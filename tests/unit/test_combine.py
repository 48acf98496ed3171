"""Threads that share commits, one of them interrupted at every point where that can happen."""

import ast
import threading
import time
from pathlib import Path

import pytest

import pqueue
import pqueue_local
import pqueue_memory
import pqueue_s3
from pqueue.combine import Combiner, Job
from pqueue.errors import Landed, StoreError
from pqueue.runtime import REAL
from tests.support.points import ONLY, Interrupted, counting, in_time


class Shop:
    """A combiner whose work, where it is called held, takes until `hold` is set."""

    def __init__(self, parallel, again=False):
        self.done = []
        self.orphans = []
        self.hold = threading.Event()
        self.combiner = Combiner(
            REAL,
            self.lead,
            parallel=parallel,
            again=again,
            orphaned=lambda work, result: self.orphans.append((work, result)),
        )
        self.again = again
        self.outcomes = {}
        self.threads = []

    def lead(self, works):
        if any(work.startswith("held") for work in works):
            self.hold.wait(20)
        results = [work.upper() for work in works]
        self.done.extend(works)
        return results

    def come(self, work):
        """In a thread of its own, which is in line or leads when this returns."""

        def run():
            try:
                self.outcomes[work] = self.combiner.run(work)
            except StoreError as error:
                self.outcomes[work] = error

        before = len(self.combiner._waiting) + len(self.combiner._leading)
        thread = threading.Thread(target=run, daemon=True)
        self.threads.append(thread)
        thread.start()
        while len(self.combiner._waiting) + len(self.combiner._leading) == before and thread.is_alive():
            time.sleep(0.0001)

    def join(self):
        for thread in self.threads:
            thread.join()
        return True


def judge(shop, mine, cut):
    assert in_time(lambda: shop.combiner.run("later"), cut.where) == "LATER"
    assert in_time(shop.join, cut.where)
    assert len(shop.done) == len(set(shop.done)), cut.where
    for work, outcome in shop.outcomes.items():
        if shop.again or not isinstance(outcome, StoreError):
            assert (outcome, work in shop.done) == (work.upper(), True), cut.where
    landed = cut.error.result if isinstance(cut.error, Landed) else None
    if landed is not None:
        assert (landed, mine in shop.done) == (mine.upper(), True), cut.where
    if mine in shop.done and cut.where:  # somebody knows what became of it
        assert landed or shop.orphans == [(mine, mine.upper())], cut.where
        assert not (landed and shop.orphans), cut.where


def interrupted(call, at):
    """As `Interrupted`; the error is `Landed` where that was told."""
    told = []

    def run():
        try:
            call()
        except Landed as landed:
            told.append(landed)
            raise KeyboardInterrupt from landed

    cut = Interrupted(run, at)
    cut.error = told[0] if told else cut.error
    return cut


@pytest.mark.parametrize("parallel", [1, 2])
@ONLY
def test_an_interrupt_anywhere_in_a_call_that_leads_hangs_and_loses_nobody(parallel):
    for at in counting():
        shop = Shop(parallel)
        cut = interrupted(lambda shop=shop: shop.combiner.run("mine"), at)
        judge(shop, "mine", cut)
        if not cut.where:
            break
    assert at > 5


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("parallel", [1, 2])
@ONLY
def test_an_interrupt_anywhere_in_a_call_that_waits_and_then_leads_hangs_and_loses_nobody(parallel, again):
    for at in counting():
        shop = Shop(parallel, again)
        for number in range(parallel):
            shop.come(f"held {number}")

        ended = []

        def release(shop=shop, ended=ended):
            while not shop.combiner._waiting and not ended:
                time.sleep(0.0001)
            shop.come("b")
            shop.come("c")
            shop.hold.set()
            return True

        helper = threading.Thread(target=release, daemon=True)
        helper.start()
        cut = interrupted(lambda shop=shop: shop.combiner.run("mine"), at)
        ended.append(True)
        assert in_time(lambda helper=helper: helper.join() or True, cut.where)
        judge(shop, "mine", cut)
        if not cut.where:
            break
    assert at > 15


@ONLY
@pytest.mark.parametrize("brief", [False, True])
def test_an_interrupt_anywhere_in_an_act_done_alone(brief):
    for at in counting():
        combiner = Combiner(REAL, lambda works: [True] * len(works), brief=brief)
        done = []
        cut = interrupted(
            lambda combiner=combiner, done=done: combiner.alone(lambda it: done.append(it) or it, "it"), at
        )
        assert in_time(lambda combiner=combiner: combiner.run("later"), cut.where) is True
        if not cut.where:
            break
        assert isinstance(cut.error, Landed) == bool(done), cut.where
    assert done == ["it"]


@ONLY
def test_a_lead_that_is_left_twice_is_not_taken_from_who_leads_by_then(monkeypatch):
    """Interrupted as it left; before it does so again, another thread leads."""
    most, busy, guard = [0], [0], threading.Lock()

    def lead(works):
        with guard:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.02)
        with guard:
            busy[0] -= 1
        return [True] * len(works)

    for at in counting():
        combiner = Combiner(REAL, lead)
        threads = [threading.Thread(target=combiner.run, args=(name,), daemon=True) for name in "bc"]
        leave, calls = combiner._leave, []

        def left(token, combiner=combiner, leave=leave, calls=calls, first=threads[0]):
            calls.append(0)
            if len(calls) == 2:
                first.start()
                while not busy[0] and not combiner._waiting and first.is_alive():
                    time.sleep(0.0001)
            return leave(token)

        monkeypatch.setattr(combiner, "_leave", left)
        cut = interrupted(lambda combiner=combiner: combiner.alone(lambda it: it, "a"), at)
        if not cut.where:
            break
        for thread in threads:
            if thread.ident is None:
                thread.start()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive(), cut.where
        assert most == [1], cut.where


def test_no_comprehension_that_filters_is_in_a_block_that_has_a_lock():
    """In CPython 3.12 and 3.13 an interrupt at its jump back is outside every exception table: the lock stays taken."""
    found = []

    def visit(node, path, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.Lambda | ast.GeneratorExp):
                visit(child, path, False)
                continue
            if inside and isinstance(child, ast.ListComp | ast.SetComp | ast.DictComp):
                found.extend(f"{path.name}:{child.lineno}" for part in child.generators if part.ifs)
            locks = isinstance(child, ast.With) and isinstance(child.items[0].context_expr, ast.Attribute)
            visit(child, path, inside or locks or (isinstance(child, ast.Try) and bool(child.finalbody)))

    for package in (pqueue, pqueue_memory, pqueue_local, pqueue_s3):
        for path in Path(package.__file__).parent.glob("*.py"):
            visit(ast.parse(path.read_text(encoding="utf-8")), path, False)
    assert found == []


def test_a_job_that_another_leads_by_now_is_not_woken_by_who_was_interrupted(monkeypatch):
    """Two that open one gate at once would be one too many."""
    combiner = Combiner(REAL, lambda works: [True] * len(works), again=True)
    own, other = Job("own", 1, 1), Job("other", 2, 1)
    other.gate = REAL.lock()
    other.gate.acquire()
    own.jobs = [own, other]
    other.leader = own

    def handed_on(_):
        other.leader, other.done = Job("another", 3, 1), True  # led by another thread, which opens the gate next

    monkeypatch.setattr(combiner, "_hand_on", handed_on)
    combiner._end(own)
    assert list(combiner._waiting) == [other]
    assert other.gate.locked()


def test_a_job_that_was_withdrawn_is_not_put_in_line_again(monkeypatch):
    """Nobody would get what it takes."""
    combiner = Combiner(REAL, lambda works: [True] * len(works), again=True)
    own, other = Job("own", 1, 1), Job("other", 2, 1)
    own.jobs = [own, other]
    other.leader = own
    monkeypatch.setattr(combiner, "_hand_on", lambda _: None)
    combiner._end(own)
    combiner._waiting.remove(other)  # its caller was interrupted
    combiner._end(own)  # as was this
    assert list(combiner._waiting) == []


def test_what_becomes_of_a_job_is_told_if_its_caller_was_interrupted_while_another_worked_on_it():
    begun = {"first": threading.Event(), "second": threading.Event()}
    ends = {"first": threading.Event(), "second": threading.Event()}
    orphans = []

    def lead(works):
        begun[works[0]].set()
        ends[works[0]].wait(20)
        return [work.upper() for work in works]

    combiner = Combiner(REAL, lead, orphaned=lambda work, result: orphans.append((work, result)))

    class Gate:
        """Its second acquire, where its caller waits, is interrupted once another thread has taken the job."""

        def __init__(self):
            self._lock, self._waits = threading.Lock(), False
            self.locked, self.release = self._lock.locked, self._lock.release

        def acquire(self):
            if self._waits:
                ends["first"].set()
                assert begun["second"].wait(20)
                raise KeyboardInterrupt
            self._waits = True
            return self._lock.acquire()

    threads = [threading.Thread(target=combiner.run, args=(work,), daemon=True) for work in begun]
    threads[0].start()
    assert begun["first"].wait(20)
    threads[1].start()
    while not combiner._waiting:
        time.sleep(0.0001)
    combiner._lock = Gate
    with pytest.raises(KeyboardInterrupt):
        combiner.run("mine")
    ends["second"].set()
    for thread in threads:
        thread.join(20)
    assert orphans == [("mine", "MINE")]
