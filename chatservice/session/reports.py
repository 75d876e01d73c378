"""Reports: to those in charge who are here, or else kept until one of them comes in."""

from collections.abc import Callable

from chatservice.core.chat import Chat
from chatservice.core.events import ErrorCode, Refusal, Reported
from chatservice.core.limits import RateLimiter
from chatservice.core.stores import Report
from chatservice.core.users import User
from chatservice.session.replay import taken

# Of one author, an account or a network: so many at once, and another one after so many seconds.
REPORTS_AT_ONCE, REPORT_SECONDS = 5, 60.0
PAGE = 20  # that are shown at once, before it is looked whether they have been taken


class Reports:
    """See the module. `seconds` tells a time."""

    def __init__(self, chat: Chat, seconds: Callable[[], float]) -> None:
        self._chat = chat
        self._store = chat.archive.reports
        self._often = RateLimiter(REPORTS_AT_ONCE, REPORT_SECONDS, seconds)
        self._delivering: set[User] = set()

    def expect_pace(self, origin: str) -> None:
        """Raises TOO_OFTEN."""
        if not self._often.take(origin):
            raise Refusal(ErrorCode.TOO_OFTEN)

    async def take(self, report: Report, origin: str) -> bool:
        """Whether it was passed on; otherwise it is kept, counted for `origin`. Raises
        TOO_MANY_REPORTS."""
        moderation = self._chat.moderation
        told, elsewhere = moderation.tell_report(report), moderation.pass_on(report)
        if told:
            return True
        try:  # also if somebody on another server is told, who may not be reading
            number = await self._store.keep(report, origin)
        except Refusal:
            if elsewhere:
                return True
            raise
        if moderation.tell_report(report):  # somebody in charge has come in meanwhile
            await self._store.discard([number])
            return True
        return elsewhere

    async def deliver(self, user: User, asker: str = "") -> None:
        """What is kept for those in charge, of whom `user` may be one. It is kept until it has been
        sent."""
        moderation = self._chat.moderation
        if user in self._delivering or not moderation.is_in_charge_of_any(user):
            return
        self._delivering.add(user)
        try:
            kept = await self._store.kept(asker)
            while kept and user.sessions:
                page, kept = kept[:PAGE], kept[PAGE:]
                theirs = [each for each in page if moderation.may_read(user, each)]
                if not theirs:
                    continue
                cursor = user.cursors[-1]
                for each in theirs:
                    cursor.send(
                        Reported(each.at, each.room, each.name, each.by, each.why, waited=True)
                    )
                await taken(cursor)
                if not user.present or cursor not in user.cursors or cursor.closing:
                    break
                await self._store.discard([each.number for each in theirs])
        except Refusal:  # the disk fails, which everybody is told of
            pass
        finally:
            self._delivering.discard(user)
