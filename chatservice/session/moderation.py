"""The requests of those in charge."""

from collections.abc import Callable

from chatservice.core import names, requests
from chatservice.core.deleting import Deletion
from chatservice.core.events import (
    ALL_ROOMS,
    Account,
    Acked,
    Banned,
    Deleted,
    ErrorCode,
    Left,
    Muted,
    PersonalEvent,
    Refusal,
    ReportTaken,
    Role,
    RoleChanged,
    SanctionKind,
    SanctionList,
)
from chatservice.core.measures import Appoint, Impose, Kick, Lift, Measure, Warrant
from chatservice.core.moderation import person_of
from chatservice.core.registry import Rank, shown_room
from chatservice.core.sanctions import Person, expect_reason
from chatservice.core.stores import Report, origin_of
from chatservice.dialects.text import TEXT
from chatservice.session.asker import Asker, Services, committed

MAX_LISTED = 1000  # bans and mutes in one answer: with the longest reasons, some 1 MB
_KINDS = {requests.Ban: SanctionKind.BAN, requests.Mute: SanctionKind.MUTE}


async def kick(asker: Asker, request: requests.Kick) -> PersonalEvent | None:
    scope, ref = _scope(asker, request.room), asker.ref
    target = await _target(asker, request.name)
    if not target.id:
        raise Refusal(ErrorCode.NOBODY, name=request.name)
    return await _take(asker, scope, ref, lambda warrant: Kick(warrant, target, request.reason))


async def sanction(asker: Asker, request: requests.Ban | requests.Mute) -> PersonalEvent | None:
    kind, scope, ref = _KINDS[type(request)], _scope(asker, request.room), asker.ref
    if not request.on:
        name = well_formed(request.name)
        return await _take(asker, scope, ref, lambda warrant: Lift(warrant, kind, name))
    target = await _target(asker, request.name)
    seconds, why = request.seconds, request.reason
    return await _take(asker, scope, ref, lambda w: Impose(w, kind, target, seconds, why))


def bans(asker: Asker, request: requests.Bans) -> SanctionList:
    chat, scope = asker.services.chat, _scope(asker, request.room)
    room = None if scope == ALL_ROOMS else chat.directory.rooms[scope]
    found = chat.moderation.listed(asker.user, room)
    listed = found[-MAX_LISTED:]
    return SanctionList(scope, tuple(each.info for each in listed), len(found) - len(listed))


async def op(asker: Asker, request: requests.Op) -> PersonalEvent | None:
    role = Role.OPERATOR if request.on else Role.MEMBER
    return await _appoint(asker, request.room, request.name, role)


async def founder(asker: Asker, request: requests.Founder) -> PersonalEvent | None:
    return await _appoint(asker, request.room, request.name, Role.FOUNDER)


async def delete(asker: Asker, request: requests.Delete) -> PersonalEvent | None:
    chat, user = asker.services.chat, asker.user
    scope, ref = _scope(asker, request.room), asker.ref
    if scope == ALL_ROOMS:
        raise Refusal(ErrorCode.UNKNOWN_ROOM, room=shown_room(scope))
    await asker.caught_up()
    room = chat.directory.rooms.get(scope)
    if room is None:
        raise Refusal(ErrorCode.UNKNOWN_ROOM, room=shown_room(scope))
    # An operator of the server need not be there.
    reach = chat.reach(user, scope) if scope in user.rooms else {scope: 0}
    found = await chat.deletions.find(user, room, request, reach, asker.peer.network)
    return await _take(asker, scope, ref, lambda warrant: Deletion(warrant, found))


def announce(asker: Asker, request: requests.Announce) -> Acked:
    chat, user = asker.services.chat, asker.user
    chat.moderation.expect_in_charge(user, None)
    asker.note("{name} announces: {lines!r}", name=user.name, lines=request.text)
    chat.announce(line for line in request.text.splitlines() if line.strip())
    return Acked(chat.log.end - 1, chat.now())


async def report(asker: Asker, request: requests.Report) -> ReportTaken:
    services, user, name = asker.services, asker.user, request.name
    chat, network = services.chat, asker.peer.network
    room, why = chat.own_room(user, asker.room(request.room)).name, request.reason.strip()
    if not why:
        raise Refusal(ErrorCode.EMPTY_TEXT)
    expect_reason(why)
    origin = origin_of(user.account, network)
    services.reports.expect_pace(origin)
    target = await _target(asker, name)
    what = Report(chat.now(), room, target.name, target.account, user.name, why)
    line = "{by} reports {whom} in {room}: {why!r}"
    asker.note(line, by=user.name, whom=target.name, room=shown_room(room), why=why)
    passed_on = await services.reports.take(what, origin)
    return ReportTaken(chat.log.end - 1, what.at, not passed_on)


async def _appoint(asker: Asker, room: str, name: str, role: Role) -> PersonalEvent | None:
    scope, ref = _scope(asker, room), asker.ref
    account = await _account(asker, name)
    return await _take(asker, scope, ref, lambda w: Appoint(w, account, account.name, role))


async def _take(
    asker: Asker, scope: str, ref: str | None, measure: Callable[[Warrant], Measure | Deletion]
) -> PersonalEvent | None:
    """Its author is told like everyone in the room; or by an answer, if they are not there. `ref`:
    that of the request; by now the session may be serving another one."""
    chat, user = asker.services.chat, asker.user
    warrant = Warrant(chat.now(), user, scope, asker.cursor, ref)
    entry = await committed(
        lambda then: chat.moderation.take(asker, measure(warrant._replace(then=then)))
    )
    if entry is None:
        return Acked(chat.log.end - 1, chat.now())
    event = entry.event
    where = "everywhere" if scope == ALL_ROOMS else shown_room(scope)
    for line in TEXT.lines(event):
        asker.note("{where}: {what}", where=where, what=line.removeprefix("*** "))
    is_heard = not asker.cursor.rooms.keys().isdisjoint(entry.rooms)
    if isinstance(event, Left | Banned | Muted | RoleChanged | Deleted) and not is_heard:
        return event if asker.dialect.labels_rooms else None
    return None


def _scope(asker: Asker, name: str) -> str:
    """The room that is meant, or ALL_ROOMS. Operators of the server need not be there."""
    if name == ALL_ROOMS:
        return name
    chat, user = asker.services.chat, asker.user
    wanted = asker.room(name)
    if chat.moderation.rank(user, None) is Rank.SERVER_OPERATOR and (
        room := chat.directory.room(wanted)
    ):
        return room.name
    return chat.own_room(user, wanted).name


def well_formed(name: str) -> str:
    """Raises NOBODY."""
    try:
        return names.well_formed(name)
    except Refusal:
        raise Refusal(ErrorCode.NOBODY, name=name) from None


async def person_called(services: Services, name: str, asker: str = "") -> Person:
    """Whoever is called `name`: somebody who is here, the owner of an account, or a guest who is
    not here. Looked up for `asker`, a network. Raises NOBODY if that is no name."""
    chat, accounts = services.chat, services.authenticator.accounts
    checked = well_formed(name)
    try:
        return person_of(chat.directory.user(checked))
    except Refusal:
        pass
    account = None
    if accounts is not None:
        account = await accounts.owner(checked, asker)
    if account is None:
        return Person(0, checked)
    owner = chat.owner(account)
    return Person(0, account.name, account) if owner is None else person_of(owner)


async def _target(asker: Asker, name: str) -> Person:
    return await person_called(asker.services, name, asker.peer.network)


async def _account(asker: Asker, name: str) -> Account:
    """The account of whoever is called `name`, or of that name. Raises NO_SUCH_ACCOUNT."""
    target = await _target(asker, name)
    if target.account is None:
        raise Refusal(ErrorCode.NO_SUCH_ACCOUNT, name=target.name)
    return target.account
