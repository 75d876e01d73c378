"""The connection that the dialog offers: the last one. A password is not a part of it."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from twisted.logger import Logger

log = Logger()


@dataclass(frozen=True, slots=True)
class Connection:
    """Where to, and as whom. `tls`: encrypted."""

    host: str = "localhost"
    port: int = 12345
    name: str = ""
    tls: bool = False


def file() -> Path:
    """Where it is kept, as the XDG Base Directory Specification has it."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "chatservice" / "connection.json"


def last() -> Connection:
    """The one that was remembered; the usual one, if there is none or it cannot be read."""
    try:
        kept = json.loads(file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Connection()
    usual = asdict(Connection())
    if not isinstance(kept, dict):
        return Connection()
    fitting = {
        each.name: kept[each.name]
        for each in fields(Connection)
        if type(kept.get(each.name)) is type(usual[each.name])
    }
    return Connection(**fitting)


def remember(connection: Connection) -> None:
    """For the next time. If it cannot be kept, that is no reason not to chat."""
    unfinished = file().with_suffix(".new")
    try:
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(asdict(connection), indent=1) + "\n", encoding="utf-8")
        unfinished.replace(file())
    except OSError as error:
        log.warn("The connection cannot be remembered: {error}", error=error)
