"""Every text that people read comes from the catalogue of words: another language is another one.

MARKED is a catalogue in which each text is marked: «like this». What is rendered with it, of data
without letters, must have no letter outside of the marks.
"""

import ast
import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Any, get_args

import pytest

from chatservice.core import events
from chatservice.core.events import (
    Change,
    Closed,
    CloseReason,
    ErrorCode,
    Event,
    FieldKind,
    LeaveReason,
    Refusal,
    Refused,
    ReplayReason,
)
from chatservice.dialects import jsonlines
from chatservice.dialects.commands import COMMANDS, HELPED
from chatservice.dialects.jsonlines import JsonLines
from chatservice.dialects.text import Text
from chatservice.dialects.wording import ENGLISH, Catalogue

PACKAGE = Path(__file__).parents[2] / "chatservice"
NAME, OTHER, TEXT = "1", "2", "3"
SAID = events.Said(1, 0.0, "4", NAME, TEXT)


def mark(words: Any) -> Any:
    """`words` of a catalogue, with their letters marked."""
    match words:
        case str():
            return "".join(
                (f"«{text}»" if text else "") + ("" if field is None else f"{{{field}}}")
                for text, field, _, _ in Formatter().parse(words)
            )
        case Mapping():
            return {key: mark(value) for key, value in words.items()}
        case _ if callable(words):
            return lambda *given: mark_letters(words(*given))
        case _ if dataclasses.is_dataclass(words) and not isinstance(words, type):
            names = [field.name for field in dataclasses.fields(words)]
            return dataclasses.replace(words, **{n: mark(getattr(words, n)) for n in names})
    raise AssertionError(words)


def mark_letters(text: Any) -> Any:
    if isinstance(text, str):
        return re.sub(r"[^\W\d_]+", "«\\g<0>»", text)
    return tuple(map(mark_letters, text))


MARKED: Catalogue = mark(ENGLISH)


def assert_all_marked(text: str) -> None:
    rest = re.sub("«[^»]*»|/[a-z]+", "", text)  # commands are the same in every language
    assert not any(character.isalpha() for character in rest), text


def samples() -> Iterator[Event]:
    """One of each event, at least, of data without letters."""
    for command in COMMANDS:
        yield events.Explained(command.name, command.aliases)
    yield events.Burst(1, 0.0, "4", NAME, (TEXT, TEXT))
    yield SAID
    yield events.Emoted(1, 0.0, "4", NAME, TEXT)
    for people in ((NAME,), (NAME, OTHER), tuple("123456")):
        yield events.Joined(1, 0.0, "4", people)
        for reason in LeaveReason:
            yield events.Left(1, 0.0, "4", people, reason)
        yield events.Joined(1, 0.0, "4", people, arrived=False)
    yield events.Renamed(1, 0.0, "4", NAME, OTHER)
    for topic in ("", TEXT):
        yield events.TopicChanged(1, 0.0, "4", NAME, topic)
        yield events.TopicShown("4", topic)
        yield events.RoomSwitched("4", topic, (NAME, OTHER))
    for on in (False, True):
        yield events.ModeChanged(1, 0.0, "4", NAME, on)
        yield events.PaceChanged(1, 0.0, "4", NAME, 30 * on)
        yield events.QuietChanged("4", on)
        yield events.Person(NAME, 0.0, on, ("4", "5") if on else ())
        yield events.Person(NAME, 0.0, on, ("4",), TEXT if on else "")
        yield events.Online((NAME, OTHER), "4" if on else "", (NAME,))
        yield events.AwayChanged(NAME, on)
        yield events.Reported(0.0, "4" if on else "*", NAME, OTHER, TEXT, waited=on)
        yield events.ReportTaken(1, 0.0, on)
        yield events.AwaySet(1, 0.0, on)
        yield events.IgnoreChanged(1, 0.0, NAME, on)
        yield events.IgnoredList((NAME, OTHER) * on)
        yield events.AwaySet(1, 0.0, True, TEXT)
        yield events.Sent(1, 0.0, NAME, TEXT, away=TEXT if on else "")
        yield events.RoomInfo("4", TEXT if on else "", on, 2 - on)
        for event_of in (events.Banned, events.Muted):
            yield event_of(1, 0.0, "4", NAME, OTHER if on else "*", on)
            yield event_of(1, 0.0, "4", NAME, OTHER, on, 9.0, TEXT, True)
        for kind in events.SanctionKind:
            info = events.SanctionInfo(kind, NAME, OTHER, 0.0, 9.0 if on else None, "", on)
            yield info
            yield events.SanctionList("4" if on else "*", (info,) * on)
            yield events.SanctionList("*", (info,), 3)
        yield events.Removed("4" if on else "*", NAME, TEXT if on else "")
    yield from (events.RoleChanged(1, 0.0, "4", NAME, OTHER, role) for role in events.Role)
    yield events.RoleChanged(1, 0.0, "4", NAME, NAME, events.Role.MEMBER)
    for by in (NAME, OTHER, "*"):
        yield events.Deleted(1, 0.0, "4", NAME, by, (1, 2) if by == OTHER else (1,))
        yield events.Tombstone(1, 0.0, "4", NAME, by)
    for reason in (LeaveReason.PARTED, LeaveReason.LEFT):
        yield events.Left(1, 0.0, "4", (NAME,), reason, (), OTHER, TEXT)
    yield events.RoomList((events.RoomInfo("4"),))
    yield events.RoomList((events.RoomInfo("4"), events.RoomInfo("5")))
    yield events.RoomLeft("4", "5")
    yield events.Invited("4", NAME)
    yield events.InvitationSent(1, 0.0, "4", NAME)
    yield events.Online((NAME, OTHER), "4")
    yield events.NameAsked()
    yield events.Welcomed(NAME, (NAME, OTHER), "5", 1, "6")
    yield events.Announced(("7", "8"))
    yield events.Online((NAME, OTHER))
    yield events.Told(1, 0.0, NAME, OTHER, TEXT)
    yield from (events.Sent(1, 0.0, NAME, TEXT, waiting) for waiting in (False, True))
    yield events.Acked(1, 0.0)
    yield events.Typing(NAME, True)
    yield events.Recalled((SAID,), 1)
    for why in ReplayReason:
        for count, gone, more in ((0, 0, False), (0, 2, False), (1, 1, True), (2, 0, True)):
            yield events.Replayed(why, (SAID,) * count, 0.0, count, gone, more=more)
    yield events.Saving(False, "9")
    yield events.Saving(False, events.SLOW_DISK)
    yield from (events.Saving(True, lost=lost) for lost in (0, 1, 2))
    yield from (events.AccountChanged(NAME, change) for change in Change)
    yield events.PasswordAsked(NAME)
    yield HELPED
    yield from (events.Skipped(count, 1, 9) for count in (1, 2))
    yield from (Closed(name, reason) for name in ("", NAME) for reason in CloseReason)
    for code in ErrorCode:
        yield Refused(refusal(code))
        yield Refused(refusal(code), asks_name=True)
        yield Refused(refusal(code), asks_password=NAME)
    yield Refused(Refusal(ErrorCode.NAME_CHARACTER, character=" "))
    yield events.Error("10", "11")
    yield events.Answered(events.NameAsked(), "12")
    yield events.Rendered(b"")


def refusal(code: ErrorCode) -> Refusal:
    """With whatever its text needs."""
    special: dict[str, Any] = {"usage": "", "kind": FieldKind("string")}
    fields = {f for _, f, _, _ in Formatter().parse(ENGLISH.errors[code]) if f is not None}
    details = {field: special.get(field, "13") for field in {*fields, "command"}}
    return Refusal(code, **details)


def test_there_is_a_sample_of_each_event() -> None:
    assert {type(event) for event in samples()} == set(get_args(Event))


def test_the_catalogue_has_words_for_every_code() -> None:
    assert set(ENGLISH.errors) == set(ErrorCode)
    assert set(ENGLISH.closings) == set(CloseReason)
    assert set(ENGLISH.changes) == set(Change)
    assert set(ENGLISH.commands) == {command.name for command in COMMANDS}
    assert set(ENGLISH.details) == set(ENGLISH.commands)
    assert set(ENGLISH.arguments) <= set(ENGLISH.commands)


@pytest.mark.parametrize("event", list(samples()), ids=lambda event: type(event).__name__)
def test_what_is_shown_comes_from_the_catalogue(event: Event) -> None:
    for line in Text(words=MARKED).lines(event):
        if event is HELPED:  # a command's name is typed, in every language
            assert {name[1:] for name in re.findall(r"/\w+", line)} <= set(ENGLISH.commands)
            assert_all_marked(re.sub(r"/\w+(, )?", "", line))
        else:
            assert_all_marked(line)


@pytest.mark.parametrize("code", ErrorCode)
def test_so_does_the_message_of_an_error_in_json(code: ErrorCode) -> None:
    error, _ = jsonlines.decode_event(JsonLines(MARKED).render(Refused(refusal(code))))
    assert isinstance(error, events.Error)
    assert_all_marked(error.message)


def test_so_does_how_a_command_is_used() -> None:
    for command in COMMANDS:
        usage = MARKED.refusal(Refusal(ErrorCode.USAGE, command=command.name))
        assert_all_marked(usage.replace(f"/{command.name}", ""))


def test_so_does_what_a_field_must_be() -> None:
    for vocabulary in (jsonlines.REQUESTS, jsonlines.EVENTS):
        for word in vocabulary.types:
            for field in vocabulary.fields(word):
                assert_all_marked(re.sub("`[^`]*`", "", MARKED.kind(field.kind.kind)))


def modules() -> Iterator[Path]:
    """All that speaks to people without a catalogue of its own."""
    for folder in ("core", "accounts", "session", "server", "dialects", "storage"):
        yield from sorted((PACKAGE / folder).rglob("*.py"))


NOT_FOR_PEOPLE = PACKAGE / "dialects" / "schema.py"  # its examples


def texts(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


@pytest.mark.parametrize(
    "path", sorted({*modules()} - {NOT_FOR_PEOPLE}), ids=lambda path: path.stem
)
def test_no_words_are_handed_over_as_data(path: Path) -> None:
    """A refusal has a code and details; what is announced comes from an operator."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if called == "Refusal":
            # The name of a field is the protocol's; a kind is a code.
            details = [k.value for k in node.keywords if k.arg not in ("field", "kind")]
        elif called in ("Announced", "Error", "Saving"):
            details = [*node.args, *(k.value for k in node.keywords)]
        else:
            continue
        for text in (text for detail in details for text in texts(detail)):
            assert not any(map(str.isalpha, text)), f"{path}:{node.lineno}: {text!r}"
