"""Passwords that are typed at the wrong moment, and what a password has to be given for."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from twisted.cred.portal import Portal
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from chatservice.accounts.accounts import Accounts
from chatservice.accounts.authenticator import Authenticator
from chatservice.accounts.cred import AccountChecker, Members
from chatservice.core.chat import Chat
from chatservice.core.events import Account, Change, ErrorCode, Refusal
from chatservice.core.limits import GUESSES_OF_ADDRESS
from chatservice.core.requests import Hello, Nick
from chatservice.server.factory import ChatFactory
from chatservice.server.line import ChatProtocol
from chatservice.session.asker import Settings
from chatservice.session.questions import question_after
from chatservice.storage.memory import MemoryAccountStore, MemoryArchive
from tests.unit.test_protocol import Transport

ALICE = Account("Alice", 1.0)
PASSWORD, OTHER = "correct horse", "battery staple"
# What can be wrong with a request that holds a password, or wants one.
REFUSALS = [
    ErrorCode.PASSWORD_NEEDED,
    ErrorCode.WRONG_PASSWORD,
    ErrorCode.NOT_A_MEMBER,
    ErrorCode.PASSWORD_LENGTH,
    ErrorCode.PASSWORD_IN_CLEAR,
    ErrorCode.TOO_OFTEN,
    ErrorCode.BUSY,
    ErrorCode.NOT_SAVED,
    ErrorCode.TOO_SLOW,
    ErrorCode.NAME_REGISTERED,
    ErrorCode.NAME_NOT_YOURS,
    ErrorCode.NOT_REGISTERED,
    ErrorCode.NO_ACCOUNTS,
    ErrorCode.TOO_MANY_ACCOUNTS,
]
ELSEWHERE = "203.0.113.5"
QUESTION = "What is your name?"
ASKED = "Password for Alice:"
DISCARDED = "Error: that line was discarded, since it may be a password."
# What somebody may type as their password, be it one or not.
SECRETS = ["tr0ub4dor", "hunter2 is mine", "/tr0ub4dor", " /tr0ub4dor&3", "//tr0ub4dor", "x" * 300]


class Plain:
    """Hashing that takes no time."""

    async def hash(self, password: str, asker: str = "") -> str:
        return "hash of " + password

    async def agrees(self, kept: str | None, password: str, asker: str = "") -> bool:
        return kept == "hash of " + password


class Person:
    """Somebody at a connection that is a string."""

    def __init__(self, house: "House", host: str) -> None:
        self.house = house
        address = IPv4Address("TCP", host, 4321) if host else None
        protocol = house.factory.buildProtocol(address)
        assert isinstance(protocol, ChatProtocol)
        self.protocol = protocol
        self.transport = Transport(protocol)
        protocol.makeConnection(self.transport)

    def types(self, *lines: str) -> list[str]:
        """What they hear then."""
        self.protocol.dataReceived("".join(line + "\r\n" for line in lines).encode())
        return self.heard()

    def asks(self, type_: str, **fields: Any) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.types(json.dumps({"type": type_, **fields}))]

    def heard(self) -> list[str]:
        """The lines since the last time."""
        self.house.clock.pump([0, 0.3, 0])
        lines: list[str] = self.transport.value().decode().splitlines()
        self.transport.clear()
        return lines


class House:
    """A server in this process, where Alice is registered."""

    def __init__(self, *, accounts: bool = True, members_only: bool = False) -> None:
        self.clock = Clock()
        self.store = MemoryAccountStore()
        self.accounts = Accounts(self.store, Plain(), self.clock.seconds)
        portal = Portal(Members(), [AccountChecker(self.accounts)])
        self.authenticator = Authenticator(
            self.accounts if accounts else None,
            portal if accounts else None,
            self.clock.seconds,
            members_only=members_only,
        )
        self.factory = ChatFactory(
            Chat(self.clock, MemoryArchive("epoch")),
            Settings(history=0, log_messages=True),
            self.clock,
            authenticator=self.authenticator,
        )
        self.run(self.store.add(ALICE, "hash of " + PASSWORD))

    def run(self, coroutine: Any) -> Any:
        """Of what waits for nothing."""
        try:
            coroutine.send(None)
        except StopIteration as stopped:
            return stopped.value
        raise AssertionError("it waits")

    def connect(self, host: str = "") -> Person:
        person = Person(self, host)
        assert person.heard() == [QUESTION]
        return person

    def join(self, *lines: str, host: str = "") -> Person:
        """Somebody who has typed these and is in."""
        person = self.connect(host)
        assert "Welcome" in " ".join(person.types(*lines))
        person.heard()
        return person

    def program(self, name: str, **fields: Any) -> Person:
        person = self.connect()
        assert person.asks("hello", name=name, **fields)[0]["type"] == "welcome"
        return person

    def refuses(self, code: ErrorCode) -> None:
        """All that has to do with accounts is refused so from now on."""

        async def refuse(*_: Any) -> Any:
            raise Refusal(code, name="Alice", least=8, most=256, limit=9)

        for method in ("admit", "admit_rename", "serve"):
            setattr(self.authenticator, method, refuse)


@pytest.fixture
def house() -> House:
    return House()


Guest = Callable[[House], Person]


def guest(house: House) -> Person:
    return house.join("Bob", host=ELSEWHERE)


def guest_at_home(house: House) -> Person:
    return house.join("Bob")


def owner(house: House) -> Person:
    return house.join("Alice", PASSWORD)


def nobody(house: House) -> Person:
    return house.connect()


def nobody_elsewhere(house: House) -> Person:
    return house.connect(ELSEWHERE)


# Who types what, after which the next line may be a password.
MOMENTS: Sequence[tuple[Guest, str]] = [
    (nobody, "Alice"),
    (nobody, "aIice"),
    (nobody_elsewhere, "Alice"),
    (guest, "/nick Alice"),
    (guest_at_home, "/nick Alice"),
    (guest_at_home, "/nick ALlCE"),
    (guest, f"/register {PASSWORD}"),
    (guest_at_home, "/register short"),
    (guest_at_home, "/register " + "x" * 300),
    (guest_at_home, "/register"),
    (guest_at_home, "/password"),
    (guest_at_home, f"/password {PASSWORD}"),
    (guest_at_home, "/unregister"),
    (owner, f"/register {PASSWORD}"),
    (owner, "/password short"),
    (owner, f"/password {OTHER}"),
    (owner, "/unregister"),
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(("who", "line"), MOMENTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_line_that_may_be_a_password_is_seen_by_nobody(
    house: House, who: Guest, line: str, secret: str
) -> None:
    carol = house.join("Carol")
    with capturedLogs() as events:
        person = who(house)
        person.types(line)
        carol.heard()
        answer = person.types(secret)
        seen = "\n".join([*answer, *carol.heard(), *map(formatEvent, events)])
    assert secret.strip() not in seen
    assert secret.strip().lstrip("/") not in seen
    assert set(house.factory.users) <= {"Alice", "Bob", "Carol"}
    assert answer  # they are told that it went nowhere, or asked again


@pytest.mark.parametrize(
    "line", ["/nick Dave", "/register short", "/password short", "/unregister"]
)
@pytest.mark.parametrize("code", REFUSALS)
def test_nor_is_it_after_any_refusal_that_has_to_do_with_one(
    house: House, line: str, code: ErrorCode
) -> None:
    carol, alice = house.join("Carol"), house.join("Alice", PASSWORD)
    carol.heard()
    house.refuses(code)
    assert len(alice.types(line)) == 1
    assert PASSWORD not in "\n".join([*alice.types(PASSWORD), *carol.heard()])


@pytest.mark.parametrize("code", REFUSALS[1:])  # the first asks for it
def test_nor_does_it_become_a_name(house: House, code: ErrorCode) -> None:
    with capturedLogs() as events:
        sara = house.connect()
        house.refuses(code)
        sara.types("Sara")
        house.authenticator.admit = Authenticator(None, None, house.clock.seconds).admit  # type: ignore[method-assign]
        sara.types("tr0ub4dor")
    assert "tr0ub4dor" not in "\n".join(map(formatEvent, events))
    assert not house.factory.users


def test_nor_to_a_server_that_has_no_accounts() -> None:
    house = House(accounts=False)
    bob, carol = house.join("Bob"), house.join("Carol")
    bob.heard()
    assert bob.types(f"/register {PASSWORD}", PASSWORD) == [
        "Error: this server has no accounts.",
        DISCARDED,
    ]
    assert carol.heard() == []


def test_nor_where_members_have_names_of_their_own() -> None:
    house = House(members_only=True)
    alice = house.join("Alice", PASSWORD)
    assert alice.types("/nick Bob", "tr0ub4dor") == ["Error: you do not own Bob.", DISCARDED]


def test_what_is_discarded_is_one_line(house: House) -> None:
    bob, carol = house.join("Bob"), house.join("Carol")
    bob.heard()
    bob.types("/register short", "tr0ub4dor", "hello")
    assert carol.heard() == ["Bob: hello"]


def test_an_empty_line_or_a_command_needs_no_other(house: House) -> None:
    bob, carol = house.join("Bob"), house.join("Carol")
    bob.heard()
    bob.types("/register short", "", "hello")
    bob.types("/register short", "/me waves")
    assert carol.heard() == ["Bob: hello", "* Bob waves"]
    assert bob.types("/register short", f"/register {PASSWORD}")[-1] == (
        "*** Bob is now registered to you."
    )


def test_at_the_door_the_name_is_asked_for_again(house: House) -> None:
    sara = house.connect(ELSEWHERE)
    in_clear = f"Error: this connection is not encrypted; use TLS. {QUESTION}"
    assert sara.types("Alice", PASSWORD) == [in_clear, f"{DISCARDED} {QUESTION}"]
    assert sara.types("Alice", "") == [in_clear, QUESTION]
    assert "Welcome Sara, you are connected to the server." in sara.types("Sara")


def test_passwords_that_are_tried_in_vain_are_in_the_log(house: House) -> None:
    with capturedLogs() as events:
        for line in ("Alice", "/nick Alice"):
            person = house.join("Bob") if line.startswith("/") else house.connect()
            for _ in range(GUESSES_OF_ADDRESS):
                person.types(line, "tr0ub4dor", "")
    logged = [formatEvent(event) for event in events]
    assert "None: password for Alice: wrong password" in logged
    assert "None: password for Alice: too often" in logged
    assert not any("tr0ub4dor" in line for line in logged)


def test_a_name_that_is_tried_in_vain_is_not(house: House) -> None:
    members = House(members_only=True)
    with capturedLogs() as events:
        members.connect().types("tr0ub4dor", "opensesame")
    logged = [formatEvent(event) for event in events]
    assert "None: password: not a member" in logged
    assert not any("tr0ub4dor" in line for line in logged)


class TestNick:
    def test_takes_a_registered_name_with_its_password(self, house: House) -> None:
        carol = house.join("Carol")
        bob = house.join("Bob")
        carol.heard()
        assert bob.types("/nick alice") == ["Password for alice:"]
        assert bob.types(PASSWORD) == ["*** Bob is now known as Alice."]
        assert carol.heard() == ["*** Bob is now known as Alice."]
        assert bob.types(f"/password {OTHER}", PASSWORD) == [ASKED, "*** Password changed."]

    def test_asks_again_until_it_is_given_up(self, house: House) -> None:
        bob, carol = house.join("Bob"), house.join("Carol")
        bob.heard()
        wrong = f"Error: wrong password for Alice. {ASKED}"
        assert bob.types("/nick Alice", "wrong", "wrong") == [ASKED, wrong, wrong]
        bob.types("", "hello")
        assert carol.heard() == ["Bob: hello"]

    def test_guesses_are_counted(self, house: House) -> None:
        bob = house.join("Bob", host="127.0.0.1")
        for _ in range(GUESSES_OF_ADDRESS + 1):  # the first one is counted apart
            bob.types("/nick Alice", "wrong", "")
        assert bob.types("/nick Alice", PASSWORD, "tr0ub4dor")[1:] == [
            "Error: too many attempts; wait a few minutes.",
            DISCARDED,
        ]

    def test_takes_the_place_of_another_connection_and_of_a_guest(self, house: House) -> None:
        alice, bob = house.join("Alice", PASSWORD), house.join("Bob")
        alice.heard()
        bob.types("/nick Alice", PASSWORD)
        assert alice.heard()[0] == "*** Goodbye: you logged in elsewhere."
        assert set(house.factory.users) == {"Alice"}

    def test_is_told_what_has_waited(self, house: House) -> None:
        bob, carol = house.join("Bob"), house.join("Carol")
        bob.heard()
        carol.types("/msg Alice lunch?")
        heard = bob.types("/nick Alice", PASSWORD)
        assert "*** 1 private message while you were away:" in heard

    def test_in_json_it_has_a_field(self, house: House) -> None:
        program = house.program("Robot")
        (refused,) = program.asks("nick", name="Alice", ref="1")
        assert (refused["code"], refused["ref"]) == ("name_registered", "1")
        (refused,) = program.asks("nick", name="Alice", password="wrong", ref="2")
        assert (refused["code"], refused["ref"]) == ("wrong_password", "2")
        renamed, ack = program.asks("nick", name="Alice", password=PASSWORD, ref="3")
        assert (renamed["new"], ack["type"], ack["ref"]) == ("Alice", "ack", "3")


class TestUnregister:
    def test_takes_the_password(self, house: House) -> None:
        alice = house.join("Alice", PASSWORD)
        wrong = f"Error: wrong password for Alice. {ASKED}"
        assert alice.types("/unregister", "wrong") == [ASKED, wrong]
        assert alice.types("", "/unregister", PASSWORD) == [
            ASKED,
            "*** Alice is no longer registered.",
        ]

    def test_in_json_it_has_a_field(self, house: House) -> None:
        alice = house.program("Alice", password=PASSWORD)
        assert alice.asks("unregister")[0]["code"] == "password_needed"
        assert alice.asks("unregister", password="wrong")[0]["code"] == "wrong_password"
        assert alice.asks("unregister", password=PASSWORD)[0]["change"] == "unregistered"


class TestAnotherPassword:
    def test_takes_the_old_one(self, house: House) -> None:
        alice = house.join("Alice", PASSWORD)
        assert alice.types(f"/password {OTHER}", "wrong", PASSWORD) == [
            ASKED,
            f"Error: wrong password for Alice. {ASKED}",
            "*** Password changed.",
        ]
        house.join("Alice", OTHER)

    def test_in_json_it_has_a_field(self, house: House) -> None:
        alice = house.program("Alice", password=PASSWORD)
        assert alice.asks("password", password=OTHER)[0]["code"] == "password_needed"
        assert alice.asks("password", password=OTHER, old="wrong")[0]["code"] == "wrong_password"
        assert alice.asks("password", password=OTHER, old=PASSWORD)[0]["change"] == "password"

    @pytest.mark.parametrize("request_", ["password", "unregister"])
    def test_ends_the_other_connections_of_that_account(self, house: House, request_: str) -> None:
        thief = house.program("Alice", password=PASSWORD)
        thief.asks("nick", name="Al")
        alice = house.program("Alice", password=PASSWORD)
        thief.heard()
        fields = {"password": OTHER, "old": PASSWORD}
        if request_ == "unregister":
            fields = {"password": PASSWORD}
        assert alice.asks(request_, **fields)[0]["type"] == "account"
        (*_, bye) = map(json.loads, thief.heard())
        assert bye["type"] == "bye"
        assert bye["reason"] in ("password changed", "unregistered")
        assert alice.asks("say", text="still here")[0]["type"] == "ack"

    def test_by_the_operator_ends_them_all(self, house: House) -> None:
        alice, bob = house.join("Alice", PASSWORD), house.join("Bob")
        alice.heard()
        house.factory.services.account_changed(ALICE, Change.PASSWORD)
        assert alice.heard() == ["*** Goodbye: your password was changed."]
        assert bob.heard() == ["*** Alice has left the chat."]

    @pytest.mark.parametrize("members_only", [False, True])
    def test_by_the_operator_makes_a_token_prove_nothing(self, members_only: bool) -> None:
        house = House(members_only=members_only)
        thief = house.connect()
        welcome = thief.asks("hello", name="Alice", password=PASSWORD)[0]
        for change in (
            house.store.change(ALICE, "hash of " + OTHER),
            house.store.remove(ALICE),
            house.store.add(Account("Alice", 2.0), "hash of " + PASSWORD),
        ):
            house.run(change)
            again = house.connect()
            (answer,) = again.asks("hello", name="Alice", token=welcome["token"])[:1]
            assert answer["type"] == "error" or (not members_only and answer["users"] == ["Alice"])
            assert thief.transport.disconnecting or thief.heard()[0].startswith('{"type": "bye"')
            again.asks("exit")

    def test_while_the_old_one_is_being_checked_lets_nobody_in(self, house: House) -> None:
        class Slow(Plain):
            async def agrees(self, kept: str | None, password: str, asker: str = "") -> bool:
                agrees = await super().agrees(kept, password)
                await house.store.change(ALICE, "hash of " + OTHER)
                return agrees

        house.accounts._hashing = Slow()
        thief = house.connect()
        assert thief.types("Alice", PASSWORD) == [
            ASKED,
            f"Error: wrong password for Alice. {ASKED}",
        ]

    def test_is_noticed_when_it_is_proven(self, house: House) -> None:
        """Before whatever else tells the server of it has."""
        thief = house.program("Alice", password=PASSWORD)
        thief.asks("nick", name="Al")
        house.run(house.store.change(ALICE, "hash of " + OTHER))
        house.program("Alice", password=OTHER)
        (*_, bye) = map(json.loads, thief.heard())
        assert bye["reason"] == "password changed"


@pytest.mark.parametrize("code", [ErrorCode.BANNED, ErrorCode.MUTED])
@pytest.mark.parametrize("request_", [Hello("Eve"), Nick("Eve")])
def test_whoever_is_banned_or_muted_is_asked_for_no_password(
    request_: Hello | Nick, code: ErrorCode
) -> None:
    """What they type next is a line like any other."""
    assert question_after(request_, Refusal(code, room="#dev", until=0), None) is None
