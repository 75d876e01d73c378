"""Where a chat can be kept: in a file, or in a PostgreSQL database."""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from chatservice.core.deleting import Erasure
from chatservice.core.drafts import Draft
from chatservice.core.events import Account, Change, Saving
from chatservice.core.ignoring import Ignoring
from chatservice.core.registry import RoomRecord
from chatservice.core.sanctions import Sanction
from chatservice.core.stores import Archive, HookStore
from chatservice.core.users import User
from chatservice.storage.keep import Keep

_SCHEMES = ("postgresql://", "postgres://")


def is_uri(database: str) -> bool:
    """Whether that names a PostgreSQL database, not a file."""
    return database.startswith(_SCHEMES)


class DurableArchive(Archive, Protocol):
    """An archive that outlives the process. `rooms`, `people` who are on other servers, `operators`
    of the server, `sanctions`, and `ignored` are those that there were when it was opened. `notice`
    is called when what is said cannot be saved, and when it can be again; `account_changed` when a
    program of the operator's has changed an account; `erased` when one has erased messages;
    `fenced` when other servers have taken this one for dead. `told` returns what is to be done
    about something (its kind, and more) that another server tells."""

    rooms: list[RoomRecord]
    people: list[User]
    operators: set[Account]
    sanctions: list[Sanction]
    ignored: list[tuple[Account, Ignoring]]
    notice: Callable[[Saving], None]
    account_changed: Callable[[Account, Change], None]
    erased: Callable[[Erasure], None]
    fenced: Callable[[], None]
    told: Callable[[str, Any], Callable[[Draft], None] | None]

    @property
    def hooks(self) -> HookStore: ...

    def open(self, *, may_have_accounts: bool = True) -> None:
        """Go on where it ends. Raises BadDatabase; also if there are accounts, and may not be."""

    def set_keep(self, keep: Keep) -> None:
        """Keep more, or less, from now on."""

    def close(self) -> "Deferred[Any]":
        """Fires when everything is saved, or when that has been tried for some seconds."""
