"""What has changed, and is saved soon, together."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatservice.core.events import Refusal

T = TypeVar("T")


class Unsaved(Generic[T]):
    """Values by their keys. `save` writes some of them; those that it cannot, since the database is
    away or much is asked of it, are kept, and `not_saved` is called. Beyond `most` no new ones are
    taken."""

    def __init__(
        self,
        save: Callable[[Mapping[str, T]], "Deferred[Any]"],
        most: int,
        not_saved: Callable[[], None] = lambda: None,
    ) -> None:
        self.changed: dict[str, T] = {}
        self.saving: dict[str, T] = {}
        self._write = save
        self._most = most
        self._tell_not_saved = not_saved

    def add(self, key: str, value: T) -> None:
        """It has changed to that."""
        if key in self.changed or len(self.changed) < self._most:
            self.changed[key] = value

    def save(self) -> None:
        """Save what has changed, unless that is being done."""
        if self.saving or not self.changed:
            return
        self.saving, self.changed = self.changed, {}
        self._write(self.saving).addCallbacks(self._saved, self._not_saved)

    def _saved(self, _: object) -> None:
        self.saving = {}
        self.save()

    def _not_saved(self, failure: Failure) -> None:
        failure.trap(Refusal)
        self.changed = {**self.saving, **self.changed}
        self.saving = {}
        self._tell_not_saved()
