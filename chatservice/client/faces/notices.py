"""Telling others that you are writing something, as often as `ChatClient.write` asks."""

from collections.abc import Callable

WRITE_SECONDS = 3.0  # between two notices


class Notices:
    """Calls `write` when there is something new to tell. `seconds`: the time."""

    def __init__(self, write: Callable[[bool], None], seconds: Callable[[], float]) -> None:
        self._write = write
        self._seconds = seconds
        self._writing = False  # as far as others have been told
        self._told = 0.0

    def changed(self, text: str) -> None:
        """This stands in the line now."""
        text = text.lstrip()
        is_said = text != "" and (not text.startswith("/") or text.startswith("//"))
        now = self._seconds()
        if is_said and now - self._told >= WRITE_SECONDS:
            self._writing = True
            self._told = now
            self._write(True)
        elif self._writing and not is_said:
            self._writing = False
            self._write(False)

    def sent(self) -> None:
        """What was being written has been sent, and others hear what it was."""
        self._writing = False
