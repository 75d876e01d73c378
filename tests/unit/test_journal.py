"""The log cannot be filled by a peer."""

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from chatservice.server.peer_log import ABOUT_ALL, ABOUT_ONE, WINDOW_SECONDS, PeerLog


def written(events: Any) -> list[str]:
    return [formatEvent(event) for event in events]


def test_one_address_gets_so_many_lines_in_a_minute() -> None:
    clock = Clock()
    peer_log = PeerLog(clock)
    with capturedLogs() as events:
        for number in range(1000):
            peer_log.about("192.0.2.1", "line {number}", number=number)
        peer_log.about("192.0.2.2", "another")
    lines = written(events)
    assert lines == [
        *(f"line {number}" for number in range(ABOUT_ONE)),
        "That is enough about 192.0.2.1 for a minute.",
        "another",
    ]
    clock.advance(WINDOW_SECONDS)
    with capturedLogs() as events:
        peer_log.about("192.0.2.1", "again")
    assert written(events) == [f"{1000 - ABOUT_ONE} lines about peers have been left out.", "again"]


def test_all_of_them_get_so_many() -> None:
    peer_log = PeerLog(Clock())
    with capturedLogs() as events:
        for number in range(3 * ABOUT_ALL):
            peer_log.about(f"2001:db8:{number:x}::/64", "a line")
    assert len(events) == ABOUT_ALL
    assert len(peer_log._lines) <= ABOUT_ALL


def test_a_clock_that_is_set_back_begins_anew() -> None:
    clock = Clock()
    clock.advance(1000)
    peer_log = PeerLog(clock)
    clock.rightNow = 0
    with capturedLogs() as events:
        peer_log.about("192.0.2.1", "a line")
    assert written(events) == ["a line"]
