"""What the handlers of requests see of the session of whoever asks."""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from chatservice.accounts.authenticator import Authenticator
from chatservice.core.chat import Chat, User
from chatservice.core.events import (
    Account,
    Change,
    CloseReason,
    PersonalEvent,
)
from chatservice.core.peer import Peer
from chatservice.core.requests import Hello, Password
from chatservice.dialects.dialect import Dialect
from chatservice.session.offline_messages import OfflineMessages

# What a request comes to. None: there is no answer.
Answer = PersonalEvent | None
# Or what has to be looked up, or written, first.
Outcome = Answer | Coroutine[Any, Any, Answer]


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
    settings: Settings

    def account_changed(self, account: Account, change: Change) -> None:
        """`account` has another password, or is gone, be it that the operator's program did that:
        its owner has to prove it again."""
        self.chat.end_account(account, ENDED_BY[change])


class Asker(Protocol):
    """The session of whoever asks. What is asked in vain raises `Refusal`."""

    services: Services
    peer: Peer

    def note(self, text: str, **fields: object) -> None:
        """A line about the peer for the log, with values for its fields."""

    @property
    def user(self) -> User:
        """Who asks, once they are in."""

    @property
    def dialect(self) -> Dialect:
        """What they speak."""

    def come_in(self, hello: Hello) -> None:
        """Let them in, if they may."""

    def take_password(self, password: Password) -> None:
        """Go on with what needed it."""

    def deliver_waiting(self) -> None:
        """Tell them what has waited for the account that is theirs now."""

    def leave(self) -> None:
        """End the connection once everything due has been sent."""
