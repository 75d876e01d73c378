"""The words of the window: labels, keys, what the dialog says. The rest is in `ClientWords`."""

from collections.abc import Callable
from dataclasses import dataclass


def _pasted(count: int) -> str:
    return f"{count} lines pasted. Enter sends them, Escape drops them."


@dataclass(frozen=True)
class WindowWords:
    """The words of the window in one language (by default English)."""

    # The dialog.
    join: str = "Join a chat"
    server: str = "Server"
    port: str = "Port"
    name: str = "Name"
    password: str = "Password"
    encrypt: str = "Encrypt (TLS)"
    connect: str = "Connect"
    quit: str = "Quit"
    # The window.
    chat: str = "Chat"
    title: str = "{marks}Chat – {name} at {where}"
    everyone: str = "Everyone"
    to_everyone: str = "To everyone"
    to_person: str = "To {name} (private)"
    to_room: str = "To #{room}"
    online: str = "Online ({count})"
    new_below: str = "↓  {count} new"
    keys_hint: str = "F1: keys"
    change_server: str = "Change server"
    nothing_older: str = "Nothing older is kept."
    no_tab: str = "There are too many private tabs; close one (Ctrl-W) to open another."
    pasted: Callable[[int], str] = _pasted
    find: str = "Find"
    found: str = "{place} of {count}"
    not_found: str = "not found"
    keys: str = """\
Tab completes names and commands; Up and Down go through what you have said.
Page Up and Page Down scroll, Ctrl-Home and Ctrl-End go to the first and the last line.
F6 goes on to the conversation, the list of people, and back; Enter there opens a private tab.
Ctrl-Tab and Ctrl-Shift-Tab change tabs; Ctrl-W closes a private one.
Ctrl-F finds words here: Enter goes back in time, Shift-Enter forward, Escape closes it.
Ctrl-L chooses a link, Enter opens it. Ctrl-Shift-C copies the conversation.
Ctrl-O leaves, and asks for another server or name.
Ctrl-Q leaves the chat; press twice to quit at once."""
    # On the command line.
    no_tkinter: str = (
        "a window needs tkinter ({error}). Debian and Ubuntu have it in python3-tk; "
        "python -m chatservice.client needs no window."
    )
    no_display: str = (
        "no window can be opened ({error}). python -m chatservice.client needs no window."
    )
    ignored: str = "{file} is ignored: {error}"


ENGLISH = WindowWords()
