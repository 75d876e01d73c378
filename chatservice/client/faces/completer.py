"""`completion` for prompt_toolkit."""

from collections.abc import Callable, Collection, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from chatservice.client.faces.completion import completions


class LineCompleter(Completer):
    """`names` and `commands` give those that there are just now."""

    def __init__(
        self, names: Callable[[], Collection[str]], commands: Callable[[], Collection[str]]
    ) -> None:
        self._names = names
        self._commands = commands

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """For the word before the cursor."""
        for found in completions(document.text_before_cursor, self._names(), self._commands()):
            yield Completion(
                found.text,
                start_position=-found.replaces,
                display=found.shown,
                display_meta=found.help,
            )
