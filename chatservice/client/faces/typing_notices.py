"""Telling the others that you are typing, as often as `ChatClient.set_typing` asks."""

from collections.abc import Callable

NOTICE_SECONDS = 3.0  # between two notices


class TypingNotices:
    """Calls `tell` when there is something new to tell. `seconds`: the time."""

    def __init__(self, tell: Callable[[bool], None], seconds: Callable[[], float]) -> None:
        self._tell = tell
        self._seconds = seconds
        self._typing = False  # as far as others have been told
        self._told = 0.0

    def changed(self, text: str) -> None:
        """This is in the line now."""
        text = text.lstrip()
        is_message = text != "" and (not text.startswith("/") or text.startswith("//"))
        now = self._seconds()
        if is_message and now - self._told >= NOTICE_SECONDS:
            self._typing = True
            self._told = now
            self._tell(True)
        elif self._typing and not is_message:
            self._typing = False
            self._tell(False)

    def sent(self) -> None:
        """The line has been sent, and others hear what it was."""
        self._typing = False
