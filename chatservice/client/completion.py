"""What Tab completes in a line: commands, and the names of who is online."""

from collections.abc import Callable, Collection, Iterable, Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from chatservice.commands import COMMANDS


class LineCompleter(Completer):
    """`names` gives those that there are just now."""

    def __init__(self, names: Callable[[], Collection[str]]) -> None:
        self._names = names

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """For the word before the cursor."""
        before = document.text_before_cursor.lstrip()
        if before.startswith("/") and " " not in before:
            return _commands(before[1:].lower())
        word = before.rpartition(" ")[2]
        return self._people(word, ": " if word == before else " ")

    def _people(self, word: str, end: str) -> Iterator[Completion]:
        folded = word.casefold()
        for name in sorted(self._names(), key=str.casefold):
            if name.casefold().startswith(folded):
                yield Completion(name + end, start_position=-len(word), display=name)


def _commands(word: str) -> Iterator[Completion]:
    for command in COMMANDS:
        if command.name.startswith(word):
            yield Completion(
                f"/{command.name}{' ' if command.arguments else ''}",
                start_position=-len(word) - 1,
                display=f"/{command.name}",
                display_meta=f"{command.usage}: {command.help}",
            )
