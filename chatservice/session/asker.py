"""What the handlers of requests see of the session of whoever asks."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from chatservice.accounts.authenticator import Authenticator
from chatservice.core.chat import Chat
from chatservice.core.drafts import Entry, Outcome, Then
from chatservice.core.events import (
    Account,
    AccountChanged,
    Change,
    CloseReason,
    PersonalEvent,
    Refusal,
)
from chatservice.core.requests import Hello, Password
from chatservice.core.users import User, UserSession
from chatservice.dialects.dialect import Dialect
from chatservice.session.offline_messages import OfflineMessages
from chatservice.session.reports import Reports

# What a request comes to. None: there is no answer, or what happened in a room is one, which its
# author is told when everyone is.
Answer = PersonalEvent | None
# Or what has to be looked up, written or committed first.
Asked = Answer | Coroutine[Any, Any, Answer]


def committed(submit: Callable[[Then], None]) -> "Deferred[Entry | None]":
    """Fires with what becomes of the draft that `submit` submits; fails with `Refusal`."""
    waiting: Deferred[Entry | None] = Deferred()

    def then(outcome: Outcome) -> None:
        if isinstance(outcome, Refusal):
            waiting.errback(outcome)
        else:
            waiting.callback(outcome)

    submit(then)
    return waiting


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator chose. `motd`: lines shown after the welcome. `history`: so many messages
    are shown to a newcomer."""

    history: int = 20
    motd: tuple[str, ...] = ()
    log_messages: bool = False


# Why a connection ends whose account has changed.
ENDED_BY: Mapping[Change, CloseReason] = {
    Change.REGISTERED: CloseReason.CLAIMED,
    Change.PASSWORD: CloseReason.PASSWORD_CHANGED,
    Change.UNREGISTERED: CloseReason.UNREGISTERED,
}


@dataclass(slots=True)
class Services:
    """What all sessions share. `settings` may be replaced while the server runs."""

    chat: Chat
    authenticator: Authenticator
    offline_messages: OfflineMessages
    reports: Reports
    settings: Settings

    def account_changed(self, account: Account, change: Change) -> None:
        """`account` has another password, or is gone, be it that the operator's program did that:
        its owner has to prove it again; or they are an operator of the server, or no longer."""
        if change in (Change.OPERATOR, Change.NO_OPERATOR):
            self.chat.moderation.commission(account, change is Change.OPERATOR)
            if (owner := self.chat.owner(account)) is not None:
                for cursor in owner.cursors:
                    cursor.send(AccountChanged(account.name, change))
            return
        if change is Change.UNREGISTERED:
            self.chat.ignoring.forget(account)
        self.chat.end_account(account, ENDED_BY[change])


class Asker(UserSession, Protocol):
    """The session of whoever asks. What is asked in vain raises `Refusal`."""

    services: Services

    def note(self, text: str, **fields: object) -> None:
        """A line about the peer for the log, with values for its fields."""

    @property
    def user(self) -> User:
        """Who asks, once they are in."""

    def room(self, name: str) -> str:
        """The room that a request names: CURRENT_ROOM stands for one."""

    async def caught_up(self) -> None:
        """Wait until what they have said before is committed."""

    @property
    def ref(self) -> str | None:
        """What their request, which is being carried out, is marked with."""

    @property
    def dialect(self) -> Dialect:
        """What they speak."""

    def come_in(self, hello: Hello) -> None:
        """Let them in, if they may."""

    def take_password(self, password: Password) -> None:
        """Go on with what needed it."""

    def deliver_waiting(self) -> None:
        """Tell them what has waited for the account that is theirs now."""

    def deliver_reports(self) -> None:
        """Tell them what has been reported, if they are in charge."""

    def leave(self) -> None:
        """End the connection once everything due has been sent."""
