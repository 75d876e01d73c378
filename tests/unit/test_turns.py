"""Those who have much to be served wait for each other, and others do not wait for them."""

from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from chatservice.server.turns import SLICE_SECONDS, TURN_BYTES, TURN_SECONDS, Turns

LONG = SLICE_SECONDS


class Connection:
    """One that has so many things to be served, each of which takes so long."""

    def __init__(self, table: "Table", network: str, things: int, seconds: float = LONG) -> None:
        self.network = network
        self.table = table
        self.things = things
        self.seconds = seconds

    def take_turn(self, until: float) -> bool:
        while self.things and self.table.clock.seconds() < until:
            self.things -= 1
            self.table.served.append(self.network)
            self.table.clock.rightNow += self.seconds
        return self.things > 0


class Table:
    def __init__(self) -> None:
        self.clock = Clock()
        self.turns = Turns(self.clock)
        self.served: list[str] = []

    def comes(self, network: str, things: int, seconds: float = LONG) -> bool:
        return self.turns.serve(Connection(self, network, things, seconds))

    def takes_a_turn(self) -> list[str]:
        """Who is served in the next turn of the reactor, before it reads anything."""
        self.served.clear()
        due, self.clock.calls = self.clock.calls, []
        for call in due:
            call.called = 1
            call.func()
        return list(self.served)


@pytest.fixture
def table() -> Iterator[Table]:
    made = Table()
    yield made
    for _ in range(10):
        made.clock.advance(0)
    assert made.clock.getDelayedCalls() == []  # with nothing to do there are no turns


def test_what_comes_is_served_at_once(table: Table) -> None:
    assert table.comes("a", 1)
    assert table.comes("b", 1)
    assert table.served == ["a", "b"]


def test_one_that_has_had_its_share_of_a_turn_waits_and_others_do_not(table: Table) -> None:
    share = round(TURN_SECONDS / LONG)
    for _ in range(share):
        assert table.comes("a", 1)
    assert not table.comes("a", 1)
    assert table.comes("b", 1)
    assert table.served == [*"a" * share, "b"]
    assert table.takes_a_turn() == ["a"]


def test_nobody_overtakes_others_of_the_same_network_that_wait(table: Table) -> None:
    assert table.comes("a", 2)  # the second has to wait
    assert not table.comes("a", 1)
    assert table.comes("b", 1)
    assert table.takes_a_turn() == ["a", "a"]


def test_networks_have_their_turns_one_after_the_other(table: Table) -> None:
    for _ in range(3):
        table.comes("a", 4)
    table.comes("b", 3)
    assert table.takes_a_turn() == list("ababa")
    assert table.takes_a_turn() == list("aaaaa")


def test_a_turn_ends_in_time_whatever_waits(table: Table) -> None:
    for _ in range(20):
        table.comes("a", 100)
    for _ in range(3):
        start = table.clock.seconds()
        table.takes_a_turn()
        assert table.clock.seconds() - start <= TURN_SECONDS + SLICE_SECONDS
    table.turns._waiting.clear()


def test_what_many_are_to_hear_counts_before_it_is_delivered(table: Table) -> None:
    assert table.comes("a", 1)
    table.turns.count("a", TURN_BYTES, 1_000_000)
    assert table.comes("a", 1)  # a batch is not cut for it
    table.turns.count("a", 1, 10**9)
    assert not table.comes("a", 1)
    assert table.takes_a_turn() == ["a"]


def test_what_carries_another_shares_its_turn(table: Table) -> None:
    """TLS gives what it has decrypted to the connection that it carries."""
    carried = Connection(table, "a", 3)

    class Carrying(Connection):
        def take_turn(self, until: float) -> bool:
            assert table.turns.serve(carried, self)
            assert not table.turns.serve(Connection(table, "b", 1))  # nobody else, meanwhile
            return False

    assert table.turns.serve(Carrying(table, "a", 1))
    assert table.served == ["a"]
    assert table.takes_a_turn() == ["a", "b", "a"]


def test_a_fault_in_one_turn_is_not_the_last_one(table: Table) -> None:
    class Broken(Connection):
        def take_turn(self, until: float) -> bool:
            raise RuntimeError("a fault")

    with pytest.raises(RuntimeError):
        table.turns.serve(Broken(table, "a", 1))
    assert table.comes("a", 1)
