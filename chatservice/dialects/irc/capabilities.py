"""The capabilities that clients may ask for (https://ircv3.net/specs/extensions/)."""

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Cap(StrEnum):
    """A capability, by its name."""

    ACCOUNT_NOTIFY = "account-notify"
    ACCOUNT_TAG = "account-tag"
    AWAY_NOTIFY = "away-notify"
    BATCH = "batch"
    CAP_NOTIFY = "cap-notify"
    CHATHISTORY = "draft/chathistory"
    ECHO_MESSAGE = "echo-message"
    EVENT_PLAYBACK = "draft/event-playback"
    EXTENDED_JOIN = "extended-join"
    EXTENDED_MONITOR = "extended-monitor"
    INVITE_NOTIFY = "invite-notify"
    LABELED_RESPONSE = "labeled-response"
    MESSAGE_TAGS = "message-tags"
    MULTILINE = "draft/multiline"
    MULTI_PREFIX = "multi-prefix"
    REDACTION = "draft/message-redaction"
    REGISTRATION = "draft/account-registration"
    SASL = "sasl"
    SERVER_TIME = "server-time"
    SETNAME = "setname"
    STANDARD_REPLIES = "standard-replies"
    USERHOST_IN_NAMES = "userhost-in-names"


# One message of several lines: bytes of its text, and lines. As long as a line at other doors, and
# as many as a page that somebody pastes.
MAX_BYTES, MAX_LINES = 8192, 100
# What clients of CAP LS 302 are told besides the name.
VALUES: Mapping[Cap, str] = {
    Cap.MULTILINE: f"max-bytes={MAX_BYTES},max-lines={MAX_LINES}",
    Cap.SASL: "PLAIN",
}
# Only where accounts are, and passwords may be sent.
WITH_PASSWORDS = frozenset({Cap.SASL, Cap.REGISTRATION})
# These change the bytes of what is heard in rooms.
IN_ROOMS = frozenset(
    {
        Cap.ACCOUNT_TAG,
        Cap.EXTENDED_JOIN,
        Cap.MESSAGE_TAGS,
        Cap.MULTILINE,
        Cap.REDACTION,
        Cap.SERVER_TIME,
    }
)


def usable(caps: Iterable[Cap]) -> frozenset[Cap]:
    """Those of `caps` that have what they need: a message of several lines is a batch."""
    found = frozenset(caps)
    return found if Cap.BATCH in found else found - {Cap.MULTILINE}
