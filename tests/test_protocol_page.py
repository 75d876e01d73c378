"""docs/protocol.md is true: every transcript on it is replayed against a real server."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.people import Person, Server

PAGE = Path(__file__).parent.parent / "docs" / "protocol.md"
STEP = re.compile(r"(?P<who>\w+)\s*(?P<does>[<>]|closed)\s?(?P<line>.*)")
INTRODUCTION = re.compile(r"(?P<names>[\w, ]+) (is|are) in")


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


@pytest.mark.parametrize(("section", "transcript"), list(transcripts()))
def test_the_transcript_is_what_happens(server: Server, section: str, transcript: str) -> None:
    people: dict[str, Person] = {}
    for text in transcript.splitlines():
        if introduction := INTRODUCTION.fullmatch(text):
            people = introduce(server, introduction["names"])
            continue
        step = STEP.fullmatch(text)
        assert step, text
        if step["who"] not in people:
            people[step["who"]] = server.connect()
        person = people[step["who"]]
        match step["does"]:
            case ">":
                person.types(step["line"])
            case "<":
                person.hears(step["line"])
            case "closed":
                assert person.is_cut_off()
                del people[step["who"]]
    for name, person in people.items():
        person.types("/nobody-said-more")
        person.hears("Error: /nobody-said-more is not a command. Type /help for those there are.")
        assert name


def test_there_are_transcripts() -> None:
    assert len(list(transcripts())) >= 10
