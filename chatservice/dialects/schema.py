"""``python -m chatservice.dialects.schema``: the JSON Schema of the JSON dialect.

With ``--tables`` it prints the types as Markdown tables. Both are made of the definitions in
`jsonlines`.
"""

import json
import sys
from typing import Any

from chatservice.core import requests
from chatservice.core.events import (
    ALL_ROOMS,
    LOBBY,
    AccountChanged,
    Acked,
    Announced,
    AwayChanged,
    Banned,
    Change,
    Closed,
    CloseReason,
    Deleted,
    Emoted,
    Error,
    ErrorCode,
    IgnoredList,
    Invited,
    Joined,
    LeaveReason,
    Left,
    ModeChanged,
    Muted,
    Online,
    PaceChanged,
    Person,
    Recalled,
    Removed,
    Renamed,
    Reported,
    Role,
    RoleChanged,
    RoomInfo,
    RoomList,
    Said,
    SanctionInfo,
    SanctionKind,
    SanctionList,
    Saving,
    Skipped,
    Told,
    Tombstone,
    TopicChanged,
    Typing,
    Welcomed,
)
from chatservice.dialects.codec import Field, Vocabulary
from chatservice.dialects.jsonlines import EVENTS, REQUESTS
from chatservice.dialects.wording import ENGLISH

_NOON = 1_795_262_400.5  # 2026-11-21T12:00:00.500Z
_ROOM = RoomInfo("dev", "Ship it", people=2)
_BAN = SanctionInfo(
    SanctionKind.BAN, "Eve", "Alice", _NOON, _NOON + 7200, "spam", account=False, network=True
)
# At least one of each type.
EXAMPLES: tuple[Any, ...] = (
    requests.Hello("Alice"),
    requests.Hello("Alice", "Zm9vYmFy"),
    requests.Say("Hello everyone!"),
    requests.Emote("waves"),
    requests.Tell("Bob", "lunch?"),
    requests.Reply("sure"),
    requests.SetTyping(True),
    requests.Who(),
    requests.Away("lunch"),
    requests.Away(on=False),
    requests.Nick("Carol"),
    requests.History(before=42, limit=10),
    requests.History(after=12, before=42),
    requests.History(limit=20, messages=True),
    requests.Search("lunch noon"),
    requests.Hello("Alice", password="correct horse"),
    requests.Register("correct horse"),
    requests.Nick("Alice", "correct horse"),
    requests.ChangePassword("battery staple", "correct horse"),
    requests.Unregister("battery staple"),
    requests.Hello("Alice", "Zm9vYmFy", beside=True, rooms=True),
    requests.Say("Hello developers!", "dev"),
    requests.Join("dev"),
    requests.Part("dev"),
    requests.Rooms(),
    requests.Who("dev"),
    requests.Whois("Bob"),
    requests.Topic("dev", "Ship it"),
    requests.Topic("dev"),
    requests.RoomMode("dev", True),
    requests.RoomMode("dev", slow=30),
    requests.Invite("Bob", "dev"),
    requests.Op("Bob", "dev"),
    requests.Op("Bob", "dev", on=False),
    requests.Founder("Bob", "dev"),
    requests.Kick("Eve", "dev", "spam"),
    requests.Ban("Eve", "dev", 7200, "spam"),
    requests.Ban("Eve", "dev", on=False),
    requests.Mute("Eve", ALL_ROOMS, 1800),
    requests.Bans("dev"),
    requests.Delete(42),
    requests.Delete(room="dev", name="Eve", count=3),
    requests.Ignore("Eve"),
    requests.Ignore("Eve", on=False),
    requests.Ignores(),
    requests.Announce("Back at noon"),
    requests.Report("Eve", "advertisements", "dev"),
    requests.History(limit=20, messages=True, room="dev"),
    requests.Search("lunch noon", room=ALL_ROOMS),
    requests.Exit(),
    Welcomed("Alice", ("Alice", "Bob"), "c29tZSBlcG9jaA", 41, "Zm9vYmFy"),
    Welcomed("Alice", ("Alice", "Bob"), "c29tZSBlcG9jaA", 41, "Zm9vYmFy", seen=29),
    Welcomed("Alice", ("Alice",), "c29tZSBlcG9jaA", 0, "Zm9vYmFy", accounts=False),
    Welcomed("Alice", ("Alice", "Bob"), "c29tZSBlcG9jaA", 41, "Zm9vYmFy", recent=20),
    Welcomed("Alice", ("Alice",), "c29tZSBlcG9jaA", 41, "Zm9vYmFy", rooms=(_ROOM,)),
    Acked(42, _NOON),
    Acked(7, _NOON, "Bob"),
    Acked(44, _NOON, count=3),
    Said(42, _NOON, LOBBY, "Alice", "Hello everyone!"),
    Emoted(43, _NOON, LOBBY, "Alice", "waves"),
    Told(7, _NOON, "Alice", "Bob", "lunch?"),
    Joined(40, _NOON, LOBBY, ("Dave", "Erin")),
    Left(44, _NOON, LOBBY, ("Dave",), LeaveReason.LOST),
    Renamed(45, _NOON, LOBBY, "Alice", "Carol"),
    Joined(46, _NOON, "dev", ("Bob",), arrived=False),
    Left(47, _NOON, "dev", ("Bob",), LeaveReason.PARTED),
    Left(48, _NOON, LOBBY, ("Erin",), LeaveReason.LEFT, (LOBBY, "dev")),
    Renamed(49, _NOON, LOBBY, "Carol", "Alice", (LOBBY, "dev")),
    TopicChanged(50, _NOON, "dev", "Alice", "Ship it"),
    ModeChanged(51, _NOON, "dev", "Alice", True),
    PaceChanged(52, _NOON, "dev", "Alice", 30),
    RoleChanged(52, _NOON, "dev", "Bob", "Alice", Role.OPERATOR),
    Banned(53, _NOON, "dev", "Eve", "Alice", until=_NOON + 7200, why="spam"),
    Left(54, _NOON, "dev", ("Eve",), LeaveReason.PARTED, by="Alice", why="spam"),
    Banned(55, _NOON, "dev", "Eve", "Alice", on=False),
    Muted(56, _NOON, LOBBY, "Eve", "Alice", until=_NOON + 1800, everywhere=True),
    Deleted(57, _NOON, "dev", "Eve", "Alice", (41, 42, 43)),
    Tombstone(42, _NOON, "dev", "Eve", "Alice"),
    Removed("dev", "Alice", "spam"),
    _BAN,
    SanctionList("dev", (_BAN,)),
    Reported(_NOON, "dev", "Eve", "Bob", "advertisements", waited=True),
    IgnoredList(("Eve",)),
    RoomInfo("dev", "Ship it", private=True, people=2, users=("Alice", "Bob")),
    RoomList((RoomInfo(LOBBY, people=12), _ROOM)),
    Person("Bob", _NOON, True, (LOBBY, "dev")),
    Invited("dev", "Alice"),
    Typing("Alice", True, "dev"),
    Online(("Alice", "Bob"), "dev"),
    Typing("Alice", True),
    Online(("Alice", "Bob")),
    Online(("Alice", "Bob"), away=("Bob",)),
    AwayChanged("Bob", True),
    Acked(9, _NOON, "Bob", away="lunch"),
    Person("Bob", _NOON, True, (LOBBY,), "lunch"),
    Recalled((Said(42, _NOON, LOBBY, "Alice", "Hello everyone!"),), 1),
    Skipped(120, 41, 162),
    Recalled((), 30, gone=17),
    Saving(False, "database or disk is full"),
    Saving(True, lost=3),
    AccountChanged("Alice", Change.REGISTERED),
    Acked(8, _NOON, "Carol", True),
    Announced(("Be kind.",), "dev"),
    Closed("Alice", CloseReason.EXIT),
    Error(ErrorCode.NAME_TAKEN, "Alice is taken."),
)


# A request may have null instead.
_REF = {"request": {"type": ["string", "null"]}, "event": {"type": "string"}}


def vocabulary_of(value: Any) -> Vocabulary:
    """Whether it is a request or an event."""
    return REQUESTS if type(value) in REQUESTS.types.values() else EVENTS


def schema() -> dict[str, Any]:
    """A schema for each request (``$defs/requests``) and event (``$defs/events``)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "chatservice: what a line holds in the JSON dialect",
        "anyOf": [{"$ref": "#/$defs/request"}, {"$ref": "#/$defs/event"}],
        "$defs": {
            "request": _one_of("request", REQUESTS),
            "event": _one_of("event", EVENTS),
            **_definitions("request", REQUESTS),
            **_definitions("event", EVENTS),
        },
    }


def tables() -> str:
    """The types, their fields and what they mean, and the codes of errors, in Markdown."""
    return "\n".join(
        [
            "| request | fields | meaning |",
            "|---|---|---|",
            *_rows(REQUESTS),
            "",
            "| event | fields | meaning |",
            "|---|---|---|",
            *_rows(EVENTS),
            "",
            "| code of an error | its message |",
            "|---|---|",
            *(f"| `{reason}` | {words} |" for reason, words in ENGLISH.errors.items()),
            "",
        ]
    )


def _one_of(prefix: str, vocabulary: Vocabulary) -> dict[str, Any]:
    return {"oneOf": [{"$ref": f"#/$defs/{prefix}.{word}"} for word in vocabulary.types]}


def _definitions(prefix: str, vocabulary: Vocabulary) -> dict[str, Any]:
    definitions = {}
    for word in vocabulary.types:
        definition = vocabulary.schema(word, f"#/$defs/{prefix}.")
        definition["properties"]["ref"] = _REF[prefix]
        definition["examples"] = [
            vocabulary.write(example)
            for example in EXAMPLES
            if type(example) is vocabulary.types[word]
        ]
        definitions[f"{prefix}.{word}"] = definition
    return definitions


def _rows(vocabulary: Vocabulary) -> list[str]:
    rows = []
    for word in vocabulary.types:
        fields = ", ".join(
            f"`{field.key}` {ENGLISH.kind(field.kind.kind)}{_default(field)}"
            for field in vocabulary.fields(word)
        )
        rows.append(f"| `{word}` | {fields} | {vocabulary.meaning(word)} |")
    return rows


def _default(field: Field) -> str:
    if field.required:
        return ""
    return " (may be missing)" if field.default in (None, "") else f" (`{field.default}`)"


def main() -> None:
    """The program."""
    if sys.argv[1:] == ["--tables"]:
        print(tables(), end="")
    else:
        print(json.dumps(schema(), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
