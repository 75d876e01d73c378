"""The table of requests: who may ask for each, where, what it weighs, and what carries it out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import Any, TypeVar, cast

from chatservice.core import requests
from chatservice.core.events import ErrorCode, Explained, Helped, Refusal
from chatservice.core.requests import Request
from chatservice.core.users import User
from chatservice.dialects.commands import COMMANDS, explained
from chatservice.session import moderation, past, people, rooms, talk, weights
from chatservice.session.asker import Asked, Asker
from chatservice.session.registration import change_account

R = TypeVar("R", bound=Request)


class By(Enum):
    """Who may ask for something."""

    ANYBODY = auto()
    NAMELESS = auto()  # those who have not come in
    NAMED = auto()  # those who are in
    REGISTERED = auto()  # those who are in, and own an account
    ASKED = auto()  # those who have been asked for it


class Forms(Flag):
    """The dialects in which something can be asked for."""

    TEXT = auto()
    JSON = auto()
    BOTH = TEXT | JSON


Weight = Callable[[Asker, Any], float]


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table. `weight`: how many lines it counts as (see `weights`). `accounts`: only
    where names can be registered."""

    carry_out: Callable[[Asker, Any], Asked]
    weight: Weight
    by: By = By.NAMED
    forms: Forms = Forms.BOTH
    accounts: bool = False

    def check(self, user: User | None, *, has_accounts: bool) -> None:
        """Raises `Refusal` if `user`, or somebody who has not come in, may not ask for it."""
        if user is None and self.by in (By.NAMED, By.REGISTERED):
            raise Refusal(ErrorCode.NAME_FIRST)
        if user is not None and self.by is By.NAMELESS:
            raise Refusal(ErrorCode.NAMED_ALREADY)
        if self.accounts and not has_accounts:
            raise Refusal(ErrorCode.NO_ACCOUNTS)
        if user is not None and user.account is None and self.by is By.REGISTERED:
            raise Refusal(ErrorCode.NOT_REGISTERED)


def _row(
    request: type[R],
    carry_out: Callable[[Asker, R], Asked],
    weight: Callable[[Asker, R], float] = weights.line,
    by: By = By.NAMED,
    forms: Forms = Forms.BOTH,
    *,
    accounts: bool = False,
) -> tuple[type[Request], Rule]:
    return cast(type[Request], request), Rule(carry_out, weight, by, forms, accounts)


def _help(asker: Asker, request: requests.Help) -> Helped | Explained:
    """The commands that this server can carry out, or what one of them does."""
    if request.command:
        return explained(request.command)
    has_accounts = asker.services.authenticator.accounts is not None
    return Helped(
        tuple(
            command.name
            for command in COMMANDS
            if has_accounts or not RULES[command.request].accounts
        )
    )


RULES: Mapping[type[Request], Rule] = dict(
    (
        _row(requests.Hello, people.hello, weights.name, By.NAMELESS),
        _row(requests.Password, people.password, weights.line, By.ASKED, Forms.TEXT),
        _row(requests.Help, _help, weights.help_, By.ANYBODY, Forms.TEXT),
        _row(requests.Exit, people.exit_, weights.line, By.ANYBODY),
        _row(requests.Say, talk.say, weights.lines),
        _row(requests.Emote, talk.emote, weights.lines),
        _row(requests.Tell, talk.tell, weights.private),
        _row(requests.Reply, talk.reply, weights.private),
        _row(requests.SetTyping, talk.set_typing, forms=Forms.JSON),
        _row(requests.Away, people.away, weights.name),
        _row(requests.Who, people.who, weights.who),
        _row(requests.Whois, people.whois, weights.name),
        _row(requests.Nick, people.nick, weights.name),
        _row(requests.Join, rooms.join, weights.name),
        _row(requests.Part, rooms.part, weights.name),
        _row(requests.Switch, rooms.switch, weights.name, forms=Forms.TEXT),
        _row(requests.Rooms, rooms.rooms, weights.rooms),
        _row(requests.Topic, rooms.topic, weights.name),
        _row(requests.RoomMode, rooms.room_mode, weights.name),
        _row(requests.Invite, rooms.invite, weights.name),
        _row(requests.Quiet, rooms.quiet, forms=Forms.TEXT),
        _row(requests.Ignore, people.ignore, weights.name),
        _row(requests.Ignores, people.ignores),
        _row(requests.Kick, moderation.kick, weights.name),
        _row(requests.Ban, moderation.sanction, weights.name),
        _row(requests.Mute, moderation.sanction, weights.name),
        _row(requests.Bans, moderation.bans, weights.bans),
        _row(requests.Op, moderation.op, weights.name, accounts=True),
        _row(requests.Founder, moderation.founder, weights.name, accounts=True),
        _row(requests.Announce, moderation.announce, weights.lines, accounts=True),
        _row(requests.Report, moderation.report, weights.report),
        _row(requests.Delete, moderation.delete, weights.delete),
        _row(requests.History, past.history, weights.history),
        _row(requests.Search, past.search, weights.search),
        _row(requests.Register, change_account, weights.account, accounts=True),
        _row(
            requests.ChangePassword, change_account, weights.account, By.REGISTERED, accounts=True
        ),
        _row(requests.Unregister, change_account, weights.account, By.REGISTERED, accounts=True),
    )
)
