"""`ChatClient` against a server that follows a script, which no real one can be made to do."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from chatservice.client import ChatClient, Declined, Disconnected, Gone, Missed, Unsure
from chatservice.client.link import GOODBYE_SECONDS
from chatservice.core.events import AccountChanged, Acked, Change, Emoted, Said, Skipped
from chatservice.core.requests import ChangePassword, Register, Unregister
from chatservice.dialects.codec import Json

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
        self.over = Deferred.fromCoroutine(self._iterate())

    async def _iterate(self) -> None:
        async for event in self.client:
            self.events.append(event)
            self._on_event(self.client, event)

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        wire = Wire(self.clock, protocolFactory.buildProtocol(None), self._host)
        self.wires.append(wire)
        wire.protocol.makeConnection(wire)
        return succeed(wire.protocol)

    def tells(self, *objects: Json) -> None:
        lines = b"".join(json.dumps(each).encode() + b"\r\n" for each in objects)
        self.wires[-1].protocol.dataReceived(lines)

    def is_asked(self) -> list[Json]:
        """What the client has sent since the last time."""
        sent = self.wires[-1].value()
        self.wires[-1].clear()
        return [json.loads(line) for line in sent.splitlines()]

    def is_asked_for(self, type_: str) -> list[Json]:
        return [each for each in self.is_asked() if each["type"] == type_]

    def welcomes(self, last_id: int, epoch: str = "one") -> None:
        self.tells(
            {"type": "welcome", "name": "Alice", "users": ["Alice"], "token": "t"}
            | {"epoch": epoch, "last_id": last_id}
        )

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


def said(id_: int, name: str, text: str, type_: str = "said") -> Json:
    return {"type": type_, "id": id_, "at": AT, "room": "lobby", "from": name, "text": text}


def ack(id_: int, ref: str) -> Json:
    return {"type": "ack", "id": id_, "at": AT, "ref": ref}


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
def test_who_has_had_enough_when_the_connection_is_lost_does_not_come_back(
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


def test_who_is_kicked_does_not_come_back(script: Script) -> None:
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


def test_whose_name_is_claimed_does_not_come_back(script: Script) -> None:
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
