"""Coming back: who returns hears everything once, from memory and from disk."""

import re
import sqlite3
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from chatservice.accounts.authenticator import Authenticator
from chatservice.core import log
from chatservice.core.chat import Chat
from chatservice.core.events import Account, Announced, ErrorCode, Recalled, Refusal
from chatservice.core.limits import Limits
from chatservice.core.log import Reach
from chatservice.core.peer import Peer
from chatservice.server.factory import ChatFactory
from chatservice.session import replay as recollection
from chatservice.session.asker import Settings
from chatservice.storage.memory import MemoryArchive
from chatservice.storage.sqlite import rows
from tests.support.stores import FAST, Turns, crash, new_archive
from tests.unit.test_protocol import Transport


class House:
    """A chat on a file, and programs and people in it whose connections are strings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Turns()
        self.clock.advance(1e9)
        self.start()

    def start(self) -> None:
        self.archive = new_archive(self.path, self.clock)
        self.admit(Chat(self.clock, self.archive))
        self.archive.notice = self.chat.tell_all
        self.archive.open()
        self.chat.restore(self.archive.rooms)

    def admit(self, chat: Chat) -> None:
        self.chat = chat
        limits = Limits(rate=0, max_per_address=0, shutdown_timeout=1)
        self.factory = ChatFactory(chat, Settings(history=0), self.clock, limits)

    def connect(self) -> Any:
        protocol: Any = self.factory.buildProtocol(None)
        transport = Transport(protocol)
        protocol.makeConnection(transport)
        return protocol

    def stop(self) -> None:
        self.clock.wait_for(self.factory.close_all())
        self.clock.wait_for(self.archive.close())

    def kill(self) -> None:
        for call in self.clock.getDelayedCalls():
            call.cancel()
        crash(self.archive)


class Reader:
    """`heard`: the messages of others, as they came; a text is one word that nobody else says."""

    def __init__(self, house: House, name: str) -> None:
        self.name = name
        self.house = house
        self.heard: list[str] = []
        self.protocol: Any = None

    def drop(self, *, clean: bool = True) -> None:
        if self.protocol is not None:
            self.read()
            reason = ConnectionDone() if clean else ConnectionLost()
            protocol, self.protocol = self.protocol, None
            protocol.connectionLost(Failure(reason))

    def type(self, line: str) -> None:
        self.protocol.dataReceived(f"{line}\n".encode())

    def read(self) -> None:
        """What has come since the last time."""
        lines = self.protocol.transport.value().decode().splitlines()
        self.protocol.transport.clear()
        for line in lines:
            self.take(line)

    def take(self, line: str) -> None:
        if (found := re.fullmatch(r"(?:\[.*\] )?(\w+): (\w+)", line)) and found[1] != self.name:
            self.heard.append(found[2])

    def come(self) -> None:
        self.protocol = self.house.connect()
        self.type(self.name)

    def say(self, text: str) -> None:
        self.type(text)

    def exit(self) -> None:
        self.type("/exit")


class JsonReader(Reader):
    """Reads on from the last id that it has heard, by `history`."""

    last = 0
    until = 0
    is_up_to_date = False

    def come(self) -> None:
        self.protocol = self.house.connect()
        self.is_up_to_date = False
        self.early: list[Any] = []
        self.type(f'{{"type": "hello", "name": "{self.name}"}}')

    def say(self, text: str) -> None:
        self.type(f'{{"type": "say", "text": "{text}"}}')

    def exit(self) -> None:
        self.type('{"type": "exit"}')

    def take(self, line: str) -> None:
        import json  # noqa: PLC0415

        if not line.startswith("{"):
            return
        event = json.loads(line)
        match event["type"]:
            case "welcome":
                self.until = event["last_id"]
                self.go_on()
            case "history":
                assert event.get("gone", 0) == 0
                for old in event["events"]:
                    self.hear(old)
                self.go_on(end=not event["events"])
            case "said" | "joined" | "left":
                self.hear(event) if self.is_up_to_date else self.early.append(event)
            case "error":
                raise AssertionError(event)

    def go_on(self, *, end: bool = False) -> None:
        if self.last < self.until and not end:
            ids = f'"after": {self.last}, "before": {self.until + 1}'
            self.type(f'{{"type": "history", {ids}, "limit": 3}}')
            return
        self.is_up_to_date = True
        for event in self.early:
            self.hear(event)

    def hear(self, event: Any) -> None:
        assert event["id"] > self.last
        self.last = event["id"]
        if event["type"] == "said" and event["from"] != self.name:
            self.heard.append(event["text"])


ACTIONS = st.lists(
    st.sampled_from(
        ["say"] * 5 + ["turn"] * 4 + ["drop", "lose", "exit", "come", "restart", "kill"]
    ),
    max_size=60,
)
WHOSE = st.lists(st.integers(0, 2), min_size=60, max_size=60)


@settings(max_examples=200)
@example(Reader, ["say"] * 3 + ["restart", "come", "restart"], [0] * 4 + [1, 0])  # gone at once
@given(
    st.sampled_from([Reader, JsonReader]),
    ACTIONS,
    st.lists(st.integers(0, 2), min_size=60, max_size=60),
)
def test_each_reader_hears_everything_once(
    kind: type[Reader], actions: list[str], whose: list[int]
) -> None:
    """In whatever order people talk, drop, come back, and the server is started anew; programs
    also when it is killed, by what they have been told was the last id."""
    with tempfile.TemporaryDirectory(dir=FAST) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "LOG_MESSAGES", 5)
        patch.setattr(recollection, "MAX_PAGE_EVENTS", 2)
        house = House(Path(folder, "chat"))
        readers = [kind(house, f"r{number}") for number in range(3)]
        numbers = count()

        def settle() -> None:
            for _ in range(30):
                house.clock.advance(0.05)
                for reader in readers:
                    if reader.protocol is not None:
                        reader.read()

        def come() -> None:
            for reader in readers:
                if reader.protocol is None:
                    reader.come()
            settle()

        def end_of_server(action: str) -> None:
            if action == "kill" and kind is JsonReader:
                for reader in readers:
                    if reader.protocol is not None:
                        reader.read()
                        reader.protocol = None
                house.kill()
            else:
                for reader in readers:
                    reader.drop()
                house.stop()
            house.start()

        come()
        for action, number in zip(actions, whose, strict=False):
            reader = readers[number]
            here = reader.protocol is not None
            match action:
                case "say" if here:
                    reader.say(f"m{next(numbers)}")
                case "turn":
                    house.clock.turn()
                    if here:
                        reader.read()
                case "drop" | "lose" if here:
                    reader.drop(clean=action == "drop")
                case "exit" if here:
                    reader.exit()
                    settle()
                    assert reader.protocol.transport.disconnecting
                    reader.drop()
                case "come" if not here:
                    reader.come()
                case "restart" | "kill":
                    end_of_server(action)
        settle()
        come()
        settle()
        everything = said_on_disk(house)
        for reader in readers:
            assert reader.heard == [text for name, text in everything if name != reader.name]
            reader.drop()
        house.stop()


class HouseWithoutDisk(House):
    def start(self) -> None:
        self.admit(Chat(self.clock, MemoryArchive("epoch")))

    def stop(self) -> None:
        self.clock.wait_for(self.factory.close_all())


@pytest.mark.parametrize("kind", [House, HouseWithoutDisk])
def test_something_is_said_just_when_somebody_comes_back(
    kind: type[House], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they are shown of the past, and their welcome, do not wait for each other."""
    monkeypatch.setattr(recollection, "MAX_PAGE_EVENTS", 2)
    house = kind(tmp_path / "chat")
    speaker, reader = Reader(house, "speaker"), Reader(house, "reader")
    speaker.come()
    reader.come()
    house.clock.turn(10)
    expected = []
    for turns in range(10):
        reader.drop()
        early, late = f"early{turns}", f"late{turns}"
        speaker.say(early)
        house.clock.turn(10)
        speaker.say("now")
        reader.come()
        house.clock.turn(turns)
        speaker.say(late)
        house.clock.turn(30)
        expected += [early, "now", late]
        house.clock.advance(1)  # a few who come and go at once are gathered
        house.clock.turn(30)
        reader.read()
        assert reader.heard == expected
    reader.drop()
    speaker.drop()
    house.stop()


class Latecomer:
    """A reader who has missed some messages, each page of which has two; and comes back."""

    def __init__(self, house: House, patch: pytest.MonkeyPatch, missed: int = 6) -> None:
        patch.setattr(recollection, "MAX_PAGE_EVENTS", 2)
        self.house = house
        self.speaker, self.reader = Reader(house, "speaker"), Reader(house, "reader")
        self.speaker.come()
        self.reader.come()
        self.turn()
        self.reader.drop()
        self.missed = [f"m{number}" for number in range(missed)]
        for text in self.missed:
            self.say(text)

    def turn(self) -> None:
        self.house.clock.turn(20)
        self.house.clock.advance(1)
        self.house.clock.turn(20)

    def say(self, text: str) -> None:
        self.speaker.say(text)
        self.turn()

    def hears_everything(self, *later: str) -> None:
        """Once, and in order, when they come the next time."""
        self.reader.come()
        self.turn()
        self.turn()
        self.reader.read()
        assert self.reader.heard == [*self.missed, *later]

    def waits_for(self, question: str) -> "Deferred[None]":
        """What the archive is asked waits until that fires."""
        gate: Deferred[None] = Deferred()
        real = getattr(self.house.archive, question)

        async def asked(*arguments: Any) -> Any:
            await gate
            return await real(*arguments)

        setattr(self.house.archive, question, asked)
        return gate

    def comes_and_waits_for(self, question: str) -> "Deferred[None]":
        """The reader does, until that fires."""
        gate = self.waits_for(question)
        self.reader.come()
        self.house.clock.turn(10)
        return gate

    def end(self) -> None:
        self.speaker.drop()
        self.reader.drop()
        self.house.stop()


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Latecomer]:
    latecomer = Latecomer(House(tmp_path / "chat"), monkeypatch)
    yield latecomer
    latecomer.end()


@pytest.mark.parametrize("how", ["cut", "exit", "kick", "shutdown"])
@pytest.mark.parametrize("question", ["missed", "recall"])
def test_who_goes_before_they_are_shown_it_is_shown_it_the_next_time(
    away: Latecomer, how: str, question: str
) -> None:
    gate = away.comes_and_waits_for(question)
    match how:
        case "exit":
            away.reader.type("/exit")
        case "kick":
            away.house.chat.kick(away.house.chat.users["reader"])
        case "shutdown":
            away.house.factory.close_all()
    away.house.clock.turn(10)
    away.reader.drop()
    gate.callback(None)
    away.turn()
    away.hears_everything()


def test_a_page_that_nobody_took_is_shown_again(away: Latecomer) -> None:
    gate = away.comes_and_waits_for("recall")
    away.reader.protocol.connection._sender.pauseProducing()
    gate.callback(None)
    away.turn()
    away.reader.drop()
    assert away.reader.heard == []
    away.turn()
    away.hears_everything()


def test_what_is_announced_to_a_reader_who_is_about_to_be_told_of_the_past(away: Latecomer) -> None:
    """It waits behind what they take slowly, and holds nothing up."""
    gate = away.comes_and_waits_for("missed")
    protocol = away.reader.protocol
    protocol.connection._sender.pauseProducing()
    away.house.chat.tell_all(Announced(("noon",)))
    gate.callback(None)
    away.turn()
    protocol.connection._sender.resumeProducing()
    away.turn()
    assert b"*** noon\r\n" in protocol.transport.value()
    away.say("later")
    away.reader.read()
    assert away.reader.heard == [*away.missed, "later"]


@pytest.mark.parametrize("kind", [House, HouseWithoutDisk])
@pytest.mark.parametrize("goodbye", ["/exit", ""])
def test_what_is_said_just_before_one_goes(
    kind: type[House], goodbye: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither their own last words, nor what they heard with the goodbye, were said while they
    were away."""
    away = Latecomer(kind(tmp_path / "chat"), monkeypatch, missed=0)
    away.reader.come()
    away.turn()
    away.reader.say("mine")
    if goodbye:
        away.speaker.say("theirs")
        away.reader.type(goodbye)
        away.turn()
    away.reader.drop()
    away.turn()
    away.reader.come()
    away.turn()
    assert "while you were away" not in away.reader.protocol.transport.value().decode()
    away.reader.read()
    assert away.reader.heard == (["theirs"] if goodbye else [])
    away.end()


@pytest.mark.parametrize("goodbye", ["/exit", ""])
def test_a_refused_answer_loses_nothing_for_good(away: Latecomer, goodbye: str) -> None:
    real, asked = away.house.archive.recall, count()

    async def recall(
        before: int, after: int | None, limit: int, reach: Reach, asker: str = ""
    ) -> Recalled:
        if next(asked) == 1:
            raise Refusal(ErrorCode.NOT_SAVED)
        return await real(before, after, limit, reach)

    away.house.archive.recall = recall  # type: ignore[method-assign]
    away.reader.come()
    away.turn()
    away.say("live")
    if goodbye:
        away.reader.type(goodbye)
    away.reader.drop()
    assert away.reader.heard == ["m0", "live"]
    away.turn()
    away.reader.come()
    away.turn()
    away.turn()
    away.reader.read()
    assert away.reader.heard[2:] == ["m1", "m2", "m3", "m4", "m5", "live"]


def test_what_is_not_saved_counts_among_what_was_missed(
    away: Latecomer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(rows, "save", save)
    away.say("m6")
    away.missed.append("m6")
    away.reader.come()
    away.turn()
    assert b"*** 7 messages while you were away:" in away.reader.protocol.transport.value()


class TestTheOwnerOfAName:
    """Somebody who comes in under an account: by a rule of the test's own, "reader" is one."""

    @pytest.fixture
    def owned(self, away: Latecomer) -> Latecomer:
        class Owners(Authenticator):
            async def admit(self, name: str, password: str, peer: Peer) -> Account | None:
                return Account(name, 1.0) if name == "reader" else None

        away.house.factory.services.authenticator = Owners(None, None, away.house.clock.seconds)
        return away

    @pytest.mark.parametrize("cut_off", ["reading", "reading as READER", "coming back"])
    def test_hears_at_another_connection_what_the_first_one_did_not(
        self, owned: Latecomer, cut_off: str
    ) -> None:
        if cut_off == "coming back":
            gate = owned.comes_and_waits_for("missed")
            owned.reader.come()
            owned.house.clock.turn(10)
            gate.callback(None)
            owned.turn()
            owned.turn()
            owned.reader.read()
            assert owned.reader.heard == owned.missed
            return
        owned.hears_everything()
        if "READER" in cut_off:
            owned.reader.type("/nick READER")
            owned.turn()
        owned.reader.protocol.connection._sender.pauseProducing()
        owned.say("later")
        owned.reader.read()
        owned.hears_everything("later")

    def test_has_heard_what_they_heard_under_another_name(self, owned: Latecomer) -> None:
        owned.hears_everything()
        owned.reader.type("/nick other")
        owned.say("later")
        owned.reader.drop()
        owned.turn()
        owned.hears_everything("later")


def said_on_disk(house: House) -> list[tuple[str, str]]:
    rows = house.archive._reader.connection.execute(
        "SELECT name, text FROM events WHERE kind = 'said' ORDER BY id"
    )
    return [(name, text) for name, texts in rows for text in texts.split("\n")]
