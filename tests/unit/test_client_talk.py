"""What a person types at one of our clients: every command is obeyed."""

from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred

from chatservice.client.chat_client import ChatClient
from chatservice.client.faces.talk import Talk
from chatservice.client.state import State
from chatservice.core.events import Helped, NameAsked, Refused
from chatservice.core.requests import Question, Tell
from chatservice.dialects.commands import COMMANDS
from chatservice.dialects.wording import ENGLISH


class Client:
    """Takes requests, and remembers them."""

    state = State.LIVE

    def __init__(self) -> None:
        self.requests: list[Question] = []
        self.answers: list[Deferred[Any]] = []
        self.left = False
        self.may_send_password = True
        self.has_accounts = True

    def request(self, request: Question) -> Deferred[Any]:
        self.requests.append(request)
        self.answers.append(Deferred())
        return self.answers[-1]

    def leave(self) -> None:
        self.left = True


class Typist:
    """Somebody at a `Talk`."""

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.client = Client()
        self.talk = Talk(self.shown.append)
        self.talk.client = cast(ChatClient, self.client)


@pytest.fixture
def typist() -> Typist:
    return Typist()


# What this client cannot do, and says so.
NOT_HERE = {"quiet"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_command_asks_for_something_shows_something_or_leaves(
    command: Any, typist: Typist
) -> None:
    """Also one that is added tomorrow: it must not vanish here."""
    arguments = {"history": "5"}.get(command.name, "one two") if command.name in ARGUMENTS else ""
    typist.talk.typed(f"/{command.name} {arguments}".rstrip())
    assert len(typist.client.requests) + len(typist.shown) + typist.client.left == 1
    refused = any(isinstance(each, Refused) for each in typist.shown)
    assert refused == (command.name in NOT_HERE)


ARGUMENTS = ENGLISH.arguments


def test_what_is_said_in_a_private_tab_is_private(typist: Typist) -> None:
    typist.talk.typed("psst", to="Bob")
    typist.talk.typed("/me waves", to="Bob")
    assert typist.client.requests == [Tell("Bob", "psst")]
    assert ENGLISH.client.public_action in str(typist.shown[-1])


def test_each_line_after_leaving_is_named(typist: Typist) -> None:
    typist.talk.typed("/dance")  # was refused before
    typist.talk.typed("/exit")
    for line in ("one", "two", "/who"):
        typist.talk.typed(line)
    assert [str(each) for each in typist.shown[-3:]] == [
        ENGLISH.client.after_leaving.format(line=line) for line in ("one", "two", "/who")
    ]
    assert typist.client.requests == []


def test_a_name_and_a_password_are_answers(typist: Typist) -> None:
    name = typist.talk.ask(None)
    assert typist.shown == [NameAsked()]
    typist.talk.typed("/who")
    assert isinstance(typist.shown[-1], Refused)
    typist.talk.typed("Alice")
    assert name.result == "Alice"
    password = typist.talk.ask_password("Alice", None)
    assert typist.talk.asks_password
    typist.talk.typed("/exit")  # which may be somebody's password
    assert password.result == "/exit"
    assert not typist.client.left


class TestHelp:
    """Only what can be used here, as far as the client knows."""

    def commands(self, typist: Typist) -> tuple[str, ...]:
        typist.talk.typed("/help")
        shown = typist.shown[-1]
        assert isinstance(shown, Helped)
        return shown.commands

    def test_has_everything_at_first(self, typist: Typist) -> None:
        all_of_them = (command.name for command in COMMANDS)
        assert self.commands(typist) == tuple(name for name in all_of_them if name not in NOT_HERE)

    def test_offers_no_password_where_none_may_be_sent(self, typist: Typist) -> None:
        typist.client.may_send_password = False
        assert not {"register", "password"} & set(self.commands(typist))

    def test_offers_no_accounts_where_there_are_none(self, typist: Typist) -> None:
        typist.client.has_accounts = False
        assert not {"register", "password", "unregister"} & set(self.commands(typist))
