"""Fixtures: each row is driven over plain TCP and over TLS, and prints its figure in the end.

CHAT_FAULTS=long runs all of it at full length, as the table of the issue has it; otherwise what
takes long is shorter, so that all rows together take less than three minutes.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.faults.crowd")

LONG = os.environ.get("CHAT_FAULTS") == "long"
FIGURES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("faults")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash[FIGURES]:
        terminalreporter.write_line(line)


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says what was measured: ``row: figure``."""
    lines = request.config.stash[FIGURES]
    return lambda measured: lines.append(f"{request.node.name}: {measured}")
