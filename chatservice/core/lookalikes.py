"""Whose name looks like another."""

from typing import Generic, TypeVar

from chatservice.core import names

T = TypeVar("T")


class LookAlikes(Generic[T]):
    """Finds whatever goes by a name that looks like another one (see `names.keys`). It may be
    anything but a tuple, and goes by one name at a time."""

    def __init__(self) -> None:
        # A name has three keys or four, which nearly always are nobody else's: a set for each
        # would take 0.7 KB a name.
        self._by_key: dict[str, T | tuple[T, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_key)

    def add(self, name: str, whose: T) -> None:
        """`whose` goes by `name`."""
        for key in names.keys(name):
            others = self._found(key)
            self._by_key[key] = (*others, whose) if others else whose

    def remove(self, name: str, whose: T) -> None:
        """`whose`, which did, does so no longer."""
        for key in names.keys(name):
            others = tuple(other for other in self._found(key) if other != whose)
            if not others:
                del self._by_key[key]
            else:
                self._by_key[key] = others if len(others) > 1 else others[0]

    def alike(self, name: str) -> set[T]:
        """All that go by a name that looks like `name`."""
        return {whose for key in names.keys(name) for whose in self._found(key)}

    def _found(self, key: str) -> tuple[T, ...]:
        found = self._by_key.get(key)
        if found is None:
            return ()
        return found if isinstance(found, tuple) else (found,)
