"""What a room's log brings back."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from chatservice.core import log
from chatservice.core.events import Burst, Emoted, Happening, RoomEvent
from chatservice.core.limits import REPEAT_SECONDS
from chatservice.core.log import Batch, look, recalled
from chatservice.dialects.text import TEXT
from tests.support.logs import LOBBY, AtOnce, FreeLog

STEPS = st.lists(st.integers(0, 4), max_size=60)
PLACE = st.integers(0, 80)


def filled(steps: list[int]) -> tuple[FreeLog, list[Happening]]:
    """A log, and all that has happened."""
    clock = Clock()
    held: list[Happening] = []
    made = FreeLog(clock, AtOnce())
    for index, step in enumerate(steps):
        if step == 0:
            clock.advance(0)
        elif step == 1:
            emoted = Emoted(made.next_id, 0.0, "lobby", "Alice", str(index))
            made.append(emoted, 1, messages=1)
            held.append(emoted)
        else:
            texts = tuple(f"{index}.{number}" for number in range(step))
            burst = Burst(made.next_id, 0.0, "lobby", "Alice", texts)
            made.append(burst, 10, messages=step)
            held += burst.messages()
    clock.advance(0)
    return made, held


@given(STEPS, PLACE, st.none() | PLACE, st.integers(1, 30))
def test_the_log_brings_back_what_happened(
    steps: list[int], before: int, after: int | None, limit: int
) -> None:
    made, held = filled(steps)
    between = [e for e in held if e.id < before and (after is None or e.id > after)]
    expected = between[-limit:] if after is None else between[:limit]
    assert list(recalled(made, before, after, limit, LOBBY)) == expected
    assert list(recalled(made, before, after, limit, {"elsewhere": 0})) == []
    assert made.first_id == 1


@given(STEPS, st.integers(0, 400))
def test_a_position_short_of_some_bytes(steps: list[int], missing: int) -> None:
    """Each line that has not arrived whole is to be heard again, and no other one."""
    made, held = filled(steps)
    lines = [(event.id, len(TEXT.render(event))) for event in held]
    expected, left = made.end, missing
    for id_, size in reversed(lines):
        if left <= 0:
            break
        expected, left = id_, left - size
    shown = made.position_short_of(
        made.end, missing, look(TEXT, "lobby"), frozenset(LOBBY), 7, lambda _: ()
    )
    assert missing == 0 or shown == expected


@given(STEPS)
def test_nothing_older_than_the_first_id_is_held(steps: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "LOG_MESSAGES", 10)
        made, held = filled(steps)
    held_still = recalled(made, made.next_id, 0, 1000, LOBBY)
    assert list(held_still) == [event for event in held if event.id >= made.first_id]


def test_what_cannot_be_rendered_is_reported_once_a_minute() -> None:
    clock = Clock()

    class Speechless:
        labels_rooms = False
        echoes = False

        def render(self, event: object, *, labelled: bool) -> bytes:
            raise RuntimeError("no words")

    heard = look(Speechless(), "lobby")  # type: ignore[arg-type]

    def hears_it(batch: Batch) -> None:
        assert batch.rendering(heard, frozenset(LOBBY)).data == b""

    made = FreeLog(clock, AtOnce(), hears_it)
    for _ in range(2):
        reported = 0
        for _ in range(100):
            made.append(Emoted(made.next_id, 0.0, "lobby", "Alice", "waves"), 1, messages=1)
            try:
                clock.advance(0)
            except RuntimeError:
                reported += 1
        assert reported == 1
        clock.advance(REPEAT_SECONDS)


def test_an_answer_is_bounded() -> None:
    clock = Clock()
    made = FreeLog(clock, AtOnce())
    for _ in range(100):
        texts = tuple("x" * 1000 for _ in range(5))
        burst = Burst(made.next_id, 0.0, "lobby", "Alice", texts)
        made.append(burst, 5000, messages=5)
    clock.advance(0)
    page = recalled(made, made.next_id, None, 1000, LOBBY)
    assert len(page) <= log.MAX_PAGE_SIZE // 1000 + 1
    for _ in range(1000):
        made.append(Emoted(made.next_id, 0.0, "lobby", "Alice", "x"), 1, messages=1)
    clock.advance(0)
    assert len(recalled(made, made.next_id, None, 1000, LOBBY)) == log.MAX_PAGE_EVENTS


@pytest.mark.parametrize(("before", "after"), [(3, 0), (3, None), (3, 7), (1, 0), (9999, 9998)])
def test_a_narrow_question_does_not_cost_the_whole_log(
    before: int, after: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of 40 bytes asks it, and one read holds 800 of them."""
    looked_at: list[Happening] = []
    one_by_one = log.one_by_one

    def counting(event: RoomEvent, *, backwards: bool = False) -> Sequence[Happening]:
        happenings = one_by_one(event, backwards=backwards)
        looked_at.extend(happenings)
        return happenings

    monkeypatch.setattr(log, "one_by_one", counting)
    clock = Clock()
    made = FreeLog(clock, AtOnce())
    for _ in range(100):
        made.append(Burst(made.next_id, 0.0, "lobby", "Alice", ("x",) * 10), 10, messages=10)
        clock.advance(0)
    recalled(made, before, after, 50, LOBBY)
    assert len(looked_at) <= 10
