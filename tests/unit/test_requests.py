"""Each part knows every request and every event: the tables are compared with each other."""

from typing import get_args

import pytest

from chatservice.core import events, requests
from chatservice.core.events import Account, ErrorCode, Refusal
from chatservice.core.requests import Request
from chatservice.dialects import commands, jsonlines
from chatservice.session.requests import RULES, By, Forms
from chatservice.session.state import EXPECTED, TRANSITIONS, IllegalTransition, State, transition
from tests.unit.test_entrance import guest

REQUESTS: tuple[type[Request], ...] = get_args(Request)
# The others are typed with a command of their own.
TYPED_WITHOUT_A_COMMAND = {requests.Hello, requests.Say, requests.Password, requests.Ignores}


class TestRequests:
    def test_each_has_a_rule(self) -> None:
        assert set(RULES) == set(REQUESTS)

    def test_each_can_be_asked_for_where_its_rule_says(self) -> None:
        typed = {command.request for command in commands.COMMANDS} | TYPED_WITHOUT_A_COMMAND
        assert typed == {r for r, rule in RULES.items() if Forms.TEXT in rule.forms}
        in_json = set(jsonlines.REQUESTS.types.values())
        assert in_json == {r for r, rule in RULES.items() if Forms.JSON in rule.forms}

    @pytest.mark.parametrize("request_", REQUESTS)
    def test_each_is_refused_to_those_who_may_not_ask(self, request_: type[Request]) -> None:
        rule = RULES[request_]
        member = guest("Alice", Account("Alice", 1.0))
        refused: set[tuple[By, ErrorCode]] = set()
        for by, user in ((By.NAMELESS, None), (By.NAMED, guest("Bob")), (By.REGISTERED, member)):
            try:
                rule.check(user, has_accounts=True)
            except Refusal as refusal:
                refused.add((by, refusal.code))
        first, twice = (By.NAMELESS, ErrorCode.NAME_FIRST), ErrorCode.NAMED_ALREADY
        assert (
            refused
            == {
                By.ANYBODY: set(),
                By.ASKED: set(),
                By.NAMELESS: {(By.NAMED, twice), (By.REGISTERED, twice)},
                By.NAMED: {first},
                By.REGISTERED: {first, (By.NAMED, ErrorCode.NOT_REGISTERED)},
            }[rule.by]
        )

    def test_accounts_are_refused_by_a_server_that_has_none(self) -> None:
        for request, rule in RULES.items():
            if rule.accounts:
                with pytest.raises(Refusal) as refused:
                    rule.check(guest("Alice", Account("Alice", 1.0)), has_accounts=False)
                assert refused.value.code is ErrorCode.NO_ACCOUNTS, request


class TestEvents:
    def test_each_is_in_the_table_of_json_or_said_otherwise_there(self) -> None:
        otherwise = {
            *(events.Burst, events.Sent, events.Replayed, events.Refused, events.Answered),
            *(events.NameAsked, events.PasswordAsked, events.Helped, events.Explained),
            *(events.RoomSwitched, events.RoomLeft, events.TopicShown, events.QuietChanged),
            *(events.InvitationSent, events.AwaySet, events.ReportTaken, events.Rendered),
            events.IgnoreChanged,
        }
        in_json = set(jsonlines.EVENTS.types.values())
        assert in_json | otherwise == set(get_args(events.Event))
        assert not in_json & otherwise


class TestStates:
    def test_each_has_its_transitions_and_says_what_a_line_is(self) -> None:
        assert set(TRANSITIONS) == set(EXPECTED) == set(State)

    def test_each_can_be_reached_and_all_lead_to_the_end(self) -> None:
        reached = {State.OPENING}
        for _ in State:
            reached |= {new for old in reached for new in TRANSITIONS[old]}
        assert reached == set(State)
        assert all(State.CLOSING in TRANSITIONS[s] for s in State if s is not State.CLOSING)
        assert not TRANSITIONS[State.CLOSING]

    @pytest.mark.parametrize("old", State)
    def test_no_other_transition_is_made(self, old: State) -> None:
        for new in State:
            if new is old or new in TRANSITIONS[old]:
                assert transition(old, new) is new
            else:
                with pytest.raises(IllegalTransition):
                    transition(old, new)
