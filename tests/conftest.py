"""Fixtures."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("tests.people")

from tests.people import Server  # noqa: E402 (its assertions are to be rewritten first)

settings.register_profile("noisy", deadline=None)  # the machine may be busy with other things
settings.load_profile("noisy")


@pytest.fixture
def tls() -> bool:
    """Whether `server` is reached through TLS."""
    return False


@pytest.fixture
def server(tmp_path: Path, tls: bool) -> Iterator[Server]:
    """A server with the default options. The test fails if it logs a traceback."""
    with Server(tmp_path, tls=tls) as running:
        yield running
