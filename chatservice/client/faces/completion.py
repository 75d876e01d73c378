"""What Tab completes in a line: commands, and the names of those who are online."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from chatservice.dialects.wording import ENGLISH, Catalogue


@dataclass(frozen=True, slots=True)
class Completion:
    """`text` takes the place of so many characters before the cursor (`replaces`). In a list of
    several it is shown as `shown`, with `help` beside it."""

    text: str
    replaces: int
    shown: str
    help: str = ""


def completions(
    before: str, names: Collection[str], commands: Collection[str], words: Catalogue = ENGLISH
) -> Iterator[Completion]:
    """For the word at the end of the text before the cursor. `names`: of those who are online;
    `commands`: of those that can be used."""
    before = before.lstrip()
    if before.startswith("/") and " " not in before:
        return _commands(before[1:].lower(), commands, words)
    word = before.rpartition(" ")[2]
    return _people(word, names, ": " if word == before else " ")


def _people(word: str, names: Collection[str], end: str) -> Iterator[Completion]:
    folded = word.casefold()
    for name in sorted(names, key=str.casefold):
        if name.casefold().startswith(folded):
            yield Completion(name + end, len(word), name)


def _commands(word: str, commands: Collection[str], words: Catalogue) -> Iterator[Completion]:
    for name in commands:
        if name.startswith(word):
            yield Completion(
                f"/{name}{' ' if name in words.arguments else ''}",
                len(word) + 1,
                f"/{name}",
                f"{words.usage(name)}: {words.commands[name]}",
            )
