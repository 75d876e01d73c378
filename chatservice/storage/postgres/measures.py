"""What those in charge do, as servers tell each other, and as the tables have it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chatservice.core.events import (
    ALL_ROOMS,
    Account,
    Banned,
    Muted,
    Role,
    RoleChanged,
    SanctionKind,
)
from chatservice.core.measures import Appointed, Imposed, Lifted
from chatservice.core.registry import Registry
from chatservice.core.sanctions import Sanction
from chatservice.core.users import User
from chatservice.storage.postgres.undecided import relative_id


class Measures:
    """`id_of` gives the id in the tables of somebody who has that number here, `person` whoever has
    that one."""

    def __init__(
        self,
        registry: Registry,
        id_of: Callable[[int], str],
        person: Callable[[str], User | None],
    ) -> None:
        self._registry = registry
        self._id = id_of
        self._person = person

    def more_about(self, effect: object) -> list[Any]:
        """What other servers have to know of a measure, beside what everyone hears."""
        match effect:
            case Imposed(sanction=sanction, persons=persons, replaced=replaced):
                held = [self._id(person.id) for person in persons]
                return [self.values(sanction), held, [each.key for each in replaced]]
            case Lifted(sanctions=sanctions):
                return [each.key for each in sanctions]
            case Appointed(account=account):
                return list(account)
            case _:
                raise ValueError(effect)

    def heard(
        self, event: Banned | Muted | RoleChanged, more: Sequence[Any]
    ) -> Imposed | Lifted | Appointed:
        """What somebody in charge has done on another server is so. Returns its effect."""
        registry = self._registry
        if isinstance(event, RoleChanged):
            account, record = Account(*more), registry.rooms[event.room]
            record.control = event.id
            record.appoint(account, event.role)
            return Appointed(account, record if event.role is Role.FOUNDER else None)
        scope = ALL_ROOMS if event.everywhere else event.room
        if scope in registry.rooms:
            registry.rooms[scope].control = event.id
        if not event.on:
            return Lifted(self._lifted(scope, more))
        told, held, replaced = more
        target = self._person(told["person"])
        sanction = replace(
            sanction_of(told), id=event.id, person=0 if target is None else target.id
        )
        persons = tuple(person for id_ in held if (person := self._person(id_)) is not None)
        ended = self._lifted(scope, replaced)
        registry.accept_sanction(sanction, persons)
        return Imposed(sanction, persons, ended)

    def _lifted(self, scope: str, keys: Iterable[int]) -> tuple[Sanction, ...]:
        there = self._registry.sanctions.get(scope)
        found = [] if there is None else [each for key in keys if (each := there.get(key))]
        for each in found:
            self._registry.lift(each)
        return tuple(found)

    def values(self, sanction: Sanction) -> dict[str, Any]:
        """The columns of a row, and the id of the person."""
        account, since = sanction.account or (None, None)
        return {
            "key": sanction.key,
            "id": relative_id(sanction.id),
            "kind": sanction.kind,
            "scope": sanction.scope,
            "name": sanction.name,
            "account": account,
            "since": since,
            "networks": sanction.networks,
            "by": sanction.by,
            "at": sanction.at,
            "until": sanction.until,
            "why": sanction.why,
            "person": self._id(sanction.person) if sanction.person else "",
        }


def sanction_of(values: Mapping[str, Any]) -> Sanction:
    """The one that has these columns."""
    account = values["account"]
    return Sanction(
        values["key"],
        values["id"],
        SanctionKind(values["kind"]),
        values["scope"],
        values["name"],
        None if account is None else Account(account, values["since"]),
        tuple(values["networks"]),
        values["by"],
        values["at"],
        values["until"],
        values["why"],
    )
