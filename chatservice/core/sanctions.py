"""Bans and mutes: whom they are meant for, and whom they hold.

A sanction is imposed on one person, and holds them under whatever name: the owner of an account by
that; a guest as long as they stay, and by the likeness of the name. Of newcomers from the same
networks it holds guests only, so that nobody's colleagues are locked out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from chatservice.core.events import (
    ALL_ROOMS,
    Account,
    ErrorCode,
    Refusal,
    SanctionInfo,
    SanctionKind,
)
from chatservice.core.lookalikes import LookAlikes

T = TypeVar("T")

# In one room, and in the whole chat: some 1 KB each. More than that is work for a firewall.
MAX_SANCTIONS_IN_ROOM, MAX_SANCTIONS = 1_000, 10_000
MAX_REASON = 200  # characters: a line
MAX_SECONDS = 10 * 366 * 86400  # ten years; longer is for good
MAX_NETWORKS = 8  # of one person, who may have as many connections


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever may be held: `id` is theirs as long as they are here (0: they are not)."""

    id: int
    name: str
    account: Account | None = None
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sanction:
    """What somebody must not do, in the room `scope` or in the whole chat (ALL_ROOMS), since the
    time `at` and up to `until`. `id`: of the entry that has imposed it. `name`: what they are
    called, or their account is. `person`: their id, if they were here (until a restart)."""

    id: int
    kind: SanctionKind
    scope: str
    name: str
    account: Account | None
    networks: tuple[str, ...]
    by: str
    at: float
    until: float | None = None
    why: str = ""
    person: int = 0

    def has_ended(self, now: float) -> bool:
        """Whether it has, by itself."""
        return self.until is not None and self.until <= now

    def is_of(self, account: Account | None) -> bool:
        """Whether the owner of `account`, or a guest, may be meant by its name."""
        return self.account is None or account is None or self.account == account

    @property
    def info(self) -> SanctionInfo:
        """What is told of it to those in charge."""
        return SanctionInfo(
            self.kind,
            self.name,
            self.by,
            self.at,
            self.until,
            self.why,
            self.account is not None,
            bool(self.networks),
        )


class Sanctions:
    """Those of one room, or of the whole chat. What has ended is forgotten on the way."""

    def __init__(self, scope: str) -> None:
        self._scope = scope
        self._all: dict[int, Sanction] = {}
        self._named: LookAlikes[int] = LookAlikes()
        self._of_account: dict[Account, set[int]] = {}
        self._of_network: dict[str, set[int]] = {}
        self._held: dict[int, set[int]] = {}  # by the id of the person

    def __iter__(self) -> Iterator[Sanction]:
        return iter(list(self._all.values()))

    def __bool__(self) -> bool:
        return bool(self._all)

    def impose(self, sanction: Sanction, now: float) -> list[Sanction]:
        """It takes the place of those of its kind against the same person, which are returned.
        Raises TOO_MANY_BANS."""
        replaced = [
            each
            for each in map(self._all.__getitem__, self._named.alike(sanction.name))
            if each.kind is sanction.kind and each.account == sanction.account
        ]
        most = MAX_SANCTIONS if self._scope == ALL_ROOMS else MAX_SANCTIONS_IN_ROOM
        if len(self._all) - len(replaced) >= most:
            for each in self:
                if each.has_ended(now):
                    self.lift(each)
            if len(self._all) >= most:
                raise Refusal(ErrorCode.TOO_MANY_BANS, limit=most)
        for each in replaced:
            self.lift(each)
        self.add(sanction)
        return replaced

    def add(self, sanction: Sanction) -> None:
        """It has been imposed before."""
        self._all[sanction.id] = sanction
        self._named.add(sanction.name, sanction.id)
        if sanction.account is not None:
            self._of_account.setdefault(sanction.account, set()).add(sanction.id)
        for network in sanction.networks:
            self._of_network.setdefault(network, set()).add(sanction.id)

    def lift(self, sanction: Sanction) -> None:
        """It holds nobody any longer."""
        if self._all.pop(sanction.id, None) is None:
            return
        self._named.remove(sanction.name, sanction.id)
        if sanction.account is not None:
            _discard(self._of_account, sanction.account, sanction.id)
        for network in sanction.networks:
            _discard(self._of_network, network, sanction.id)
        for person in [person for person, held in self._held.items() if sanction.id in held]:
            _discard(self._held, person, sanction.id)

    def meant(self, kind: SanctionKind, person: Person, now: float) -> list[Sanction]:
        """Those of that kind that were imposed on somebody of that name or account."""
        ids = set(self._of_account.get(person.account, ())) if person.account else set()
        ids |= self._held.get(person.id, set())
        ids |= {
            each for each in self._named.alike(person.name) if self._all[each].is_of(person.account)
        }
        return [each for each in self._current(ids, now) if each.kind is kind]

    def found(self, person: Person, now: float, *, newcomer: bool) -> list[Sanction]:
        """Those that hold `person`, or are meant for them; of a `newcomer` who is a guest, also
        those against somebody from the same network."""
        if not self._all:
            return []
        ids = set(self._held.get(person.id, ()))
        ids |= set(self._of_account.get(person.account, ())) if person.account else set()
        for name in {person.name, person.account.name if person.account else person.name}:
            ids |= {i for i in self._named.alike(name) if self._all[i].is_of(person.account)}
        if newcomer and person.account is None:
            for network in person.networks:
                ids |= self._of_network.get(network, set())
        return self._current(ids, now)

    def hold(self, person: int, sanctions: Iterable[Sanction]) -> None:
        """These hold the person of that id, who is here, under whatever name."""
        ids = {each.id for each in sanctions}
        if ids:
            self._held.setdefault(person, set()).update(ids)

    def holding(self, kind: SanctionKind, person: int, now: float) -> Sanction | None:
        """The one of that kind that holds the person of that id, for the longest."""
        held = self._held.get(person)
        if held is None:
            return None
        return longest(each for each in self._current(held, now) if each.kind is kind)

    def forget(self, person: int) -> None:
        """They have left the chat."""
        self._held.pop(person, None)

    def follow(self, person: int, account: Account) -> list[Sanction]:
        """What was imposed on that person holds the owner of `account` from now on: they have
        registered. Returns what has changed."""
        changed = []
        for sanction in self:
            id_ = sanction.id
            if sanction.person == person and sanction.account is None:
                followed = replace(sanction, account=account)
                self._all[id_] = followed
                self._of_account.setdefault(account, set()).add(id_)
                changed.append(followed)
        return changed

    def listed(self, now: float) -> list[Sanction]:
        """All of them, oldest first."""
        return sorted(self._current(set(self._all), now), key=lambda each: each.id)

    def _current(self, ids: Iterable[int], now: float) -> list[Sanction]:
        found = []
        for id_ in list(ids):
            sanction = self._all[id_]
            if sanction.has_ended(now):
                self.lift(sanction)
            else:
                found.append(sanction)
        return found


def longest(sanctions: Iterable[Sanction]) -> Sanction | None:
    """The one of them that ends last."""
    return max(
        sanctions,
        key=lambda each: (each.until is None, each.until or 0.0),
        default=None,
    )


def of_kind(kind: SanctionKind, sanctions: Iterable[Sanction]) -> Sanction | None:
    """The one of that kind that ends last."""
    return longest(each for each in sanctions if each.kind is kind)


def _discard(index: dict[T, set[int]], key: T, id_: int) -> None:
    found = index.get(key)
    if found is not None:
        found.discard(id_)
        if not found:
            del index[key]
