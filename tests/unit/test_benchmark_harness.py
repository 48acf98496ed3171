"""What the benchmarks share."""

from __future__ import annotations

from tests.benchmarks.harness import Row, options, run


def test_an_only_that_no_row_matches_is_told(capsys):
    rows = [Row("one by one", "put", dict)]
    assert run(rows, options(None).parse_args(["--only", "nosuch"])) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "no row's title holds 'nosuch'; they are:\n  one by one: put\n"
