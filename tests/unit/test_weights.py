"""A request counts as many lines as it costs, of what its peer may send."""

import json

import pytest

from chatservice.core.limits import Limits, TokenBucket
from chatservice.core.requests import History, Search
from chatservice.dialects import jsonlines
from chatservice.session import weights
from tests.unit.test_protocol import Door, said

BURST = 100


def answered_at_once(lines: list[bytes]) -> tuple[int, int]:
    """How many of these, which come at once, are answered at once; and how many in the end."""
    door = Door(Limits(rate=10, burst=BURST))
    for number in range(3):
        door.join(f"Other{number}")
    alice, alices = door.join("Alice")
    door.clock.advance(100)
    alices.clear()
    alice.dataReceived(b"".join(line + b"\n" for line in lines))
    door.clock.advance(0)
    at_once = len(said(alices))
    for _ in range(7000):
        door.clock.pump([0.1, 0])
    return at_once, len(said(alices))


@pytest.mark.parametrize(
    ("line", "weight"),
    [
        (b"/nick Alice", None),  # it changes nothing
        (b"/nick Ali:ce", weights.NAME),
        (b"/msg Bob hello", 2),
        (b"/search hello", weights.SEARCH),
        (b"/history", weights.HISTORY),
        (b"/who", 1),
        (b"/dance", 1),
    ],
)
def test_fewer_are_served_at_once_the_more_they_cost(line: bytes, weight: float | None) -> None:
    at_once, in_the_end = answered_at_once([line] * 3 * BURST)
    if weight is None:
        assert at_once == in_the_end == 0
    else:
        assert at_once <= BURST / weight + 1
        assert in_the_end == 3 * BURST


def test_each_line_of_a_text_counts() -> None:
    door = Door(Limits(rate=10, burst=BURST))
    program, heard = door.connect()
    program.dataReceived(b'{"type": "hello", "name": "Alice"}\n')
    door.clock.advance(100)
    heard.clear()
    line = json.dumps({"type": "say", "text": "a\n" * 50}).encode() + b"\n"
    program.dataReceived(line * 10)
    door.clock.advance(0)
    assert len(said(heard)) == 2  # the second is begun while something is left
    for _ in range(600):
        door.clock.pump([0.1, 0])
    assert len(said(heard)) == 10


def test_who_has_missed_much_may_read_it_page_after_page() -> None:
    pages = [jsonlines.encode_request(History(after=1)) for _ in range(5 * BURST)]
    door = Door(Limits(rate=10, burst=BURST))
    program, heard = door.connect()
    program.dataReceived(b'{"type": "hello", "name": "Alice"}\n')
    door.clock.advance(100)
    heard.clear()
    for page in pages:
        program.dataReceived(page)
        door.clock.advance(0)
    assert len(said(heard)) == 5 * BURST


def test_no_weight_is_negative_and_more_costs_more() -> None:
    asker = None
    few, many = History(limit=1), History(limit=1000)
    assert 0 < weights.history(asker, few) < weights.history(asker, many)  # type: ignore[arg-type]
    search = Search("hello", limit=1), Search("hello", limit=1000)
    assert 0 < weights.search(asker, search[0]) < weights.search(asker, search[1])  # type: ignore[arg-type]


def test_a_debt_is_paid_before_anything_else_is_served() -> None:
    bucket = TokenBucket(10, 20, 0.0)
    assert bucket.take(20, 0.0) == 20
    assert not bucket.charge(30, 0.0)
    assert bucket.take(1, 2.9) == 0
    assert bucket.wait() == pytest.approx(0.2)
    assert bucket.take(1, 3.2) == 1
