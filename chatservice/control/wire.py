"""What goes over the operator's socket: one JSON object a line.

The server greets with its version. Each request has a ``"type"``, and is answered by one object
of that type, or by several of which all but the last have ``"more": true``; or by an ``"error"``
with a code and words.
"""

import json
from typing import Any

VERSION = 1  # of this protocol; a shell talks to servers of its own version only
MAX_LINE = 64 * 1024  # bytes of a request; an announcement takes a few hundred
MAX_PATH = 107  # bytes that the path of such a socket may have, on Linux
# People or rooms in one object: the reactor serves others between two of them, after some 2 ms.
PAGE = 500
# Seconds without a greeting, or a part of an answer, after which a shell takes the server to hang.
PATIENCE = 10.0

Json = dict[str, Any]


def encode(fields: Json) -> bytes:
    """The line for an object."""
    line = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return line.encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> Json:
    """The object that `line` is. Raises ValueError."""
    try:
        given = json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it is not JSON") from None
    if not isinstance(given, dict):
        raise ValueError("it is not an object")
    return given


def beside(database: str) -> str | None:
    """Where the socket is unless somebody has chosen a place: beside the file of the database."""
    return None if database == "none" or "://" in database else f"{database}.control"
