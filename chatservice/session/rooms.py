"""The requests about rooms."""

from chatservice.core import requests
from chatservice.core.events import (
    ErrorCode,
    InvitationSent,
    PersonalEvent,
    QuietChanged,
    Refusal,
    RoomLeft,
    RoomList,
    RoomSwitched,
    TopicShown,
)
from chatservice.core.room import Room
from chatservice.session.asker import Asker, committed


async def join(asker: Asker, request: requests.Join) -> PersonalEvent:
    chat, user = asker.services.chat, asker.user
    chat.hear_all(user, asker)
    network = asker.peer.network
    await committed(lambda then: chat.join_room(user, asker, request.room, network, then=then))
    room = chat.own_room(user, request.room)
    asker.deliver_reports()
    asker.note("{name} has joined #{room}.", name=user.name, room=room.name)
    if asker.dialect.labels_rooms:
        asker.cursor.current = room.name
        return _switched(asker, room)
    return chat.info(room, users=True)


async def part(asker: Asker, request: requests.Part, farewell: str = "") -> PersonalEvent | None:
    chat, user, ref = asker.services.chat, asker.user, asker.ref
    room = chat.own_room(user, asker.room(request.room)).name
    await committed(
        lambda then: chat.part_room(user, asker, room, farewell=farewell, ref=ref, then=then)
    )
    asker.note("{name} has left #{room}.", name=user.name, room=room)
    return RoomLeft(room, asker.cursor.current) if asker.dialect.labels_rooms else None


def switch(asker: Asker, request: requests.Switch) -> PersonalEvent:
    room = asker.services.chat.own_room(asker.user, request.room)
    asker.cursor.current = room.name
    return _switched(asker, room)


def rooms(asker: Asker, request: requests.Rooms) -> RoomList:
    return asker.services.chat.list_rooms(asker.user, request.after, request.limit)


async def topic(asker: Asker, request: requests.Topic) -> PersonalEvent | None:
    chat, user, ref = asker.services.chat, asker.user, asker.ref
    name = asker.room(request.room)
    if request.topic is None:
        room = chat.room_for(user, name)
        return TopicShown(room.name, room.topic)
    here, text = chat.own_room(user, name), request.topic
    moderation = chat.moderation
    await committed(lambda then: moderation.set_topic(user, asker, here, text, ref=ref, then=then))
    return None


async def room_mode(asker: Asker, request: requests.RoomMode) -> None:
    chat, user, ref = asker.services.chat, asker.user, asker.ref
    room, private, slow = asker.room(request.room), request.private, request.slow
    here, moderation = chat.own_room(user, room), chat.moderation
    if slow is not None:
        await committed(
            lambda then: moderation.set_pace(user, asker, here, slow, ref=ref, then=then)
        )
    elif private is not None:
        await committed(
            lambda then: moderation.set_private(user, asker, here, private, ref=ref, then=then)
        )
    else:
        raise Refusal(ErrorCode.MISSING_FIELD, field="private")


def invite(asker: Asker, request: requests.Invite) -> InvitationSent:
    chat = asker.services.chat
    room = chat.own_room(asker.user, asker.room(request.room))
    invited = chat.moderation.invite(asker.user, room, request.to)
    return InvitationSent(chat.log.end - 1, chat.now(), room.name, invited.name)


def quiet(asker: Asker, request: requests.Quiet) -> QuietChanged:
    room = asker.services.chat.own_room(asker.user, asker.room(request.room)).name
    cursor = asker.cursor
    on = room not in cursor.quiet if request.on is None else request.on
    cursor.quiet = cursor.quiet | {room} if on else cursor.quiet - {room}
    return QuietChanged(room, on)


def _switched(asker: Asker, room: Room) -> RoomSwitched:
    names = asker.services.chat.directory.people_in(room)
    return RoomSwitched(room.name, room.topic, names)
