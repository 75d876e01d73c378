"""What a person types at one of our clients: every command is obeyed."""

from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred

from chatservice.client.chat_client import ChatClient
from chatservice.client.faces.talk import Talk
from chatservice.client.faces.words import Wording
from chatservice.client.state import State
from chatservice.core.events import (
    Acked,
    ErrorCode,
    Helped,
    Joined,
    NameAsked,
    QuietChanged,
    Refused,
    Renamed,
    RoomInfo,
    RoomLeft,
    RoomSwitched,
    Said,
    Welcomed,
)
from chatservice.core.requests import Join, Part, Question, Say, Tell
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
        self.name = "Alice"
        self.rooms = {"lobby": "", "one": ""}

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


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_command_asks_for_something_shows_something_or_leaves(
    command: Any, typist: Typist
) -> None:
    """Also one that is added tomorrow: it must not vanish here."""
    arguments = GIVEN.get(command.name, "one two") if command.name in ARGUMENTS else ""
    typist.talk.typed(f"/{command.name} {arguments}".rstrip())
    assert len(typist.client.requests) + len(typist.shown) + typist.client.left == 1
    assert not any(isinstance(each, Refused) for each in typist.shown)


ARGUMENTS = ENGLISH.arguments
ONE = dict.fromkeys(("unban", "unmute", "op", "deop"), "one")
GIVEN = {
    **ONE,
    "bans": "server",
    "delete": "one 2",
    "help": "join",
    "history": "5",
    "slow": "30",
    "part": "one",
    "switch": "one",
    "quiet": "on",
}


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
        assert self.commands(typist) == tuple(command.name for command in COMMANDS)

    def test_offers_no_password_where_none_may_be_sent(self, typist: Typist) -> None:
        typist.client.may_send_password = False
        assert not {"register", "password"} & set(self.commands(typist))

    def test_offers_no_accounts_where_there_are_none(self, typist: Typist) -> None:
        typist.client.has_accounts = False
        assert not {"register", "password", "unregister"} & set(self.commands(typist))


class TestRooms:
    """Where what is typed is said, and what is shown of the others."""

    def joins(self, typist: Typist, room: str) -> None:
        typist.talk.typed(f"/join {room}")
        typist.client.rooms[room] = ""
        typist.client.answers[-1].callback(RoomInfo(room, "releases", users=("Alice", "Bob")))

    def test_one_speaks_in_the_room_that_one_has_joined_or_switched_to(
        self, typist: Typist
    ) -> None:
        self.joins(typist, "dev")
        assert typist.shown == [RoomSwitched("dev", "releases", ("Alice", "Bob"))]
        typist.talk.typed("hello")
        typist.talk.typed("/in lobby there")
        typist.talk.typed("/switch #Lobby")
        assert typist.client.requests[1:] == [Say("hello", "dev"), Say("there"), Join("lobby")]

    def test_nobody_switches_to_a_room_that_they_are_not_in(self, typist: Typist) -> None:
        typist.talk.typed("/switch ops")
        assert typist.shown[-1].refusal.code is ErrorCode.NOT_IN_ROOM
        assert not typist.client.requests

    def test_after_parting_one_speaks_in_another_room(self, typist: Typist) -> None:
        self.joins(typist, "dev")
        typist.talk.typed("/part")
        assert typist.client.requests[-1] == Part("dev")
        del typist.client.rooms["dev"]
        typist.client.answers[-1].callback(Acked(9, 0.0))
        assert typist.shown[-1] == RoomLeft("dev", "lobby")
        typist.talk.typed("hello")
        assert typist.client.requests[-1:] == [Say("hello")]

    def test_what_others_say_elsewhere_is_counted_until_one_is_there(self, typist: Typist) -> None:
        self.joins(typist, "dev")
        talk = typist.talk
        assert talk.hears(Said(1, 0.0, "lobby", "Bob", "hi"))
        assert talk.hears(Said(2, 0.0, "lobby", "Alice", "mine, from a telephone"))
        assert talk.hears(Said(3, 0.0, "dev", "Bob", "hi"))
        assert talk.rooms.unread == {"lobby": 1}
        typist.talk.typed("/switch lobby")
        typist.client.answers[-1].callback(RoomInfo("lobby"))
        assert not talk.rooms.unread

    def test_comings_and_goings_of_a_quiet_room_are_left_out(self, typist: Typist) -> None:
        self.joins(typist, "dev")
        typist.talk.typed("/quiet")
        assert typist.shown[-1] == QuietChanged("dev", True)
        talk = typist.talk
        assert not talk.hears(Joined(1, 0.0, "dev", ("Bob",), False))
        assert talk.hears(Joined(2, 0.0, "lobby", ("Bob",)))
        assert talk.hears(Renamed(3, 0.0, "lobby", "Bob", "Robert", ("lobby", "dev")))
        assert talk.hears(Said(4, 0.0, "dev", "Bob", "hi"))
        typist.talk.typed("/quiet off")
        assert talk.hears(Joined(5, 0.0, "dev", ("Carol",), False))

    def test_who_comes_back_as_a_guest_speaks_in_the_lobby(self, typist: Typist) -> None:
        self.joins(typist, "dev")
        del typist.client.rooms["dev"]
        typist.talk.hears(Welcomed("Alice", ("Alice",), "epoch", 0, "token"))
        assert typist.talk.rooms.current == "lobby"


def test_what_is_heard_from_another_room_begins_with_its_name() -> None:
    current = "lobby"
    wording = Wording("here", room=lambda: current)
    said = Said(1, 0.0, "dev", "Bob", "hi")
    renamed = Renamed(2, 0.0, "dev", "Bob", "Robert", ("dev", "ops"))
    assert wording.lines(said) == ["#dev Bob: hi"]
    assert wording.lines(renamed) == ["#dev *** Bob is now known as Robert."]
    current = "dev"
    assert wording.lines(said) == ["Bob: hi"]
    current = "ops"
    assert wording.lines(renamed) == ["*** Bob is now known as Robert."]
