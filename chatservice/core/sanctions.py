"""Bans and mutes: whom they are meant for, and whom they hold.

A sanction is imposed on one person, and holds them under whatever name: the owner of an account by
that; a guest as long as they stay, and by the likeness of the name. Of newcomers from the same
networks it holds guests, and owners of accounts that are newer than it: nobody's colleagues are
locked out, and nobody comes back by registering.
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

# In one room, or all rooms of one founder, and in the whole chat: up to 4 KB each. More than that
# is work for a firewall. Anybody can come as several guests, each of whom founds rooms.
MAX_SANCTIONS_IN_ROOM, MAX_SANCTIONS = 1_000, 10_000
MAX_SANCTIONS_BY_GUEST = 100
MAX_REASON = 200  # characters: a line
MAX_SECONDS = 10 * 366 * 86400  # ten years; longer is for good
MAX_NETWORKS = 8  # of one person, who may have as many connections


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever may be held: `id` is theirs as long as they are here (0: they are not). `held`: the
    keys of bans and mutes that hold them already."""

    id: int
    name: str
    account: Account | None = None
    networks: tuple[str, ...] = ()
    held: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Sanction:
    """What somebody must not do, in the room `scope` or in the whole chat (ALL_ROOMS), since the
    time `at` and up to `until`. `key`: it is told from others by that. `id`: of the entry that has
    imposed it. `name`: what they are called, or their account is. `person`: their id, if they were
    here (until a restart)."""

    key: int
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

    def holds_network(self, account: Account | None) -> bool:
        """Whether it holds a newcomer from its networks who owns `account`, or none."""
        return account is None or account.since > self.at

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

    def __init__(self) -> None:
        self._all: dict[int, Sanction] = {}  # by their keys, as below
        self._named: LookAlikes[int] = LookAlikes()
        self._of_account: dict[Account, set[int]] = {}
        self._of_network: dict[str, set[int]] = {}

    def __iter__(self) -> Iterator[Sanction]:
        return iter(list(self._all.values()))

    def __bool__(self) -> bool:
        return bool(self._all)

    def make_way(self, sanction: Sanction, now: float, most: int, elsewhere: int) -> list[Sanction]:
        """Those of its kind against the same person, which are to be lifted before it is added.
        Raises TOO_MANY_BANS, if there are `most`, with those that count `elsewhere`."""
        replaced = [
            each
            for each in map(self._all.__getitem__, self._named.alike(sanction.name))
            if each.kind is sanction.kind and each.account == sanction.account
        ]
        if len(self._all) + elsewhere - len(replaced) >= most:
            self._current(self._all, now)  # which forgets those that have ended
            if len(self._all) + elsewhere - len(replaced) >= most:
                raise Refusal(ErrorCode.TOO_MANY_BANS, limit=most)
        return replaced

    def add(self, sanction: Sanction) -> None:
        """It holds whoever it is meant for."""
        self._all[sanction.key] = sanction
        self._named.add(sanction.name, sanction.key)
        if sanction.account is not None:
            self._of_account.setdefault(sanction.account, set()).add(sanction.key)
        for network in sanction.networks:
            self._of_network.setdefault(network, set()).add(sanction.key)

    def lift(self, sanction: Sanction) -> None:
        """It holds nobody any longer."""
        if self._all.pop(sanction.key, None) is None:
            return
        self._named.remove(sanction.name, sanction.key)
        if sanction.account is not None:
            _discard(self._of_account, sanction.account, sanction.key)
        for network in sanction.networks:
            _discard(self._of_network, network, sanction.key)

    def get(self, key: int) -> Sanction | None:
        """The one with that key."""
        return self._all.get(key)

    def renumber(self, key: int, decided_from: int, first_id: int) -> None:
        """The id of that one, which was given from `decided_from` on, is from `first_id` on."""
        if (sanction := self._all.get(key)) is not None:
            self._all[key] = replace(sanction, id=sanction.id - decided_from + first_id)

    def meant(self, kind: SanctionKind, person: Person, now: float) -> list[Sanction]:
        """Those of that kind that hold `person` already, or were imposed on somebody of that name
        or account."""
        keys = person.held | self._of_account_of(person) | self._alike(person.name, person.account)
        return [each for each in self._current(keys, now) if each.kind is kind]

    def imposed_on(self, kind: SanctionKind, person: Person, now: float) -> list[Sanction]:
        """Those of them that were imposed on `person`, or on somebody of that name or account; not
        those that hold them because they come from the network of another."""
        named = self._of_account_of(person) | self._alike(person.name, person.account)
        return [
            each
            for each in self.meant(kind, person, now)
            if each.key in named or (person.id and each.person == person.id)
        ]

    def found(self, person: Person, now: float, *, newcomer: bool) -> list[Sanction]:
        """Those that hold `person`, or are meant for them; of a `newcomer`, also those against
        somebody from the same network."""
        if not self._all:
            return []
        keys = person.held | self._of_account_of(person)
        for name in {person.name, person.account.name if person.account else person.name}:
            keys |= self._alike(name, person.account)
        if newcomer:
            for network in person.networks:
                there = self._of_network.get(network, set())
                keys |= {key for key in there if self._all[key].holds_network(person.account)}
        return self._current(keys, now)

    def holding(self, kind: SanctionKind, held: frozenset[int], now: float) -> Sanction | None:
        """The one of that kind, of those with these keys, that ends last."""
        return of_kind(kind, self._current(held, now)) if held else None

    def following(self, person: Person, account: Account) -> list[tuple[Sanction, Sanction]]:
        """Those that were imposed on the guest `person`, who has registered; and as they hold the
        owner of `account`."""
        return [
            (self._all[key], replace(self._all[key], account=account))
            for key in person.held & self._all.keys()
            if self._all[key].person == person.id and self._all[key].account is None
        ]

    def listed(self, now: float) -> list[Sanction]:
        """All of them, oldest first."""
        return sorted(self._current(self._all, now), key=lambda each: each.id)

    def _of_account_of(self, person: Person) -> set[int]:
        return set() if person.account is None else self._of_account.get(person.account, set())

    def _alike(self, name: str, account: Account | None) -> set[int]:
        return {key for key in self._named.alike(name) if self._all[key].is_of(account)}

    def _current(self, keys: Iterable[int], now: float) -> list[Sanction]:
        found = []
        for key in list(keys):
            if (sanction := self._all.get(key)) is None:
                continue  # it holds in another room, or was lifted
            if sanction.has_ended(now):
                self.lift(sanction)
            else:
                found.append(sanction)
        return found


def most_sanctions(scope: str, founder: Account | int | None) -> int:
    """How many bans and mutes there may be in the rooms of `founder`, one of which `scope` is; or
    in the lobby or the whole chat, which nobody has founded."""
    if scope == ALL_ROOMS:
        return MAX_SANCTIONS
    return MAX_SANCTIONS_BY_GUEST if isinstance(founder, int) else MAX_SANCTIONS_IN_ROOM


def expect_reason(why: str) -> None:
    """Raises REASON_TOO_LONG, if it has more than MAX_REASON characters."""
    if len(why) > MAX_REASON:
        raise Refusal(ErrorCode.REASON_TOO_LONG, limit=MAX_REASON)


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
