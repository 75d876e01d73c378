"""`ChatClient` against a server that follows a script, which no real one can be made to do."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from chatservice.client import (
    ChatClient,
    ChatError,
    Declined,
    Disconnected,
    Gone,
    Missed,
    PasswordInClear,
    State,
    Unsure,
    catch_up,
    inbox,
)
from chatservice.client.catch_up import MAX_CHUNK, MAX_HELD, MAX_HELD_SIZE
from chatservice.client.connection import MAX_LINE
from chatservice.client.faces.words import stamp
from chatservice.client.inbox import MAX_WAITING
from chatservice.client.link import GOODBYE_SECONDS
from chatservice.client.user_map import MAX_USERS
from chatservice.core.events import AccountChanged, Acked, Change, Emoted, Said, Skipped
from chatservice.core.requests import ChangePassword, Register, Unregister
from chatservice.dialects.codec import MAX_TIME, Json
from chatservice.gui import lines

HERE, ELSEWHERE = "127.0.0.1", "192.0.2.1"
AT = "2026-11-21T12:00:00.000Z"


class Wire(StringTransport):
    """The client's end of a connection to a server at `host`. `cut` loses it."""

    def __init__(self, clock: Clock, protocol: Any, host: str) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, 12345))
        self._clock = clock
        self.protocol = protocol

    def abortConnection(self) -> None:
        super().abortConnection()
        self._clock.callLater(0, self.cut)

    def cut(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionAborted()))


@implementer(IStreamClientEndpoint)
class Script:
    """A server, as an endpoint, and Alice, who iterates. `on_event` is what she does about each of
    the `events`."""

    def __init__(
        self,
        on_event: Callable[[ChatClient, Any], object] = lambda *_: None,
        *,
        host: str = HERE,
        takes: bool = True,
        **options: Any,
    ) -> None:
        self._host = host
        self.clock = Clock()
        self.wires: list[Wire] = []
        self.events: list[Any] = []
        self.client = ChatClient(
            "Alice", endpoint=self, reactor=self.clock, pause=lambda _: 1, **options
        )
        self._on_event = on_event
        self._takes: Deferred[None] = Deferred()
        if takes:
            self._takes.callback(None)
        self.over = Deferred.fromCoroutine(self._iterate())

    def takes_all(self) -> None:
        """If she did not take what there is to tell."""
        self._takes.callback(None)

    async def _iterate(self) -> None:
        self.client.start()
        await self._takes
        async for event in self.client:
            self.events.append(event)
            self._on_event(self.client, event)

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        wire = Wire(self.clock, protocolFactory.buildProtocol(None), self._host)
        self.wires.append(wire)
        wire.protocol.makeConnection(wire)
        return succeed(wire.protocol)

    def tells(self, *objects: Json) -> None:
        self.says(b"".join(json.dumps(each).encode() + b"\r\n" for each in objects))

    def says(self, data: bytes) -> None:
        self.wires[-1].protocol.dataReceived(data)

    def is_asked(self) -> list[Json]:
        """What the client has sent since the last time."""
        sent = self.wires[-1].value()
        self.wires[-1].clear()
        return [json.loads(line) for line in sent.splitlines()]

    def is_asked_for(self, type_: str) -> list[Json]:
        return [each for each in self.is_asked() if each["type"] == type_]

    def welcomes(self, last_id: int, epoch: str = "one") -> None:
        self.tells(welcome(last_id, epoch=epoch))

    def loses_her(self) -> None:
        """She has come back when this returns, but has not been welcomed."""
        self.wires[-1].cut()
        self.clock.advance(1)

    def recalls(self, *events: Json, first_id: int = 1, gone: int = 0) -> None:
        self.tells(
            {
                **{"type": "history", "ref": "gap"},
                **{"events": list(events), "first_id": first_id, "gone": gone},
            }
        )

    def heard(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def script() -> Script:
    """Alice is in; nothing has happened but her coming, which has the id 1."""
    script = Script()
    script.welcomes(1)
    script.is_asked()
    return script


def error(code: str, ref: str = "hello") -> Json:
    return {"type": "error", "ref": ref, "code": code, "message": ""}


def welcome(last_id: int, **fields: Any) -> Json:
    users = {"name": "Alice", "users": ["Alice"]}
    return {"type": "welcome", **users, "token": "t", "epoch": "one", "last_id": last_id, **fields}


def notice(id_: int, type_: str, **fields: Any) -> Json:
    return {"type": type_, "id": id_, "at": AT, "room": "lobby", **fields}


def said(id_: int, name: str, text: str, type_: str = "said") -> Json:
    return {"type": type_, "id": id_, "at": AT, "room": "lobby", "from": name, "text": text}


def ack(id_: int, ref: str) -> Json:
    return {"type": "ack", "id": id_, "at": AT, "ref": ref}


def reason_of(script: Script) -> str:
    """Why there is no connection, and will be none."""
    failures: list[Failure] = []
    script.over.addErrback(failures.append)
    script.clock.advance(0)
    assert [failure.type for failure in failures] == [Gone]
    return failures[0].getErrorMessage()


def failure_of(answer: Deferred[Any], kind: type[Exception]) -> None:
    failures: list[Failure] = []
    answer.addErrback(failures.append)
    assert [failure.type for failure in failures] == [kind]


def test_what_is_asked_while_events_wait_for_the_history_is_sent_once_and_in_order() -> None:
    """They are told when she has caught up, and she answers each at once."""

    def answer(client: ChatClient, event: Any) -> None:
        if isinstance(event, Said):
            client.say(f"re {event.text}")

    script = Script(answer)
    script.welcomes(1)
    script.loses_her()
    script.welcomes(3)
    script.tells(said(4, "Bob", "three"))
    script.recalls(said(2, "Bob", "one"), said(3, "Bob", "two"))
    texts = [each["text"] for each in script.is_asked_for("say")]
    assert texts == ["re one", "re two", "re three"]


def test_what_the_log_forgets_between_two_pages_of_history_is_counted(script: Script) -> None:
    answer = script.client.say("hello")
    script.loses_her()
    script.welcomes(1000)
    script.recalls(said(2, "Bob", "one"))
    script.recalls(said(1000, "Bob", "two"), first_id=1000, gone=997)
    assert script.heard(Missed) == [Missed(2, 997)]
    assert not script.is_asked_for("say")  # it may be among what is gone
    failure_of(answer, Unsure)


def test_history_that_goes_back_is_not_asked_for_for_ever(script: Script) -> None:
    script.loses_her()
    script.welcomes(1000)
    for _ in range(10):
        script.recalls(said(2, "Bob", "one"))
    assert len(script.is_asked_for("history")) == 2
    assert script.client.connected


def test_nobody_can_tell_what_became_of_a_message_when_the_log_is_another(script: Script) -> None:
    answer = script.client.say("hello")
    script.loses_her()
    later = script.client.say("and now")
    script.welcomes(0, epoch="two")
    assert [each["text"] for each in script.is_asked_for("say")] == ["and now"]
    failure_of(answer, Unsure)
    assert not later.called


def test_a_request_that_is_cancelled_holds_up_no_goodbye(script: Script) -> None:
    answer = script.client.say("hello")
    script.client.leave()
    assert not script.is_asked_for("exit")
    answer.cancel()
    assert script.is_asked_for("exit")
    failure_of(answer, CancelledError)


def test_the_answer_to_a_request_that_was_cancelled_is_no_event(script: Script) -> None:
    answer = script.client.say("hello")
    answer.cancel()
    failure_of(answer, CancelledError)
    script.tells(ack(2, "1"))
    assert not script.heard(Acked)


def test_a_request_that_fails_may_cancel_another(script: Script) -> None:
    one, two = script.client.tell("Bob", "one"), script.client.tell("Bob", "two")
    failures: list[Failure] = []
    two.addErrback(failures.append)
    one.addErrback(lambda _: two.cancel())
    script.loses_her()
    assert [failure.type for failure in failures] == [CancelledError]
    assert len(script.wires) == 2  # she has come back


def id_of(answer: Deferred[Acked]) -> int:
    assert isinstance(answer.result, Acked)
    return answer.result.id


def test_an_emote_that_came_back_before_the_cut_is_not_done_again(script: Script) -> None:
    answer = script.client.emote("waves")
    script.tells(said(2, "Alice", "waves", "emoted"))
    script.loses_her()
    script.welcomes(2)
    assert not script.is_asked_for("emote")
    assert id_of(answer) == 2
    assert len(script.heard(Emoted)) == 1


@pytest.mark.parametrize("echo", [False, True])
def test_what_the_server_skipped_holds_our_own_messages_too(echo: bool) -> None:
    """They are not among those that it counts."""
    script = Script(echo=echo)
    script.welcomes(1)
    answers = [script.client.say(text) for text in ("one", "two")]
    script.tells({"type": "skipped", "count": 2, "after": 1, "before": 6})
    script.recalls(said(3, "Alice", "one"), said(4, "Alice", "two"), said(5, "Bob", "three"))
    script.tells(ack(3, "1"), ack(4, "2"))
    assert [id_of(answer) for answer in answers] == [3, 4]
    assert [event.count for event in script.heard(Skipped)] == [1]
    texts = [event.text for event in script.heard(Said)]
    assert texts == (["one", "two", "three"] if echo else ["three"])


@pytest.mark.parametrize("go", [ChatClient.leave, ChatClient.abort])
def test_a_client_that_leaves_when_the_connection_is_lost_does_not_reconnect(
    go: Callable[[ChatClient], None],
) -> None:
    script = Script(lambda client, event: go(client) if isinstance(event, Disconnected) else None)
    script.welcomes(1)
    script.loses_her()
    assert script.over.called
    assert len(script.wires) == 1


def test_what_cannot_be_sent_is_declined_and_holds_up_no_goodbye(script: Script) -> None:
    failure_of(script.client.say("\ud800"), Declined)
    script.client.leave()
    assert script.is_asked_for("exit")


def test_a_time_that_nobody_can_read_ends_no_connection(script: Script) -> None:
    script.tells(said(2, "Bob", "one") | {"at": "0001-01-01T00:00:00+23:59"})
    script.tells(said(3, "Bob", "two"))
    assert [event.text for event in script.heard(Said)] == ["two"]


def test_a_server_that_does_not_say_goodbye_is_left_all_the_same(script: Script) -> None:
    script.client.leave()
    assert script.is_asked_for("exit")
    script.clock.advance(GOODBYE_SECONDS - 1)
    assert not script.over.called
    script.clock.pump([1, 0, 0])
    assert script.over.called
    assert len(script.wires) == 1


def test_a_client_that_is_kicked_does_not_reconnect(script: Script) -> None:
    script.tells({"type": "bye", "name": "Alice", "reason": "kicked"})
    script.loses_her()
    assert len(script.wires) == 1
    assert script.over.result.check(Gone)  # type: ignore[attr-defined]
    script.over.addErrback(lambda _: None)


def test_what_cannot_be_had_of_the_history_is_missed(script: Script) -> None:
    """And what was said just before is not said again: it may stand there."""
    mine = script.client.say("mine")
    script.is_asked()
    script.loses_her()
    script.welcomes(5)
    script.is_asked()
    script.tells(error("not_saved", "gap"))
    assert script.heard(Missed) == [Missed(0, 4)]
    assert script.is_asked_for("say") == []
    failure_of(mine, Unsure)


def test_a_client_whose_name_is_claimed_does_not_reconnect(script: Script) -> None:
    script.tells({"type": "bye", "name": "Alice", "reason": "name claimed"})
    script.loses_her()
    assert len(script.wires) == 1
    failure_of(script.over, Gone)


class TestAPasswordWhoseAnswerIsLost:
    """Nobody knows then whether the name has it."""

    @pytest.mark.parametrize("has_it", [True, False])
    def test_of_a_name_that_is_being_registered(self, script: Script, has_it: bool) -> None:
        answer = script.client.request(Register("opensesame"))
        script.loses_her()
        assert script.is_asked_for("hello")[0].get("password", "") == ""
        if has_it:
            script.tells(error("password_needed"))
            assert script.is_asked_for("hello")[0]["password"] == "opensesame"
        script.welcomes(1)
        script.recalls()
        (again,) = script.is_asked_for("register")
        done = {"type": "account", "name": "Alice", "change": "registered", "ref": again["ref"]}
        script.tells(error("name_registered", again["ref"]) if has_it else done)
        assert answer.result == AccountChanged("Alice", Change.REGISTERED)
        script.loses_her()
        assert script.is_asked_for("hello")[0]["password"] == "opensesame"

    def test_of_a_name_that_has_another(self) -> None:
        script = Script(password="the old one")
        script.welcomes(1)
        script.client.request(ChangePassword("the new one"))
        script.loses_her()
        for password in ("the old one", "the new one"):
            assert script.is_asked_for("hello")[0]["password"] == password
            script.tells(error("wrong_password"))
        assert script.is_asked_for("hello") == []  # and nothing a third time
        assert script.wires[-1].disconnecting

    def test_of_two(self) -> None:
        script = Script(password="the old one")
        script.welcomes(1)
        script.client.request(ChangePassword("the first"))
        script.client.request(ChangePassword("the second"))
        script.loses_her()
        for password in ("the old one", "the second", "the first"):
            assert script.is_asked_for("hello")[0]["password"] == password
            script.tells(error("wrong_password"))
        assert script.is_asked_for("hello") == []

    def test_of_a_name_that_was_registered_before(self) -> None:
        script = Script(password="the right one")
        script.welcomes(1)
        answer = script.client.request(Register("another"))
        script.loses_her()
        script.welcomes(1)
        script.recalls()
        (again,) = script.is_asked_for("register")
        script.tells(error("name_registered", again["ref"]))
        failure_of(answer, Declined)
        script.loses_her()
        assert script.is_asked_for("hello")[0]["password"] == "the right one"

    def test_nor_whether_it_is_gone(self, script: Script) -> None:
        answer = script.client.request(Unregister())
        script.loses_her()
        script.welcomes(1)
        script.recalls()
        (again,) = script.is_asked_for("unregister")
        script.tells(error("not_registered", again["ref"]))
        assert answer.result == AccountChanged("Alice", Change.UNREGISTERED)

    def test_what_is_declined_at_once_is_declined(self, script: Script) -> None:
        answer = script.client.request(Register("opensesame"))
        (asked,) = script.is_asked_for("register")
        script.tells(error("name_registered", asked["ref"]))
        failure_of(answer, Declined)


class TestStates:
    def test_are_gone_through_one_by_one(self) -> None:
        script = Script()
        gone_through = [script.client.state]

        def note() -> None:
            gone_through.append(script.client.state)

        script.welcomes(1)
        note()
        script.tells({"type": "skipped", "count": 2, "after": 1, "before": 6})
        note()
        script.recalls(said(5, "Bob", "one"))
        note()
        script.wires[-1].cut()
        note()
        script.clock.advance(1)
        script.welcomes(9)
        note()
        script.client.abort()
        script.clock.pump([0, 0])
        note()
        assert gone_through == [
            *(State.LOGIN, State.LIVE, State.CATCHING_UP, State.LIVE, State.OFFLINE),
            *(State.CATCHING_UP, State.CLOSED),
        ]

    def test_what_is_asked_in_a_gap_is_sent_when_it_is_filled(self, script: Script) -> None:
        script.tells({"type": "skipped", "count": 2, "after": 1, "before": 6})
        answer = script.client.say("hello")
        assert not script.is_asked_for("say")
        script.recalls(said(5, "Bob", "one"))
        assert len(script.is_asked_for("say")) == 1
        script.tells(ack(6, "1"))
        assert answer.called

    def test_whoever_leaves_need_not_catch_up_first(self) -> None:
        script = Script(past=True)
        script.tells(welcome(1000, seen=1))
        script.client.leave()
        script.recalls()  # the newest messages from before
        script.recalls(said(2, "Bob", "one"))
        assert script.is_asked_for("exit")


class TestWhatCanPass:
    """It ends no client that retries, also at its first hello."""

    @pytest.mark.parametrize("code", ["not_saved", "busy", "too_often", "server_full"])
    @pytest.mark.parametrize("password", ["", "secret"])
    def test_a_refusal(self, code: str, password: str) -> None:
        script = Script(password=password)
        for _ in range(3):
            script.tells(error(code))
            script.clock.advance(0)
            script.clock.advance(1)
        assert len(script.wires) == 4
        assert script.is_asked_for("hello")[0].get("password", "") == password
        script.welcomes(1)
        assert script.client.connected

    @pytest.mark.parametrize("reason", ["shutdown", "login timeout", "refused", "long line"])
    def test_a_goodbye(self, reason: str) -> None:
        script = Script()
        script.tells({"type": "bye", "name": "", "reason": reason})
        script.loses_her()
        assert len(script.wires) == 2

    @pytest.mark.parametrize("said_", ["Error: the server is full.", "*** Goodbye: later."])
    def test_a_line_for_people(self, said_: str) -> None:
        script = Script()
        script.says(f"What is your name?\r\n{said_}\r\n".encode())
        script.loses_her()
        assert [event.why for event in script.heard(Disconnected)] == [said_]
        assert len(script.wires) == 2

    def test_but_not_for_a_program_that_does_not_retry(self) -> None:
        script = Script(retry=False)
        script.tells(error("busy"))
        script.clock.advance(0)
        failure_of(script.over, Declined)


class TestPasswordsInClear:
    """They are sent over TLS or to this machine, unless one asks for it in so many words."""

    def test_are_not_sent_elsewhere(self) -> None:
        script = Script(host=ELSEWHERE, password="secret")
        assert script.wires[-1].value() == b""
        script.clock.advance(0)
        failure_of(script.over, PasswordInClear)

    def test_are_not_even_asked_for(self) -> None:
        asked: list[str] = []

        def ask_password(name: str, _: Any) -> Deferred[str]:
            asked.append(name)
            return Deferred()

        script = Script(host=ELSEWHERE, ask_password=ask_password)
        script.tells(error("password_needed"))
        script.clock.advance(0)
        failure_of(script.over, PasswordInClear)
        assert asked == []

    @pytest.mark.parametrize("request_", [Register("opensesame"), ChangePassword("opensesame")])
    def test_are_not_sent_in_a_request(self, request_: Register | ChangePassword) -> None:
        script = Script(host=ELSEWHERE)
        script.welcomes(1)
        assert not script.client.may_send_password
        answer = script.client.request(request_)
        assert b"opensesame" not in script.wires[-1].value()
        failure_of(answer, Declined)
        script.client.leave()
        assert script.is_asked_for("exit")

    def test_nor_in_one_that_was_made_before(self) -> None:
        script = Script(host=ELSEWHERE)
        answer = script.client.request(Register("opensesame"))
        script.welcomes(1)
        assert b"opensesame" not in script.wires[-1].value()
        failure_of(answer, Declined)

    def test_are_not_sent_where_tls_is_known_to_be_spoken(self) -> None:
        script = Script(password="secret", pinned=True)
        assert script.wires[-1].value() == b""
        script.clock.advance(0)
        failure_of(script.over, PasswordInClear)

    @pytest.mark.parametrize("pinned", [False, True])
    def test_are_sent_if_that_is_allowed(self, pinned: bool) -> None:
        script = Script(
            host=ELSEWHERE, password="secret", pinned=pinned, allow_plaintext_password=True
        )
        assert script.is_asked_for("hello")[0]["password"] == "secret"

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.5.5.5", "::1", "::ffff:127.0.0.1"])
    def test_are_sent_to_this_machine(self, host: str) -> None:
        assert Script(host=host, password="secret").is_asked_for("hello")

    @pytest.mark.parametrize("host", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fe80::1", "0.0.0.0"])
    def test_are_not_sent_to_others(self, host: str) -> None:
        script = Script(host=host, password="secret")
        assert script.wires[-1].value() == b""
        script.over.addErrback(lambda _: None)


class TestWhatListensThere:
    def test_expects_tls(self) -> None:
        script = Script(retry=False)
        script.says(b"\x15\x03\x03\x00\x02\x02\x32")
        script.wires[-1].cut()
        assert "expects TLS" in str(reason_of(script))

    def test_says_nothing(self) -> None:
        script = Script(retry=False)
        script.wires[-1].protocol.connectionLost(Failure(ConnectionDone()))
        assert "if it expects TLS" in reason_of(script)

    def test_is_another_service(self) -> None:
        script = Script(retry=False)
        script.says(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n")
        script.wires[-1].protocol.connectionLost(Failure(ConnectionDone()))
        assert reason_of(script) == "HTTP/1.1 400 Bad Request"


class TestHostileServers:
    """Whatever a server tells, a client takes no more memory than it has bounds for."""

    def test_a_line_that_never_ends_ends_the_connection(self, script: Script) -> None:
        for _ in range(MAX_LINE // 65_536 + 2):
            script.says(b"x" * 65_536)
        assert script.wires[-1].disconnecting

    def test_lines_come_through_however_they_are_cut(self, script: Script) -> None:
        data = json.dumps(said(2, "Bob", "سلام")).encode() + b"\r\n"
        for byte in data:
            script.says(bytes([byte]))
        assert [event.text for event in script.heard(Said)] == ["سلام"]

    def test_people_without_end(self, script: Script) -> None:
        for number in range(2, 102):
            names = [f"name{number}x{n}" for n in range(1000)]
            script.tells(notice(number, "joined", names=names))
        assert len(script.client.users) == MAX_USERS
        script.tells(notice(200, "joined", names=["y" * 1_000_000]))
        assert max(map(len, script.client.users)) < 200
        for number in range(1000):
            script.tells({"type": "typing", "name": f"typist{number}", "on": True})
        assert len(script.client.typing) <= 100

    def test_a_gap_without_end_is_told_as_it_is_read(self) -> None:
        """Chunk by chunk, when the program has taken the last one."""
        script = Script(takes=False)
        script.welcomes(1)
        script.loses_her()
        script.welcomes(2**52)
        last, asked = 1, 0
        while script.is_asked_for("history"):
            asked += 1
            script.recalls(*(said(last + n, "Bob", "x") for n in range(1, 1001)))
            last += 1000
            assert asked < 100
        waiting = script.client._feed.inbox
        assert MAX_CHUNK <= len(waiting._events) <= MAX_CHUNK + 1100
        script.takes_all()
        assert script.is_asked_for("history")

    def test_pages_without_end_come_to_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(catch_up, "MAX_PAGES", 10)
        script = Script()
        script.welcomes(1)
        script.loses_her()
        script.welcomes(1000)
        for number in range(2, 12):
            script.recalls(said(number, "Bob", "x"))
        assert script.client.connected
        assert script.heard(Missed)[-1].gone == 1000 - 11

    def test_what_is_held_meanwhile_is_read_in_the_log_instead(self, script: Script) -> None:
        script.tells({"type": "skipped", "count": 2, "after": 1, "before": 6})
        total = MAX_HELD + 10
        for first in range(6, total, 1000):
            script.tells(*(said(n, "Bob", str(n)) for n in range(first, first + 1000)))
        held = script.client._exchange._catch_up.held
        assert len(held._items) < MAX_HELD
        asked = 0
        while script.client.state is State.CATCHING_UP:
            (request,) = script.is_asked_for("history")
            first = request["after"] + 1
            last = min(request["before"], first + 1000)
            script.recalls(*(said(n, "Bob", str(n)) for n in range(first, last)))
            asked += 1
        texts = [event.text for event in script.heard(Said)]
        assert texts[4:] == [str(number) for number in range(6, len(texts) + 2)]
        assert asked > 10

    def test_private_messages_that_are_too_many_meanwhile_end_the_connection(
        self, script: Script
    ) -> None:
        script.tells({"type": "skipped", "count": 2, "after": 1, "before": 6})
        told = {"type": "told", "at": AT, "from": "Bob", "to": "Alice", "text": "x" * 1000}
        for number in range(MAX_HELD):
            script.tells(told | {"id": number})
            if script.wires[-1].disconnecting:
                break
        assert script.wires[-1].disconnecting
        assert script.client._exchange._catch_up.held._size < 2 * MAX_HELD_SIZE

    def test_nobody_reads_further_than_the_program(self) -> None:
        script = Script(takes=False)
        script.welcomes(1)
        for number in range(2, MAX_WAITING + 10):
            script.tells(said(number, "Bob", "x"))
        assert script.wires[-1].producerState == "paused"
        script.takes_all()
        assert script.wires[-1].producerState == "producing"

    def test_an_answer_that_never_comes_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """While it was due, everything had to be read."""
        monkeypatch.setattr(inbox, "MAX_BACKLOG", 5000)
        script = Script(takes=False)
        script.welcomes(1)
        answer = script.client.say("hello")
        for number in range(2, 6000):
            script.tells(said(number, "Bob", "x"))
        failure_of(answer, Unsure)
        assert script.wires[-1].producerState == "paused"

    @pytest.mark.parametrize(
        "answer", [ack(2, "1"), {"type": "users", "users": [], "ref": "1"}, said(2, "Bob", "x")]
    )
    def test_an_answer_of_another_kind_is_an_error(self, script: Script, answer: Json) -> None:
        asked = script.client.history()
        script.tells(answer | {"ref": "1"})
        failure_of(asked, ChatError)

    def test_a_second_welcome_is_ignored(self, script: Script) -> None:
        script.welcomes(50, epoch="two")
        assert not script.is_asked()
        assert script.client.state is State.LIVE

    @pytest.mark.parametrize(
        ("at", "shown"),
        [
            ("0001-01-01T00:00:00Z", 0),
            ("0001-01-01T00:00:00-00:01", 0),
            ("9999-12-31T23:59:59.999Z", MAX_TIME),
            ("9999-12-31T23:59:59+14:00", MAX_TIME),
            ("1969-12-31T23:59:59Z", 0),
        ],
    )
    def test_times_that_no_clock_shows(self, script: Script, at: str, shown: float) -> None:
        script.tells(said(2, "Bob", "one") | {"at": at})
        (event,) = script.heard(Said)
        assert event.at == shown
        assert stamp(event.at)
        assert lines.day_of(event.at)

    @pytest.mark.parametrize(
        "at",
        [
            *("NaN", "", "x", None, 1e400, 5, "0000-01-01", "2026-99-99"),
            *("0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-14:00"),
        ],
    )
    def test_events_without_a_valid_time_are_ignored(self, script: Script, at: Any) -> None:
        script.tells(said(2, "Bob", "one") | {"at": at}, said(3, "Bob", "two"))
        assert [event.text for event in script.heard(Said)] == ["two"]

    def test_nonsense_changes_nothing(self, script: Script) -> None:
        for line in (b"{", b"[" * 100_000, b'{"type": 5}', b"\xff\xfe", b'{"type": "told"}', b"{}"):
            script.says(line + b"\r\n")
        script.says(b'{"type": "said", "id": ' + b"9" * 5000 + b"}\r\n")
        script.tells(said(2, "Bob", "one"))
        assert [event.text for event in script.heard(Said)] == ["one"]
