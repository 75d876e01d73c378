"""The JSON dialect: which requests its lines stand for, and how a real server answers them."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from chatservice.core.events import Answered, Burst, ErrorCode, Event, Refusal, Refused, Said, Sent
from chatservice.core.requests import Hello, SetTyping
from chatservice.core.sanitize import sanitize
from chatservice.dialects import jsonlines, schema
from chatservice.dialects.jsonlines import JSON
from tests.support.people import Server, joined, left
from tests.support.programs import Program, join
from tests.unit.test_protocol import Door

SCHEMA = schema.schema()
EVENT = Draft202012Validator({**SCHEMA, "anyOf": [{"$ref": "#/$defs/event"}]})
REQUESTS = [e for e in schema.EXAMPLES if schema.vocabulary_of(e) is jsonlines.REQUESTS]
EVENTS = [e for e in schema.EXAMPLES if schema.vocabulary_of(e) is jsonlines.EVENTS]


REQUEST = Draft202012Validator({**SCHEMA, "anyOf": [{"$ref": "#/$defs/request"}]})


def definition(word: str) -> dict[str, Any]:
    return {**SCHEMA["$defs"][f"request.{word}"], "$defs": SCHEMA["$defs"]}


class TestLines:
    def test_every_type_has_an_example(self) -> None:
        assert {type(e) for e in REQUESTS} == set(jsonlines.REQUESTS.types.values())
        assert {type(e) for e in EVENTS} == set(jsonlines.EVENTS.types.values())

    @pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
    def test_an_event_can_be_read_back(self, event: Event) -> None:
        line = JSON.render(event)
        EVENT.validate(json.loads(line))
        assert jsonlines.decode_event(line) == (event, None)
        answer = JSON.render_personal(Answered(event, "r"))  # type: ignore[arg-type]
        assert jsonlines.decode_event(answer) == (event, "r")

    @pytest.mark.parametrize("request_", REQUESTS, ids=str)
    def test_a_request_can_be_read_back(self, request_: Any) -> None:
        line = jsonlines.encode_request(request_, "r")
        assert jsonlines.read(line) == (request_, "r")
        (word,) = (w for w, c in jsonlines.REQUESTS.types.items() if c is type(request_))
        Draft202012Validator(definition(word)).validate(json.loads(line))

    @given(st.text(), st.text(), st.floats(0, 4e9), st.integers(0, 2**53))
    def test_any_text_arrives(self, name: str, text: str, at: float, number: int) -> None:
        said = Said(number, round(at, 3), "lobby", sanitize(name), sanitize(text))
        heard, _ = jsonlines.decode_event(JSON.render(said))
        assert isinstance(heard, Said)
        assert replace(heard, at=0.0) == replace(said, at=0.0)
        assert abs(heard.at - said.at) < 0.002

    def test_a_burst_is_heard_one_by_one(self) -> None:
        lines = JSON.render(Burst(7, 0.0, "lobby", "Alice", ("one", "two"))).splitlines()
        assert [jsonlines.decode_event(line)[0] for line in lines] == [
            Said(7, 0.0, "lobby", "Alice", "one"),
            Said(8, 0.0, "lobby", "Alice", "two"),
        ]

    def test_some_events_take_another_form(self) -> None:
        assert json.loads(JSON.render(Sent(1, 0.0, "Bob", "hi"))) == {
            **{"type": "ack", "id": 1, "at": "1970-01-01T00:00:00.000Z", "to": "Bob"},
        }
        refused = Refused(Refusal(ErrorCode.NAME_TAKEN, name="Bob"), asks_name=True)
        assert json.loads(JSON.render(refused)) == {
            **{"type": "error", "code": "name_taken", "message": "Bob is taken."},
        }

    @pytest.mark.parametrize(
        ("line", "code"),
        [
            (b"{", "not_json"),
            (b"[]", "not_json"),
            (b"\xff", "not_json"),
            (b"[" * 8000, "not_json"),
            (b'{"a":' * 1500, "not_json"),
            (b"1" * 5000, "not_json"),
            (b'{"type": "say", "text": "a"} {}', "not_json"),
            (b"{}", "missing_field"),
            (b'{"type": null}', "unknown_type"),
            (b'{"type": {}}', "unknown_type"),
            (b'{"type": "say", "text": null}', "bad_field"),
            (b'{"type": "say", "text": NaN}', "bad_field"),
            (b'{"type": "say", "text": "a", "mood": NaN}', "not_json"),
            (b'{"type": "say", "text": "a", "mood": -Infinity}', "not_json"),
            (b'{"type": "say", "text": "\\r\\n \\u2028"}', "empty_text"),
            (b'{"type": "say", "text": "' + b"a\\n" * 501 + b'"}', "too_many_lines"),
            (b'{"type": "say", "text": "\\n", "room": 1}', "bad_field"),
            (b'{"type": "say", "text": "\\t \\u3000"}', "empty_text"),
            (b'{"type": "say", "text": "a", "ref": 1}', "bad_field"),
            (b'{"type": "typing", "on": 1}', "bad_field"),
            (b'{"type": "history", "before": true}', "bad_field"),
            (b'{"type": "history", "before": -1}', "bad_field"),
            (b'{"type": "history", "limit": 0}', "bad_field"),
            (b'{"type": "history", "limit": 1.5}', "bad_field"),
            (b'{"type": "history", "limit": 1e400}', "bad_field"),
            (b'{"type": "history", "limit": -1e400}', "bad_field"),
            (b'{"type": "history", "limit": true}', "bad_field"),
            (b'{"type": "history", "limit": "1"}', "bad_field"),
            (b'{"type": "history", "limit": 1' + b"0" * 7000 + b"}", "bad_field"),
            (b'{"type": "history", "limit": 1' + b"0" * 500 + b"}", "bad_field"),
        ],
    )
    def test_an_invalid_line_is_refused_with_a_code(self, line: bytes, code: str) -> None:
        refusal = jsonlines.read(line).request
        assert isinstance(refusal, Refusal)
        assert refusal.code == code
        EVENT.validate(json.loads(JSON.render_personal(Refused(refusal))))


MUTATION: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, -1, 1.5, True, "", "\ud800", [], {}, "x" * 9000, 2**60]
)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def as_in(schema_: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema of a field or of a request allows."""
    match schema_:
        case {"const": value}:
            return st.just(value)
        case {"type": "string", "pattern": _}:
            return st.text().filter(str.strip) | st.sampled_from(["hello", "two\nlines"])
        case {"type": ["string", "null"]}:
            return st.none() | st.text()
        case {"type": "string"}:
            return st.text() | st.sampled_from(["Alice", "Bob", "lobby", "hello"])
        case {"type": "boolean"}:
            return st.booleans()
        case {"type": "integer", "minimum": least, "maximum": most}:
            few = st.integers(least, least + 30)
            return st.integers(least, most) | few | few.map(float)
        case {"type": "object", "properties": fields, "required": required}:
            strategies = {key: as_in(field) for key, field in fields.items()}
            return st.fixed_dictionaries(
                {key: strategies.pop(key) for key in required}, optional=strategies
            )
    raise AssertionError(schema_)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Valid requests, some with a field changed or missing; other JSON; other bytes."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=100)).replace(b"\n", b"")
    if kind == 1:
        return json.dumps(draw(ANYTHING)).encode()
    word = draw(st.sampled_from(sorted(jsonlines.REQUESTS.types)))
    request = draw(as_in(definition(word)))
    if kind < 5:
        field = draw(st.sampled_from(sorted(request)))
        if draw(st.booleans()):
            del request[field]
        else:
            request[field] = draw(MUTATION)
    return json.dumps(request).encode()


@given(lines())
@settings(max_examples=2000)
def test_the_schema_and_the_server_agree(line: bytes) -> None:
    try:
        asked = json.loads(line.decode(), parse_constant=int)  # which raises: they are not JSON
    except (ValueError, RecursionError):
        asked = None
    assert REQUEST.is_valid(asked) != isinstance(jsonlines.read(line).request, Refusal)


@given(st.lists(lines(), max_size=12))
@settings(max_examples=300)
def test_every_answer_is_valid_whatever_is_sent(given_lines: list[bytes]) -> None:
    door = Door()
    bob, bobs = door.connect()
    bob.dataReceived(b"Bob\n")
    program, transport = door.connect()
    program.dataReceived(b'{"type": "hello", "name": "Alice"}\n')
    door.clock.advance(0)
    for line in given_lines:
        program.dataReceived(line + b"\n")
        door.clock.pump([0, 0.3])
    _, welcome, *answers = transport.value().splitlines()
    assert json.loads(welcome)["type"] == "welcome"
    heard = json.loads(welcome)
    for answer in answers:
        heard = json.loads(answer)
        EVENT.validate(heard)
        if heard["type"] == "error":
            assert heard["code"] in set(ErrorCode)
    assert transport.aborted <= (heard["type"] == "bye")
    heard_by_bob = bobs.value().decode()
    assert sanitize(heard_by_bob.replace("\r\n", "")) == heard_by_bob.replace("\r\n", "")
    assert not bobs.aborted


class TestARealServer:
    @pytest.fixture(params=[False, True], ids=["tcp", "tls"])
    def tls(self, request: pytest.FixtureRequest) -> bool:
        """Each test here is run through both."""
        return bool(request.param)

    def test_programs_and_people_share_the_room(self, server: Server) -> None:
        program = join(server, "Robot")
        alice = server.join("Alice")
        program.hears("joined", names=["Alice"], room="lobby")
        program.asks("say", text="beep\x1b[2J\nboop", ref="1")
        program.hears("ack", ref="1", count=2)
        alice.hears("Robot: beep\N{REPLACEMENT CHARACTER}[2J", "Robot: boop")
        alice.types("سلام", "/me waves", "/msg robot psst")
        program.hears("said", **{"from": "Alice"}, text="سلام")
        program.hears("emoted", **{"from": "Alice"}, text="waves")
        program.hears("told", **{"from": "Alice"}, to="Robot", text="psst")
        program.asks("exit", ref="bye")
        program.hears("bye", reason="exit", ref="bye")
        assert program.person.is_cut_off()
        alice.hears("* Alice waves", "[you -> Robot] psst", left("Robot"))

    def test_each_line_of_a_text_is_a_message(self, server: Server) -> None:
        robot, bob = join(server, "Robot"), join(server, "Bob")
        robot.hears("joined")
        alice = server.join("Alice")
        robot.hears("joined")
        bob.hears("joined")
        text = "one\ntwo\r\n\r\nthree\r"
        for type_, fields in (("say", {}), ("emote", {}), ("tell", {"to": "Bob"})):
            robot.asks(type_, text=text, ref=type_, **fields)
            heard = [json.loads(bob.person.next_line()) for _ in range(3)]
            assert [event["text"] for event in heard] == ["one", "two", "three"]
            if type_ == "emote":
                for line in ("one", "two", "three"):
                    robot.hears("emoted", text=line)
            robot.hears("ack", ref=type_, count=3, id=heard[-1]["id"])
        bob.asks("reply", text="four\nfive")
        bob.hears("ack", count=2, to="Robot")
        robot.hears("told", text="four")
        robot.hears("told", text="five")
        alice.hears("Robot: one", "Robot: two", "Robot: three")
        alice.hears("* Robot one", "* Robot two", "* Robot three")

    def test_ids_and_acknowledgements_agree(self, server: Server) -> None:
        alice, bob = join(server, "Alice"), join(server, "Bob")
        alice.hears("joined")
        for number in range(300):
            alice.asks("say", text=str(number), ref=str(number))
        acks = [alice.hears("ack", ref=str(number)) for number in range(300)]
        heard = [bob.hears("said", text=str(number)) for number in range(300)]
        assert [ack["id"] for ack in acks] == [said["id"] for said in heard]
        assert [ack["at"] for ack in acks] == [said["at"] for said in heard]
        assert heard == sorted(heard, key=lambda said: int(said["id"]))

    def test_all_examples_are_served(self, server: Server) -> None:
        """And the answer has the request's ref, also if it had to wait, as the welcome has."""
        join(server, "Bob")
        expected = (
            *(None, "no_correspondent", "no_accounts", "not_registered", "unknown_room"),
            *("not_in_charge", "no_such_message", "not_yourself", "not_ignored"),
        )
        for request in REQUESTS:
            program = Program(server.connect())
            if not isinstance(request, Hello):
                program.comes_in("Eve")
            program.person.sends(jsonlines.encode_request(request, "r"))
            program.asks("exit", ref="last")
            heard = [json.loads(program.person.next_line())]
            while heard[-1]["type"] != "bye":
                assert heard[-1].get("code") in expected, heard[-1]
                heard.append(json.loads(program.person.next_line()))
            is_answered = any(event.get("ref") == "r" for event in heard)
            assert is_answered or isinstance(request, SetTyping), request
            assert program.person.is_cut_off()

    def test_five_mistakes_before_hello_end_the_connection(self, server: Server) -> None:
        program = Program(server.connect())
        for _ in range(5):
            program.asks("nonsense")
            program.hears("error", code="unknown_type")
        program.hears("bye", reason="refused")
        assert program.person.is_cut_off()

    def test_a_long_line_ends_the_connection(self, server: Server) -> None:
        program = join(server, "Alice")
        program.asks("say", text="x" * 9000)
        program.hears("error", code="line_too_long")
        program.hears("bye", reason="long line")

    def test_only_the_first_line_chooses_the_dialect(self, server: Server) -> None:
        alice = server.join("Alice")
        bob = server.join("Bob")
        alice.hears(joined("Bob"))
        bob.types('{"type": "say", "text": "hello"}')
        alice.hears('Bob: {"type": "say", "text": "hello"}')

    def test_history_goes_as_far_back_as_is_asked(self, server: Server) -> None:
        alice = join(server, "Alice")
        for number in range(10):
            alice.asks("say", text=str(number))
            alice.hears("ack")
        alice.asks("history", limit=3)
        newest = alice.hears("history", first_id=1)["events"]
        assert [event["text"] for event in newest] == ["7", "8", "9"]
        alice.asks("history", before=newest[0]["id"], limit=2)
        assert [e["text"] for e in alice.hears("history")["events"]] == ["5", "6"]
        alice.asks("history", after=0, limit=2)
        assert [e["type"] for e in alice.hears("history")["events"]] == ["joined", "said"]

    def test_a_token_takes_a_name_over_and_nobody_hears_of_it(self, server: Server) -> None:
        alice = server.join("Alice")
        old = Program(server.connect())
        token = old.comes_in("Bob")["token"]
        alice.hears(joined("Bob"))
        thief = Program(server.connect())
        for wrong in ({}, {"token": "wrong"}, {"token": "\u0661"}):
            thief.asks("hello", name="Bob", **wrong)
            thief.hears("error", code="name_taken")
        new = Program(server.connect())
        assert new.comes_in("Bob", token=token)["token"] == token
        old.hears("bye", reason="taken over")
        assert old.person.is_cut_off()
        new.asks("nick", name="Bob")
        new.hears("ack")
        new.asks("say", text="me again")
        new.hears("ack")
        alice.hears("Bob: me again")
        alice.types("/msg Bob psst")
        new.hears("told", text="psst")
        alice.hears("[you -> Bob] psst")
        new.asks("exit")
        alice.hears(left("Bob"))

    def test_a_token_is_good_after_a_rename(self, server: Server) -> None:
        old = Program(server.connect())
        token = old.comes_in("Bob")["token"]
        old.asks("nick", name="Rob")
        old.hears("renamed")
        new = Program(server.connect())
        new.asks("hello", name="Bob", token=token)
        new.hears("welcome", name="Rob", users=["Rob"])

    def test_only_programs_hear_who_is_typing(self, server: Server) -> None:
        alice, bob = join(server, "Alice"), join(server, "Bob")
        alice.hears("joined")
        carol = server.join("Carol")
        alice.hears("joined")
        bob.hears("joined")
        alice.asks("typing", on=True)
        bob.hears("typing", name="Alice", on=True)
        alice.asks("who")
        alice.hears("users")
        alice.asks("say", text="done")
        carol.hears("Alice: done")
