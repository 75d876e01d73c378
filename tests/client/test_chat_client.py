"""`ChatClient` against a real server, through connections that break."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.protocols.portforward import ProxyFactory

from chatservice.client import (
    ChatClient,
    Declined,
    Disconnected,
    Gone,
    Missed,
    RoomLost,
    Unsure,
    greeting,
)
from chatservice.core.events import (
    AwayChanged,
    Closed,
    CloseReason,
    Emoted,
    Left,
    ModeChanged,
    Renamed,
    Reported,
    Said,
    Sent,
    Skipped,
    Told,
    TopicChanged,
    Welcomed,
)
from chatservice.core.requests import Register, RoomMode, Rooms, Topic
from tests.support.people import PATIENCE, Server

reactor: Any = _reactor


class Wire:
    """A way to the server that can be cut, with all that is on it."""

    def __init__(self, server: Server) -> None:
        self.proxies: list[Any] = []
        wire = self

        class Keeping(ProxyFactory):
            noisy = False

            def buildProtocol(self, addr: Any) -> Any:
                proxy = super().buildProtocol(addr)
                wire.proxies.append(proxy)
                return proxy

        self._factory = Keeping("127.0.0.1", server.port)

    async def lay(self) -> TCP4ClientEndpoint:
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self.port = await endpoint.listen(self._factory)
        return TCP4ClientEndpoint(reactor, "127.0.0.1", self.port.getHost().port)

    def cut(self) -> None:
        proxies, self.proxies = self.proxies, []
        for proxy in proxies:
            proxy.transport.abortConnection()
            if proxy.peer is not None:
                proxy.peer.transport.abortConnection()

    async def take_up(self) -> None:
        self.cut()
        await self.port.stopListening()


def client_of(server: Server, name: str, **options: Any) -> ChatClient:
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", server.port)
    return ChatClient(name, endpoint=endpoint, pause=lambda _: 0.01, **options)


async def heard(client: ChatClient, kind: type) -> Any:
    """The next event of that kind."""

    async def find() -> Any:
        async for event in client:
            if isinstance(event, kind):
                return event
        raise AssertionError(f"no {kind}")

    return await Deferred.fromCoroutine(find()).addTimeout(PATIENCE, reactor)


async def end(client: ChatClient) -> None:
    client.leave()
    events = [event async for event in client]
    assert any(isinstance(event, Closed) and event.reason is CloseReason.EXIT for event in events)


@pytest_twisted.ensureDeferred
async def test_hears_says_and_leaves(server: Server) -> None:
    alice, bob = client_of(server, "Alice"), client_of(server, "Bob")
    assert (await heard(alice, Welcomed)).name == "Alice"
    await heard(bob, Welcomed)
    ack = await alice.say("hello")
    said = await heard(bob, Said)
    assert (said.name, said.text, said.id) == ("Alice", "hello", ack.id)
    await bob.emote("waves")
    assert (await heard(alice, Emoted)).text == "waves"
    await bob.tell("alice", "psst")
    assert (await heard(alice, Told)).text == "psst"
    assert (await heard(bob, Sent)).recipient == "Alice"
    await alice.nick("Carol")
    assert alice.name == "Carol"
    assert (await bob.who()).names == ("Bob", "Carol")
    assert bob.users == {"Bob", "Carol"}
    texts = [e.text for e in (await bob.history()).events if isinstance(e, Said | Emoted)]
    assert texts == ["hello", "waves"]
    await end(alice)
    await end(bob)
    with pytest.raises(StopAsyncIteration):
        await alice.__anext__()
    with pytest.raises(Gone):
        await alice.say("too late")


@pytest_twisted.ensureDeferred
async def test_says_that_it_is_away_and_reports(server: Server) -> None:
    alice, bob = client_of(server, "Alice", rooms=True), client_of(server, "Bob", rooms=True)
    for client in (alice, bob):
        await heard(client, Welcomed)
        await client.join("dev")
    await alice.go_away("lunch")
    assert await heard(bob, AwayChanged) == AwayChanged("Alice", True)
    assert (bob.away, alice.away) == ({"Alice"}, {"Alice"})
    assert [(await bob.tell("Alice", "hungry?")).away for _ in range(2)] == ["lunch", None]
    assert [(await heard(bob, Sent)).away for _ in range(2)] == ["lunch", None]
    late = client_of(server, "Late")
    await heard(late, Welcomed)
    assert late.away == {"Alice"}
    await alice.nick("Alicia")
    await heard(bob, Renamed)
    assert bob.away == {"Alicia"}
    await alice.come_back()
    await heard(bob, AwayChanged)
    assert bob.away == set()

    assert not (await bob.report("Late", "spam", "dev")).waiting
    told = await heard(alice, Reported)
    assert (told.room, told.name, told.by, told.why) == ("dev", "Late", "Bob", "spam")
    assert (await bob.report("Late", "spam")).waiting
    for client in (late, alice, bob):
        await end(client)


@pytest_twisted.ensureDeferred
async def test_what_is_refused_is_an_exception(server: Server) -> None:
    alice = client_of(server, "Alice")
    await heard(alice, Welcomed)
    with pytest.raises(Declined, match="nobody here is called Bob") as refused:
        await alice.tell("Bob", "hello")
    assert refused.value.code == "nobody"
    with pytest.raises(Declined) as refused:
        await alice.say("x" * 9000)
    assert refused.value.code == "line_too_long"
    with pytest.raises(Declined, match="Alice is taken"):
        async for _ in client_of(server, "Alice"):
            pass
    await end(alice)


@pytest_twisted.ensureDeferred
async def test_no_server_is_an_exception_unless_it_is_to_be_tried_again() -> None:
    nowhere = TCP4ClientEndpoint(reactor, "127.0.0.1", 1)
    with pytest.raises(Gone, match="refused"):
        async for _ in ChatClient("Alice", endpoint=nowhere, retry=False):
            pass
    patient = ChatClient("Alice", endpoint=nowhere, pause=lambda _: 0.01)
    for _ in range(3):
        await heard(patient, Disconnected)
    patient.leave()
    assert all([isinstance(event, Disconnected) async for event in patient])


@pytest_twisted.ensureDeferred
async def test_what_listens_there_may_be_no_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "HELLO_SECONDS", 0.1)
    silent = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
        Factory.forProtocol(Protocol)
    )
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", silent.getHost().port)
    with pytest.raises(Gone, match="does not answer as a chat"):
        async for _ in ChatClient("Alice", endpoint=endpoint, retry=False):
            pass
    await silent.stopListening()


@pytest_twisted.ensureDeferred
async def test_ten_thousand_messages_with_the_connections_cut_fifty_times(server: Server) -> None:
    """The one who says them and the one who hears them are both cut off, at random."""
    count, cuts = 10_000, 50
    wires = [Wire(server), Wire(server)]
    teller, listener = [
        ChatClient(name, endpoint=await wire.lay(), pause=lambda _: 0.01)
        for name, wire in zip(("Teller", "Listener"), wires, strict=True)
    ]
    await heard(listener, Welcomed)
    events: list[str] = []

    async def listen() -> None:
        async for event in listener:
            if isinstance(event, Said):
                events.append(event.text)
                if event.text == str(count - 1):
                    return
            assert not isinstance(event, Skipped)

    async def drain() -> None:
        async for _ in teller:
            pass

    async def tell() -> list[int]:
        ids: list[int] = []
        for first in range(0, count, 100):
            acks = [teller.say(str(number)) for number in range(first, first + 100)]
            ids += [(await ack).id for ack in acks]
        return ids

    chance = random.Random(20261121)

    async def cut() -> None:
        for number in range(cuts):
            goal = (number + chance.random()) * count * 0.9 / cuts
            wire = chance.choice(wires)
            while len(events) < goal or not wire.proxies:
                await deferLater(reactor, 0.001)
            wire.cut()

    tasks = [Deferred.fromCoroutine(each()) for each in (tell, listen, cut)]
    draining = Deferred.fromCoroutine(drain())
    results = await DeferredList(tasks, fireOnOneErrback=True).addTimeout(60, reactor)
    ids = results[0][1] or []
    assert events == [str(number) for number in range(count)]
    assert ids == sorted(set(ids))
    await end(listener)
    teller.leave()
    await draining
    for wire in wires:
        await wire.take_up()


@pytest_twisted.ensureDeferred
async def test_a_returning_client_hears_what_it_missed_once(server: Server) -> None:
    wire = Wire(server)
    alice = ChatClient("Alice", endpoint=await wire.lay(), pause=lambda _: 0.2)
    bob = server.join("Bob")
    await heard(alice, Welcomed)
    bob.types("one")
    assert (await heard(alice, Said)).text == "one"
    wire.cut()
    lost = await heard(alice, Disconnected)
    assert lost.again == 0.2
    bob.types("two", "three")
    assert "Alice" in (await heard(alice, Welcomed)).names
    missed = await heard(alice, Missed)
    assert missed == Missed(2, 0)
    assert [(await heard(alice, Said)).text for _ in range(2)] == ["two", "three"]
    bob.types("four")
    assert (await heard(alice, Said)).text == "four"
    await end(alice)
    await wire.take_up()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("registered", [True, False])
async def test_all_rooms_are_heard_and_caught_up_with(tmp_path: Path, registered: bool) -> None:
    """Whose name is registered stays in their rooms while away; a guest, who begins in the lobby,
    comes back into theirs."""
    with Server(tmp_path, "--database", str(tmp_path / "chat.sqlite3")) as server:
        wire = Wire(server)
        endpoint = await wire.lay()
        alice = ChatClient("Alice", endpoint=endpoint, pause=lambda _: 0.01, rooms=True)
        bob = client_of(server, "Bob")
        await heard(alice, Welcomed)
        await heard(bob, Welcomed)
        if registered:
            await alice.request(Register("correct horse"))
        assert (await bob.join("dev")).users == ("Bob",)
        await alice.join("dev")
        assert set(alice.rooms) == {"lobby", "dev"}
        await bob.say("in the lobby")
        await bob.say("in dev", "dev")
        await bob.request(Topic("dev", "releases"))
        said = [await heard(alice, Said) for _ in range(2)]
        assert [each.room for each in said] == ["lobby", "dev"]
        await heard(alice, TopicChanged)
        assert alice.rooms["dev"] == "releases"
        wire.cut()
        await heard(bob, Left)
        await bob.say("meanwhile", "dev")
        await bob.say("and here")
        said = [await heard(alice, Said) for _ in range(2)]
        assert [each.room for each in said] == ["dev", "lobby"]
        assert set(alice.rooms) == {"lobby", "dev"}
        await bob.say("live again", "dev")
        assert (await heard(alice, Said)).text == "live again"
        await alice.part("dev")
        assert set(alice.rooms) == {"lobby"}
        await end(alice)
        await end(bob)
        await wire.take_up()


@pytest_twisted.ensureDeferred
async def test_a_guest_comes_back_into_their_rooms_on_a_new_server(tmp_path: Path) -> None:
    """But not into a private one, which would be open now."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with Server(tmp_path / "one") as first:
        port = first.port
        alice = client_of(first, "Alice", rooms=True)
        await heard(alice, Welcomed)
        for room in ("dev", "attic"):
            await alice.join(room)
        await alice.request(RoomMode("attic", private=True))
        await heard(alice, ModeChanged)
        assert set(alice.rooms) == {"lobby", "dev", "attic"}
    await heard(alice, Disconnected)
    waiting = alice.say("in between", "dev")
    where = ("--port", f"tcp:{port}:interface=127.0.0.1")
    with Server(tmp_path / "two", *where) as second:
        second.port = port
        lost = await heard(alice, RoomLost)
        assert lost.room == "attic"
        await waiting
        assert set(alice.rooms) == {"lobby", "dev"}
        bob = client_of(second, "Bob", rooms=True)
        await heard(bob, Welcomed)
        assert {room.room for room in (await bob.request(Rooms())).rooms} == {"lobby", "dev"}
        assert (await bob.join("dev")).users == ("Alice", "Bob")
        await bob.say("welcome back", "dev")
        assert (await heard(alice, Said)).text == "welcome back"
        assert alice.people_in("dev") == {"Alice", "Bob"}
        await end(bob)
        await end(alice)


@pytest_twisted.ensureDeferred
async def test_nobody_can_tell_what_became_of_a_private_message(server: Server) -> None:
    wire = Wire(server)
    alice = ChatClient("Alice", endpoint=await wire.lay(), pause=lambda _: 0.01)
    server.join("Bob")
    await heard(alice, Welcomed)
    while not alice.connected:
        await deferLater(reactor, 0.01)
    answer = alice.tell("Bob", "psst")
    wire.cut()
    with pytest.raises(Unsure):
        await answer
    await heard(alice, Welcomed)
    await end(alice)
    await wire.take_up()


@pytest_twisted.ensureDeferred
async def test_a_new_server_is_caught_up_with_from_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with Server(tmp_path / "one") as first:
        port = first.port
        alice = client_of(first, "Alice")
        await heard(alice, Welcomed)
        await alice.say("before")
    await heard(alice, Disconnected)
    waiting = alice.say("in between")
    with Server(tmp_path / "two", "--port", f"tcp:{port}:interface=127.0.0.1") as second:
        second.port = port
        await waiting
        history = (await alice.history()).events
        assert [e.text for e in history if isinstance(e, Said)] == ["in between"]
        await end(alice)


@pytest_twisted.ensureDeferred
async def test_a_slow_reader_is_told_what_it_lost(server: Server) -> None:
    """The log holds 20,000 messages; who reads nothing of 60,000 has lost some."""
    alice = client_of(server, "Alice")
    await heard(alice, Welcomed)
    await alice.say("now I look away")
    bob = server.join("Bob")
    for first in range(0, 60_000, 1000):
        bob.sends(b"".join(b"%d %s\n" % (n, b"x" * 200) for n in range(first, first + 1000)))
    bob.types("/who")
    bob.hears("*** Online (2): Alice, Bob")
    texts: list[str] = []
    lost = 0
    async for event in events_of(alice):
        if isinstance(event, Said):
            texts.append(event.text.split()[0])
            if texts[-1] == "59999":
                break
        elif isinstance(event, Skipped):
            lost += event.count
    numbers = [int(text) for text in texts]
    assert numbers == sorted(set(numbers))
    assert lost > 0
    assert len(numbers) + lost == 60_000
    await end(alice)


async def events_of(client: ChatClient) -> AsyncIterator[Any]:
    async for event in client:
        yield event


@pytest_twisted.ensureDeferred
async def test_a_second_self_takes_over_and_the_first_one_ends(server: Server) -> None:
    first, second = client_of(server, "Alice"), client_of(server, "Alice")
    await heard(first, Welcomed)
    second._login.token = first._login.token
    await heard(second, Welcomed)
    with pytest.raises(Gone, match="logged in elsewhere"):
        async for _ in first:
            pass
    await end(second)


@pytest_twisted.ensureDeferred
async def test_a_client_that_is_turned_away_is_told_why(tmp_path: Path) -> None:
    with Server(tmp_path, "--max-per-address", "1") as server:
        alice = client_of(server, "Alice")
        await heard(alice, Welcomed)
        with pytest.raises(Gone, match="too many connections from your address"):
            async for _ in client_of(server, "Bob", retry=False):
                pass
        await end(alice)
