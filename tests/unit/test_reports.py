"""Whatever roles people have, a report is read by those in charge, and by nobody else."""

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from chatservice.core.events import ALL_ROOMS, Refusal
from chatservice.core.stores import Report
from chatservice.session.reports import Reports
from tests.unit.test_moderation import ACCOUNTS, NAMES, Charge, Ranks, carry_out

STEPS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(("report", "report", "report", "op", "deop", "kick", "ban", "join", "go")),
        st.sampled_from(NAMES),
    ),
    max_size=25,
)


def done(awaited: Any) -> Any:
    """What comes of it, at once."""
    return Deferred.fromCoroutine(awaited).result


class Desk:
    """People in #dev and elsewhere, their roles as they should be, and reports. `here`: who is in
    the chat."""

    def __init__(self) -> None:
        self.house, self.ranks = Charge(), Ranks()
        self.reports = Reports(self.house.chat, self.house.clock.seconds)
        self.kept: list[Report] = []
        self.here = set(NAMES)
        for name in NAMES:
            self.house.comes(name, ACCOUNTS.get(name))
        self.house.chat.moderation.commission(ACCOUNTS["Olga"], True)
        self.joins("Alice")

    def may_read(self, name: str, report: Report) -> bool:
        rank = self.ranks.of(name)
        is_in_charge = rank == 3 or (rank > 0 and name in self.ranks.there)
        return name in self.here and is_in_charge and name not in (report.name, report.by)

    def joins(self, name: str) -> None:
        with suppress(Refusal):
            self.house.joins(name, "dev")
            self.ranks.there |= {name} - self.ranks.banned
        self.shown_to(name)

    def goes_or_comes(self, name: str) -> None:
        if name in self.here:
            self.house.leave(name)
            self.house.quiet()
            self.here.discard(name)
            self.ranks.there.discard(name)
        else:
            self.house.comes(name, ACCOUNTS.get(name))
            self.here.add(name)
            self.shown_to(name)

    def shown_to(self, name: str) -> None:
        """Whoever comes in is shown what waits for them; nobody else is, then or later."""
        self.hush()
        done(self.reports.deliver(self.house.user(name)))
        theirs = [each for each in self.kept if self.may_read(name, each)]
        self.kept = [each for each in self.kept if each not in theirs]
        heard = [line for line in self.house.sinks[name].heard() if "has reported" in line]
        assert [line.partition(": ")[2] for line in heard] == [each.why for each in theirs]
        self.nobody_else_hears(set())

    def made(self, by: str, name: str, number: int) -> None:
        report = Report(0.0, "dev", name, ACCOUNTS.get(name), by, f"spam {number}")
        readers = {each for each in NAMES if self.may_read(each, report)}
        self.hush()
        assert done(self.reports.take(report, f"account {number}")) is bool(readers)
        if not readers:
            self.kept.append(report)
        self.nobody_else_hears(readers)

    def hush(self) -> None:
        for sink in self.house.sinks.values():
            sink.heard()

    def nobody_else_hears(self, readers: set[str]) -> None:
        heard = {
            name
            for name, sink in self.house.sinks.items()
            if any("has reported" in line for line in sink.heard())
        }
        assert heard == readers


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_only_those_in_charge_read_reports(steps: list[tuple[str, str, str]]) -> None:
    desk = Desk()
    for number, (name, does, whom) in enumerate(steps):
        if does == "go":
            desk.goes_or_comes(name)
        elif name not in desk.here:
            continue
        elif does == "report":
            desk.made(name, whom, number)
        elif does == "join":
            desk.joins(name)
        elif whom in desk.here:
            concerned = "Bob" if does in ("op", "deop") and whom not in ACCOUNTS else whom
            if carry_out(desk.house, name, does, concerned) is None:
                desk.ranks.apply(does, concerned)
        waiting = done(desk.house.chat.archive.reports.kept())
        assert [each.why for each in waiting] == [each.why for each in desk.kept]


def test_of_a_room_that_is_gone_they_are_for_the_operators_of_the_server() -> None:
    desk = Desk()
    desk.house.joins("Dave", "den")
    report = Report(0.0, "den", "Dave", None, "Carol", "spam")
    desk.house.leave("Olga")
    desk.here.discard("Olga")
    desk.house.quiet()
    assert not done(desk.reports.take(report, "account Carol"))
    desk.house.leave("Dave")
    desk.house.quiet()
    desk.house.joins("Eve", "den")  # who founds another one
    (kept,) = done(desk.house.chat.archive.reports.kept())
    assert kept.room == ALL_ROOMS
    desk.hush()
    done(desk.reports.deliver(desk.house.user("Eve")))
    desk.nobody_else_hears(set())
