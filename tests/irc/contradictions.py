"""What of irctest contradicts our design (``contradictions.txt``) is left out: a plug-in of pytest,
loaded by `run`."""

from pathlib import Path

import pytest

LIST = Path(__file__).with_suffix(".txt").read_text()
TESTS = frozenset(line for line in LIST.splitlines() if line and line[0] not in "# ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tests, and the reasons."""
    terminalreporter.write_line(LIST)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out: files, and tests with all of their examples."""
    left_out = [item for item in items if not TESTS.isdisjoint(_names(item.nodeid))]
    items[:] = [item for item in items if TESTS.isdisjoint(_names(item.nodeid))]
    config.hook.pytest_deselected(items=left_out)


def _names(node: str) -> tuple[str, str]:
    test = node.partition("server_tests/")[2].partition("[")[0]
    return test, test.partition("::")[0]
