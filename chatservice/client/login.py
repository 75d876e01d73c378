"""Who a client is to the server, and what it does when the server declines that.

No network is touched here: each method returns the next `Step`, and `ChatClient` takes it.
"""

from dataclasses import dataclass, field

from chatservice.client.errors import ChatError, Declined
from chatservice.core.events import Error, ErrorCode, Refusal, Welcomed
from chatservice.core.requests import Hello
from chatservice.dialects.wording import Catalogue

NEEDS_PASSWORD = frozenset(
    (ErrorCode.PASSWORD_NEEDED, ErrorCode.WRONG_PASSWORD, ErrorCode.NOT_A_MEMBER)
)
# These say nothing about the name or the password, and pass by themselves.
PASSING = frozenset(
    (
        ErrorCode.TOO_OFTEN,
        ErrorCode.BUSY,
        ErrorCode.NOT_SAVED,
        ErrorCode.SERVER_FULL,
        ErrorCode.ADDRESS_FULL,
    )
)


@dataclass(frozen=True, slots=True)
class SayHello:
    """Say who we are."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class AskName:
    """Ask a person for a name. `error`: what is wrong with the last one."""

    error: Error | None


@dataclass(frozen=True, slots=True)
class AskPassword:
    """Ask a person for the password of `name`. `error`: what is wrong with the last one."""

    name: str
    error: Error | None


@dataclass(frozen=True, slots=True)
class TryLater:
    """Hang up, and come again."""

    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Hang up for good."""

    failure: ChatError


Step = SayHello | AskName | AskPassword | TryLater | GiveUp


@dataclass(slots=True)
class Login:
    """Our name and what proves it. `asks_name`, `asks_password`: there is a person to ask; `retry`:
    there may be another connection."""

    name: str | None
    password: str = field(repr=False)
    asks_name: bool
    asks_password: bool
    retry: bool
    words: Catalogue
    rooms: bool = False  # we hear all our rooms, not only the lobby
    token: str = field(default="", repr=False)
    accounts: bool = True  # whether names can be registered there, as far as we know
    untried: list[str] = field(default_factory=list, repr=False)  # other passwords it may have

    def start(self, untried: list[str]) -> Step:
        """On a new connection."""
        self.untried = untried
        return self._hello(self.name) if self.name is not None else self._ask_name(None)

    def named(self, name: str) -> Step:
        """A person has answered."""
        return self._hello(name)

    def proved(self, name: str, password: str) -> Step:
        """A person has answered; without a password, if the name is not theirs."""
        self.password = password
        return self._hello(name) if password else self._ask_name(None)

    def welcomed(self, event: Welcomed) -> None:
        self.name, self.token = event.name, event.token
        self.accounts = event.accounts

    def declined(self, error: Error) -> Step:
        """The answer to our hello."""
        needs_password = error.code in NEEDS_PASSWORD
        name = self.name
        if needs_password and self.untried and name is not None:
            self.password = self.untried.pop()
            return self._hello(name)
        if needs_password and self.asks_password and name is not None:
            was_wrong = self.password != ""
            self.password = ""
            return AskPassword(name, error if was_wrong else None)
        if error.code == ErrorCode.BANNED and not self.asks_name:
            return GiveUp(Declined(error))
        if self.retry and self._may_pass(error):
            return TryLater(error.message)
        if needs_password:
            self.password = ""
        return self._ask_name(error)

    def _may_pass(self, error: Error) -> bool:
        """Also when somebody else has the name that was ours: nobody can be asked for another."""
        was_ours = self.token != "" and not self.asks_name
        return error.code in PASSING or (was_ours and error.code not in NEEDS_PASSWORD)

    def _hello(self, name: str) -> Step:
        self.name = name
        return SayHello(Hello(name, self.token, self.password, rooms=self.rooms))

    def _ask_name(self, error: Error | None) -> Step:
        if self.asks_name:
            return AskName(error)
        if error is None:
            refusal = Refusal(ErrorCode.NAME_EMPTY)
            error = Error(refusal.code, self.words.refusal(refusal))
        return GiveUp(Declined(error))
