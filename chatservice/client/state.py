"""The states of a client, and which may follow which. All rules about that are in this file."""

from collections.abc import Mapping
from enum import Enum, auto


class State(Enum):
    """What a client is doing about its connection."""

    OFFLINE = auto()  # there is none: not yet, or until the next attempt
    CONNECTING = auto()
    LOGIN = auto()  # connected; the server has not admitted us yet
    CATCHING_UP = auto()  # admitted; what we missed is being fetched
    LIVE = auto()  # requests are sent at once, and events arrive as they happen
    CLOSED = auto()  # for good


# A connection can be lost in any state, and a client can end only without one.
TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.OFFLINE: frozenset((State.CONNECTING, State.CLOSED)),
    State.CONNECTING: frozenset((State.LOGIN, State.OFFLINE)),
    State.LOGIN: frozenset((State.CATCHING_UP, State.OFFLINE)),
    State.CATCHING_UP: frozenset((State.LIVE, State.OFFLINE)),
    State.LIVE: frozenset((State.CATCHING_UP, State.OFFLINE)),
    State.CLOSED: frozenset(),
}


class Departure(Enum):
    """How far a client has got with leaving. It only ever goes forward."""

    STAYING = auto()
    WANTED = auto()  # goodbye is said when nothing asked for is left unanswered
    SAYING_GOODBYE = auto()
    DONE = auto()  # the server has said goodbye, too; or nobody waits for that


class Lifecycle:
    """The state of one client, and how far it has got with leaving."""

    def __init__(self) -> None:
        self.state = State.OFFLINE
        self.departure = Departure.STAYING

    def enter(self, state: State) -> None:
        """Raises ValueError for a transition that is not in the table."""
        if state not in TRANSITIONS[self.state]:
            raise ValueError(f"from {self.state.name} to {state.name}")
        self.state = state

    def depart(self, step: Departure) -> None:
        """Get at least as far with leaving as `step`."""
        self.departure = max(self.departure, step, key=lambda departure: departure.value)

    @property
    def is_leaving(self) -> bool:
        """Whether leaving is all that is still wanted."""
        return self.departure is not Departure.STAYING
