"""The traces of the protocol's rules, as scripts: with the rules each ends well, without its rule it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pqueue.testing.simulate.run import Result
from pqueue.testing.simulate.stage import NEVER, Stage
from pqueue.testing.simulate.world import Stuck

Act = Callable[[Stage], None]


@dataclass(frozen=True)
class Scenario:
    """A script."""

    name: str
    store: str
    act: Act
    settings: dict[str, Any] = field(default_factory=dict)

    def play(self) -> Result:
        """Play it to its end and judge."""
        stage = Stage(self.name, self.store, **self.settings)
        try:
            self.act(stage)
        except Stuck as error:
            return stage.end(error)
        except BaseException:
            stage.end(None)
            raise
        return stage.judge()


SCENARIOS: dict[str, Scenario] = {}


def _scenario(store: str, **settings: Any) -> Callable[[Act], Act]:
    def note(act: Act) -> Act:
        name = act.__name__.removeprefix("_").replace("_", " ")
        SCENARIOS[name] = Scenario(name, store, act, settings)
        return act

    return note


# -- producing --------------------------------------------------------------------------------------------------------


@_scenario("memory")
def _a_fork_puts_beside_its_parent(s: Stage) -> None:
    a = s.client("A")
    s.do(a, "put")
    child = s.fork(a, "F")
    s.begin(a, "put")
    s.wrong(a, "write", "", "seg/")
    s.do(child, "put")
    s.finish(a)


@_scenario("memory", clocks=True)
def _a_writer_is_born_behind_the_horizon(s: Stage) -> None:
    a, b = s.client("A"), s.client("B")
    s.do(a, "put")
    s.jump(400)
    s.do(b, "put")  # drops A, and raises the horizon
    s.jump(-1000)  # the store's clock, as another of its hosts has it
    s.do(s.client("C"), "put")


@_scenario("memory")
def _an_upload_is_lost(s: Stage) -> None:
    a = s.client("A")
    s.begin(a, "put")
    s.wrong(a, "write", "lost request", "seg/")
    s.finish(a)


def _look(s: Stage) -> None:
    """Somebody's swap is lost, so that it looks for what others have uploaded."""
    b, c = s.client("B"), s.client("C")
    s.begin(b, "put")
    s.until(b, "swap", "tail")
    s.do(c, "put")
    s.go(b)
    s.finish(b)


@_scenario("memory")
def _the_second_of_two_uploads_in_flight_is_there_first(s: Stage) -> None:
    a = s.client("A")
    s.begin(a, "put")
    s.until(a, "write", "seg/")
    first = s.hold(a)
    s.begin(a, "put")
    s.wrong(a, "write", "", "seg/")
    _look(s)
    s.release(a, first)
    s.go(a)
    s.finish(a)


@_scenario("memory")
def _two_uploads_in_flight_are_listed_by_one_swap(s: Stage) -> None:
    a = s.client("A")
    s.begin(a, "put")
    s.until(a, "write", "seg/")
    first = s.hold(a)
    s.begin(a, "put")
    s.wrong(a, "write", "", "seg/")
    s.release(a, first)
    s.go(a)
    s.finish(a)


@_scenario("memory")
def _somebody_else_lists_an_upload_whose_own_swap_is_on_its_way(s: Stage) -> None:
    a = s.client("A")
    s.begin(a, "put")
    s.until(a, "swap", "tail")
    _look(s)
    s.go(a)
    s.finish(a)


@_scenario("memory")
def _a_swap_of_the_tail_is_lost(s: Stage) -> None:
    a = s.client("A")
    s.begin(a, "put")
    s.wrong(a, "swap", "lost request", "tail")
    s.finish(a)


@_scenario("memory")
def _the_answer_to_a_swap_of_the_tail_is_lost(s: Stage) -> None:
    a = s.client("A")
    s.begin(a, "put")
    s.wrong(a, "swap", "lost answer", "tail")
    s.finish(a)


@_scenario("memory")
def _an_upload_comes_back_after_its_segment_was_consumed_and_its_writer_dropped(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    s.begin(a, "put")
    s.wrong(a, "write", "again", "seg/", NEVER)
    s.finish(a)
    s.do(c, "drain")
    s.wait(400)
    s.do(s.client("D"), "put")
    s.land()
    _look(s)


@_scenario("memory", clocks=True)
def _a_writer_is_dropped_while_its_put_is_open(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    s.begin(a, "put")
    s.until(a, "swap", "tail")
    _look(s)
    s.do(c, "drain")
    s.jump(400)
    s.do(s.client("D"), "put")
    s.go(a)
    s.finish(a)


@_scenario("memory")
def _an_upload_is_given_up_and_found_by_another(s: Stage) -> None:
    a = s.client("A")
    s.begin(a, "put")
    for _ in range(3):
        s.wrong(a, "write", "lost answer", "seg/")
    s.finish(a)
    _look(s)


@_scenario("memory")
def _a_page_is_due_in_a_swap_that_is_lost(s: Stage) -> None:
    a, b = s.client("A"), s.client("B")
    s.do(a, "put")
    s.do(b, "put")
    s.do(a, "put")
    s.begin(b, "put")
    s.wrong(b, "swap", "", "tail")
    s.until(b, "swap", "tail")  # it has looked: this one will win
    winner = s.hold(b)
    s.begin(a, "put")
    s.until(a, "write", "seg/")
    first = s.hold(a)
    for _ in range(3):
        s.begin(a, "put")
        s.wrong(a, "write", "", "seg/")
    s.release(a, first)
    s.go(a)
    s.until(a, "swap", "tail")
    s.release(b, winner)
    s.go(b)
    s.finish(b)
    s.go(a)
    s.finish(a)
    s.do(b, "put")


@_scenario("memory")
def _a_writer_dies_when_its_swap_has_dropped_entries(s: Stage) -> None:
    a, b = s.client("A"), s.client("B")
    for _ in range(6):
        s.do(b, "put")
    s.begin(a, "put")
    s.wrong(a, "swap", "dies after", "tail")


@_scenario("memory", clocks=True)
def _an_upload_of_an_earlier_life_is_found(s: Stage) -> None:
    s.client("Y")
    s.jump(60)
    a = s.client("A")
    s.begin(a, "put")
    s.wrong(a, "write", "", "seg/")
    s.until(a, "swap", "tail")
    s.jump(-50)  # the store's clock, as another of its hosts has it
    s.remove()
    _look(s)
    s.go(a)
    s.finish(a)
    s.kill(a)
    s.kill(s.run.clients[0])


@_scenario("memory")
def _litter_is_collected_when_an_upload_is_not_yet_listed(s: Stage) -> None:
    a, g = s.client("A"), s.client("G")
    s.do(a, "put")
    s.begin(a, "put")
    s.until(a, "swap", "tail")
    s.do(g, "collect", seconds=86_400.0)
    s.go(a)
    s.finish(a)


@_scenario("memory")
def _litter_is_collected_when_nothing_is_consumed(s: Stage) -> None:
    a, g = s.client("A"), s.client("G")
    for _ in range(7):
        s.do(a, "put")
    s.do(g, "collect", seconds=86_400.0)


@_scenario("memory")
def _litter_is_collected_while_a_new_life_begins(s: Stage) -> None:
    a, g = s.client("A"), s.client("G")
    s.do(a, "put")
    s.begin(g, "collect", seconds=86_400.0)
    s.wrong(g, "load", "", "tail")
    s.wait(1)
    s.remove()
    s.do(s.client("B"), "put")
    s.finish(g)
    s.kill(a)
    s.kill(g)


# -- consuming --------------------------------------------------------------------------------------------------------


@_scenario("memory")
def _a_consumer_dies_when_its_last_item_is_not_yet_acknowledged(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    s.do(a, "put")
    s.do(a, "put")
    s.begin(c, "get")
    s.wrong(c, "swap", "dies before", "head")


@_scenario("memory")
def _a_consumer_meets_a_segment_that_others_have_consumed(s: Stage) -> None:
    a, c, d = s.client("A"), s.client("C0"), s.client("C1")
    s.do(a, "put")
    s.do(a, "put")
    s.begin(c, "get")
    s.until(c, "read", "seg/")
    s.do(d, "drain")
    s.go(c)
    s.finish(c)


@_scenario("memory")
def _the_answer_to_an_acknowledgement_is_lost(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    s.do(a, "put")
    s.begin(c, "lend")
    s.wrong(c, "swap", "", "head")
    s.wrong(c, "swap", "lost answer", "head")
    s.finish(c)


@_scenario("memory")
def _a_swap_is_refused_for_its_own_first_sending_which_then_lands(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    s.do(a, "put", 3)
    s.begin(c, "get", 8)
    s.wrong(c, "swap", "conflict", "head", NEVER)
    s.do(a, "put", 3)
    s.until(c, "swap", "head")
    s.land()
    s.finish(c)


@_scenario("memory")
def _an_acknowledgement_is_lost_and_so_is_its_claim(s: Stage) -> None:
    a, c, d = s.client("A"), s.client("C0"), s.client("C1")
    s.do(a, "put")
    s.begin(c, "lend")
    s.wrong(c, "swap", "", "head")
    s.until(c, "swap", "head")
    s.wait(10)
    s.do(d, "get")
    s.go(c)
    s.finish(c)


@_scenario("memory")
def _the_answers_to_a_claim_are_lost_until_its_lease_is_over(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    s.do(a, "put")
    s.begin(c, "lend")
    s.wrong(c, "swap", "lost answer", "head")
    for _ in range(4):
        s.wrong(c, "load", "lost request", "head")
    s.until(c, "load", "head")
    s.wait(10)
    s.go(c)
    s.finish(c)


@_scenario("memory")
def _a_consumer_is_dropped_before_it_learns_what_it_took(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    s.do(a, "put", 2)
    s.begin(c, "get", 2)
    s.wrong(c, "swap", "lost answer", "head")
    s.until(c, "load", "head")
    s.wait(400)
    s.do(a, "put", 2)
    s.do(s.client("C1"), "get")  # drops C0
    s.go(c)
    s.finish(c)


@_scenario("memory")
def _a_burier_sleeps_while_another_reads_what_it_could_not(s: Stage) -> None:
    a = s.client("A")
    c, d = s.client("C0", blind=["A.0"]), s.client("C1")
    s.oracle.uneven.add("A.0")
    s.do(a, "put")
    s.begin(c, "get")
    s.until(c, "write", "dead/")
    s.do(d, "get")
    s.go(c)
    s.finish(c)


@_scenario("memory")
def _a_message_is_lent_when_its_lease_is_over(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    s.do(a, "put")
    s.begin(c, "receive")
    s.wrong(c, "swap", "lost answer", "head")
    s.until(c, "load", "head")
    s.wait(10)
    s.go(c)
    s.finish(c)


@_scenario("memory", max_attempts=2)
def _items_come_for_the_last_time(s: Stage) -> None:
    a, c, d = s.client("A"), s.client("C0"), s.client("C1")
    s.do(a, "put", 3)
    s.do(c, "receive", 3, (1,))
    for _ in range(3):
        s.do(d, "receive", 3, (0,))


@_scenario("memory", max_attempts=2)
def _what_was_claimed_by_its_place_can_not_be_read(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    s.do(a, "put")
    s.begin(c, "receive")
    s.wrong(c, "swap", "", "head")
    s.wrong(c, "read", "lost request", "seg/")
    s.finish(c)


@_scenario("memory")
def _what_was_claimed_ahead_is_given_back_at_close(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0", linger=0.3)
    s.do(a, "put", 2)
    s.do(c, "get")
    s.do(c, "close")


@_scenario("memory")
def _who_rejects_dies_before_the_letter_is_written(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    s.do(a, "put")
    s.begin(c, "receive", 1, (6,))
    s.wrong(c, "write", "dies before", "dead/")


# -- the folder -------------------------------------------------------------------------------------------------------


@_scenario("appending", answers=True, segment_items=8)
def _two_append_at_one_place(s: Stage) -> None:
    a, b = s.client("A"), s.client("B")
    s.do(a, "put")
    s.do(b, "put")
    s.do(a, "put")
    s.begin(b, "put")
    s.until(b, "append")
    s.do(a, "put")
    s.go(b)
    s.finish(b)


@_scenario("appending", answers=True, segment_items=8)
def _a_writer_dies_inside_an_append(s: Stage) -> None:
    a, b = s.client("A"), s.client("B")
    s.do(a, "put")
    s.begin(a, "put")
    s.wrong(a, "append", "dies inside")
    s.do(b, "put")


@_scenario("appending", answers=True, segment_items=8)
def _somebody_rolls_while_another_appends(s: Stage) -> None:
    a, b = s.client("A"), s.client("B")
    s.do(a, "put")
    s.do(b, "put")
    way: Any = a.open()._log._way  # noqa: SLF001  # an opener with a lower mark than others
    way._items = 1  # noqa: SLF001
    s.do(a, "put")
    s.do(b, "put")
    s.do(a, "put")
    s.begin(a, "put")
    s.until(a, "swap", "tail")
    s.do(b, "put")
    s.go(a)
    s.finish(a)


@_scenario("appending", answers=True, segment_items=8)
def _a_write_under_way_looks_torn(s: Stage) -> None:
    a, b, c = s.client("A"), s.client("B"), s.client("C")
    s.do(a, "put")
    s.begin(b, "put")
    s.wrong(b, "append", "write under way")
    s.begin(c, "put")
    s.until(c, "append")
    s.finish(b)
    s.go(c)
    s.finish(c)


@_scenario("appending", answers=True, segment_items=8)
def _two_open_the_first_segment(s: Stage) -> None:
    a, b = s.client("A"), s.client("B")
    s.begin(a, "put")
    s.until(a, "swap", "tail")
    s.do(b, "put")
    s.go(a)
    s.finish(a)


@_scenario("appending", answers=True, cut=True, segment_items=8, durability="synced")
def _a_sync_fails_and_its_page_is_dropped(s: Stage) -> None:
    a, b = s.client("A"), s.client("B")
    s.do(a, "put")
    s.begin(a, "put")
    s.wrong(a, "append", "sync fails")
    s.finish(a)
    s.do(b, "put")
    s.place.evict()


@_scenario("appending", answers=True, cut=True, segment_items=8, durability="synced")
def _a_sync_fails_and_its_page_is_dropped_after_it_was_read(s: Stage) -> None:
    a, b, c = s.client("A"), s.client("B"), s.client("C0")
    s.do(b, "put")
    s.do(a, "put")
    s.begin(a, "put")
    s.wrong(a, "append", "sync fails")
    s.finish(a)
    s.do(c, "drain")
    s.place.evict()
    s.do(b, "put")


@_scenario("memory")
def _a_segment_is_listed_behind_another_than_expected(s: Stage) -> None:
    a, b = s.client("A"), s.client("B")
    s.begin(a, "put")
    s.until(a, "swap", "tail")
    s.do(b, "put")
    s.go(a)
    s.finish(a)


@_scenario("appending", answers=True)
def _the_open_segment_is_rolled_consumed_and_deleted(s: Stage) -> None:
    a, b, c = s.client("A"), s.client("B"), s.client("C0")
    s.do(a, "put")
    s.do(b, "put")
    s.do(b, "put")
    s.do(b, "put")
    s.do(c, "drain")
    s.do(a, "put")


@_scenario("appending", answers=True, segment_items=8, durability="synced")
def _ctrl_c_meets_an_append_that_others_wait_for(s: Stage) -> None:
    a, b = s.client("A"), s.client("B")
    s.do(a, "put")
    s.do(b, "put")
    s.do(a, "put")
    s.begin(a, "put")
    s.until(a, "append")
    for _ in range(2):
        s.begin(a, "put")
    s.go(a)
    s.until(a, "append")
    s.do(b, "put")
    s.go(a, "interrupted before")
    s.finish(a)


@_scenario("appending", answers=True, segment_items=8)
def _an_append_is_interrupted_inside(s: Stage) -> None:
    a = s.client("A")
    s.do(a, "put")
    s.begin(a, "put")
    s.wrong(a, "append", "interrupted inside")
    s.finish(a)


# -- what the seeds have found, once each -----------------------------------------------------------------------------


@_scenario("memory")
def _a_queue_is_looked_for_while_another_makes_it(s: Stage) -> None:
    a = s.opening("A")
    for _ in range(2):
        s.wrong(a, "load", "")
    s.client("B")
    s.finish(a)


@_scenario("memory")
def _an_upload_waits_for_one_that_is_stuck(s: Stage) -> None:
    a = s.client("A")
    s.begin(a, "put")
    s.until(a, "write", "seg/")
    stuck = s.hold(a)
    s.begin(a, "put")
    s.wait(60)
    s.finish(a)
    s.release(a, stuck)
    s.go(a)
    s.finish(a)


@_scenario("appending", answers=True, segment_items=1)
def _a_writer_rolls_after_five_silent_minutes(s: Stage) -> None:
    a, b = s.client("A"), s.client("B")
    s.do(a, "put")
    s.wait(200)
    s.do(b, "put")
    s.wait(200)
    s.do(a, "put")


@_scenario("appending", answers=True, durability="synced")
def _ctrl_c_meets_the_seal_of_a_roll_that_others_wait_for(s: Stage) -> None:
    a = s.client("A")
    s.do(a, "put")
    s.begin(a, "put")
    s.until(a, "append")
    for _ in range(2):
        s.begin(a, "put")
    s.go(a)
    s.wrong(a, "append", "interrupted after")  # the seal's
    s.finish(a)


@_scenario("memory")
def _ctrl_c_meets_the_deletion_of_what_was_consumed(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    s.do(a, "put")
    s.do(a, "put")
    s.begin(c, "get")
    s.wrong(c, "delete", "interrupted before")
    s.finish(c)


@_scenario("memory")
def _ctrl_c_meets_one_whose_request_another_carries(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    for _ in range(4):
        s.do(a, "put")
    s.begin(c, "get")
    s.until(c, "swap", "head")
    s.begin(c, "get")
    carried = s.begin(c, "get")
    s.go(c)
    s.until(c, "swap", "head")
    s.world.interrupt(carried)
    s.go(c)
    s.finish(c)


@_scenario("memory", lease=2.0)
def _a_lot_is_renewed_when_its_claim_was_lost(s: Stage) -> None:
    a, c, d = s.client("A"), s.client("C0", linger=0.3), s.client("C1")
    s.do(a, "put", 3)
    s.do(c, "get")
    s.wait(1)
    s.until(c, "swap", "head")  # the keeper's: acknowledges one, renews two
    s.wait(5)
    s.do(d, "get")
    s.go(c)
    s.until(c, "load", "head")
    s.go(c)
    s.do(c, "get")


@_scenario("memory")
def _an_acknowledgement_without_an_answer_is_asked_for_again(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    s.do(a, "put")
    s.begin(c, "lend")
    s.wrong(c, "swap", "", "head")
    s.wrong(c, "swap", "lost answer", "head")
    for _ in range(4):
        s.wrong(c, "load", "lost request", "head")
    s.finish(c)


@_scenario("memory")
def _what_was_taken_unheard_is_more_than_the_next_call_wants(s: Stage) -> None:
    a, c = s.client("A"), s.client("C0")
    for _ in range(3):
        s.do(a, "put")
    s.begin(c, "get", 3)
    s.wrong(c, "swap", "lost answer", "head")
    for _ in range(4):
        s.wrong(c, "load", "lost request", "head")
    s.finish(c)
    s.do(c, "get")


@_scenario("memory")
def _a_put_is_on_its_way_when_its_queue_is_removed(s: Stage) -> None:
    a = s.client("A")
    s.begin(a, "put")
    s.until(a, "swap", "tail")
    s.wait(1)
    s.remove()
    s.client("B")
    s.go(a)
    s.finish(a)
    s.kill(a)
