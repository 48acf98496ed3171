"""A fork draws ids of its own, whether a queue was open or not (rules 1, 31)."""

import os

import pqueue
from tests.support.children import Child


def test_children_of_one_parent_never_draw_one_id_twice(place):
    if place.kind.startswith("memory"):
        return  # a child has a memory of its own
    place.open().close()

    def work(tell):
        with place.open() as queue:
            for number in range(5):
                queue.put(number)

    children = [Child(work) for _ in range(6)]
    for child in children:
        child.join(60)
    with place.open() as queue:
        assert len(queue) == 30


def test_a_queue_that_was_open_works_in_parent_and_child(place):
    if place.kind.startswith("memory"):
        return
    with place.open() as queue:
        queue.put("before")

        def work(tell):
            queue.put("child")
            tell(1 if queue.get() == "before" else 0)

        child = Child(work)
        child.join(60)
        assert child.told == [1]
        queue.put("parent")
        assert [queue.get(), queue.get()] == ["child", "parent"]


def test_a_parents_buffer_and_claims_are_not_the_childs(place):
    if place.kind.startswith("memory"):
        return
    with place.open(durability="buffered", ack_linger=30) as queue:
        queue.put_many(range(10))
        queue.sync()
        assert queue.get() == 0
        queue.put("buffered")

        def work(tell):
            queue.put("child")
            queue.sync()
            tell(1 if queue.get() == "child" else 0)
            try:
                queue.get(block=False)
            except pqueue.Empty:
                tell(2)
            os._exit(0)  # without closing: nothing of the parent's is to be answered here

        child = Child(work)
        child.join(60)
        assert child.told == [1, 2]
        assert queue.get_many(20) == list(range(1, 10))
        assert queue.get() == "buffered"


def test_a_child_closes_what_another_thread_of_its_parent_was_closing(place):
    if place.kind.startswith("memory"):
        return
    with place.open() as queue:
        queue.put("a")

        def work(tell):
            queue._owe(["taken by the child"])
            queue.close()
            tell(1)

        with queue._closing, queue._arrears.paying:
            child = Child(work)
        child.join(30)
        assert child.told == [1]
        assert list(queue) == ["a", "taken by the child"]
