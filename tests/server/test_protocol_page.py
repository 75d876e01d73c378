"""docs/protocol.md is true: every transcript on it is replayed against a real server."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatservice.dialects import schema
from tests.support.people import Person, Server

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"
STEP = re.compile(r"(?P<who>\w+)\s*(?P<does>[<>]|closed)\s?(?P<line>.*)")
INTRODUCTION = re.compile(r"(?P<names>[\w, ]+) (is|are) in(?P<json>, in JSON)?")
ANY = "…"


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    """Each test here is run through both."""
    return bool(request.param)


def transcripts() -> Iterator[tuple[str, str]]:
    section = ""
    for block in re.split(r"^(## [^\n]*|```chat\n.*?^```)$", PAGE.read_text(), flags=re.M | re.S):
        if block.startswith("## "):
            section = block[3:]
        elif block.startswith("```chat"):
            yield section, block.removeprefix("```chat\n").removesuffix("```")


def introduce(server: Server, names: str) -> dict[str, Person]:
    people: dict[str, Person] = {}
    for name in re.findall(r"[A-Z]\w*", names):
        newcomer = server.join(name)
        for other in people.values():
            other.hears(f"*** {name} has joined the chat.")
        people[name] = newcomer
    return people


def introduce_programs(server: Server, names: str) -> dict[str, Person]:
    people: dict[str, Person] = {}
    for name in re.findall(r"[A-Z]\w*", names):
        newcomer = server.connect()
        newcomer.hears("What is your name?")
        newcomer.types(json.dumps({"type": "hello", "name": name}))
        assert json.loads(newcomer.next_line())["type"] == "welcome"
        for other in people.values():
            assert json.loads(other.next_line())["names"] == [name]
        people[name] = newcomer
    return people


def agrees(heard: Any, expected: Any) -> bool:
    """Whether `heard` equals `expected`, where ANY stands for any string."""
    if isinstance(expected, dict):
        return list(heard) == list(expected) and all(
            agrees(heard[key], expected[key]) for key in expected
        )
    if isinstance(expected, list):
        return len(heard) == len(expected) and all(map(agrees, heard, expected))
    return bool(heard == expected or (expected == ANY and isinstance(heard, str)))


@pytest.mark.parametrize(("section", "transcript"), list(transcripts()))
def test_the_transcript_is_what_happens(server: Server, section: str, transcript: str) -> None:
    people: dict[str, Person] = {}
    for text in transcript.splitlines():
        if introduction := INTRODUCTION.fullmatch(text):
            how = introduce_programs if introduction["json"] else introduce
            people = how(server, introduction["names"])
            continue
        step = STEP.fullmatch(text)
        assert step, text
        if step["who"] not in people:
            people[step["who"]] = server.connect()
        person = people[step["who"]]
        match step["does"]:
            case ">":
                person.types(step["line"])
            case "<" if step["line"].startswith("{"):
                heard = person.next_line()
                assert agrees(json.loads(heard), json.loads(step["line"])), heard
            case "<":
                person.hears(step["line"])
            case "closed":
                assert person.is_cut_off()
                del people[step["who"]]
    for person in people.values():
        person.types("/nobody-said-more")
        assert person.next_line() in (
            "Error: /nobody-said-more is not a command. Type /help for a list.",
            '{"type": "error", "code": "not_json", "message": "a line must be one JSON object, in '
            'UTF-8."}',
        )


def test_there_are_transcripts() -> None:
    assert len(list(transcripts())) >= 15


def test_the_tables_and_the_schema_are_those_of_the_definitions() -> None:
    tables = PAGE.read_text().partition("<!-- tables -->\n")[2].partition("<!-- /tables -->")[0]
    assert tables == schema.tables()
    published = json.loads(PAGE.with_name("protocol.schema.json").read_text())
    assert published == schema.schema()
