"""The states of a session, and the table of its transitions: everything that affects them is here.

OPENING → NAMING → (PASSWORD →) ADMITTING → IN (⇄ PROVING) → (LEAVING →) CLOSING
"""

from collections.abc import Mapping
from enum import Enum, auto

from chatservice.dialects.dialect import Expected


class State(Enum):
    """What a session is doing, and so what the next line is."""

    OPENING = auto()  # nothing was said so far: the first line also tells the dialect
    NAMING = auto()  # the next line is a name
    PASSWORD = auto()  # the next line is a password, with which they would come in
    ADMITTING = auto()  # whether they may come in is being looked up
    IN = auto()
    PROVING = auto()  # the next line is a password, which something they have asked for needs
    LEAVING = auto()  # they have said goodbye, and are told of the past before that is answered
    CLOSING = auto()  # the last word has been said, or the connection is gone


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.OPENING: frozenset({State.NAMING, State.CLOSING}),
    State.NAMING: frozenset({State.PASSWORD, State.ADMITTING, State.CLOSING}),
    State.PASSWORD: frozenset({State.NAMING, State.ADMITTING, State.CLOSING}),
    State.ADMITTING: frozenset({State.NAMING, State.PASSWORD, State.IN, State.CLOSING}),
    State.IN: frozenset({State.PROVING, State.LEAVING, State.CLOSING}),
    State.PROVING: frozenset({State.IN, State.LEAVING, State.CLOSING}),
    State.LEAVING: frozenset({State.CLOSING}),
    State.CLOSING: frozenset(),
}

EXPECTED: Mapping[State, Expected] = {
    State.OPENING: Expected.NAME,
    State.NAMING: Expected.NAME,
    State.PASSWORD: Expected.PASSWORD,
    State.ADMITTING: Expected.NAME,
    State.IN: Expected.REQUEST,
    State.PROVING: Expected.PASSWORD,
    State.LEAVING: Expected.REQUEST,
    State.CLOSING: Expected.REQUEST,
}


class IllegalTransition(Exception):
    """A fault of ours: the table has no such transition."""


def transition(old: State, new: State) -> State:
    """`new`, if it may follow `old`; to stay is no transition."""
    if new is not old and new not in TRANSITIONS[old]:
        raise IllegalTransition(f"{old.name} → {new.name}")
    return new
