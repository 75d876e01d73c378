"""The client's side of the chat: `ChatClient` for programs, and faces of it for people.

``python -m chatservice.client`` is the one for the terminal and for pipes.
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

__all__ = [
    "ChatClient",
    "ChatError",
    "Declined",
    "Disconnected",
    "Gone",
    "Heard",
    "Missed",
    "PasswordInClear",
    "State",
    "Unsure",
    "Untrusted",
]
