"""Fixtures."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Tests start hundreds of servers, each of which would compile all modules anew: half of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

pytest.register_assert_rewrite("tests.support.people")
pytest_plugins = ["tests.support.nodes"]

from tests.support import forked, postgres  # noqa: E402
from tests.support.people import Server  # noqa: E402 (its assertions are to be rewritten first)
from tests.support.xdisplay import Display, is_possible  # noqa: E402

settings.register_profile("noisy", deadline=None)  # the machine may be busy with other things
settings.load_profile("noisy")


def pytest_sessionfinish() -> None:
    postgres.stop_shared()
    forked.stop()


@pytest.fixture(scope="module")
def own_starts() -> Iterator[None]:
    """Each server is started by ``python`` itself, and not forked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forked.Forked, "allowed", False)
        yield


@pytest.fixture
def tls() -> bool:
    """Whether `server` is reached through TLS."""
    return False


@pytest.fixture
def server(tmp_path: Path, tls: bool) -> Iterator[Server]:
    """A server with the default options. The test fails if it logs a traceback."""
    with Server(tmp_path, tls=tls) as running:
        yield running


@pytest.fixture(scope="session")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Display]:
    """The one X display of this process: Tk never closes its connection to a display, and Xlib ends
    a process whose display has gone."""
    if not is_possible():
        pytest.skip("there is no Xvfb, or no xdotool")
    with Display(tmp_path_factory.mktemp("display")) as running:
        yield running
