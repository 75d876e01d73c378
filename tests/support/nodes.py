"""Several servers of one chat, on a PostgreSQL of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.people import GENEROUS, Server
from tests.support.postgres import Cluster
from tests.support.quick_passwords import QUICKLY

Start = Callable[..., Server]


class Node(Server):
    usual = (*GENEROUS, "--history", "0")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.stop()


@pytest.fixture
def uri(cluster: Cluster) -> str:
    return cluster.new_database()


@pytest.fixture
def start(tmp_path: Path, uri: str) -> Iterator[Start]:
    """Starts another server of the chat."""
    with ExitStack() as servers:
        count = 0

        def start_one(**options: object) -> Server:
            nonlocal count
            count += 1
            folder = tmp_path / str(count)
            folder.mkdir()
            node = Node(folder, "--database", uri, runner=QUICKLY, **options)  # type: ignore[arg-type]
            return servers.enter_context(node)

        yield start_one
