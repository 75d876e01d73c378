"""Who is writing something just now."""

from collections.abc import Callable, Hashable

from chatservice.core.events import Writing
from chatservice.core.log import Clock, DelayedCall

# Others hear of one writer at most once in so many seconds: often enough for a status line.
TOLD_SECONDS = 3.0
# Of so many at once; of more nobody wants to read, and each costs a line to everyone.
WRITERS_MOST = 20


class _Writer:
    __slots__ = ("asked", "idle", "name", "shown", "timer")

    def __init__(self, name: str, timer: DelayedCall) -> None:
        self.name = name
        self.timer = timer
        self.asked = False  # they have written on since others were last told
        self.shown = True
        self.idle = False  # they have not, for a whole period


class Writers:
    """Who is writing, as far as others have been told. `tell` is called with what to tell them.

    Somebody who neither writes on nor says what they wrote is forgotten after one to two periods
    of TOLD_SECONDS.
    """

    def __init__(self, clock: Clock, tell: Callable[[Hashable, Writing], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._writers: dict[Hashable, _Writer] = {}

    def write(self, author: Hashable, name: str, on: bool) -> None:
        """`author`, who is called `name`, is writing, or no longer."""
        writer = self._writers.get(author)
        if writer is not None:
            writer.name = name
            writer.asked = on
            writer.idle = not on
        elif on and len(self._writers) < WRITERS_MOST:
            self._writers[author] = _Writer(name, self._later(author))
            self._tell(author, Writing(name, True))

    def spoke(self, author: Hashable) -> None:
        """They have said it (or have another name, or are gone): nobody need be told."""
        if writer := self._writers.get(author):
            writer.asked = writer.shown = False

    def forget(self, author: Hashable) -> None:
        """They are gone."""
        if writer := self._writers.pop(author, None):
            writer.timer.cancel()

    def succeed(self, author: Hashable, predecessor: Hashable) -> None:
        """`author` is from now on who `predecessor` was."""
        if writer := self._writers.pop(predecessor, None):
            writer.timer.cancel()
            writer.timer = self._later(author)
            self._writers[author] = writer

    def _later(self, author: Hashable) -> DelayedCall:
        return self._clock.callLater(TOLD_SECONDS, lambda: self._look(author))

    def _look(self, author: Hashable) -> None:
        writer = self._writers[author]
        writer.timer = self._later(author)  # first: telling the others may fail
        if writer.asked:
            writer.shown, writer.asked, writer.idle = True, False, False
            self._tell(author, Writing(writer.name, True))
        elif not writer.shown:
            self.forget(author)
        elif not writer.idle:
            writer.idle = True
        else:
            writer.shown = False
            self._tell(author, Writing(writer.name, False))
