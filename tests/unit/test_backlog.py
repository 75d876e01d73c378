"""How much may wait for one connection is counted in bytes as they lie in memory."""

import tracemalloc
from dataclasses import fields
from typing import Any, get_args

import pytest

from chatservice.core import events
from chatservice.core.backlog import (
    _TEXTS,
    MAX_PERSONAL_EVENTS,
    MAX_PERSONAL_SIZE,
    is_too_much,
    size_of,
)
from chatservice.core.events import (
    Emoted,
    ErrorCode,
    PersonalEvent,
    Recalled,
    Refusal,
    Refused,
    Said,
    Sent,
    Told,
)
from tests.unit.test_wording import samples


def memory_of(make: Any) -> int:
    """Bytes that what `make` returns takes."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        made = make()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert made
    return after - before


def said(index: int, text: str) -> Said | Emoted:
    return (Said if index % 2 else Emoted)(10**6 + index, index + 0.5, "lobby", "Alice", text)


@pytest.mark.parametrize("letter", ["a", "\u00df", "\u4e00", "\U0001f44b"])
@pytest.mark.parametrize("length", [1, 100, 8000])
def test_no_event_takes_much_more_than_is_counted(letter: str, length: int) -> None:
    def text() -> str:
        return "".join([letter] * length)

    makers: list[Any] = [
        lambda: Recalled(tuple(said(index, text()) for index in range(50)), 1),
        lambda: Told(10**6, 0.5, "Alice", "Bob", text()),
        lambda: Sent(10**6, 0.5, "Alice", text()),
        lambda: events.Announced(tuple(text() for _ in range(50))),
        lambda: Refused(Refusal(ErrorCode.NOBODY, name=text())),
        lambda: events.Answered(Recalled((said(1, text()),), 1), "ref"),
    ]
    for make in makers:
        assert memory_of(make) <= 2 * size_of(make()), make()


def test_every_event_has_a_size() -> None:
    for event in samples():
        if not isinstance(event, events.Burst | Said | events.Joined | events.Left):
            assert size_of(event) > 0  # type: ignore[arg-type]


def test_texts_are_counted_whatever_event_they_are_in() -> None:
    with_texts = {
        event
        for event in get_args(PersonalEvent)
        if {"text", "lines", "events", "refusal", "topic", "rooms", "why", "bans", "ignored"}
        & {field.name for field in fields(event)}
    }
    assert with_texts == set(_TEXTS)


def test_there_is_a_bound_for_each() -> None:
    assert not is_too_much(MAX_PERSONAL_EVENTS - 1, MAX_PERSONAL_SIZE - 1)
    assert is_too_much(MAX_PERSONAL_EVENTS, 0)
    assert is_too_much(1, MAX_PERSONAL_SIZE)
