"""What the benchmarks share."""

from __future__ import annotations

from tests.benchmarks import agree
from tests.benchmarks.harness import Beside, Figure, Row, options, run


def test_an_only_that_no_row_matches_is_told(capsys):
    rows = [Row("one by one", "put", dict)]
    assert run(rows, options(None).parse_args(["--only", "nosuch"])) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "no row's title holds 'nosuch'; they are:\n  one by one: put\n"


def test_a_round_is_one_of_each_row_and_few_are_spread_over_all(capsys):
    done = []

    def runs(name):
        return lambda: done.append(name) or {"rate": len(done)}

    rows = [
        Row("one by one", "put", runs("put"), [Beside("theirs", runs("theirs"))]),
        Row("one by one", "get", runs("get"), rounds=2, warm=False),
    ]
    assert run(rows, options(None).parse_args(["--rounds", "4"])) == 0
    warm, *rounds = "put theirs", "put theirs get", "theirs put", "put theirs get", "theirs put"
    assert done == " ".join([warm, *rounds]).split()
    out, err = capsys.readouterr()
    assert "7.5 /s (3 /s - 12 /s)" in out  # the median of 3, 7, 8 and 12: the warm ones do not count
    assert err.splitlines() == ["warming up", *(f"round {turn} of 4" for turn in range(1, 5))]


def test_what_was_measured_until_it_was_broken_off_is_printed(capsys):
    rates = iter((5, 6))

    def once():
        try:
            return {"rate": next(rates)}
        except StopIteration:
            raise KeyboardInterrupt from None

    assert run([Row("one by one", "put", once, warm=False)], options(None).parse_args([])) == 130
    out, err = capsys.readouterr()
    assert "5.5 /s (5 /s - 6 /s)" in out
    assert err.endswith("round 3 of 7\nbroken off: what was measured until now\n")


def test_runs_that_do_not_agree_on_a_goal_are_told(tmp_path, capsys, monkeypatch):
    paths = []
    for ours, memory in ((50, 8), (60, 9), (20, 10)):
        figures = (Figure("rate", "/s"), Figure("memory", "MB", goal=9, at_most=True), Figure("open", "s", goal=1))
        row = Row(
            *("one by one", "put"),
            lambda ours=ours, memory=memory: {"rate": ours, "memory": memory, "open": 2},
            [Beside("theirs", lambda: {"rate": 10}, goal=4)],
            figures,
        )
        paths.append(str(tmp_path / f"{ours}.json"))
        run([row], options(None).parse_args(["--json", paths[-1], "--rounds", "1"]))
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["agree", *paths])
    assert agree.main() == 1
    told = capsys.readouterr().out
    assert "| one by one, put, beside theirs | 50 /s, 10 /s | ≥ 4 x | 5 x, 6 x, 2 x | 2 of 3 | 2 of 3 |\n" in told
    assert "| one by one, put: memory |  | ≤ 9 MB | 8 MB, 9 MB, 10 MB | 2 of 3 | 2 of 3 |\n" in told
    assert "open" not in told
    assert told.endswith("they agree on 1 of 3 goals; 1 are reached by all of them\n")
    monkeypatch.setattr("sys.argv", ["agree", *paths[:2]])
    assert agree.main() == 0
    assert "| one by one" not in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["agree", "--all", *paths])
    assert agree.main() == 1
    assert "| one by one, put: open |  | ≥ 1 s | 2 s, 2 s, 2 s | reached | 3 of 3 |\n" in capsys.readouterr().out
