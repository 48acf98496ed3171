from __future__ import annotations

import os
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support import places
from tests.support.s3server import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

collect_ignore = ["stranger"]
"""A distribution of its own: `tests/integration/test_stranger.py` installs it and runs its tests."""


@pytest.fixture(scope="session", autouse=True)
def _signals_as_in_a_terminal() -> None:
    """What is started in the background, or by nohup, ignores these, and so would every program that these tests start."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(scope="session", autouse=True)
def _nobody_s_aws() -> Iterator[None]:
    """Keep the keys, profiles and endpoints of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("AWS_") and name != "AWS_CA_BUNDLE":
                patch.delenv(name)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server, one for each test process, started by the first test that asks for it."""
    with S3Server() as server:
        yield server


@pytest.fixture(params=places.KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> places.Place:
    """A fresh place for a queue, on each of the five stores in turn."""
    return places.make(request.param, tmp_path, lambda: request.getfixturevalue("s3_server"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long runs out unless they are asked for."""
    if os.environ.get("PQUEUE_SOAK"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


_SHARES: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count each suite's seconds, in whichever process they were spent."""
    _SHARES["/".join(report.nodeid.split("/")[:2])] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each suite's share of the run's time."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return
    total = sum(_SHARES.values()) or 1
    terminalreporter.section("the suites' shares of the time")
    for suite, seconds in _SHARES.most_common():
        terminalreporter.write_line(f"{suite:<24} {seconds:7.1f} s  {seconds / total:5.0%}")
