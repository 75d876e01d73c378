"""Errors in the log, however often somebody makes them happen."""

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatservice.core.limits import Repeats

log = Logger()


class Complaints:
    """Logs each error once a minute at most, and says how often it has happened meanwhile: a peer
    who finds a way to one could fill the log with a traceback for each line that they send.

    `known`: kinds of errors of which the words are enough, without a traceback.
    """

    def __init__(self, clock: IReactorTime, known: tuple[type[Exception], ...] = ()) -> None:
        self._repeats = Repeats(clock.seconds)
        self._known = known

    def tell(self, what: str, failure: Failure, who: object = None) -> None:
        """`what` has happened, as `failure` says, when `who` was served."""
        error = failure.getErrorMessage().rstrip(".")
        count = self._repeats.count(f"{what}: {failure.type}: {error}")
        if not count:
            return
        if who is not None:
            what = f"{what} ({who})"
        if count > 1:
            what = f"{what} ({count} times since this was last said)"
        if failure.check(*self._known):
            log.error("{what}: {error}.", what=what, error=error)
        else:
            log.failure("{what}.", failure, what=what)
