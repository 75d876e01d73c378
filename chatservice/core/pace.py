"""When people have spoken last in slow rooms."""

from collections.abc import Callable, Mapping
from math import inf

from chatservice.core.events import Account

Identity = Account | int  # of the owner of an account, or of a guest who is here


class Pace:
    """The time of the last message of each person, by the room."""

    def __init__(self) -> None:
        self._spoke: dict[str, dict[Identity, float]] = {}

    def wait(self, room: str, person: Identity, seconds: int, now: float) -> float:
        """How many seconds `person` has to wait, where there are so many between two messages."""
        last = self._spoke.get(room, {}).get(person, -inf)
        return min(last + seconds - now, seconds)  # the clock may have been set back

    def note(  # noqa: PLR0917
        self,
        room: str,
        person: Identity,
        at: float,
        seconds: int,
        most: int,
        may_return: Callable[[Identity], bool],
    ) -> float | None:
        """`person` speaks. Returns when they did so before. Of more than `most` people those are
        forgotten who need not wait, and those who do not return as the same one."""
        spoke = self._spoke.setdefault(room, {})
        before = spoke.get(person)
        if len(spoke) > most:
            spoke = {
                who: when for who, when in spoke.items() if when + seconds > at and may_return(who)
            }
            self._spoke[room] = spoke
        spoke[person] = at
        return before

    def take_back(self, room: str, person: Identity, before: float | None) -> None:
        """What was noted last of `person` was not so."""
        if before is None:
            self._spoke.get(room, {}).pop(person, None)
        else:
            self._spoke.setdefault(room, {})[person] = before

    def forget(self, room: str) -> Mapping[Identity, float]:
        """There is no such room any longer. Returns who had spoken there, and when."""
        return self._spoke.pop(room, {})
