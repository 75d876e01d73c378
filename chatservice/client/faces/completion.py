"""What Tab completes in a line: commands, rooms, and the names of those who are online."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from chatservice.dialects.wording import ENGLISH, Catalogue

# The commands whose first word is a room.
_TAKE_ROOM = frozenset(("/switch", "/in", "/part", "/leave"))


@dataclass(frozen=True, slots=True)
class Completion:
    """`text` takes the place of so many characters before the cursor (`replaces`). In a list of
    several it is shown as `shown`, with `help` beside it."""

    text: str
    replaces: int
    shown: str
    help: str = ""


def completions(
    before: str,
    names: Collection[str],
    commands: Collection[str],
    rooms: Collection[str] = (),
    words: Catalogue = ENGLISH,
) -> Iterator[Completion]:
    """For the word at the end of the text before the cursor. `names`: of those who are online;
    `commands`: of those that can be used; `rooms`: that we are in."""
    before = before.lstrip()
    if before.startswith("/") and " " not in before:
        return _commands(before[1:].lower(), commands, words)
    word = before.rpartition(" ")[2]
    command, *arguments = before.split(" ")
    if word.startswith("#") or (command.lower() in _TAKE_ROOM and len(arguments) == 1):
        return _rooms(word, rooms)
    return _people(word, names, ": " if word == before else " ")


def _people(word: str, names: Collection[str], end: str) -> Iterator[Completion]:
    folded = word.casefold()
    for name in sorted(names, key=str.casefold):
        if name.casefold().startswith(folded):
            yield Completion(name + end, len(word), name)


def _rooms(word: str, rooms: Collection[str]) -> Iterator[Completion]:
    folded = word.removeprefix("#").casefold()
    for room in sorted(rooms, key=str.casefold):
        if room.casefold().startswith(folded):
            yield Completion(f"#{room} ", len(word), f"#{room}")


def _commands(word: str, commands: Collection[str], words: Catalogue) -> Iterator[Completion]:
    for name in commands:
        if name.startswith(word):
            yield Completion(
                f"/{name}{' ' if name in words.arguments else ''}",
                len(word) + 1,
                f"/{name}",
                f"{words.usage(name)}: {words.commands[name]}",
            )
