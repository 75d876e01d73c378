"""Those in charge: who may do what, to whom, and what holds against whoever comes back."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatservice.core import sanctions
from chatservice.core.chat import Chat
from chatservice.core.events import (
    ALL_ROOMS,
    LOBBY,
    Account,
    CloseReason,
    ErrorCode,
    Refusal,
    Role,
    SanctionKind,
)
from chatservice.core.measures import Appoint, Impose, Kick, Lift, Measure, Warrant
from chatservice.core.moderation import person_of
from chatservice.core.pace import Pace
from chatservice.core.peer import Peer
from chatservice.core.requests import Bans, History
from chatservice.core.sanctions import Person
from chatservice.dialects.text import TEXT
from chatservice.session import moderation as session_moderation
from chatservice.storage.sqlite.accounts import SqliteAccountStore
from chatservice.storage.sqlite.files import AccountFile
from tests.support.house import House, LateArchive, Session, Sink
from tests.support.stores import Turns, crash, new_archive

BAN, MUTE = SanctionKind.BAN, SanctionKind.MUTE
ALICE, BOB, EVE, OPERATOR = (Account(name, 1.0) for name in ("Alice", "Bob", "Eve", "Olga"))


class Charge(House):
    """A house where somebody is in charge. Everyone comes from a network of their own."""

    def __init__(self, archive: Any = None) -> None:
        super().__init__(archive)
        self.outcomes: list[Any] = []

    def comes(self, name: str, account: Account | None = None, network: str = "") -> Sink:
        """Whoever is let in, or not (`refused`)."""
        session = self.sessions[name] = Session()
        session.peer = Peer(network, network or f"net of {name}")
        self.sinks[name] = session.sink

        def leaves(session: Session) -> None:
            user = next(u for u in self.chat.users.values() if session in u.sessions)
            self.chat.leave(user, session, lost=False)

        session.leaves = leaves
        self.chat.enter(session, name, self._entered, account=account)
        self.quiet()
        session.sink.heard()
        return session.sink

    def joins(self, name: str, room: str) -> None:
        session = self.sessions[name]
        network = session.peer.network
        self.chat.join_room(self.user(name), session, room, network, then=self.outcomes.append)
        self.turn()

    def takes(self, name: str, measure: Any, scope: str, *given: Any) -> ErrorCode | None:
        """Why it is refused, if it is. No name: whoever runs the server."""
        outcomes: list[Any] = []
        user = self.user(name) if name else None
        session = self.sessions[name] if name else None
        cursor = session.cursor if session else None
        warrant = Warrant(self.chat.now(), user, scope, cursor, None, outcomes.append)
        taken: Measure = measure(warrant, *given)
        self.chat.moderation.take(session, taken)
        self.turn()
        (outcome,) = outcomes
        return outcome.code if isinstance(outcome, Refusal) else None

    def kicks(self, name: str, whom: str, scope: str = "dev", why: str = "") -> ErrorCode | None:
        return self.takes(name, Kick, scope, person_of(self.user(whom)), why)

    def bans(
        self, name: str, whom: str | Person, scope: str = "dev", seconds: int | None = None
    ) -> ErrorCode | None:
        target = person_of(self.user(whom)) if isinstance(whom, str) else whom
        return self.takes(name, Impose, scope, BAN, target, seconds, "")

    def mutes(self, name: str, whom: str, scope: str = "dev") -> ErrorCode | None:
        return self.takes(name, Impose, scope, MUTE, person_of(self.user(whom)), None, "")

    def appoints(self, name: str, account: Account, role: Role) -> ErrorCode | None:
        return self.takes(name, Appoint, "dev", account, account.name, role)

    def codes(self) -> list[ErrorCode]:
        outcomes, self.outcomes = self.outcomes, []
        return [outcome.code for outcome in outcomes if isinstance(outcome, Refusal)]

    def members(self, room: str = "dev") -> set[str]:
        return set(self.chat.directory.people_in(self.chat.directory.rooms[room]))

    def listed(self, name: str) -> list[tuple[SanctionKind, str]]:
        room = self.chat.directory.rooms["dev"]
        found = self.chat.moderation.listed(self.user(name), room)
        return [(each.kind, each.name) for each in found]

    def says(self, name: str, text: str = "hi", room: str = "dev") -> ErrorCode | None:
        outcomes: list[Any] = []
        session = self.sessions[name]
        try:
            self.chat.say(self.user(name), session, (text,), room, then=outcomes.append)
        except Refusal as refusal:
            return refusal.code
        self.turn()
        (outcome,) = outcomes
        return outcome.code if isinstance(outcome, Refusal) else None


@pytest.fixture
def house() -> Charge:
    """Alice has founded #dev; Bob and Eve are there, and Olga runs the server."""
    made = Charge()
    for name, account in (("Alice", ALICE), ("Bob", BOB), ("Eve", None), ("Olga", OPERATOR)):
        made.comes(name, account)
    made.chat.moderation.commission(OPERATOR, True)
    for name in ("Alice", "Bob", "Eve"):
        made.joins(name, "dev")
    for sink in made.sinks.values():
        sink.heard()
    return made


class TestRanks:
    def test_members_do_nothing_to_anybody(self, house: Charge) -> None:
        for scope in ("dev", LOBBY, ALL_ROOMS):
            assert house.kicks("Eve", "Bob", scope) is ErrorCode.NOT_IN_CHARGE
            assert house.bans("Bob", "Eve", scope) is ErrorCode.NOT_IN_CHARGE
            assert house.mutes("Eve", "Alice", scope) is ErrorCode.NOT_IN_CHARGE
        assert house.appoints("Bob", BOB, Role.OPERATOR) is ErrorCode.NOT_IN_CHARGE
        assert house.members() == {"Alice", "Bob", "Eve"}

    def test_whom_the_founder_appoints_is_in_charge_of_the_others(self, house: Charge) -> None:
        assert house.appoints("Alice", BOB, Role.OPERATOR) is None
        assert house.sinks["Eve"].heard() == ["#dev *** Alice has put Bob in charge of the room."]
        assert house.kicks("Bob", "Alice") is ErrorCode.PROTECTED
        assert house.bans("Bob", "Alice") is ErrorCode.PROTECTED
        assert house.appoints("Bob", ALICE, Role.MEMBER) is ErrorCode.NOT_FOUNDER
        assert house.appoints("Bob", EVE, Role.OPERATOR) is ErrorCode.NOT_FOUNDER
        assert house.appoints("Bob", EVE, Role.FOUNDER) is ErrorCode.NOT_IN_CHARGE
        assert house.kicks("Bob", "Eve") is None
        assert house.members() == {"Alice", "Bob"}
        assert house.appoints("Bob", BOB, Role.MEMBER) is None  # they give it up
        assert house.kicks("Bob", "Alice") is ErrorCode.NOT_IN_CHARGE

    def test_whoever_is_in_charge_elsewhere_is_not_here(self, house: Charge) -> None:
        house.joins("Bob", "ops")
        assert house.kicks("Bob", "Eve") is ErrorCode.NOT_IN_CHARGE
        assert house.kicks("Alice", "Bob", "ops") is ErrorCode.NOT_IN_CHARGE

    def test_an_operator_of_the_server_is_in_charge_everywhere(self, house: Charge) -> None:
        assert house.kicks("Alice", "Olga", LOBBY) is ErrorCode.NOT_IN_CHARGE
        assert house.bans("Olga", "Alice") is None
        assert house.takes("Olga", Appoint, "dev", BOB, "Bob", Role.FOUNDER) is None
        assert house.chat.directory.rooms["dev"].founder == BOB
        assert house.kicks("Bob", "Eve") is None
        house.chat.moderation.commission(OPERATOR, False)
        house.turn()
        assert house.kicks("Olga", "Bob") is ErrorCode.NOT_IN_CHARGE

    def test_nobody_inherits_a_room_of_a_guest(self, house: Charge) -> None:
        house.joins("Eve", "den")
        house.joins("Bob", "den")
        assert house.appoints("Eve", BOB, Role.OPERATOR) is ErrorCode.NOT_IN_CHARGE  # of #dev
        house.chat.leave(house.user("Eve"), house.sessions["Eve"], lost=False)
        house.quiet()
        assert house.kicks("Bob", "Bob", "den") is ErrorCode.NOT_IN_CHARGE

    def test_a_founder_who_is_banned_by_the_operator_cannot_undo_it(self, house: Charge) -> None:
        house.bans("Olga", "Alice")
        assert house.takes("Alice", Lift, "dev", BAN, "Alice") is ErrorCode.NOT_IN_CHARGE

    def test_rights_are_those_of_the_commit(self) -> None:
        """Bob kicks while what takes his rights away is on its way."""
        archive = LateArchive()
        house = Charge(archive)

        def commit() -> None:
            house.turn()
            archive.commit()

        for name, account in (("Alice", ALICE), ("Bob", BOB), ("Eve", None)):
            session = house.sessions[name] = Session()
            house.chat.enter(session, name, house._entered, account=account)
            commit()
        for name in ("Alice", "Bob", "Eve"):
            user, session = house.user(name), house.sessions[name]
            house.chat.join_room(user, session, "dev", "here", then=house.outcomes.append)
            commit()
        outcomes: list[Any] = []

        def take(name: str, measure: Any, *given: Any) -> None:
            session = house.sessions[name]
            warrant = Warrant(0.0, house.user(name), "dev", session.cursor, None, outcomes.append)
            house.chat.moderation.take(session, measure(warrant, *given))

        take("Alice", Appoint, BOB, "Bob", Role.OPERATOR)
        commit()
        take("Alice", Appoint, BOB, "Bob", Role.MEMBER)
        take("Bob", Kick, person_of(house.user("Eve")))
        commit()
        assert outcomes[-1].code is ErrorCode.NOT_IN_CHARGE
        assert house.members() == {"Alice", "Bob", "Eve"}


class TestKicks:
    def test_the_room_and_whom_it_concerns_are_told(self, house: Charge) -> None:
        assert house.kicks("Alice", "Eve", why="spam") is None
        assert house.sinks["Bob"].heard() == ["#dev *** Alice has removed Eve: spam"]
        assert house.sinks["Eve"].heard() == [
            "*** Alice has removed you from #dev: spam",
            "*** You have left #dev. You are now speaking in #lobby.",
        ]
        assert house.says("Eve") is ErrorCode.NOT_IN_ROOM
        house.joins("Eve", "dev")
        assert house.members() == {"Alice", "Bob", "Eve"}

    def test_from_the_lobby_it_ends_the_connections(self, house: Charge) -> None:
        assert house.kicks("Olga", "Eve", LOBBY) is None
        assert house.sessions["Eve"].closed == [CloseReason.KICKED]
        assert house.sinks["Bob"].heard() == ["*** Olga has removed Eve from the chat."]
        assert "Eve" not in house.chat.users
        assert house.members() == {"Alice", "Bob"}
        house.quiet()
        assert house.sinks["Bob"].heard() == []
        house.comes("Eve")
        assert "Eve" in house.chat.users


class TestBans:
    def test_nothing_of_the_room_is_read_any_more(self, house: Charge) -> None:
        eve, user = house.sinks["Eve"], house.user("Eve")
        house.says("Alice", "before the ban")
        eve.heard()
        assert house.bans("Alice", "Eve") is None
        eve.heard()
        house.says("Alice", "secret")
        assert eve.heard() == []
        chat = house.chat
        for ask in (chat.room_for, chat.own_room):
            with pytest.raises(Refusal) as refused:
                ask(user, "dev")
            assert refused.value.code is ErrorCode.UNKNOWN_ROOM
        with pytest.raises(Refusal):
            chat.recall(user, History(room="dev"))
        assert [room.room for room in chat.rooms_for(user)] == [LOBBY]
        assert chat.whois(user, "Alice").rooms == (LOBBY,)
        assert house.says("Eve") is ErrorCode.UNKNOWN_ROOM

    def test_it_holds_against_another_name(self, house: Charge) -> None:
        house.bans("Alice", "Eve")
        house.rename("Eve", "Zoe")
        house.turn()
        house.joins("Zoe", "dev")
        assert house.codes() == [ErrorCode.BANNED]

    def test_it_holds_against_likenesses_of_the_name(self, house: Charge) -> None:
        house.bans("Alice", "Eve")
        house.chat.leave(house.user("Eve"), house.sessions["Eve"], lost=False)
        house.quiet()
        house.comes("EVE", network="elsewhere")
        house.joins("EVE", "dev")
        assert house.codes() == [ErrorCode.BANNED]

    def test_it_holds_against_new_guests_of_the_network_and_nobody_else(
        self, house: Charge
    ) -> None:
        house.comes("Carol", network="net of Eve")
        house.joins("Carol", "dev")
        house.bans("Alice", "Eve")
        house.comes("Mallory", network="net of Eve")
        house.joins("Mallory", "dev")
        assert house.codes() == [ErrorCode.BANNED]
        house.comes("Dave", Account("Dave", 1.0), network="net of Eve")
        house.joins("Dave", "dev")
        assert house.codes() == []
        assert house.members() == {"Alice", "Bob", "Carol", "Dave"}

    def test_nobody_comes_back_by_registering_another_name(self, house: Charge) -> None:
        house.clock.advance(10)
        house.bans("Alice", "Eve")
        house.mutes("Alice", "Bob")
        for number, net in enumerate(("net of Eve", "net of Bob")):
            name = f"Mallory{number}"
            house.comes(name, network=net)
            house.chat.set_account(house.user(name), Account(name, 20.0))
            house.joins(name, "dev")
        assert house.codes() == [ErrorCode.BANNED]
        assert house.says("Mallory1") is ErrorCode.MUTED
        # Those in charge are not taken for somebody from their network.
        trent = Account("Trent", 20.0)
        assert house.appoints("Alice", trent, Role.OPERATOR) is None
        house.comes("Trent", trent, network="net of Eve")
        house.joins("Trent", "dev")
        assert house.codes() == []

    @pytest.mark.parametrize("scope", ["dev", ALL_ROOMS])
    def test_nobody_logs_in_where_the_account_is_banned(self, house: Charge, scope: str) -> None:
        by, mallory = ("Alice" if scope == "dev" else "Olga"), Account("Mallory", 1.0)
        house.bans(by, Person(0, "Mallory", mallory), scope)
        with pytest.raises(Refusal):
            house.chat.claim(house.user("Eve"), mallory)
        assert house.user("Eve").account is None
        house.mutes(by, "Eve", scope)
        assert house.says("Eve") is ErrorCode.MUTED

    @pytest.mark.parametrize("scope", ["dev", LOBBY, ALL_ROOMS])
    def test_who_logs_in_meanwhile_is_removed(self, house: Charge, scope: str) -> None:
        mallory = Account("Mallory", 1.0)
        warrant = Warrant(house.chat.now(), None, scope)
        ban = Impose(warrant, BAN, Person(0, "Mallory", mallory))
        house.chat.moderation.take(None, ban)
        house.chat.claim(house.user("Eve"), mallory)
        house.quiet()
        assert house.members() == {"Alice", "Bob"}
        assert ("Eve" in house.chat.users) is (scope == "dev")

    def test_who_logs_in_to_an_account_that_is_muted_is_muted(self, house: Charge) -> None:
        mallory = Account("Mallory", 1.0)
        house.takes("Alice", Impose, "dev", MUTE, Person(0, "Mallory", mallory), None, "")
        house.chat.claim(house.user("Eve"), mallory)
        house.turn()
        assert house.says("Eve") is ErrorCode.MUTED

    def test_it_holds_against_another_connection_by_token(self, house: Charge) -> None:
        token = house.chat.token(house.user("Eve"), house.sessions["Eve"])
        house.bans("Alice", "Eve")
        house.sessions["Eve2"] = beside = Session()
        house.chat.enter(beside, "Eve", house._entered, token=token, beside=True)
        house.says("Alice", "secret")
        assert beside.sink.heard() == []
        house.joins("Eve2", "dev")
        assert house.codes() == [ErrorCode.BANNED]

    def test_it_follows_somebody_who_registers(self, house: Charge) -> None:
        house.bans("Alice", "Eve")
        house.rename("Eve", "Zoe")
        house.turn()
        zoe = Account("Zoe", 2.0)
        house.chat.set_account(house.user("Zoe"), zoe)
        house.turn()
        house.chat.leave(house.user("Zoe"), house.sessions["Zoe"], lost=False)
        house.quiet()
        house.comes("Zoe", zoe, network="elsewhere")
        house.joins("Zoe", "dev")
        assert house.codes() == [ErrorCode.BANNED]

    def test_it_is_of_an_account_whatever_its_owner_is_called(self, house: Charge) -> None:
        house.rename("Bob", "Rob")
        house.turn()
        assert house.bans("Alice", Person(0, "Bob", BOB)) is None  # who is looked up by that
        assert house.members() == {"Alice", "Eve"}
        house.chat.leave(house.user("Rob"), house.sessions["Rob"], lost=False)
        house.quiet()
        house.comes("Robert", BOB, network="elsewhere")
        house.joins("Robert", "dev")
        assert house.codes() == [ErrorCode.BANNED]
        house.comes("Rob")
        house.joins("Rob", "dev")
        assert house.codes() == []

    def test_it_is_imposed_on_people_who_are_not_here(self, house: Charge) -> None:
        assert house.bans("Alice", Person(0, "Mallory")) is None
        house.comes("Mallory")
        house.joins("Mallory", "dev")
        assert house.codes() == [ErrorCode.BANNED]

    def test_it_ends_by_itself_or_when_it_is_lifted(self, house: Charge) -> None:
        house.bans("Alice", "Eve", seconds=60)
        house.clock.advance(61)
        house.joins("Eve", "dev")
        assert house.codes() == []
        house.bans("Alice", "Eve")
        assert house.takes("Alice", Lift, "dev", BAN, "Nobody") is ErrorCode.NOT_BANNED
        assert house.takes("Alice", Lift, "dev", BAN, "eve") is None
        house.joins("Eve", "dev")
        assert house.codes() == []
        assert (
            house.chat.moderation.listed(house.user("Alice"), house.chat.directory.rooms["dev"])
            == []
        )

    def test_in_the_whole_chat_it_ends_the_connections_and_nobody_comes_in(
        self, house: Charge
    ) -> None:
        assert house.bans("Alice", "Eve", ALL_ROOMS) is ErrorCode.NOT_IN_CHARGE
        assert house.bans("Olga", "Eve", ALL_ROOMS) is None
        assert house.sessions["Eve"].closed == [CloseReason.KICKED]
        assert house.sinks["Bob"].heard() == [
            "*** Olga has banned Eve in the whole chat.",
            "*** Olga has removed Eve from the chat.",
        ]
        house.comes("Eve", network="elsewhere")
        house.comes("Mallory", network="net of Eve")
        assert [refusal.code for refusal in house.refused] == [ErrorCode.BANNED] * 2
        house.comes("Dave", Account("Dave", 1.0), network="net of Eve")
        assert set(house.chat.users) == {"Alice", "Bob", "Dave", "Olga"}

    def test_owners_of_accounts_come_back_into_their_other_rooms(self, house: Charge) -> None:
        house.joins("Bob", "ops")
        house.chat.leave(house.user("Bob"), house.sessions["Bob"], lost=False)
        house.quiet()
        house.bans("Alice", Person(0, "Bob", BOB))
        session = house.sessions["Bob"] = Session()
        rooms = {LOBBY: 1, "dev": 1}
        house.chat.enter(session, "Bob", house._entered, account=BOB, rooms=rooms)
        house.quiet()
        assert house.user("Bob").sorted_rooms == (LOBBY,)

    def test_somebody_who_comes_in_the_same_turn_is_caught(self, house: Charge) -> None:
        house.comes("Mallory")
        session = house.sessions["Mallory"]
        user = house.user("Mallory")
        house.chat.join_room(user, session, "dev", "net", then=house.outcomes.append)
        house.bans("Alice", Person(user.id, "Mallory"))
        assert house.members() == {"Alice", "Bob", "Eve"}

    def test_there_is_a_bound(self, house: Charge, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sanctions, "MAX_SANCTIONS_IN_ROOM", 3)
        for number in range(3):
            assert house.bans("Alice", Person(0, f"Troll{'abc'[number]}"), seconds=10) is None
        assert house.bans("Alice", Person(0, "Other")) is ErrorCode.TOO_MANY_BANS
        assert house.bans("Alice", Person(0, "Trolla"), seconds=20) is None  # instead
        house.clock.advance(11)
        assert house.bans("Alice", Person(0, "Other")) is None  # two have ended

    def test_it_is_one_for_all_rooms_of_a_founder(
        self, house: Charge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sanctions, "MAX_SANCTIONS_IN_ROOM", 3)
        monkeypatch.setattr(sanctions, "MAX_SANCTIONS_BY_GUEST", 1)
        for name, most in (("Alice", 3), ("Eve", 1)):
            house.joins(name, f"by-{name}")
            house.joins(name, f"also-by-{name}")
            for number in range(most):
                troll = Person(0, f"Troll{number}")
                assert house.bans(name, troll, f"by-{name}", seconds=10) is None
            other = Person(0, "Other")
            code = house.bans(name, other, f"also-by-{name}")
            assert code is ErrorCode.TOO_MANY_BANS
        house.clock.advance(11)
        for name in ("Alice", "Eve"):
            assert house.bans(name, Person(0, "Other"), f"also-by-{name}") is None


class TestMutes:
    def test_they_hear_and_are_not_heard(self, house: Charge) -> None:
        assert house.mutes("Alice", "Eve") is None
        assert house.says("Eve") is ErrorCode.MUTED
        assert house.says("Eve", room=LOBBY) is None
        house.sinks["Eve"].heard()
        house.says("Alice", "to all")
        assert house.sinks["Eve"].heard() == ["#dev Alice: to all"]
        assert "#dev Eve: hi" not in house.sinks["Bob"].heard()

    def test_a_name_is_nothing_to_speak_with(self, house: Charge) -> None:
        house.mutes("Alice", "Eve")
        house.rename("Eve", "Heard")
        house.turn()
        assert house.user("Eve").name == "Eve"

    def test_new_guests_of_the_network_are_muted_too(self, house: Charge) -> None:
        house.comes("Carol", network="net of Eve")
        house.joins("Carol", "dev")
        house.mutes("Alice", "Eve")
        assert house.says("Carol") is None
        house.comes("Mallory", network="net of Eve")
        house.joins("Mallory", "dev")
        assert house.says("Mallory") is ErrorCode.MUTED

    def test_in_the_whole_chat_they_write_to_nobody(self, house: Charge) -> None:
        house.mutes("Olga", "Eve", ALL_ROOMS)
        assert house.says("Eve", room=LOBBY) is ErrorCode.MUTED
        for name in ("Bob", "Nobody"):  # for whom it would wait, if they are registered
            with pytest.raises(Refusal) as refused:
                house.chat.send_private(house.user("Eve"), house.sessions["Eve"], name, "psst")
            assert refused.value.code is ErrorCode.MUTED
        house.chat.send_private(house.user("Bob"), house.sessions["Bob"], "Eve", "psst")
        assert "[Bob -> you] psst" in house.sinks["Eve"].heard()

    def test_it_is_lifted(self, house: Charge) -> None:
        house.mutes("Alice", "Eve")
        assert house.takes("Alice", Lift, "dev", MUTE, "Eve") is None
        assert house.says("Eve") is None

    def test_it_is_not_lifted_for_somebody_who_is_held_with_another(self, house: Charge) -> None:
        """Eve would be heard again, whom nobody has forgiven."""
        house.mutes("Alice", "Eve")
        house.comes("Mallory", network="net of Eve")
        house.joins("Mallory", "dev")
        assert house.takes("Alice", Lift, "dev", MUTE, "Mallory") is ErrorCode.HELD_WITH
        assert house.says("Eve") is ErrorCode.MUTED
        assert house.mutes("Alice", "Mallory") is None
        assert house.listed("Alice") == [(MUTE, "Eve"), (MUTE, "Mallory")]
        assert house.takes("Alice", Lift, "dev", MUTE, "Mallory") is None
        assert house.listed("Alice") == [(MUTE, "Eve")]
        assert house.takes("Alice", Lift, "dev", MUTE, "Eve") is None
        assert house.says("Mallory") is house.says("Eve") is None


class TestSlowRooms:
    def slows(self, house: Charge, name: str, seconds: int) -> ErrorCode | None:
        outcomes: list[Any] = []
        try:
            house.chat.moderation.set_pace(
                house.user(name),
                house.sessions[name],
                house.chat.directory.rooms["dev"],
                seconds,
                then=outcomes.append,
            )
        except Refusal as refusal:
            return refusal.code
        house.turn()
        (outcome,) = outcomes
        return outcome.code if isinstance(outcome, Refusal) else None

    def test_of_guests_who_have_left_nothing_is_kept(self) -> None:
        pace = Pace()
        for guest in range(1, 100):  # each has come, spoken and left
            pace.note("dev", guest, 1.0, 3600, 10, {guest, ALICE, BOB}.__contains__)
            pace.note("dev", (ALICE, BOB)[guest % 2], 1.0, 3600, 10, {ALICE, BOB}.__contains__)
        spoke = pace.forget("dev")
        assert len(spoke) < 15
        assert {ALICE, BOB} <= spoke.keys()

    def test_each_person_says_one_message_in_that_time(self, house: Charge) -> None:
        assert self.slows(house, "Bob", 30) is ErrorCode.NOT_FOUNDER
        assert self.slows(house, "Alice", 30) is None
        for name in ("Bob", "Eve"):
            assert house.says(name) is None
            assert house.says(name) is ErrorCode.TOO_SOON
            assert house.says(name, room=LOBBY) is None
        assert house.says("Alice") is house.says("Alice") is None  # who is in charge
        house.clock.advance(29)
        assert house.says("Bob") is ErrorCode.TOO_SOON
        house.clock.advance(1)
        assert house.says("Bob") is None
        assert self.slows(house, "Alice", 0) is None
        assert house.says("Bob") is house.says("Bob") is None

    def test_of_several_lines_the_first_is_heard(self, house: Charge) -> None:
        self.slows(house, "Alice", 30)
        house.sinks["Eve"].heard()
        outcomes: list[Any] = []
        bob = house.user("Bob")
        texts = ("one", "two", "three")
        house.chat.say(bob, house.sessions["Bob"], texts, "dev", then=outcomes.append)
        house.turn()
        assert [outcome.code for outcome in outcomes] == [ErrorCode.TOO_SOON]
        assert house.sinks["Eve"].heard() == ["#dev Bob: one"]

    def test_neither_a_name_nor_coming_back_is_quicker(self, house: Charge) -> None:
        self.slows(house, "Alice", 30)
        assert house.says("Bob") is None
        house.rename("Bob", "Robert")
        house.turn()
        house.sessions["Robert"] = house.sessions["Bob"]
        assert house.says("Robert") is ErrorCode.TOO_SOON
        house.leave("Robert")
        house.quiet()
        house.comes("Bob", BOB)
        house.joins("Bob", "dev")
        assert house.says("Bob") is ErrorCode.TOO_SOON


NAMES = ("Alice", "Bob", "Carol", "Dave", "Eve", "Olga")
ACCOUNTS = {name: Account(name, 1.0) for name in ("Alice", "Bob", "Carol", "Olga")}
STEPS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(
            ("kick", "ban", "unban", "mute", "unmute", "op", "deop", "give", "join", "come")
        ),
        st.sampled_from(NAMES),
    ),
    max_size=25,
)


class Ranks:
    """Who is in charge of #dev, as it should be: a model that knows no registry."""

    def __init__(self) -> None:
        self.founder, self.operators = "Alice", set[str]()
        self.banned, self.muted = set[str](), set[str]()
        self.there = set[str]()

    def of(self, name: str) -> int:
        if name == "Olga":
            return 3
        return 2 if name == self.founder else int(name in self.operators)

    def may(self, name: str, does: str, whom: str) -> bool:
        """Whether `name` may do that."""
        rank = self.of(name)
        if rank < 3 and name not in self.there:
            return False
        match does:
            case "kick" | "ban" | "mute":
                return rank > self.of(whom)
            case "unban" | "unmute":
                return rank > 0
            case "op":
                return rank >= 2
            case "deop":
                return rank >= 2 or (rank == 1 and name == whom)
            case _:
                return rank == 3

    def apply(self, does: str, whom: str) -> None:
        match does:
            case "kick":
                self.there.discard(whom)
            case "ban":
                self.banned.add(whom)
                self.there.discard(whom)
            case "unban":
                self.banned.discard(whom)
            case "mute":
                self.muted.add(whom)
            case "unmute":
                self.muted.discard(whom)
            case "op":
                self.operators |= {whom} if not self.of(whom) else set()
            case "deop":
                self.operators.discard(whom)
            case "give":
                self.founder = whom
                self.operators.discard(whom)


def carry_out(house: Charge, name: str, does: str, whom: str) -> ErrorCode | None:
    here = whom in house.chat.users
    target = person_of(house.user(whom)) if here else Person(0, whom, ACCOUNTS.get(whom))
    account = ACCOUNTS.get(whom, BOB)
    match does:
        case "kick":
            return house.takes(name, Kick, "dev", target, "")
        case "ban" | "mute":
            return house.takes(name, Impose, "dev", SanctionKind(does), target)
        case "unban" | "unmute":
            return house.takes(name, Lift, "dev", SanctionKind(does[2:]), whom)
    role = {"op": Role.OPERATOR, "deop": Role.MEMBER, "give": Role.FOUNDER}[does]
    return house.takes(name, Appoint, "dev", account, account.name, role)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_people_try_only_those_in_charge_change_anything(
    steps: list[tuple[str, str, str]],
) -> None:
    house, model = Charge(), Ranks()
    for name in NAMES:
        house.comes(name, ACCOUNTS.get(name))
    house.chat.moderation.commission(ACCOUNTS["Olga"], True)
    house.joins("Alice", "dev")
    model.there.add("Alice")
    for name, does, whom in steps:
        if does == "come":  # at another connection, from the same network, but a guest anew
            session = house.sessions[name]
            house.chat.leave(house.user(name), session, lost=True)
            model.there.discard(name)
            house.quiet()
            house.comes(name, ACCOUNTS.get(name))
        elif does == "join":
            with suppress(Refusal):
                house.joins(name, "dev")
            assert (name in house.members()) is (name not in model.banned), name
            model.there |= {name} - model.banned
        else:
            is_role = does in ("op", "deop", "give")
            concerned = "Bob" if is_role and whom not in ACCOUNTS else whom
            refused = carry_out(house, name, does, concerned)
            if model.may(name, does, concerned):
                if refused is None:
                    model.apply(does, concerned)
            else:
                assert refused is not None
        assert house.members() == model.there
        room = house.chat.directory.rooms["dev"]
        assert room.founder == ACCOUNTS[model.founder]
        assert {account.name for account in room.operators} == model.operators
        for sink in house.sinks.values():
            sink.heard()
        for speaker in NAMES:
            code = house.says(speaker, f"{speaker} speaks")
            is_heard = speaker in model.there and speaker not in model.muted
            assert (code is None) is is_heard, (speaker, code)
            for hearer in NAMES:
                heard = f"#dev {speaker}: {speaker} speaks" in house.sinks[hearer].heard()
                assert heard is (is_heard and hearer in model.there and hearer != speaker)


class KeptHouse(Charge):
    """The same, in a database."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.turns = self.clock = clock = Turns()
        clock.advance(1e9)
        self.archive = archive = new_archive(path, clock)
        self.chat = Chat(clock, archive, now=clock.seconds)
        archive.open()
        self.chat.restore(archive.rooms, archive.people, archive.operators, archive.sanctions)
        self.accounts = SqliteAccountStore(archive, clock.seconds)

    def turn(self) -> None:
        self.turns.turn(8)

    def quiet(self) -> None:
        for _ in range(3):
            self.turn()
            self.clock.advance(0.2)
        self.turn()


def test_bans_of_rooms_that_are_gone_are_not_kept(tmp_path: Path) -> None:
    """Nor those that have ended: they would grow as long as the server runs."""
    house = KeptHouse(tmp_path / "chat")
    house.comes("Mallory")
    house.joins("Mallory", "dev")
    for number in range(3):
        assert house.bans("Mallory", Person(0, f"Nobody{number}"), seconds=10) is None
    house.clock.advance(100)
    assert house.bans("Mallory", Person(0, "Somebody")) is None

    def kept() -> list[tuple[str]]:
        house.turn()
        with closing(sqlite3.connect(tmp_path / "chat")) as connection:
            return connection.execute("SELECT name FROM sanctions").fetchall()

    assert kept() == [("Somebody",)]
    session = house.sessions["Mallory"]
    house.chat.part_room(house.user("Mallory"), session, "dev", then=house.outcomes.append)
    house.quiet()
    assert kept() == []
    house.turns.wait_for(house.archive.close())


def test_what_is_done_in_the_turn_of_a_registration_is_kept(tmp_path: Path) -> None:
    """The room is kept from then on, as it is; and not as it was when that was asked for."""
    house = KeptHouse(tmp_path / "chat")
    fay, eve = (Account(name, 1e9) for name in ("Fay", "Eve"))
    for account in (fay, eve):
        house.comes(account.name)
        for name in ("dev", "den"):
            house.joins(account.name, name)
        house.turns.wait_for(house.accounts.add(account, "hash"))
    assert house.mutes("Fay", "Eve") is None
    for account in (fay, eve):
        house.chat.set_account(house.user(account.name), account)
    chat, user, session = house.chat, house.user("Fay"), house.sessions["Fay"]
    room, then = chat.directory.rooms["dev"], house.outcomes.append
    chat.moderation.set_private(user, session, room, True, then=then)
    chat.moderation.set_pace(user, session, room, 30, then=then)
    chat.moderation.set_topic(user, session, room, "secret", then=then)
    warrant = Warrant(chat.now(), user, "dev", session.cursor, None, then)
    chat.moderation.take(session, Lift(warrant, MUTE, "Eve"))
    chat.part_room(house.user("Eve"), house.sessions["Eve"], "den", then=then)
    house.quiet()
    assert house.codes() == []
    crash(house.archive)

    house = KeptHouse(tmp_path / "chat")
    room = house.chat.directory.rooms["dev"]
    assert (room.founder, room.private, room.slow, room.topic) == (fay, True, 30, "secret")
    assert house.archive.sanctions == []
    kept = house.turns.wait_for(house.archive.memberships(eve))
    assert kept.keys() == {LOBBY, "dev"}
    house.turns.wait_for(house.archive.close())


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    house = KeptHouse(tmp_path / "chat")
    for account in (ALICE, BOB, EVE, OPERATOR):
        house.turns.wait_for(house.accounts.add(account, "hash"))
    for name, account in (("Alice", ALICE), ("Bob", BOB), ("Eve", EVE), ("Olga", OPERATOR)):
        house.comes(name, account)
    for name in ("Mallory", "Trent"):
        house.comes(name)
    for name in ("Alice", "Bob", "Eve", "Mallory", "Trent"):
        house.joins(name, "dev")
    assert house.codes() == []
    assert house.appoints("Alice", BOB, Role.OPERATOR) is None
    assert house.bans("Bob", "Eve", seconds=10**6) is None
    assert house.bans("Bob", "Mallory", seconds=10) is None
    assert house.mutes("Bob", "Trent") is None
    assert house.bans("", Person(0, "Zed"), ALL_ROOMS) is None
    assert house.bans("Alice", Person(0, "Lifted")) is None
    assert house.takes("Alice", Lift, "dev", BAN, "Lifted") is None
    crash(house.archive)
    with AccountFile(tmp_path / "chat") as file:
        file.set_operator(OPERATOR, True)

    house = KeptHouse(tmp_path / "chat")
    house.clock.advance(100)
    for name, account in (("Alice", ALICE), ("Bob", BOB), ("Eve", EVE), ("Olga", OPERATOR)):
        house.comes(name, account, "elsewhere")
    for name in ("Mallory", "Trent", "Zed"):
        house.comes(name, None, "elsewhere")
    assert [refusal.code for refusal in house.refused] == [ErrorCode.BANNED]  # Zed
    for name, code in (("Bob", []), ("Eve", [ErrorCode.BANNED]), ("Mallory", []), ("Trent", [])):
        house.joins(name, "dev")
        assert house.codes() == code, name
    assert house.says("Trent") is ErrorCode.MUTED
    assert house.kicks("Bob", "Mallory") is None
    assert house.appoints("Olga", BOB, Role.FOUNDER) is None
    assert house.listed("Bob") == [(BAN, "Eve"), (MUTE, "Trent")]
    crash(house.archive)
    house = KeptHouse(tmp_path / "chat")
    assert house.chat.directory.rooms["dev"].founder == BOB
    house.turns.wait_for(house.archive.close())


def test_of_very_many_bans_the_newest_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program takes an answer in one line, and nobody reads thousands."""
    monkeypatch.setattr(session_moderation, "MAX_LISTED", 2)
    house = Charge()
    for name in ("Ann", "Bert", "Cleo"):
        house.takes("", Impose, ALL_ROOMS, BAN, Person(0, name), None, "")
    house.comes("Olga", OPERATOR)
    house.chat.moderation.commission(OPERATOR, True)
    house.turn()
    asker: Any = SimpleNamespace(services=SimpleNamespace(chat=house.chat), user=house.user("Olga"))
    listed = session_moderation.bans(asker, Bans(ALL_ROOMS))
    assert TEXT.lines(listed)[0] == ("*** 3 banned or muted in the whole chat, the newest 2:")
    assert [each.name for each in listed.bans] == ["Bert", "Cleo"]
