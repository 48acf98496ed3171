"""Batches: answered for as one until somebody looks at their messages, and then one by one, whoever does what meanwhile."""

import gc
import os
import threading
import time
import weakref

import pytest

import pqueue
from pqueue.message import ANSWERING
from tests.support.points import ONLY, Interrupted, counting


def left(queue):
    """What can be handed out now, with its attempt, acknowledged."""
    found = []
    while True:
        try:
            batch = queue.receive_many(100, block=False)
        except pqueue.Empty:
            return found
        found += [(message.item, message.attempt) for message in batch]
        batch.ack()


@pytest.mark.parametrize("looked", [False, True])
@pytest.mark.parametrize("settings", [{}, {"segment_items": 7}, {"record_times": True}])
def test_what_a_batch_holds_is_the_same_whether_it_was_looked_at_or_not(place, settings, looked):
    with place.open(**settings) as queue:
        for start in range(0, 30, 5):
            queue.put_many(range(start, start + 5))
        for start in range(0, 20, 10):
            batch = queue.receive_many(10)
            assert len(batch) == 10
            if looked:
                assert [message.offset for message in batch] == list(range(start, start + 10))
                assert batch[3] is batch[3]
            assert batch.items == list(range(start, start + 10))
            batch.nack() if start else batch.ack()
            messages = list(batch)
            assert [(message.item, message.offset, message.attempt) for message in messages] == [
                (item, item, 1) for item in range(start, start + 10)
            ]
            assert all((message.put_at is not None) == ("record_times" in settings) for message in messages)
            with pytest.raises(pqueue.ClaimLost):
                messages[0].ack()
            batch.ack()
        assert left(queue) == [*[(item, 2) for item in range(10, 20)], *[(item, 1) for item in range(20, 30)]]


@pytest.mark.parametrize("looked", [False, True])
def test_records_that_are_items_are_lent_as_any_other(place, looked):
    """Those of one commit come as a sequence of their own, which the serializer passes on."""
    with place.open(serializer="raw") as queue:
        queue.put_many([b"%d" % number for number in range(10)])
        batch = queue.receive_many(4)
        if looked:
            assert [message.item for message in batch] == [b"0", b"1", b"2", b"3"]
        assert batch.items == [b"0", b"1", b"2", b"3"]
        batch.ack()
        for number in range(4, 7):
            message = queue.receive()
            assert message.item == b"%d" % number
            message.ack()
        assert queue.get_many(2) == [b"7", b"8"]
        assert left(queue) == [(b"9", 1)]


def test_a_batch_is_looked_at_when_some_of_it_is_answered(place):
    with place.open() as queue:
        queue.put_many(range(10))
        with queue.receive_many(10) as batch:
            batch[4].nack()
            batch[-1].reject("no")
            assert len(batch) == 10
        assert left(queue) == [(4, 2)]
        assert [letter.offset for letter in queue.dead] == [9]


def test_a_batch_that_is_dropped_unseen_is_told_and_comes_again(place, caplog):
    with place.open() as queue:
        queue.put_many(range(10))
        queue.receive_many(7, lease=2)
        held = queue.receive()
        assert held.item == 7
        others = [queue.receive(timeout=30) for _ in range(9)]
        assert [message.item for message in others] == [8, 9, *range(7)]
        assert "7 messages were dropped without an answer, from offset 0 on" in caplog.text


def test_a_batch_that_was_looked_at_goes_when_it_is_dropped(place):
    """At once, for who waits for its items, or for the memory: nothing looks for cycles here."""
    gc.disable()
    try:
        with place.open(serializer="pickle") as queue:
            queue.put_many(map(Large, range(10)))
            batch = queue.receive_many(5)
            seen = weakref.ref(batch[0].item)
            kept = batch[1]
            del batch
            queue.receive_many(5).ack()
            assert seen() is None
            assert sorted(offset for _, offset, _ in queue._receiver.dropped) in (
                [0, 2, 3, 4],
                [],
            )  # the keeper has seen them
            kept.ack()
    finally:
        gc.enable()


class Large:
    """An item that a weak reference can follow."""

    def __init__(self, number):
        self.number = number


@pytest.mark.parametrize("call", ["get", "get_many", "receive", "receive_many"])
def test_what_is_answered_and_dropped_is_not_kept(place, call):
    """But for what is read ahead, and decoded, of the queue."""
    gc.disable()
    try:
        with place.open(serializer="pickle") as queue:
            queue._straight = queue._consumer._straight
            queue._consumer._combiner.alone = lambda act, what: None  # the general way
            seen = []
            for number in range(6):
                queue.put(Large(number))
            for _ in range(6):
                if call.startswith("get"):
                    items = queue.get_many(1) if call == "get_many" else [queue.get()]
                else:
                    message = queue.receive_many(1) if call == "receive_many" else queue.receive()
                    items = message.items if call == "receive_many" else [message.item]
                    message.ack()
                    del message
                seen += map(weakref.ref, items)
                del items
            queue.put(Large(7))
            queue.get()
            assert [one().number for one in seen if one() is not None] in ([], [5])
    finally:
        gc.enable()


def test_answered_messages_are_not_extended(place):
    with place.open() as queue:
        queue.put_many(range(20))
        for looked in (False, True):
            batch = queue.receive_many(5)
            if looked:
                for message in batch:
                    message.ack()
            else:
                batch.ack()
            with pytest.raises(pqueue.ClaimLost, match="answered before"):
                batch.extend(60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_extends_nothing_of_its_parents(tmp_path):
    with pqueue.open(tmp_path / "queue") as queue:
        queue.put("a")
        message = queue.receive()
        child = os.fork()
        if not child:
            code = 1
            try:
                message.extend(60)
            except pqueue.ClaimLost:
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        message.ack()


def test_a_batch_that_is_looked_at_just_before_it_is_acknowledged_is_acknowledged_by_its_messages(place):
    with place.open() as queue:
        queue.put_many(range(20))
        batch = queue.receive_many(10)
        held = batch._held()
        messages = list(batch)  # by another thread, say
        messages[3].ack()
        queue._receiver.acknowledge(held, rest=True)
        for message in messages:
            assert "answered" in repr(message)
            with pytest.raises(pqueue.ClaimLost, match="before"):
                message.ack()
        assert not queue._leases.hold(messages[0]._loan)
        assert [item for item, _ in left(queue)] == list(range(10, 20))


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("answer", ["ack", "nack"])
@pytest.mark.parametrize("held", ["message", "batch", "looked at"])
def test_an_answer_that_failed_and_was_interrupted_there_is_asked_for_again(place, monkeypatch, held, answer):
    if place.kind not in {"memory", "folder"}:
        return  # answered for as the others
    with place.open() as queue:
        swap = queue._store.swap
        for at in counting():
            queue.put_many(range(3))
            lent = queue.receive() if held == "message" else queue.receive_many(3)
            if held == "looked at":
                list(lent)

            def refuse(document, *how):
                raise pqueue.StoreError("no answer")

            def call(lent=lent, at=at):
                try:
                    getattr(lent, answer)()
                except pqueue.StoreError:
                    return

            monkeypatch.setattr(queue._store, "swap", refuse)
            cut = Interrupted(call, at)
            monkeypatch.setattr(queue._store, "swap", swap)
            getattr(lent, answer)()
            lent = None
            given = [(item, 2) for item in ([0] if held == "message" else range(3))] if answer == "nack" else []
            rest = [(item, 1) for item in (range(1, 3) if held == "message" else ())]
            assert left(queue) == given + rest, cut.where
            if not cut.where:
                return


def test_an_answer_that_is_too_late_and_was_interrupted_says_so_when_it_is_asked_for_again(place, monkeypatch):
    with place.open(auto_extend=False) as queue, place.open() as other:
        queue.put_many(range(3))
        batch = queue.receive_many(3, lease=0.2)
        time.sleep(1.5)  # a bucket's clock tells seconds
        assert other.get_many(3, timeout=20) == [0, 1, 2]

        def interrupted(_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(queue._receiver._answering, "_ended", interrupted)
            with pytest.raises(KeyboardInterrupt):
                batch.ack()
        with pytest.raises(pqueue.ClaimLost, match="too late for 3 of 3"):
            batch.ack()


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_an_interrupted_answer_leaves_the_one_that_another_thread_is_giving(place, rest, count):
    if place.kind != "memory":
        return  # it is in memory that it counts
    with place.open() as queue:
        queue.put_many(range(3))
        messages = list(queue.receive_many(3))[:count]
        for message in messages:
            message._state = ANSWERING  # by another thread, whose swap is under way

        def call():
            try:
                queue._receiver.acknowledge(messages, rest=rest)
            except pqueue.ClaimLost:
                return

        for at in counting():
            cut = Interrupted(call, at)
            assert {message._state for message in messages} == {ANSWERING}, cut.where
            if not cut.where:
                return


@pytest.mark.parametrize("fails", [False, True])
def test_a_batch_that_is_looked_at_while_it_is_acknowledged_is_acknowledged(place, monkeypatch, fails):
    """By another thread, and where nobody hears of the acknowledgement it is to be repeated."""
    with place.open() as queue:
        queue.put_many(range(10))
        batch = queue.receive_many(10)
        ask = queue._leases.ask
        seen = []

        def looking(*args, **how):
            outcome = ask(*args, **how)
            thread = threading.Thread(target=lambda: seen.extend(batch))
            thread.start()
            thread.join(20)
            if fails:
                raise pqueue.StoreError("no answer")
            return outcome

        with monkeypatch.context() as patched:
            patched.setattr(queue._leases, "ask", looking)
            if fails:
                with pytest.raises(pqueue.StoreError):
                    batch.ack()
            else:
                batch.ack()
        assert [message.item for message in seen] == list(range(10))
        with pytest.raises(pqueue.ClaimLost, match="before"):
            seen[0].ack()
        if fails:
            with pytest.raises(pqueue.ClaimLost, match="too late for 10 of 10"):  # what the first has done
                batch.ack()
        assert not any(message in seen for message in batch) or not fails
        with pytest.raises(pqueue.ClaimLost, match="before"):
            batch[0].ack()
        assert left(queue) == []


def test_a_batch_whose_acknowledgement_failed_is_answered_one_by_one(place, monkeypatch):
    with place.open() as queue:
        queue.put_many(range(4))
        batch = queue.receive_many(4)
        with monkeypatch.context() as patched:
            patched.setattr(
                queue._leases, "ask", lambda *_, **__: (_ for _ in ()).throw(pqueue.StoreError("no answer"))
            )
            with pytest.raises(pqueue.StoreError):
                batch.ack()
        for message in batch:
            assert "unsure" in repr(message)
            message.ack()
        assert left(queue) == []


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("singly", [False, True])
def test_an_interrupt_as_a_batch_is_looked_at_leaves_all_of_it_to_be_answered(place, singly):
    if place.kind.endswith("blobs"):
        return  # consumed as the others
    with place.open() as queue:
        queue.put_many(range(1000))
        for at in counting(3):
            batch = queue.receive_many(5)
            cut = Interrupted(lambda batch=batch: list(batch), at)
            if singly:
                for message in batch:
                    message.ack()
            else:
                batch.ack()
            with queue.receive(block=False) as probe:
                assert probe.item == batch.items[-1] + 1, cut.where
            assert not queue._receiver.dropped, cut.where
            if not cut.where:
                break
        assert left(queue) == [(item, 1) for item in range(probe.item + 1, 1000)]
    assert at > 5


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("count", [1, 3])
def test_an_interrupt_as_a_batch_is_taken_costs_what_is_in_hand_at_most(place, count):
    """Of what one acknowledgement has claimed for several calls; nothing is handed out twice, or under another offset."""
    if place.kind.endswith("blobs"):
        return
    for at in counting({"folder": 3, "memory": 1, "bucket": 23}[place.kind.split("-")[0]]):
        with place.again().open() as queue:
            queue.put_many(range(40))
            for _ in range(4):
                queue.receive_many(count).ack()
            cut = Interrupted(lambda queue=queue: queue.receive_many(count), at)
            found = []
            while True:
                try:
                    batch = queue.receive_many(count, block=False)
                except pqueue.Empty:
                    break
                assert [message.offset for message in batch] == batch.items, cut.where
                found += batch.items
                batch.ack()
            if not cut.where:
                break
            assert found == sorted(set(found)), (cut.where, found)
            missing = set(range(4 * count, 40)) - set(found)
            assert missing <= set(range(4 * count, 5 * count)), (cut.where, found)
    assert at > 20


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(("call", "linger"), [("receive", 0), ("receive and ack", 0), ("get", 0), ("get", 1)])
def test_an_interrupt_delays_nothing_that_was_claimed_ahead(place, call, linger):
    """What one call had claimed for the next ones is handed out at once, in its order; and `join` waits for no item of it."""
    if place.kind.endswith("blobs"):
        return
    for at in counting({"folder": 17, "memory": 2 if call == "get" else 5, "bucket": 151}[place.kind.split("-")[0]]):
        with place.again().open(ack_linger=linger, prefetch=4) as queue:
            queue.put_many(range(12))
            if (
                call == "receive and ack"
            ):  # the last of what was claimed before, so that the next is claimed with its answer
                queue.receive().ack()
                while queue._receiver.ahead:
                    queue.receive().ack()
            before = 12 - len(queue)
            own = []

            def act(queue=queue, own=own):
                if call == "get":  # one that claims ahead, if it lingers, and one of what is
                    own.append(queue.get())
                    own.append(queue.get())
                    return
                message = queue.receive()
                if call == "receive and ack":
                    message.ack()

            cut = Interrupted(act, at)
            found = []
            while True:
                try:
                    found.append(queue.get(block=False) if call == "get" else queue.receive(block=False).item)
                except pqueue.Empty:
                    break
            if not cut.where:
                break
            assert own + found == sorted({*own, *found}), (cut.where, own, found)
            missing = set(range(before, 12)) - {*own, *found}
            assert missing <= {before + len(own)}, (cut.where, own, found)
            assert call != "get" or queue._tasks.unfinished == len(own + found), cut.where
    assert at > 20


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_an_interrupted_give_back_acknowledges_nothing_that_was_not_handed_out(place):
    """It comes at once, or when its lease ends."""
    if place.kind != "memory":
        return  # one is enough: it stands on the object's memory
    for at in counting():
        mine = place.again()
        with mine.open(ack_linger=1, prefetch=4, lease=0.3) as queue:
            queue.put_many(range(8))
            found = [queue.get()]
            cut = Interrupted(lambda queue=queue: queue._ahead.release(), at)
            queue.sync()
        if not cut.where:
            break
        with mine.open(lease=0.3) as other:
            while len(found) < 8:
                found.append(other.get(timeout=5))
        assert sorted(found) == list(range(8)), cut.where
    assert at > 20


def test_what_a_get_has_handed_out_is_renewed_until_its_acknowledgement_has_gone(place, monkeypatch):
    """Though all of its claim is handed out, and the store takes no acknowledgement for longer than its lease."""
    if place.kind.endswith("blobs"):
        return
    with place.open(ack_linger=0.1, prefetch=4, lease=2) as queue, place.open() as other:
        queue.put_many(range(8))
        with monkeypatch.context() as fails:
            assert [queue.get() for _ in range(4)] == [0, 1, 2, 3]
            for call in ("ask", "borrow"):
                fails.setattr(
                    queue._leases, call, lambda *_, **__: (_ for _ in ()).throw(pqueue.StoreError("no answer"))
                )
            with pytest.raises(pqueue.StoreError):
                queue.get()
            time.sleep(4)
            assert other.get_many(10, block=False) == [4, 5, 6, 7]
        queue.sync()
        with pytest.raises(pqueue.Empty):
            other.get(block=False)


@pytest.mark.parametrize(("pause", "most"), [(0.0, 64), (0.001, 16), (0.0019, 8), (0.0021, 1)])
def test_how_much_is_claimed_ahead_is_a_matter_of_the_pace(place, pause, most):
    with place.open() as queue:
        queue.put_many(range(3000))
        for number in range(150):
            queue.receive().ack()
            time.sleep(pause)  # never for less
            ahead = sum(share._size for share in queue._receiver._prefetched.shares)
            assert ahead <= (most if number > 130 else 64)


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(("wait", "loop"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("count", [1, 3])
def test_an_interrupted_ack_is_called_again_and_done(place, count, wait, loop, caplog):
    """It is told done, or answered before, and is; never that its lease ran out. In a loop it claims for the next call, too."""
    if place.kind.endswith("blobs"):
        return
    for at in counting({"folder": 3, "bucket": 19}.get(place.kind, 1)):
        with place.again().open() as queue:
            queue.put_many(range(8))
            if loop:
                queue.receive().ack()
            batch = queue.receive_many(count) if count > 1 else queue.receive()
            cut = Interrupted(lambda batch=batch, wait=wait: batch.ack(wait), at)
            if not cut.where:
                break
            try:
                batch.ack()
            except pqueue.ClaimLost as lost:
                assert "answered before" in str(lost), cut.where
            queue.sync()
            queue._receiver.release()
            assert len(queue) == 8 - loop - count, cut.where
            assert "lease had run out" not in caplog.text, cut.where
            assert not queue._consumer._owing.told, cut.where  # which the short way would not be gone with
    assert at > 20


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("first", ["get", "receive"])
def test_an_interrupt_as_one_call_gives_back_what_another_had_claimed_ahead_delays_nothing(place, first):
    if place.kind != "memory":
        return  # one is enough: it stands on the object's memory
    for at in counting():
        with place.again().open(ack_linger=5, prefetch=4) as queue:
            queue.put_many(range(12))
            if first == "get":
                done = [queue.get()]
                cut = Interrupted(lambda queue=queue: queue._receiver.release() or queue._ahead.release(), at)
                found = [message.item for message in receiving(queue)]
            else:
                done = []
                while not queue._receiver.ahead:
                    with queue.receive(timeout=5) as message:
                        done.append(message.item)
                cut = Interrupted(lambda queue=queue: queue._receiver.release(), at)
                found = [*queue]
            if not cut.where:
                break
            assert [*done, *found] == list(range(12)), cut.where
    assert at > 20


@ONLY
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_what_is_held_of_a_claim_stays_so_when_giving_back_the_rest_of_it_is_interrupted(place):
    if place.kind != "memory":
        return  # one is enough: it stands on the object's memory
    for at in counting():
        with place.again().open() as queue:
            queue.put_many(range(3))
            queue.receive().ack(wait=False)
            message = queue.receive()  # claims both that are left
            assert queue._receiver.ahead
            cut = Interrupted(lambda queue=queue: queue._receiver.release(), at)
            message.ack()
            assert [*queue] == [2], cut.where
            if not cut.where:
                break
    assert at > 20


def receiving(queue):
    """What can be received now."""
    while True:
        try:
            yield queue.receive(block=False)
        except pqueue.Empty:
            return
