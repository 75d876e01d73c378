"""Whom people do not hear, in a chat without sockets."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatservice.core import ignoring
from chatservice.core.events import Account, ErrorCode, Refusal
from chatservice.core.ignoring import Change, Ignoring
from chatservice.core.moderation import person_of
from chatservice.dialects.jsonlines import JSON
from chatservice.storage.memory import MemoryArchive
from tests.support.house import House, Session

NAMES = ("Alice", "Bob", "Carol", "Dave", "Erin", "Frank")
PEOPLE = range(3)
DOES = st.tuples(
    st.sampled_from(["ignore", "ignore", "unignore", "rename", "rename", "say", "say"]),
    st.sampled_from(PEOPLE),
    st.sampled_from(PEOPLE),
    st.sampled_from(NAMES),
)


@dataclass
class OnList:
    """What was ignored under a name; and who has had that name since, among those who are here."""

    name: str
    held: set[int] = field(default_factory=set)


class Model:
    """What it should be: whom each of the guests ignores."""

    def __init__(self) -> None:
        self.names = list(NAMES[: len(PEOPLE)])
        self.lists: list[list[OnList]] = [[] for _ in PEOPLE]

    def meant(self, reader: int, other: int) -> list[OnList]:
        return [each for each in self.lists[reader] if other in each.held]

    def look(self) -> None:
        for reader, listed in enumerate(self.lists):
            for each in listed:
                each.held |= {i for i in PEOPLE if self.names[i] == each.name and i != reader}


def done(doing: Any) -> None:
    """Something that has to wait for nothing here. Raises what it raises."""
    with pytest.raises(StopIteration):
        doing.send(None)


@given(st.lists(DOES, max_size=25))
def test_guests_are_ignored_under_whatever_name_they_take(operations: Any) -> None:
    house, model = House(), Model()
    people = [house.join(name) for name in NAMES[: len(PEOPLE)]]
    sessions = [house.sessions[name] for name in NAMES[: len(PEOPLE)]]
    chat = house.chat
    for what, one, other, name in operations:
        match what:
            case "ignore" | "unignore" if one != other:
                doing = chat.ignore(people[one], person_of(people[other]), on=what == "ignore")
                meant = model.meant(one, other)
                if what == "ignore":
                    done(doing)
                    if not meant:
                        model.lists[one].append(OnList(model.names[other]))
                elif meant:
                    done(doing)
                    model.lists[one] = [each for each in model.lists[one] if each not in meant]
                else:
                    with pytest.raises(Refusal) as refused:
                        doing.send(None)
                    assert refused.value.code is ErrorCode.NOT_IGNORED
            case "rename" if name not in model.names:
                chat.rename(people[one], sessions[one], name, then=lambda _: None)
                house.quiet()
                model.names[one] = name
            case _:
                pass
        model.look()
        for each in sessions:
            each.sink.heard()
        for speaker in PEOPLE:
            chat.say(people[speaker], sessions[speaker], (f"from {speaker}",))
        house.turn()
        for reader in PEOPLE:
            heard = [line.rpartition("from ")[2] for line in sessions[reader].sink.heard()]
            expected = [str(i) for i in PEOPLE if i != reader and not model.meant(reader, i)]
            assert heard == expected


def test_nobody_sees_them_type_here_or_on_another_server() -> None:
    house = House()
    readers: dict[str, Session] = {}
    for name in ("Sara", "Bob"):
        readers[name] = house.sessions[name] = Session(JSON)
        house.chat.enter(readers[name], name, house._entered)
    troll = house.join("Troll")
    house.quiet()
    done(house.chat.ignore(house.user("Sara"), person_of(troll), on=True))
    for session in readers.values():
        session.sink.heard()
    here = troll.sessions[0].cursor
    for author in (here, troll):  # a person: another server tells of it
        house.room.typing.set(author, "Troll", True)
    assert readers["Sara"].sink.heard() == []
    assert len(readers["Bob"].sink.heard()) == 2


class KeepingArchive(MemoryArchive):
    """Remembers what it was to keep."""

    def __init__(self) -> None:
        super().__init__("epoch")
        self.kept: list[Change] = []

    def change_ignored(self, change: Change) -> None:
        self.kept.append(change)


def test_it_follows_a_guest_who_registers() -> None:
    """And then holds for the account: another person of the name that they had is heard."""
    archive = KeepingArchive()
    house = House(archive)
    sara = house.join("Sara", Account("Sara", 1.0))
    troll = house.join("Troll")
    session = house.sessions["Troll"]
    chat, sink = house.chat, house.sinks["Sara"]
    done(chat.ignore(sara, person_of(troll), on=True))
    chat.rename(troll, session, "Saint", then=lambda _: None)
    house.quiet()
    owned = Account("Saint", 2.0)
    chat.set_account(troll, owned)
    house.quiet()
    assert sara.ignores is not None
    assert [each.what.account for each in sara.ignores] == [owned]
    kept = archive.kept
    assert [(change.ignoring.name, change.on) for change in kept] == [
        ("Troll", False),
        ("Saint", True),
    ]
    house.join("Troll")
    sink.heard()
    house.say("Troll", "another one")
    chat.say(troll, session, ("the same one",))
    house.turn()
    assert sink.heard() == ["Troll: another one"]


def test_there_is_room_for_so_many_and_no_more() -> None:
    house = House()
    guest = house.join("Guest")
    for number in range(ignoring.MAX_IGNORED):
        house.chat.ignoring.set(guest, Ignoring(f"Member{number}", None, 0.0), on=True)
    other = house.join("Other")
    with pytest.raises(Refusal) as refused:
        house.chat.ignore(guest, person_of(other), on=True).send(None)
    assert refused.value.code is ErrorCode.TOO_MANY_IGNORED
    with pytest.raises(Refusal) as refused:
        house.chat.ignore(guest, person_of(guest), on=True).send(None)
    assert refused.value.code is ErrorCode.NOT_YOURSELF
