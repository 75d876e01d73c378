"""Who may delete what."""

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from chatservice.core.chat import Chat
from chatservice.core.deleting import OWN_SECONDS, Deletion, Found
from chatservice.core.drafts import Entry
from chatservice.core.events import (
    LOBBY,
    Account,
    Burst,
    Deleted,
    ErrorCode,
    Refusal,
    Role,
    Said,
    Tombstone,
)
from chatservice.core.measures import Warrant
from chatservice.core.requests import Delete
from chatservice.storage.sqlite import rows
from chatservice.storage.sqlite.database import open_for_server, transaction
from chatservice.storage.sqlite.erasing import erase
from tests.unit.test_moderation import BOB, Charge, house

__all__ = ["house"]


def result(awaited: Any) -> Any:
    """That of what needs no waiting."""
    results: list[Any] = []
    Deferred.fromCoroutine(awaited).addBoth(results.append)
    (found,) = results
    return found


def deletes(house: Charge, name: str, asked: Delete) -> ErrorCode | None:
    """Why it is refused, if it is."""
    chat, user, session = house.chat, house.user(name), house.sessions[name]
    room = chat.directory.rooms[asked.room]
    reach = chat.reach(user, room.name) if room.name in user.rooms else {room.name: 0}
    found = result(chat.deletions.find(user, room, asked, reach))
    if not isinstance(found, Found):
        refusal = found.value
        assert isinstance(refusal, Refusal)
        return refusal.code
    outcomes: list[Any] = []
    warrant = Warrant(chat.now(), user, room.name, session.cursor, None, outcomes.append)
    chat.moderation.take(session, Deletion(warrant, found))
    house.turn()
    (outcome,) = outcomes
    return outcome.code if isinstance(outcome, Refusal) else None


def last(name: str = "", count: int = 1, room: str = "dev") -> Delete:
    return Delete(None, room, name, count)


def said(chat: Chat, room: str = "dev") -> list[str]:
    """What is left in the room, with who has deleted it."""
    page = result(_recall(chat, room))
    return [
        each.text if isinstance(each, Said) else f"deleted by {each.by}"
        for each in page.events
        if isinstance(each, Said | Tombstone)
    ]


async def _recall(chat: Chat, room: str) -> Any:
    return await chat.archive.recall(chat.log.end, None, 100, {room: 0})


def says(house: Charge, name: str, *texts: str) -> None:
    for text in texts:
        assert house.says(name, text) is None


def test_people_delete_their_own_and_nobody_elses(house: Charge) -> None:
    says(house, "Eve", "one", "two")
    says(house, "Bob", "three")
    for asked in (last("Eve"), last("EVE", 2), last("Alice")):
        assert deletes(house, "Bob", asked) is ErrorCode.NOT_IN_CHARGE
    ids = range(house.chat.log.end)
    refused = [deletes(house, "Bob", Delete(id_, "dev")) for id_ in ids]
    assert refused.count(ErrorCode.NOT_IN_CHARGE) == 2  # Eve's
    assert refused.count(None) == 1
    assert deletes(house, "Eve", last(count=5)) is None
    assert said(house.chat) == ["deleted by Eve", "deleted by Eve", "deleted by Bob"]
    assert deletes(house, "Eve", last()) is ErrorCode.NO_SUCH_MESSAGE


def test_for_a_quarter_of_an_hour(house: Charge) -> None:
    says(house, "Eve", "old")
    house.clock.advance(OWN_SECONDS - 1)
    says(house, "Eve", "new")
    house.clock.advance(2)
    assert deletes(house, "Eve", last(count=2)) is None
    assert deletes(house, "Eve", last()) is ErrorCode.TOO_LATE
    assert said(house.chat) == ["old", "deleted by Eve"]
    assert deletes(house, "Alice", last("Eve")) is None


def test_those_in_charge_delete_anybodys_there_and_not_elsewhere(house: Charge) -> None:
    says(house, "Eve", "one")
    says(house, "Bob", "two")
    house.says("Eve", "in the lobby", LOBBY)
    assert deletes(house, "Alice", last("Eve", room=LOBBY)) is ErrorCode.NOT_IN_CHARGE
    assert deletes(house, "Olga", last("Eve")) is None  # an operator of the server, not there
    assert house.appoints("Alice", BOB, Role.OPERATOR) is None
    says(house, "Alice", "three")
    assert deletes(house, "Bob", last("Alice")) is None
    assert said(house.chat) == ["deleted by Olga", "two", "deleted by Bob"]
    assert said(house.chat, LOBBY) == ["in the lobby"]


def test_whoever_is_muted_takes_back_what_they_said_and_whoever_is_banned_does_not(
    house: Charge,
) -> None:
    says(house, "Eve", "one", "two")
    found = result(
        house.chat.deletions.find(
            house.user("Eve"),
            house.chat.directory.rooms["dev"],
            last(),
            house.chat.reach(house.user("Eve"), "dev"),
        )
    )
    assert house.mutes("Alice", "Eve") is None
    assert deletes(house, "Eve", last()) is None
    assert house.bans("Alice", "Eve") is None
    user, session = house.user("Eve"), house.sessions["Eve"]
    outcomes: list[Any] = []  # of what was on its way when they were banned
    warrant = Warrant(house.chat.now(), user, "dev", session.cursor, None, outcomes.append)
    house.chat.moderation.take(session, Deletion(warrant, found._replace(ids=(found.ids[0] - 1,))))
    house.turn()
    assert isinstance(outcomes[0], Refusal)
    assert said(house.chat) == ["one", "deleted by Eve"]


@pytest.mark.parametrize("account", [None, Account("Carol", 1.0)])
def test_a_name_alone_makes_nothing_ones_own(house: Charge, account: Account | None) -> None:
    """Another guest who is called the same later; but the owner of an account is the same."""
    house.comes("Carol", account)
    house.joins("Carol", "dev")
    house.clock.advance(5)
    says(house, "Carol", "one")
    house.chat.leave(house.user("Carol"), house.sessions["Carol"], lost=False)
    house.quiet()
    house.comes("Carol", account)
    house.joins("Carol", "dev")
    expected = ErrorCode.NOT_IN_CHARGE if account is None else None
    before = house.chat.log.messages["dev"]
    assert before == 1
    (message,) = [e for e in result(_recall(house.chat, "dev")).events if isinstance(e, Said)]
    assert deletes(house, "Carol", Delete(message.id, "dev")) in {
        expected,
        ErrorCode.NO_SUCH_MESSAGE,  # what was said before they came they need not see
    }
    assert said(house.chat) == (["one"] if account is None else ["deleted by Carol"])


def test_whoever_reads_later_reads_nothing_of_it(house: Charge) -> None:
    """Though it was on its way to them."""
    eve = house.sinks["Eve"]
    eve.slow = True
    says(house, "Bob", "first", "secret", "third")
    assert deletes(house, "Alice", last("Bob", 2)) is None
    eve.slow = False
    eve.cursor.resume()
    heard = eve.heard()
    assert "secret" not in "".join(heard)
    assert [line for line in heard if "deleted" in line] == [
        *["#dev *** A message from Bob was deleted by Alice."] * 2,
        "#dev *** Alice has deleted 2 messages from Bob.",
    ]


def test_a_transaction_that_seemed_to_fail_brings_nothing_back(tmp_path: Path) -> None:
    """It is written again, though it is there."""
    opened = open_for_server(tmp_path / "chat")
    said_ = Burst(1, 0.0, LOBBY, "Alice", ("one", "secret", "three"))
    entries = [
        Entry(said_, (LOBBY,), messages=3),
        Entry(Deleted(4, 0.0, LOBBY, "Alice", "Alice", (2,)), (LOBBY,)),
    ]
    for _ in range(2):
        with transaction(opened.connection):
            rows.save(opened.connection, entries, {})
            erase(opened.connection, entries, indexed=False)
        kept = [row.event() for row in rows.rows_between(opened.connection, 0, 9)]
        assert kept == [
            Burst(1, 0.0, LOBBY, "Alice", ("one",)),
            Tombstone(2, 0.0, LOBBY, "Alice", "Alice"),
            Burst(3, 0.0, LOBBY, "Alice", ("three",)),
            entries[1].event,
        ]
    opened.close()
