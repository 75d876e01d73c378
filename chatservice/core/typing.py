"""Who is writing something just now."""

from collections.abc import Callable, Hashable

from chatservice.core.events import LOBBY, Typing
from chatservice.core.log import Clock, DelayedCall

# Others hear of one typist at most once in so many seconds: often enough for a status line.
NOTICE_SECONDS = 3.0
# Of so many at once; of more nobody wants to read, and each costs a line to everyone.
MAX_TYPING = 20


class _Typist:
    __slots__ = ("asked", "idle", "name", "shown", "timer")

    def __init__(self, name: str, timer: DelayedCall) -> None:
        self.name = name
        self.timer = timer
        self.asked = False  # they have written on since others were last told
        self.shown = True
        self.idle = False  # they have not, for a whole period


class TypingTracker:
    """Who is writing, as far as others have been told. `notify` is called with what to tell them.
    Authors are connections; or people, as far as other servers tell of them.

    Somebody who neither writes on nor says what they wrote is forgotten after one to two periods
    of NOTICE_SECONDS.
    """

    def __init__(
        self, clock: Clock, notify: Callable[[Hashable, Typing], None], room: str = LOBBY
    ) -> None:
        self._clock = clock
        self._notify = notify
        self._room = room
        self._typists: dict[Hashable, _Typist] = {}

    def set(self, author: Hashable, name: str, on: bool) -> None:
        """`author`, who is called `name`, is writing, or no longer."""
        typist = self._typists.get(author)
        if typist is not None:
            typist.name = name
            typist.asked = on
            typist.idle = not on
        elif on and len(self._typists) < MAX_TYPING:
            self._typists[author] = _Typist(name, self._later(author))
            self._notify(author, Typing(name, True, self._room))

    def spoke(self, author: Hashable) -> None:
        """They have said it (or have another name, or are gone): nobody need be told."""
        if typist := self._typists.get(author):
            typist.asked = typist.shown = False

    def forget(self, author: Hashable) -> None:
        """They are gone."""
        if typist := self._typists.pop(author, None):
            typist.timer.cancel()

    def take_over(self, author: Hashable, predecessor: Hashable) -> None:
        """`author` is from now on who `predecessor` was."""
        if typist := self._typists.pop(predecessor, None):
            typist.timer.cancel()
            typist.timer = self._later(author)
            self._typists[author] = typist

    def _later(self, author: Hashable) -> DelayedCall:
        return self._clock.callLater(NOTICE_SECONDS, lambda: self._look(author))

    def _look(self, author: Hashable) -> None:
        typist = self._typists[author]
        typist.timer = self._later(author)  # first: telling the others may fail
        if typist.asked:
            typist.shown, typist.asked, typist.idle = True, False, False
            self._notify(author, Typing(typist.name, True, self._room))
        elif not typist.shown:
            self.forget(author)
        elif not typist.idle:
            typist.idle = True
        else:
            typist.shown = False
            self._notify(author, Typing(typist.name, False, self._room))
