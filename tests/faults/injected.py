"""twistd with faults in it: ``python injected.py -n chat ...``.

Each key of FAULTS is a method that raises once for the connection from that key's own address, and
for nobody else's.
"""

import sys
from collections.abc import Callable
from typing import Any

from chatservice.core import chat, cursor, directory
from chatservice.core import typing as typing_tracker
from chatservice.dialects import text
from chatservice.server import connection, line, output, peer_log
from chatservice.session import session

UNSPEAKABLE = "unspeakable"  # what holds this cannot be rendered

# How to tell whose call it is, from the arguments.
Whose = Callable[..., Any]


def of_sink(its: Any, *_: Any) -> Any:
    """A cursor's."""
    return getattr(getattr(getattr(its, "_sink", None), "peer", None), "network", "")


FAULTS: dict[str, tuple[type, str, Whose]] = {}


def fault(owner: type, method: str, whose: Whose, *variants: str) -> None:
    for variant in variants or ("",):
        FAULTS[f"{owner.__name__}.{method}{variant and ' ' + variant}"] = (owner, method, whose)


for name in ("connectionMade", "dataReceived", "serve", "_cut", "lineLengthExceeded"):
    fault(line.ChatProtocol, name, lambda its, *_: its.connection.peer.network)
for name in (
    "_begin",
    "received",
    "take_turn",
    "_allowed",
    "serve_lines",
    "charge",
    "_throttle",
    "_end_throttling",
    "_hold",
    "_release",
    "_take_turn_in_time",
    "_read_or_not",
    "let_in",
    "expect_close",
    "finish",
    "pause_reading",
    "_set_deadline",
):
    fault(connection.Connection, name, lambda its, *_: its.peer.network)
for name in ("begin", "receive", "_receive_line", "_welcome", "_leave", "refuse_long_line"):
    fault(session.Session, name, lambda its, *_: its.peer.network)
fault(
    session.Session,
    "close",
    lambda its, *_: its.peer.network,
    "by exit",
    "by the login clock",
)
fault(peer_log.PeerLog, "about", lambda its, network, *_: network)
fault(chat.Chat, "enter", lambda its, session, *_: session.peer.network)
fault(chat.Chat, "leave", lambda its, user, session: session.peer.network)
for name in (
    "deliver",
    "send_ephemeral",
    "stall",
    "resume",
    "send",
    "_read_on",
    "_read_batch",
    "_write",
):
    fault(cursor.Cursor, name, of_sink)
fault(typing_tracker.TypingTracker, "forget", lambda its, author: of_sink(author))
for name in ("hear", "hear_no_more"):
    fault(directory.Directory, name, lambda its, user, cursor: of_sink(cursor))
for name in ("write", "_sent"):
    fault(output.StraightWriter, name, lambda its, *_: of_sink(getattr(its, "_cursor", None)))
fault(output.SocketSender, "close", lambda its: of_sink(its._cursor))
for name in ("write", "close", "pauseProducing", "resumeProducing"):
    fault(output.TransportSender, name, lambda its, *_: of_sink(its._cursor))


def address(key: str) -> str:
    return f"127.0.7.{list(FAULTS).index(key) + 1}"


def inject() -> None:
    raised = set()

    def wrap(key: str, owner: Any, method: str, whose: Whose) -> None:
        original = getattr(owner, method)
        whom = address(key)

        def broken(*arguments: Any, **named: Any) -> Any:
            if key not in raised and whose(*arguments) == whom:
                raised.add(key)
                raise RuntimeError(f"injected into {key}.")
            return original(*arguments, **named)

        setattr(owner, method, broken)

    for key, (owner, method, whose) in FAULTS.items():
        wrap(key, owner, method, whose)
    speak = text.Text.render

    def cannot_speak(its: text.Text, event: Any, *, labelled: bool = False) -> bytes:
        data = speak(its, event, labelled=labelled)
        if UNSPEAKABLE.encode() in data:
            raise RuntimeError("injected into Text.render.")
        return data

    text.Text.render = cannot_speak  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    inject()
    from twisted.scripts.twistd import run

    sys.argv[0] = "twistd"
    run()
