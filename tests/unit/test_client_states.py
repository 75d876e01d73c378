"""The states of a client, and who it is to the server: rules without a network."""

from typing import Any, get_args

import pytest

from chatservice import client
from chatservice.client.errors import Declined
from chatservice.client.login import AskName, AskPassword, GiveUp, Login, SayHello, Step, TryLater
from chatservice.client.outstanding import answer_of
from chatservice.client.state import TRANSITIONS, Departure, Lifecycle, State
from chatservice.core.events import Error, ErrorCode, ProgramEvent, Welcomed
from chatservice.core.requests import Hello, Request
from chatservice.dialects.jsonlines import EVENTS, REQUESTS
from chatservice.dialects.wording import ENGLISH


class TestStates:
    def test_the_table_has_all_of_them(self) -> None:
        assert set(TRANSITIONS) == set(State)

    def test_each_can_be_reached_and_a_connection_can_be_lost_in_each(self) -> None:
        reached, before = {State.OFFLINE}, set[State]()
        while reached != before:
            before = set(reached)
            reached |= {after for state in reached for after in TRANSITIONS[state]}
        assert reached == set(State)
        for state in set(State) - {State.OFFLINE, State.CLOSED}:
            assert State.OFFLINE in TRANSITIONS[state]

    @pytest.mark.parametrize("state", State)
    def test_no_other_transition_is_possible(self, state: State) -> None:
        for after in State:
            lifecycle = Lifecycle()
            lifecycle.state = state
            if after in TRANSITIONS[state]:
                lifecycle.enter(after)
                assert lifecycle.state is after
            else:
                with pytest.raises(ValueError, match=f"from {state.name} to {after.name}"):
                    lifecycle.enter(after)

    def test_leaving_never_goes_back(self) -> None:
        lifecycle = Lifecycle()
        assert not lifecycle.is_leaving
        lifecycle.depart(Departure.SAYING_GOODBYE)
        lifecycle.depart(Departure.WANTED)
        assert lifecycle.departure is Departure.SAYING_GOODBYE
        assert lifecycle.is_leaving


class TestVocabulary:
    def test_a_program_finds_all_events_in_one_place(self) -> None:
        assert {event.__name__ for event in get_args(ProgramEvent)} <= set(client.__all__)
        assert all(hasattr(client, name) for name in client.__all__)

    def test_a_client_knows_each_event_that_a_server_can_send(self) -> None:
        assert set(get_args(ProgramEvent)) == set(EVENTS.types.values())

    def test_and_the_answer_to_each_request_that_it_can_make(self) -> None:
        """(What a client does with an event or a request that is new, mypy asks for.)"""
        without_answer = {"hello", "typing", "exit"}
        for word in set(REQUESTS.types) - without_answer:
            request: Any = object.__new__(REQUESTS.types[word])
            assert answer_of(request) in EVENTS.types.values()
        assert set(REQUESTS.types.values()) <= set(get_args(Request))


def login(name: str | None = "Alice", **options: Any) -> Login:
    return Login(
        name,
        **{
            "password": "",
            "asks_name": False,
            "asks_password": False,
            "retry": True,
            "words": ENGLISH,
            **options,
        },
    )


def error(code: str) -> Error:
    return Error(code, "why")


TAKEN, NEEDED, WRONG = map(
    error, (ErrorCode.NAME_TAKEN, ErrorCode.PASSWORD_NEEDED, ErrorCode.WRONG_PASSWORD)
)
PASSING = ("too_often", "busy", "not_saved", "server_full", "address_full")


def hello(step: Step) -> Hello:
    assert isinstance(step, SayHello)
    return step.hello


class TestLogin:
    def test_says_its_name_and_its_password(self) -> None:
        assert hello(login(password="secret").start([])) == Hello("Alice", password="secret")

    def test_without_a_name_it_asks_or_gives_up(self) -> None:
        assert login(None, asks_name=True).start([]) == AskName(None)
        step = login(None).start([])
        assert isinstance(step, GiveUp)
        assert isinstance(step.failure, Declined)

    @pytest.mark.parametrize("code", PASSING)
    @pytest.mark.parametrize("person", [False, True])
    def test_what_can_pass_is_waited_for(self, code: str, person: bool) -> None:
        """Also at the first hello, and with a password that nobody has looked at."""
        it = login(password="secret", asks_name=person, asks_password=person)
        it.start([])
        assert it.declined(error(code)) == TryLater("why")
        assert hello(it.start([])).password == "secret"

    @pytest.mark.parametrize("code", PASSING)
    def test_unless_there_is_only_one_connection(self, code: str) -> None:
        it = login(retry=False)
        it.start([])
        assert isinstance(it.declined(error(code)), GiveUp)

    @pytest.mark.parametrize("refused", [TAKEN, NEEDED, error("of a later server")])
    def test_what_cannot_pass_ends_it(self, refused: Error) -> None:
        it = login()
        it.start([])
        step = it.declined(refused)
        assert isinstance(step, GiveUp)
        assert isinstance(step.failure, Declined)
        assert step.failure.error == refused

    def test_somebody_else_has_a_name_that_was_ours_for_a_while(self) -> None:
        it = login()
        it.start([])
        it.welcomed(Welcomed("Alice", ("Alice",), "epoch", 0, "token"))
        assert hello(it.start([])).token == "token"
        assert it.declined(TAKEN) == TryLater("why")

    def test_a_person_is_asked_for_a_password_and_told_if_it_was_wrong(self) -> None:
        it = login(asks_name=True, asks_password=True)
        it.start([])
        assert it.declined(NEEDED) == AskPassword("Alice", None)
        assert hello(it.proved("Alice", "secret")).password == "secret"
        assert it.declined(WRONG) == AskPassword("Alice", WRONG)
        assert it.proved("Alice", "") == AskName(None)

    def test_other_passwords_that_it_may_have_are_tried_before(self) -> None:
        it = login(password="old")
        assert hello(it.start(["new"])).password == "old"
        assert hello(it.declined(WRONG)).password == "new"
        assert isinstance(it.declined(WRONG), GiveUp)

    def test_no_password_is_in_its_repr(self) -> None:
        it = login(password="secret", token="token")
        assert "secret" not in repr((it, it.start(["other"])))
        assert "token'" not in repr(it)
