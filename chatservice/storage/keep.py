"""How much of the past is kept."""

from typing import NamedTuple

DAY = 86400.0  # in seconds


class Keep(NamedTuple):
    """What is kept: messages for so many days, or so many of them, or all."""

    days: float | None = None
    messages: int | None = None


KEEP_ALL = Keep()
