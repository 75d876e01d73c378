"""The connection that the dialog offers: the last one. A password is not a part of it."""

import json
import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from chatservice.client.arguments import DEFAULT_HOST, DEFAULT_PORT, as_host, as_name, as_port
from chatservice.gui.wording import ENGLISH

log = Logger()

MAX_SIZE = 64 * 1024  # bytes; we write some hundred


@dataclass(frozen=True, slots=True)
class Connection:
    """Where to, and as whom. `tls`: encrypted."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    name: str = ""
    tls: bool = False


def file() -> Path:
    """Where it is kept, as the XDG Base Directory Specification has it."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "chatservice" / "connection.json"


def last() -> Connection:
    """The one that was remembered. What cannot be used of it is as usual, and told in one line on
    standard error."""
    path = file()
    if not path.exists():
        return Connection()
    try:
        kept = _read(path)
    except (OSError, ValueError, RecursionError) as error:
        _ignore(path, str(error) or type(error).__name__)
        return Connection()
    usable: dict[str, Any] = {}
    unusable = []
    for field, value in kept.items():
        if field in _READ:
            try:
                usable[field] = _READ[field](value)
            except (ArgumentTypeError, TypeError):
                unusable.append(field)
    if unusable:
        _ignore(path, ", ".join(sorted(unusable)))
    return Connection(**usable)


def remember(connection: Connection) -> None:
    """For the next time. If it cannot be kept, that is no reason not to chat."""
    unfinished = file().with_suffix(".new")
    try:
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(asdict(connection), indent=1) + "\n", encoding="utf-8")
        unfinished.replace(file())
    except OSError as error:
        log.warn("The connection cannot be remembered: {error}", error=error)


def _read(path: Path) -> Mapping[str, Any]:
    """Raises OSError, ValueError, RecursionError."""
    if not path.is_file():  # to open a FIFO would wait for a writer
        raise OSError("not a regular file")
    with path.open(encoding="utf-8-sig") as opened:
        kept = json.loads(opened.read(MAX_SIZE))
    if not isinstance(kept, dict):
        raise ValueError("not a JSON object")
    return kept


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _port(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return as_port(str(value))


def _name(value: Any) -> str:
    return as_name(value) if _text(value) else ""


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


# What each field must be. Each raises ArgumentTypeError or TypeError for what it is not.
_READ: Mapping[str, Callable[[Any], Any]] = {
    "host": lambda value: as_host(_text(value)),
    "port": _port,
    "name": _name,
    "tls": _flag,
}


def _ignore(path: Path, error: str) -> None:
    line = ENGLISH.ignored.format(file=path, error=error)
    print(line.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
