"""Random people with random roles do all that there is to being in charge, in a chat in a database
that is killed now and then. Only those who may change anything, and what they have changed holds.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chatservice.core.events import ALL_ROOMS, LOBBY, Account, Refusal, Role, SanctionKind
from chatservice.core.measures import Appoint, Impose, Kick, Lift
from chatservice.core.moderation import person_of
from chatservice.core.peer import Peer
from chatservice.core.sanctions import Person
from chatservice.storage.sqlite.files import AccountFile
from tests.support.house import Session
from tests.support.stores import crash
from tests.unit.test_moderation import KeptHouse

LONG = os.environ.get("CHAT_FAULTS") == "long"
# No power is lost here, and waiting for a disk would take most of the time.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
ROOM, PACE = "dev", 30
BAN, MUTE = SanctionKind.BAN, SanctionKind.MUTE
CONSOLE = ""  # whoever runs the server
# What each of them may be called, and nobody else; and who has registered to begin with.
NAMES = {
    "Alice": ("Alice", "Adele", "Anton"),
    "Bob": ("Bob", "Bert", "Bruno"),
    "Eve": ("Eve", "Edna", "Erika"),
    "Mallory": ("Mallory", "Mona", "Mike"),
    "Olga": ("Olga", "Oskar", "Otto"),
}
REGISTERED = ("Alice", "Bob", "Olga")
PEOPLE, GUESTS = st.sampled_from(sorted(NAMES)), st.sampled_from(("Eve", "Mallory"))
ANYBODY = st.sampled_from((CONSOLE, "Olga", "Alice", "Alice", "Bob", "Eve", "Mallory"))
WHOM = PEOPLE | GUESTS
SCOPES = st.sampled_from((ROOM, ROOM, ROOM, ALL_ROOMS))
KINDS = st.sampled_from((BAN, MUTE))
WHICH = st.integers(0, 2)  # of somebody's names


@dataclass
class Somebody:
    """A person: what is true of them. `visit`: their present one. `held`: what was found to hold
    them in it. `is_kept`: the room is kept as theirs, should they come back."""

    key: str
    name: str
    account: Account | None = None
    visit: int = 0
    there: bool = False
    is_kept: bool = False
    held: set[int] = field(default_factory=set)

    @property
    def names(self) -> set[str]:
        return {self.name} | ({self.account.name} if self.account else set())


@dataclass
class Imposed:
    """A ban or mute of `whom`. `visit`: that in which it was imposed on a guest who was here; by
    their network they are known as well."""

    kind: SanctionKind
    scope: str
    whom: str
    name: str
    account: Account | None
    at: float
    until: float | None
    visit: int
    has_network: bool


class Charge(RuleBasedStateMachine):
    """The chat, and beside it what should be true of it, which knows nothing of registries."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.path = self.folder / "chat"
        self.house = KeptHouse(self.path)
        self.numbers = count(1)
        self.people = {key: Somebody(key, names[0]) for key, names in NAMES.items()}
        self.imposed: dict[int, Imposed] = {}
        self.founder, self.operators, self.slow = Account("Alice", 1.0), set[Account](), 0
        for key in REGISTERED:
            self._registers(self.people[key], 1.0)
        self._restarts(operator=self.people["Olga"].account)
        for person in self.people.values():
            self._comes(person)
        for person in self.people.values():
            self._joins(person)

    def teardown(self) -> None:
        with suppress(AttributeError):  # it has not begun
            self.house.turns.wait_for(self.house.archive.close())
            shutil.rmtree(self.folder)

    # What people do.

    @rule(who=PEOPLE, which=WHICH)
    def comes_back(self, who: str, which: int) -> None:
        person = self.people[who]
        if person.visit:
            self.house.chat.leave(self.house.user(who), self.house.sessions[who], lost=True)
            self.house.quiet()
            self._is_gone(person)
        if person.account is None:
            person.name = NAMES[who][which]
        self._comes(person)

    @rule(who=PEOPLE)
    def joins(self, who: str) -> None:
        if self.people[who].visit:
            self._joins(self.people[who])

    @rule(who=PEOPLE)
    def parts(self, who: str) -> None:
        person = self.people[who]
        if person.there:
            house = self.house
            user, session = house.user(who), house.sessions[who]
            house.chat.part_room(user, session, ROOM, then=house.outcomes.append)
            house.turn()
            assert house.codes() == []
            person.there = person.is_kept = False

    @rule(who=PEOPLE, which=WHICH)
    def is_called(self, who: str, which: int) -> None:
        person, name = self.people[who], NAMES[who][which]
        if not person.visit or name == person.name:
            return
        scopes = (ALL_ROOMS, ROOM) if person.there else (ALL_ROOMS,)
        wanted = Somebody(who, name, person.account)
        is_refused = self._is_mute(person, *scopes) or any(
            each.kind is BAN and each.scope in scopes and self._is_meant(each, wanted, {name})
            for each in self._holding().values()
        )
        house = self.house
        house.chat.rename(house.user(who), house.sessions[who], name, then=house.outcomes.append)
        house.turn()
        assert bool(house.codes()) is is_refused
        if not is_refused:
            person.name = name
            self._is_found(person, *scopes)

    @rule(who=GUESTS)
    def registers(self, who: str) -> None:
        person = self.people[who]
        if person.visit and person.account is None:
            self._registers(person, self.house.clock.seconds())
            self.house.chat.set_account(self.house.user(who), person.account)
            self.house.quiet()
            for key, each in self.imposed.items():
                if each.visit == person.visit and key in person.held and each.account is None:
                    each.account = person.account
            self._is_found(person, *((ALL_ROOMS, ROOM) if person.there else (ALL_ROOMS,)))
            person.is_kept = person.there

    @rule(who=GUESTS, which=WHICH)
    def evades(self, who: str, which: int) -> None:
        """As somebody who was banned would try to come back."""
        self.comes_back(who, which)
        self.registers(who)
        self.joins(who)

    @rule(who=PEOPLE)
    def says_two(self, who: str) -> None:
        person = self.people[who]
        if not person.there or self._is_mute(person, ROOM, ALL_ROOMS):
            return
        assert self.house.says(who, "one", ROOM) is None
        is_slow = self.slow and not self._rank(person)
        assert bool(self.house.says(who, "two", ROOM)) is bool(is_slow)

    @rule(by=PEOPLE, seconds=st.sampled_from((0, PACE)))
    def slows(self, by: str, seconds: int) -> None:
        person, house = self.people[by], self.house
        if not person.visit:
            return
        room, outcomes = house.chat.directory.rooms[ROOM], list[Any]()
        try:
            user, session = house.user(by), house.sessions[by]
            house.chat.moderation.set_pace(user, session, room, seconds, then=outcomes.append)
            house.turn()
        except Refusal as refusal:
            outcomes.append(refusal)
        is_done = not isinstance(outcomes[0], Refusal)
        assert is_done is (person.there and self._rank(person) > 0)
        if is_done:
            self.slow = seconds

    # What those in charge do, and others try.

    @rule(by=ANYBODY, whom=WHOM, scope=SCOPES)
    def kicks(self, by: str, whom: str, scope: str) -> None:
        person = self.people[whom]
        if not self._is_here(by) or not person.visit:
            return
        refused = self.house.takes(by, Kick, scope, person_of(self.house.user(whom)), "")
        may = self._acts(by, scope) > self._rank(person, scope)
        is_there = person.there or scope == ALL_ROOMS
        assert (refused is None) is (may and is_there), refused
        if refused is None:
            self._is_out(person, scope, for_good=scope == ROOM)

    @rule(by=ANYBODY, whom=WHOM, which=WHICH, kind=KINDS, scope=SCOPES, ends=st.booleans())
    def imposes(
        self, by: str, whom: str, which: int, kind: SanctionKind, scope: str, ends: bool
    ) -> None:
        if not self._is_here(by):
            return
        person, house = self.people[whom], self.house
        if person.visit:
            target = person_of(house.user(whom))
        elif person.account is not None:
            target = Person(0, person.account.name, person.account)
        else:
            target = Person(0, NAMES[whom][which])
        before, at = set(self._keys()), house.clock.seconds()
        refused = house.takes(by, Impose, scope, kind, target, 500 if ends else None, "")
        is_known = person.visit or person.account is not None
        may = self._acts(by, scope) > (self._rank(person, scope) if is_known else 0)
        assert (refused is None) is may, refused
        if not may:
            assert set(self._keys()) == before
            return
        (key,) = set(self._keys()) - before
        name = person.account.name if person.account else target.name
        for other, each in list(self.imposed.items()):
            is_same = (each.kind, each.scope, each.account) == (kind, scope, person.account)
            if is_same and each.name == name:
                del self.imposed[other]
        self.imposed[key] = Imposed(
            *(kind, scope, whom, name, person.account, at, at + 500 if ends else None),
            *(person.visit, bool(target.networks)),
        )
        if person.visit:
            person.held.add(key)
        if kind is BAN:
            house.quiet()
            if scope == ROOM and person.account is not None:
                person.is_kept = False
            if person.visit:
                self._is_out(person, scope, for_good=scope == ROOM)

    @rule(by=ANYBODY, which=st.integers(0, 9), whom=WHOM, kind=KINDS, scope=SCOPES)
    def lifts(self, by: str, which: int, whom: str, kind: SanctionKind, scope: str) -> None:
        """One of those that there are, or what may be none."""
        if not self._is_here(by):
            return
        name = NAMES[whom][which % 3]
        if which and (imposed := list(self._holding().values())):
            meant_one = imposed[which % len(imposed)]
            kind, scope = meant_one.kind, meant_one.scope
            whom, name = meant_one.whom, meant_one.name
        guest = self.people[whom]
        is_guest = guest.visit and guest.account is None and guest.name == name
        meant = {
            key
            for key, each in self._holding().items_of(kind, scope)
            if each.name == name or (is_guest and key in guest.held)
        }
        refused = self.house.takes(by, Lift, scope, kind, name)
        assert (refused is None) is bool(self._acts(by, scope) and meant), refused
        if refused is None:
            for key in meant:
                del self.imposed[key]

    @rule(
        by=ANYBODY,
        whom=WHOM,
        role=st.sampled_from((Role.OPERATOR, Role.OPERATOR, Role.MEMBER, Role.FOUNDER)),
    )
    def appoints(self, by: str, whom: str, role: Role) -> None:
        account = self.people[whom].account
        if not self._is_here(by) or account is None:
            return
        refused = self.house.takes(by, Appoint, ROOM, account, account.name, role)
        acts, theirs = self._acts(by, ROOM), self._rank(self.people[whom])
        if role is Role.FOUNDER:
            may = acts >= 3
        elif role is Role.OPERATOR:
            may = acts >= 2
        else:
            resigns = by == whom and acts > 0
            may = (resigns or acts >= 2) and (account in self.operators or not theirs)
        assert (refused is None) is may, refused
        if not may:
            return
        if role is Role.FOUNDER:
            self.founder = account
            self.operators.discard(account)
        elif role is Role.MEMBER:
            self.operators.discard(account)
        elif not theirs:
            self.operators.add(account)

    @rule()
    def is_killed(self) -> None:
        self._restarts()
        for person in self.people.values():
            self._comes(person)

    # What is to be true.

    @invariant()
    def rights_are_as_they_were_given(self) -> None:
        room = self.house.chat.directory.rooms[ROOM]
        assert (room.founder, room.operators) == (self.founder, self.operators)
        assert room.slow == self.slow
        assert set(self._keys()) == set(self._holding())

    @invariant()
    def who_may_is_there_and_is_heard(self) -> None:
        house = self.house
        there = {person.name for person in self.people.values() if person.there}
        assert house.members(ROOM) == there
        here = {person.name for person in self.people.values() if person.visit}
        assert set(house.chat.users) == here
        house.clock.advance(PACE + 1)
        present = [person for person in self.people.values() if person.visit]
        for speaker in present:
            for person in present:
                house.sinks[person.key].heard()
            refused = house.says(speaker.key, "hello", ROOM)
            is_heard = speaker.there and not self._is_mute(speaker, ROOM, ALL_ROOMS)
            assert (refused is None) is is_heard, (speaker, refused)
            for hearer in present:
                heard = f"#dev {speaker.name}: hello" in house.sinks[hearer.key].heard()
                assert heard is (is_heard and hearer.there and hearer is not speaker), hearer
        house.clock.advance(PACE + 1)

    # The model.

    def _holding(self) -> "Holding":
        now = self.house.clock.seconds()
        for key, each in list(self.imposed.items()):
            if each.until is not None and each.until <= now:
                del self.imposed[key]
        return Holding(self.imposed)

    def _keys(self) -> Iterator[int]:
        chat = self.house.chat
        for room in (None, chat.directory.rooms[ROOM]):
            yield from (each.key for each in chat.moderation.listed(None, room))

    def _is_here(self, by: str) -> bool:
        return by == CONSOLE or self.people[by].visit > 0

    def _rank(self, person: Somebody, scope: str = ROOM) -> int:
        if person.key == "Olga":
            return 3
        if scope == ALL_ROOMS or person.account is None:
            return 0
        return 2 if person.account == self.founder else int(person.account in self.operators)

    def _acts(self, by: str, scope: str) -> int:
        """The rank with which somebody acts there; 0: they may not."""
        if by == CONSOLE:
            return 4
        person = self.people[by]
        rank = self._rank(person, scope)
        return rank if rank == 3 or person.there else 0

    def _is_meant(self, each: Imposed, person: Somebody, names: set[str]) -> bool:
        if each.account is not None and person.account is not None:
            return each.account == person.account
        return each.name in names

    def _found(self, person: Somebody, scope: str, *, newcomer: bool) -> set[int]:
        """What holds them there, or is meant for them."""
        found = set()
        for key, each in self._holding().items():
            is_newer = person.account is None or person.account.since > each.at
            by_network = newcomer and each.has_network and each.whom == person.key and is_newer
            if each.scope == scope and (
                key in person.held
                or self._is_meant(each, person, person.names)
                or (by_network and not self._rank(person, scope))
            ):
                found.add(key)
        return found

    def _is_found(self, person: Somebody, *scopes: str, newcomer: bool = False) -> None:
        for scope in scopes:
            person.held |= self._found(person, scope, newcomer=newcomer)

    def _has(self, kind: SanctionKind, keys: set[int]) -> bool:
        return any(self.imposed[key].kind is kind for key in keys)

    def _is_mute(self, person: Somebody, *scopes: str) -> bool:
        return any(
            key in person.held
            for scope in scopes
            for key, _ in self._holding().items_of(MUTE, scope)
        )

    def _is_gone(self, person: Somebody) -> None:
        person.visit, person.there, person.held = 0, False, set()

    def _is_out(self, person: Somebody, scope: str, *, for_good: bool) -> None:
        person.there = False
        if for_good:
            person.is_kept = False
        if scope == ALL_ROOMS:
            self._is_gone(person)
            self.house.quiet()

    def _comes(self, person: Somebody) -> None:
        house = self.house
        rooms = {LOBBY: 0}
        if person.account is not None:
            person.name = person.account.name
            kept = house.turns.wait_for(house.archive.memberships(person.account))
            assert (ROOM in kept) is person.is_kept
            rooms |= kept
        session = house.sessions[person.key] = Session()
        session.peer = Peer(person.key, f"net of {person.key}")
        house.sinks[person.key] = session.sink
        before = len(house.refused)
        house.chat.enter(session, person.name, house._entered, account=person.account, rooms=rooms)
        house.quiet()
        is_refused = self._has(BAN, self._found(person, ALL_ROOMS, newcomer=True))
        assert (len(house.refused) > before) is is_refused
        if is_refused:
            return
        person.visit = next(self.numbers)
        self._is_found(person, ALL_ROOMS, newcomer=True)
        if person.is_kept and not self._has(BAN, self._found(person, ROOM, newcomer=True)):
            person.there = True
            self._is_found(person, ROOM, newcomer=True)

    def _joins(self, person: Somebody) -> None:
        self.house.joins(person.key, ROOM)
        is_refused = self._has(BAN, self._found(person, ROOM, newcomer=True))
        assert bool(self.house.codes()) is (is_refused and not person.there)
        if not is_refused and not person.there:
            person.there, person.is_kept = True, person.account is not None
            self._is_found(person, ROOM, newcomer=True)

    def _registers(self, person: Somebody, at: float) -> None:
        person.account = Account(person.name, at)
        self.house.turns.wait_for(self.house.accounts.add(person.account, "hash"))

    def _restarts(self, operator: Account | None = None) -> None:
        now = self.house.clock.seconds()
        crash(self.house.archive)
        if operator is not None:
            with AccountFile(self.path) as file:
                file.set_operator(operator, True)
        self.house = KeptHouse(self.path)
        self.house.clock.advance(now - self.house.clock.seconds())
        for person in self.people.values():
            self._is_gone(person)
        for each in self.imposed.values():
            each.visit = 0


class Holding(dict[int, Imposed]):
    """What has not ended."""

    def items_of(self, kind: SanctionKind, scope: str) -> list[tuple[int, Imposed]]:
        return [(k, each) for k, each in self.items() if (each.kind, each.scope) == (kind, scope)]


TestCharge = Charge.TestCase
TestCharge.settings = settings(
    max_examples=1000 if LONG else 30, stateful_step_count=40 if LONG else 30, deadline=None
)
