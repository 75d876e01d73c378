"""Which request a typed line stands for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatservice.core.events import ALL_ROOMS, CURRENT_ROOM, ErrorCode, Refusal
from chatservice.core.requests import (
    Ban,
    Bans,
    Emote,
    Exit,
    Hello,
    Help,
    Kick,
    Mute,
    Nick,
    Op,
    Reply,
    Request,
    Say,
    Tell,
    Who,
)
from chatservice.core.sanctions import MAX_SECONDS
from chatservice.dialects import commands
from chatservice.dialects.commands import COMMANDS
from chatservice.dialects.wording import ENGLISH


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("hello", Say("hello", CURRENT_ROOM)),
        ("  indented", Say("  indented", CURRENT_ROOM)),
        ("//exit", Say("/exit", CURRENT_ROOM)),
        (" //exit", Say("/exit", CURRENT_ROOM)),
        (" /msg Bob psst", Tell("Bob", "psst")),
        ("///", Say("//", CURRENT_ROOM)),
        ("/me waves", Emote("waves", CURRENT_ROOM)),
        ("/ME  waves ", Emote("waves", CURRENT_ROOM)),
        ("/msg Bob lunch?", Tell("Bob", "lunch?")),
        ("/w Bob  two  words ", Tell("Bob", "two  words")),
        ("/tell Bob /exit", Tell("Bob", "/exit")),
        ("/r sure", Reply("sure")),
        ("/who", Who()),
        ("/names dev", Who("dev")),
        ("/users", Who()),
        ("/nick Carol", Nick("Carol")),
        ("/h", Help()),
        ("/?", Help()),
        ("/kick Eve", Kick("Eve", CURRENT_ROOM)),
        ("/kick Eve go away", Kick("Eve", CURRENT_ROOM, "go away")),
        ("/kick server Eve", Kick("Eve", ALL_ROOMS)),
        ("/ban Eve", Ban("Eve", CURRENT_ROOM)),
        ("/ban Eve 2h spam, again", Ban("Eve", CURRENT_ROOM, 7200, "spam, again")),
        ("/ban Eve 2hours", Ban("Eve", CURRENT_ROOM, None, "2hours")),
        ("/ban server Eve 7d", Ban("Eve", ALL_ROOMS, 7 * 86400)),
        ("/ban Server", Ban("Server", CURRENT_ROOM)),
        ("/ban Eve 99999w", Ban("Eve", CURRENT_ROOM, MAX_SECONDS)),
        ("/unban server Eve", Ban("Eve", ALL_ROOMS, on=False)),
        ("/mute Eve 30m", Mute("Eve", CURRENT_ROOM, 1800)),
        ("/unmute Eve", Mute("Eve", CURRENT_ROOM, on=False)),
        ("/bans", Bans(CURRENT_ROOM)),
        ("/deop Bob", Op("Bob", CURRENT_ROOM, on=False)),
        ("/quit", Exit()),
        ("/Exit now", Exit()),
    ],
)
def test_a_line_stands_for_a_request(line: str, request_: Request) -> None:
    assert commands.parse(line) == request_


@pytest.mark.parametrize("line", ["/me", "/me  ", "/msg", "/msg Bob", "/msg Bob  ", "/r", "/nick"])
def test_missing_arguments_are_refused_with_the_usage(line: str) -> None:
    with pytest.raises(Refusal) as refused:
        commands.parse(line)
    assert refused.value.code is ErrorCode.USAGE
    assert ENGLISH.refusal(refused.value).startswith("usage: /")


@pytest.mark.parametrize("line", ["/", "/ who", "/dance", "/whoami"])
def test_an_unknown_command_is_refused(line: str) -> None:
    with pytest.raises(Refusal) as refused:
        commands.parse(line)
    assert refused.value.code is ErrorCode.UNKNOWN_COMMAND


ARGUMENTS = {
    "bans": "server",
    "history": "5",
    "slow": "30",
    "msg": "Bob lunch?",
    "in": "dev lunch?",
    "report": "Eve spam",
    "quiet": "on",
}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_is_the_request_that_its_row_says(command: commands.Command) -> None:
    for word in (command.name, *command.aliases):
        request = commands.parse(f"/{word} {ARGUMENTS.get(command.name, 'word')}")
        assert type(request) is command.request


def test_before_there_is_a_name_a_line_is_one() -> None:
    assert commands.parse(" Alice", has_name=False) == Hello(" Alice")


@given(st.text())
def test_every_line_is_a_request_or_is_refused(line: str) -> None:
    try:
        commands.parse(line)
    except Refusal:
        pass
