"""`completion` for prompt_toolkit, and the width of text on a terminal."""

from collections.abc import Callable, Collection, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.utils import get_cwidth

from chatservice.client.faces.completion import completions
from chatservice.client.faces.status import CUT


class LineCompleter(Completer):
    """`names` gives those that there are just now."""

    def __init__(self, names: Callable[[], Collection[str]]) -> None:
        self._names = names

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """For the word before the cursor."""
        for found in completions(document.text_before_cursor, self._names()):
            yield Completion(
                found.text,
                start_position=-found.replaces,
                display=found.shown,
                display_meta=found.help,
            )


def fit(text: str, width: int) -> str:
    """`text`, cut to `width` columns of the terminal, wide characters counted as two."""
    if get_cwidth(text) <= width:
        return text
    kept, room = "", width - get_cwidth(CUT)
    for character in text:
        room -= get_cwidth(character)
        if room < 0:
            break
        kept += character
    return (kept + CUT)[:width]
