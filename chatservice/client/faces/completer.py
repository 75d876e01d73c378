"""`completion` for prompt_toolkit."""

from collections.abc import Callable, Collection, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from chatservice.client.faces.completion import completions


class LineCompleter(Completer):
    """`names`, `commands` and `rooms` give those that there are just now."""

    def __init__(
        self,
        names: Callable[[], Collection[str]],
        commands: Callable[[], Collection[str]],
        rooms: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._names = names
        self._commands = commands
        self._rooms = rooms

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """For the word before the cursor."""
        before = document.text_before_cursor
        for found in completions(before, self._names(), self._commands(), self._rooms()):
            yield Completion(
                found.text,
                start_position=-found.replaces,
                display=found.shown,
                display_meta=found.help,
            )
