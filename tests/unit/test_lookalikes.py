"""Whose name looks like another."""

from hypothesis import given
from hypothesis import strategies as st

from chatservice.core.lookalikes import LookAlikes
from chatservice.core.names import keys

NAMES = ("paypal", "paypaI", "PayPal", "PAYPAL", "MARlA", "Maria", "Marla", "Дима", "زهرا", "Bob")


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 3), st.booleans())))
def test_all_that_are_there_are_found_by_every_name_that_looks_like_theirs(
    steps: list[tuple[str, int, bool]],
) -> None:
    index: LookAlikes[int] = LookAlikes()
    here: dict[int, str] = {}
    for name, whose, comes in steps:
        if whose in here:
            index.remove(here.pop(whose), whose)
        if comes:
            index.add(name, whose)
            here[whose] = name
        for asked in NAMES:
            alike = {whose for whose in here if not keys(here[whose]).isdisjoint(keys(asked))}
            assert index.alike(asked) == alike
