"""`ChatClient` of somebody in charge, and of somebody who is removed, against a real server."""

from pathlib import Path

import pytest
import pytest_twisted

from chatservice.client import (
    Banned,
    ChatClient,
    Declined,
    Deleted,
    Disconnected,
    ErrorCode,
    Gone,
    Left,
    Muted,
    Removed,
    Role,
    RoleChanged,
    RoomLost,
    Said,
    SanctionKind,
    Tombstone,
    Welcomed,
)
from chatservice.core.events import ALL_ROOMS, Account
from chatservice.core.requests import History, Register
from chatservice.storage.sqlite.database import open_for_server
from chatservice.storage.sqlite.files import AccountFile
from tests.client.test_chat_client import Wire, client_of, end, heard
from tests.support.people import Server
from tests.support.quick_passwords import QUICK, QUICKLY

PASSWORD = "correct horse"


async def in_dev(server: Server, *names: str) -> list[ChatClient]:
    """These have come in and joined #dev; the first has founded it."""
    clients = [client_of(server, name, rooms=True) for name in names]
    for client in clients:
        await heard(client, Welcomed)
        await client.join("dev")
    return clients


def with_operator(folder: Path) -> tuple[str, ...]:
    """The options of a server where Olga, who has registered, is an operator."""
    file = folder / "chat.sqlite3"
    olga = Account("Olga", 0.0)
    open_for_server(file).close()
    with AccountFile(file) as kept:
        kept.add(olga, QUICK.hash(PASSWORD))
        kept.set_operator(olga, True)
    return ("--database", str(file))


@pytest_twisted.ensureDeferred
async def test_a_founder_mutes_removes_and_bans(server: Server) -> None:
    alice, bob, eve = await in_dev(server, "Alice", "Bob", "Eve")
    with pytest.raises(Declined) as refused:
        await bob.kick("Eve", "dev")
    assert refused.value.code == ErrorCode.NOT_IN_CHARGE
    await alice.mute("Eve", "dev", seconds=60, reason="shouting")
    muted = await heard(bob, Muted)
    assert (muted.name, muted.by, muted.why, muted.until is not None) == (
        *("Eve", "Alice", "shouting"),
        True,
    )
    with pytest.raises(Declined) as refused:
        await eve.say("HELLO", "dev")
    assert refused.value.code == ErrorCode.MUTED
    await alice.unmute("Eve", "dev")
    await eve.say("sorry", "dev")
    assert (await heard(bob, Said)).text == "sorry"
    await alice.kick("Eve", "dev", "enough")
    left = await heard(bob, Left)
    assert (left.names, left.by, left.why) == (("Eve",), "Alice", "enough")
    assert await heard(eve, Removed) == Removed("dev", "Alice", "enough")
    assert set(eve.rooms) == {"lobby"}
    assert eve.people_in("dev") is None
    assert alice.people_in("dev") == {"Alice", "Bob"}
    assert alice.users == {"Alice", "Bob", "Eve"}
    await eve.join("dev")
    await alice.ban("Eve", "dev", reason="spam")
    assert (await heard(eve, Removed)).why == "spam"
    with pytest.raises(Declined) as refused:
        await eve.join("dev")
    assert refused.value.code == ErrorCode.BANNED
    banned = await heard(bob, Banned)
    assert (banned.name, banned.on, banned.why) == ("Eve", True, "spam")
    (entry,) = (await alice.bans("dev")).bans
    assert (entry.kind, entry.name, entry.by) == (SanctionKind.BAN, "Eve", "Alice")
    await alice.unban("Eve", "dev")
    assert (await alice.bans("dev")).bans == ()
    await eve.join("dev")
    for client in (alice, bob, eve):
        await end(client)


@pytest_twisted.ensureDeferred
async def test_whoever_is_banned_while_their_connection_is_lost_is_told_so(server: Server) -> None:
    (alice,) = await in_dev(server, "Alice")
    wire = Wire(server)
    eve = ChatClient("Eve", endpoint=await wire.lay(), pause=lambda _: 0.5, rooms=True)
    await heard(eve, Welcomed)
    await eve.join("dev")
    await alice.say("hello", "dev")
    assert (await heard(eve, Said)).text == "hello"
    wire.cut()
    await heard(alice, Left)
    await alice.ban("Eve", "dev")
    await alice.say("she must not hear this", "dev")
    lost = await heard(eve, RoomLost)
    assert (lost.room, "banned" in lost.why) == ("dev", True)
    await alice.say("but this")
    assert (await heard(eve, Said)).text == "but this"
    assert set(eve.rooms) == {"lobby"}
    await end(eve)
    await end(alice)
    await wire.take_up()


@pytest_twisted.ensureDeferred
async def test_operators_of_the_server_send_people_away_for_good(tmp_path: Path) -> None:
    """A program that would come back in a second does not."""
    options = with_operator(tmp_path)
    with Server(tmp_path, *options, runner=QUICKLY) as server:
        olga = client_of(server, "Olga", password=PASSWORD)
        bob, eve = client_of(server, "Bob"), client_of(server, "Eve")
        wire = Wire(server)
        mallory = ChatClient("Mallory", endpoint=await wire.lay(), pause=lambda _: 0.3)
        for client in (olga, bob, eve, mallory):
            await heard(client, Welcomed)
        await olga.kick("Bob", reason="out")
        assert await heard(bob, Removed) == Removed(ALL_ROOMS, "Olga", "out")
        with pytest.raises(Gone):
            await heard(bob, Disconnected)
        await olga.ban("Eve", ALL_ROOMS)
        with pytest.raises(Gone):
            await heard(eve, Disconnected)
        assert olga.users == {"Olga", "Mallory"}
        wire.cut()
        await heard(mallory, Disconnected)
        await olga.ban("Mallory", ALL_ROOMS, seconds=3600)
        with pytest.raises(Declined) as refused:
            await heard(mallory, Welcomed)
        assert refused.value.code == ErrorCode.BANNED
        await end(olga)
        await wire.take_up()


@pytest_twisted.ensureDeferred
async def test_a_founder_appoints_somebody_who_has_registered(tmp_path: Path) -> None:
    with Server(tmp_path, "--database", str(tmp_path / "chat.sqlite3"), runner=QUICKLY) as server:
        alice, bob, eve = await in_dev(server, "Alice", "Bob", "Eve")
        await bob.request(Register(PASSWORD))
        await alice.op("Bob", "dev")
        changed = await heard(eve, RoleChanged)
        assert (changed.name, changed.by, changed.role) == ("Bob", "Alice", Role.OPERATOR)
        await bob.kick("Eve", "dev")
        assert (await heard(eve, Removed)).by == "Bob"
        await alice.deop("Bob", "dev")
        with pytest.raises(Declined) as refused:
            await bob.kick("Alice", "dev")
        assert refused.value.code == ErrorCode.NOT_IN_CHARGE
        for client in (alice, bob, eve):
            await end(client)


@pytest_twisted.ensureDeferred
async def test_messages_are_deleted_by_their_ids_and_by_whose_they_are(server: Server) -> None:
    alice, bob, eve = await in_dev(server, "Alice", "Bob", "Eve")
    first = await eve.say("one", "dev")
    for text in ("two", "three"):
        await eve.say(text, "dev")
    await eve.delete(first.id, "dev")
    deleted = await heard(bob, Deleted)
    assert (deleted.name, deleted.by, deleted.messages) == ("Eve", "Eve", (first.id,))
    for asked in (bob.delete(first.id + 1, "dev"), bob.delete_last(2, "dev", "Eve")):
        with pytest.raises(Declined) as refused:
            await asked
        assert refused.value.code == ErrorCode.NOT_IN_CHARGE
    await alice.delete_last(2, "dev", "Eve")
    assert (await heard(bob, Deleted)).messages == (first.id + 1, first.id + 2)
    page = await bob.request(History(messages=True, room="dev"))
    left = [event for event in page.events if isinstance(event, Tombstone)]
    assert [(event.name, event.by) for event in left] == [
        ("Eve", "Eve"),
        ("Eve", "Alice"),
        ("Eve", "Alice"),
    ]
    assert not any(isinstance(event, Said) for event in page.events)
    for client in (alice, bob, eve):
        await end(client)
