"""Erasing all that the owner of an account has said: for the operator, who removes the account.

A program does that where it is kept, beside servers that may be running. What it has erased it
leaves word of, and a server takes that, also one that starts later, and tells whoever has seen it.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from chatservice.core.deleting import Erasure
from chatservice.core.events import Account
from chatservice.storage.rows import Row

ERASED_AT_ONCE = 200  # messages that are erased in one transaction: some 20 ms
TAKEN_AT_ONCE = 4  # erasures that a server takes in one step


class Progress(NamedTuple):
    """So many messages have been erased, of all up to that id."""

    messages: int
    position: int


def said_by(account: Account, rows: Iterable[Row]) -> Iterator[Erasure]:
    """What its owner has said, of what these rows hold."""
    found: dict[str, list[int]] = {}
    for row in rows:
        if row.at >= account.since and account.is_called(row.name) and row.texts:
            found.setdefault(row.room, []).extend(range(row.id, row.end))
    for room, ids in found.items():
        for start in range(0, len(ids), ERASED_AT_ONCE):
            yield Erasure(room, account.name, tuple(ids[start : start + ERASED_AT_ONCE]))
