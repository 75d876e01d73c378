"""What a typed line means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.requests import (
    BEFORE_NAME,
    Emote,
    Exit,
    Hello,
    Help,
    Nick,
    Reply,
    Request,
    Say,
    Tell,
    Who,
)
from chatservice.dialects import commands
from chatservice.dialects.commands import COMMANDS


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("hello", Say("hello")),
        ("  indented", Say("  indented")),
        ("//exit", Say("/exit")),
        (" //exit", Say("/exit")),
        (" /msg Bob psst", Tell("Bob", "psst")),
        ("///", Say("//")),
        ("/me waves", Emote("waves")),
        ("/ME  waves ", Emote("waves")),
        ("/msg Bob lunch?", Tell("Bob", "lunch?")),
        ("/w Bob  two  words ", Tell("Bob", "two  words")),
        ("/tell Bob /exit", Tell("Bob", "/exit")),
        ("/r sure", Reply("sure")),
        ("/who", Who()),
        ("/names everyone", Who()),
        ("/users", Who()),
        ("/nick Carol", Nick("Carol")),
        ("/h", Help()),
        ("/?", Help()),
        ("/quit", Exit()),
        ("/Exit now", Exit()),
    ],
)
def test_means(line: str, request_: Request) -> None:
    assert commands.parse(line) == request_


@pytest.mark.parametrize("line", ["/me", "/me  ", "/msg", "/msg Bob", "/msg Bob  ", "/r", "/nick"])
def test_arguments_that_are_missing_are_asked_for(line: str) -> None:
    with pytest.raises(Refusal) as refused:
        commands.parse(line)
    assert refused.value.code is ErrorCode.USAGE
    assert str(refused.value.details["usage"]).startswith("/")


@pytest.mark.parametrize("line", ["/", "/ who", "/dance", "/whoami"])
def test_what_is_no_command_is_refused(line: str) -> None:
    with pytest.raises(Refusal) as refused:
        commands.parse(line)
    assert refused.value.code is ErrorCode.UNKNOWN_COMMAND


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_without_a_name_there_is_help_and_exit(command: commands.Command) -> None:
    argument = "5" if command.name == "history" else "x y"
    request = commands.parse(f"/{command.name} {argument}", has_name=False)
    assert isinstance(request, BEFORE_NAME) == (command.name in ("help", "exit"))


def test_without_a_name_a_line_is_one() -> None:
    assert commands.parse(" Alice", has_name=False) == Hello(" Alice")


@given(st.text())
def test_every_line_means_something_or_is_refused(line: str) -> None:
    try:
        commands.parse(line)
    except Refusal:
        pass
