"""What Tab completes in a line: commands, and the names of who is online."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from chatservice.dialects.commands import COMMANDS
from chatservice.dialects.wording import ENGLISH


@dataclass(frozen=True, slots=True)
class Completion:
    """`text` takes the place of so many characters before the cursor (`replaces`). In a list of
    several it stands as `shown`, with `help` beside it."""

    text: str
    replaces: int
    shown: str
    help: str = ""


def completions(before: str, names: Collection[str]) -> Iterator[Completion]:
    """For the word at the end of what stands before the cursor. `names`: of who is online."""
    before = before.lstrip()
    if before.startswith("/") and " " not in before:
        return _commands(before[1:].lower())
    word = before.rpartition(" ")[2]
    return _people(word, names, ": " if word == before else " ")


def _people(word: str, names: Collection[str], end: str) -> Iterator[Completion]:
    folded = word.casefold()
    for name in sorted(names, key=str.casefold):
        if name.casefold().startswith(folded):
            yield Completion(name + end, len(word), name)


def _commands(word: str) -> Iterator[Completion]:
    for command in COMMANDS:
        if command.name.startswith(word):
            yield Completion(
                f"/{command.name}{' ' if command.name in ENGLISH.arguments else ''}",
                len(word) + 1,
                f"/{command.name}",
                f"{ENGLISH.usage(command.name)}: {ENGLISH.commands[command.name]}",
            )
