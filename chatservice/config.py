"""The configuration file: the options of the command line by their names, in TOML."""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from twisted.python.usage import UsageError

MAX_BYTES = 64 * 1024  # all options together take a few hundred; a longer file is a mistake


class Setting(NamedTuple):
    """The setting of one option. `place` is the file and line, for messages; `values` has more than
    one item if the option was given a list."""

    place: str
    values: tuple[object, ...]


def read(path: Path) -> dict[str, Setting]:
    """Read a configuration file: its settings by the names of the options. Raises `UsageError`,
    which names the file and, for a syntax error, the line."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}.") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path}: longer than {MAX_BYTES} bytes.")
    try:
        text = data.decode("utf-8-sig")
        table = tomllib.loads(text)
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(f"{path}: {error}.") from None
    return {
        name: Setting(
            f"{path}, line {_line_of(name, text)}",
            tuple(value) if isinstance(value, list) else (value,),
        )
        for name, value in table.items()
    }


def _line_of(name: str, text: str) -> int:
    """The number of the line with the key `name`, or with the header of that table."""
    found = re.search(rf"""^[ \t]*\[*[ \t]*["']?{re.escape(name)}["']?[ \t]*[]=.]""", text, re.M)
    return text.count("\n", 0, found.start()) + 1 if found else 1
