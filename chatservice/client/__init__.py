"""The client's side of the chat: `ChatClient` for programs, and faces of it for people.

A program finds all it needs here: the client, the events that it tells of, and what can go wrong.
``python -m chatservice.client`` is the client for the terminal and for pipes.
"""

from chatservice.client.chat_client import ChatClient
from chatservice.client.errors import (
    ChatError,
    Declined,
    Gone,
    PasswordInClear,
    Unsure,
    Untrusted,
)
from chatservice.client.events import Disconnected, Heard, Missed
from chatservice.client.state import State
from chatservice.core.events import (
    AccountChanged,
    Acked,
    Announced,
    Closed,
    CloseReason,
    Emoted,
    Error,
    ErrorCode,
    Joined,
    LeaveReason,
    Left,
    Online,
    Recalled,
    Renamed,
    Replayed,
    Said,
    Saving,
    Sent,
    Skipped,
    Told,
    Typing,
    Welcomed,
)

__all__ = [
    "AccountChanged",
    "Acked",
    "Announced",
    "ChatClient",
    "ChatError",
    "CloseReason",
    "Closed",
    "Declined",
    "Disconnected",
    "Emoted",
    "Error",
    "ErrorCode",
    "Gone",
    "Heard",
    "Joined",
    "LeaveReason",
    "Left",
    "Missed",
    "Online",
    "PasswordInClear",
    "Recalled",
    "Renamed",
    "Replayed",
    "Said",
    "Saving",
    "Sent",
    "Skipped",
    "State",
    "Told",
    "Typing",
    "Unsure",
    "Untrusted",
    "Welcomed",
]
