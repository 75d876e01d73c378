"""What a request weighs: how many lines of its peer's allowance it costs.

A line that is said costs 1: some 10 microseconds of the reactor, and for each who hears it 1. The
others are in proportion to what they were measured to cost.
"""

from chatservice.core import requests
from chatservice.session.asker import Asker

# A name is normalised and compared with all others, an account is looked up, and what is pending
# is told first.
NAME = 10.0
# The same, and a hash: there are bounds of their own for passwords (see `core.limits`).
ACCOUNT = 20.0
SEARCH = 20.0
# It is read from the disk, or the log is walked; and so many of its events make another line.
HISTORY, EVENTS_IN_A_LINE = 2.0, 50
# Names in an answer that make another line.
NAMES_IN_A_LINE = 100
# Rooms in an answer that make another line, and rooms that are looked at for it.
ROOMS_IN_A_LINE, ROOMS_LOOKED_AT = 20, 500
HELP = 2.0  # its answer has a dozen lines


# What one line takes on the disk, in bytes: for itself, in the log and its index, and for each byte
# of its text. It was measured with lines of 1 to 8,000 bytes.
LINE_WRITTEN, BYTE_WRITTEN = 500.0, 3.0
# Rows that take the place of one from which a message is deleted, and what the index has of it.
ROWS_WRITTEN = 4
NAME_WRITTEN = 8000.0  # the same for a name: who has come, or changed it, where they read, and left


def written(size: int, lines: int) -> float:
    """Bytes on the disk that so many lines take, with `size` bytes or characters in all."""
    return lines * LINE_WRITTEN + size * BYTE_WRITTEN


def written_for(request: requests.Request) -> float:  # noqa: PLR0911 (a case each)
    """The same for a request. (Private messages wait on the disk only within bounds of their
    own, and passwords can be changed only so often.)"""
    match request:
        case requests.Say(text=text) | requests.Emote(text=text):
            return written(len(text), 1 + text.count("\n"))
        case requests.Hello() | requests.Nick() | requests.Join() | requests.Part():
            return NAME_WRITTEN
        case requests.Topic() | requests.RoomMode() | requests.Away():
            return NAME_WRITTEN
        case requests.Op() | requests.Founder() | requests.Kick() | requests.Ban():
            return NAME_WRITTEN
        case requests.Mute() | requests.Report() | requests.Ignore():
            return NAME_WRITTEN
        case requests.Delete(count=count):
            return written(0, ROWS_WRITTEN * count)
        case _:
            return 0.0


def line(asker: Asker, request: object) -> float:
    return 1.0


def lines(asker: Asker, request: requests.Say | requests.Emote | requests.Announce) -> float:
    return 1.0 + request.text.count("\n")


def private(asker: Asker, request: requests.Tell | requests.Reply) -> float:
    """It may have to wait for its recipient, on the disk."""
    return 2.0 * (1 + request.text.count("\n"))


def name(
    asker: Asker,
    request: requests.Hello
    | requests.Nick
    | requests.Away
    | requests.Ignore
    | requests.AboutRooms
    | requests.InCharge,
) -> float:
    return NAME


def bans(asker: Asker, request: requests.Bans) -> float:
    """It is a list, and may be long."""
    return SEARCH


def report(asker: Asker, request: requests.Report) -> float:
    """Those in charge are looked for among all who are here."""
    return NAME + who(asker, requests.Who())


def delete(asker: Asker, request: requests.Delete) -> float:
    """The newest messages are looked at for those that are meant."""
    return SEARCH + request.count if request.id is None else NAME


def account(asker: Asker, request: requests.AboutAccount) -> float:
    return ACCOUNT


def who(asker: Asker, request: requests.Who) -> float:
    return 1.0 + len(asker.services.chat.users) // NAMES_IN_A_LINE


def rooms(asker: Asker, request: requests.Rooms) -> float:
    there = len(asker.services.chat.directory.rooms)
    listed = min(there, request.limit)
    return 1.0 + listed // ROOMS_IN_A_LINE + there // ROOMS_LOOKED_AT


def history(asker: Asker, request: requests.History) -> float:
    """Reading on after an id is nearly free: a program that comes back reads all that it has
    missed, page by page, each after the one before."""
    if request.after is not None:
        return 0.1
    return HISTORY + request.limit / EVENTS_IN_A_LINE


def search(asker: Asker, request: requests.Search) -> float:
    return SEARCH + request.limit / EVENTS_IN_A_LINE


def help_(asker: Asker, request: requests.Help) -> float:
    return 1.0 if request.command else HELP
