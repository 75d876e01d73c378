"""The words of the window: labels, keys, what the dialog says. The rest is in `ClientWords`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


def _pasted(count: int) -> str:
    return f"{count} lines pasted. Enter sends them, Escape drops them."


# By the command: in a menu (of a room, and of the lobby, where everyone is), on the card that asks
# for how long and why, and on the button there.
_MEASURES = {
    "kick": "Remove from the room…",
    "mute": "Mute in the room…",
    "ban": "Ban from the room…",
}
_MEASURES_IN_LOBBY = {
    "kick": "Remove from the chat…",
    "mute": "Mute in the lobby…",
    "ban": "Ban from the chat…",
}
_TITLES = {
    "kick": "Remove {name} from {room}",
    "mute": "Mute {name} in {room}",
    "ban": "Ban {name} from {room}",
}
_VERBS = {"kick": "Remove", "mute": "Mute", "ban": "Ban"}
# Long enough to calm down, and no longer; whoever means for good says so.
_USUAL_TIMES = {"mute": "30m", "ban": "1d"}


def _room_to_join(room: str, people: int, topic: str) -> str:
    return f"#{room} ({people})" + (f": {topic}" if topic else "")


def _missed(messages: str, gone: int) -> str:
    lost = " (older ones are no longer kept)" if gone else ""
    return f"*** {messages} in your rooms while you were away{lost}."


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
    rooms: str = "Rooms"
    private: str = "private conversation"
    to_person: str = "To {title} (private)"
    to_room: str = "To {title}"
    online: str = "Online ({count})"
    in_room: str = "Here ({count})"
    typing: str = " …"
    away: str = " (away)"
    join_room: str = "Join a room"
    other_room: str = "Another room…"
    room_to_join: Callable[[str, int, str], str] = _room_to_join
    set_topic: str = "Set the topic…"
    invite_somebody: str = "Invite somebody…"
    quiet: str = "Hide or show comings and goings"
    make_private: str = "Admit only people who are invited"
    make_public: str = "Open to everyone"
    leave: str = "Leave {room}"
    message: str = "Private conversation"
    who_is: str = "Who is that?"
    invite: str = "Invite into the room"
    ignore: str = "Ignore"
    end_mute: str = "End the mute"
    list_bans: str = "Bans and mutes"
    measures: Mapping[str, str] = field(default_factory=lambda: dict(_MEASURES))
    measures_in_lobby: Mapping[str, str] = field(default_factory=lambda: dict(_MEASURES_IN_LOBBY))
    measure_titles: Mapping[str, str] = field(default_factory=lambda: dict(_TITLES))
    measure_verbs: Mapping[str, str] = field(default_factory=lambda: dict(_VERBS))
    usual_times: Mapping[str, str] = field(default_factory=lambda: dict(_USUAL_TIMES))
    time: str = "For"
    time_hint: str = "30m, 2h, 7d, 2w; nothing: for good"
    reason: str = "Reason"
    bad_time: str = "A time has its unit: 30m, 2h, 7d, 2w."
    long_reason: str = "A reason can have at most {limit} characters."
    cancel: str = "Cancel"
    missed: Callable[[str, int], str] = _missed
    new_below: str = "↓  {count} new"
    keys_hint: str = "F1: keys"
    change_server: str = "Change server"
    nothing_older: str = "Nothing older is kept."
    no_tab: str = "There are too many private conversations; close one (Ctrl-W) to open another."
    pasted: Callable[[int], str] = _pasted
    find: str = "Find"
    found: str = "{place} of {count}"
    not_found: str = "not found"
    keys: str = """\
Tab completes names and commands; Up and Down go through what you have said.
Page Up and Page Down scroll, Ctrl-Home and Ctrl-End go to the first and the last line.
F6 goes on to the conversation, the people, the rooms, and back.
Enter on a name opens a private conversation. Shift-F10 shows what else can be done there.
Ctrl-Tab and Ctrl-Shift-Tab go to the next room or conversation, Alt-1 to Alt-9 to the first nine.
Ctrl-J joins a room; Ctrl-W closes a private conversation.
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
