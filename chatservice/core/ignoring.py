"""Whom people do not hear: what it is meant for, and what of the log it leaves out.

Somebody is ignored under whatever name: the owner of an account by that; a guest by the likeness of
the name, and under another name that they take, as long as they stay. What somebody does who is in
charge is heard all the same. The one who is ignored is not told.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from chatservice.core import names
from chatservice.core.drafts import Entry
from chatservice.core.events import (
    Account,
    Burst,
    Emoted,
    ErrorCode,
    Happening,
    IgnoredList,
    Refusal,
    Said,
)
from chatservice.core.lookalikes import LookAlikes
from chatservice.core.sanctions import Person

if TYPE_CHECKING:
    from chatservice.core.users import User

H = TypeVar("H", bound=Happening)

# Whom one person ignores: a screen or two; and on all lists that are kept, some 0.5 KB each.
MAX_IGNORED, MAX_IGNORED_IN_ALL = 100, 50_000


class Ignoring(NamedTuple):
    """Somebody who is ignored since the time `at`: what they are called, or their account is."""

    name: str
    account: Account | None
    at: float


class Change(NamedTuple):
    """For the owner of an account that is to be kept (`on`), or no longer."""

    owner: Account
    ignoring: Ignoring
    on: bool


@dataclass(slots=True, eq=False)
class Ignored:
    """Somebody who is on the list `by`. `keys`: what is like their name has one of these."""

    by: "IgnoreList" = field(repr=False)
    what: Ignoring
    keys: frozenset[str]

    @property
    def account(self) -> Account | None:
        return self.what.account

    def is_of(self, account: Account | None) -> bool:
        """Whether the owner of `account`, or a guest, may be meant by its name."""
        return self.account is None or account is None or self.account == account


class IgnoreList:
    """Whom one person ignores. `reader`: who that is, while they are here; `owner`: their account.
    `held`: those who are here and on it, and by what."""

    __slots__ = ("_all", "held", "owner", "reader")

    def __init__(self, owner: Account | None) -> None:
        self.owner = owner
        self.reader: User | None = None
        self.held: dict[User, set[Ignored]] = {}
        self._all: list[Ignored] = []

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Ignored]:
        return iter(tuple(self._all))

    def add(self, ignored: Ignored) -> None:
        """See `IgnoreLists`."""
        self._all.append(ignored)

    def remove(self, ignored: Ignored) -> None:
        """See `IgnoreLists`."""
        self._all.remove(ignored)

    def find(self, ignoring: Ignoring) -> Ignored | None:
        """That one, whenever it was added."""
        name, account, _ = ignoring
        for each in self._all:
            if each.what.name == name and each.account == account:
                return each
        return None

    def meant(self, person: Person) -> list[Ignored]:
        """Those by whom `person` is ignored."""
        found = []
        keys = names.keys(person.name)
        holding = {each for user, by in self.held.items() if user.id == person.id for each in by}
        for each in self._all:
            held = each in holding
            by_account = person.account is not None and person.account == each.account
            by_name = not keys.isdisjoint(each.keys) and each.is_of(person.account)
            if held or by_account or by_name:
                found.append(each)
        return found

    def leaves_out(self, entry: Entry) -> bool:
        """Whether somebody has said `entry` who is ignored."""
        if not entry.messages or not self._all:
            return False
        if entry.people:
            return self in entry.people[0].ignored_by
        return isinstance(entry.event, Burst | Emoted) and self.has_name(entry.event.name)

    def among(self, entries: Sequence[Entry]) -> frozenset[int]:
        """The indices of those that are left out."""
        if not self._all:
            return frozenset()
        return frozenset(index for index, each in enumerate(entries) if self.leaves_out(each))

    def has_name(self, name: str) -> bool:
        """Whether who said something under that name, which is all that is known, is ignored."""
        if self.reader is not None and self.reader.name == name:
            return False
        keys = names.keys(name)
        return any(not keys.isdisjoint(each.keys) for each in self._all) or any(
            user.name == name for user in self.held
        )

    def heard(self, events: Sequence[H]) -> tuple[H, ...]:
        """`events` without what those have said who are ignored."""
        if not self._all:
            return tuple(events)
        said_by = {event.name for event in events if isinstance(event, Said | Emoted)}
        ignored = {name for name in said_by if self.has_name(name)}
        return tuple(
            event
            for event in events
            if not (isinstance(event, Said | Emoted) and event.name in ignored)
        )

    @property
    def shown(self) -> IgnoredList:
        """What is told of it to whose it is."""
        return IgnoredList(tuple(each.what.name for each in self._all))


def is_ignored(user: "User", by: "User") -> bool:
    """Whether `by` does not hear what `user` says."""
    return by.ignores is not None and by.ignores in user.ignored_by


class IgnoreLists:
    """All lists: of the owners of accounts, also while they are away, so that nobody gets around
    them by another name meanwhile; and of guests who are here. `alike` finds those who are here
    under a name like that one, and `owner` whoever is here and owns an account."""

    def __init__(
        self,
        alike: Callable[[str], Iterable["User"]],
        owner: Callable[[Account], "User | None"],
    ) -> None:
        self._alike = alike
        self._owner = owner
        self.clear()

    def clear(self) -> None:
        """Nobody is here, and nothing is kept."""
        self._of_account: dict[Account, IgnoreList] = {}
        self._kept = 0  # on those
        self._named: LookAlikes[Ignored] = LookAlikes()
        self._owned: dict[Account, set[Ignored]] = {}

    def restore(self, kept: Iterable[tuple[Account, Ignoring]]) -> None:
        """What was kept, before anybody is here."""
        for owner, ignoring in kept:
            self.set(owner, ignoring, on=True)

    # Who is here.

    def arrived(self, user: "User") -> None:
        """`user` is here from now on."""
        if user.account is not None and (ignores := self._of_account.get(user.account)):
            _give(user, ignores)
        self.find(user)

    def departed(self, user: "User") -> None:
        """`user` is here no longer. (What they have said so far is left out all the same.)"""
        for ignores in user.ignored_by:
            ignores.held.pop(user, None)
        mine = user.ignores
        if mine is not None:
            mine.reader = None
            if mine.owner is None:
                self._drop(mine)

    def find(self, user: "User") -> None:
        """`user` is here, or has another name or account: who ignores them?"""
        if not self._owned and not self._named:
            return
        account = user.account
        meant = set(self._owned.get(account, ())) if account is not None else set()
        for name in {user.name, user.name if account is None else account.name}:
            meant |= {each for each in self._named.alike(name) if each.is_of(account)}
        for ignored in meant:
            ignores = ignored.by
            if ignores is not user.ignores:
                ignores.held.setdefault(user, set()).add(ignored)
                user.ignored_by |= {ignores}

    def has_account(self, user: "User") -> list[Change]:
        """`user` owns another account now, or none any longer: whom they ignore stays so, and who
        ignores them. Returns what has to be kept of that."""
        changes: list[Change] = []
        account, mine = user.account, user.ignores
        theirs = None if account is None else self._of_account.get(account)
        if mine is None or mine.owner == account:
            pass
        elif mine.owner is not None and account is not None:  # that account has it still
            mine.reader = user.ignores = None
        elif theirs is not None:
            for each in mine:
                if len(theirs) < MAX_IGNORED and theirs.find(each.what) is None:
                    self._add(theirs, each.what)
                    changes += _changed(theirs, each, on=True)
            self._drop(mine)
        else:
            if mine.owner is not None:
                self._count(mine, -1)
                self._of_account.pop(mine.owner, None)
            mine.owner = account
            if account is not None:
                self._of_account[account] = mine
                self._count(mine, 1)
                changes += [each for one in mine for each in _changed(mine, one, on=True)]
        if theirs is not None:
            _give(user, theirs)
        if account is not None:
            for ignores in user.ignored_by:
                changes += self._follow(ignores, user, account)
        self.find(user)
        return changes

    def _follow(self, ignores: IgnoreList, user: "User", account: Account) -> list[Change]:
        """The guest `user`, who is ignored, has registered: from now on it is for the account."""
        holding = ignores.held[user]
        guests = [each for each in ignores if each in holding and each.account is None]
        changes: list[Change] = []
        for before in guests:
            self._remove(before)
            changes += _changed(ignores, before, on=False)
        if guests:
            what = Ignoring(account.name, account, guests[0].what.at)
            if ignores.find(what) is None:
                changes += _changed(ignores, self._add(ignores, what), on=True)
            self.find(user)
        return changes

    def forget(self, account: Account) -> None:
        """There is no such account any longer."""
        if (ignores := self._of_account.pop(account, None)) is not None:
            self._count(ignores, -1)
            ignores.owner = None
            if ignores.reader is None:
                self._drop(ignores)

    # What is asked.

    def of_account(self, account: Account) -> IgnoreList | None:
        """That of the owner of `account`, who may be away."""
        return self._of_account.get(account)

    def expect_room(self, user: "User") -> None:
        """Raises TOO_MANY_IGNORED, if `user` may ignore nobody else."""
        if user.ignores is not None and len(user.ignores) >= MAX_IGNORED:
            raise Refusal(ErrorCode.TOO_MANY_IGNORED, limit=MAX_IGNORED)
        if user.account is not None and self._kept >= MAX_IGNORED_IN_ALL:
            raise Refusal(ErrorCode.TOO_MANY_IGNORED, limit=MAX_IGNORED_IN_ALL)

    def set(self, owner: "User | Account", ignoring: Ignoring, *, on: bool) -> None:
        """A guest, or the owner of an account, ignores that one from now on, or no longer."""
        ignores = self._list_of(owner)
        found = ignores.find(ignoring)
        if not on:
            if found is not None:
                self._remove(found)
        elif found is None:
            self._add(ignores, ignoring)
            here = set(self._alike(ignoring.name))
            if ignoring.account is not None and (user := self._owner(ignoring.account)):
                here.add(user)
            for user in here:
                self.find(user)

    def _list_of(self, owner: "User | Account") -> IgnoreList:
        account = owner if isinstance(owner, Account) else owner.account
        user = self._owner(owner) if isinstance(owner, Account) else owner
        if account is not None:
            ignores = self._of_account.get(account)
        else:
            ignores = None if user is None else user.ignores
        if ignores is None:
            ignores = IgnoreList(account)
            if account is not None:
                self._of_account[account] = ignores
        if user is not None:
            _give(user, ignores)
        return ignores

    def _add(self, ignores: IgnoreList, what: Ignoring) -> Ignored:
        ignored = Ignored(ignores, what, names.keys(what.name))
        ignores.add(ignored)
        self._named.add(what.name, ignored)
        if what.account is not None:
            self._owned.setdefault(what.account, set()).add(ignored)
        if ignores.owner is not None:
            self._kept += 1
        return ignored

    def _remove(self, ignored: Ignored) -> None:
        ignores = ignored.by
        ignores.remove(ignored)
        self._named.remove(ignored.what.name, ignored)
        if ignored.account is not None:
            theirs = self._owned[ignored.account]
            theirs.discard(ignored)
            if not theirs:
                del self._owned[ignored.account]
        if ignores.owner is not None:
            self._kept -= 1
        for user in [user for user, by in ignores.held.items() if ignored in by]:
            ignores.held[user].discard(ignored)
            if not ignores.held[user]:
                del ignores.held[user]
                user.ignored_by -= {ignores}

    def _drop(self, ignores: IgnoreList) -> None:
        """Nobody has it any longer."""
        for each in ignores:
            self._remove(each)

    def _count(self, ignores: IgnoreList, sign: int) -> None:
        self._kept += sign * len(ignores)


def _changed(ignores: IgnoreList, ignored: Ignored, *, on: bool) -> list[Change]:
    """What has to be kept of it: nothing of a guest's."""
    return [] if ignores.owner is None else [Change(ignores.owner, ignored.what, on)]


def _give(user: "User", ignores: IgnoreList) -> None:
    user.ignores = ignores
    ignores.reader = user
