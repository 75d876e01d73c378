"""What all IRC sessions of a server share: what IRC shows of people that the chat does not know of,
who watches for whom, and who was here."""

import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from chatservice.core import names
from chatservice.core.chat import Chat
from chatservice.core.drafts import Entry
from chatservice.core.events import (
    Joined,
    LeaveReason,
    Left,
    Refusal,
    Renamed,
    Rendered,
    TopicChanged,
)
from chatservice.core.log import Batch
from chatservice.core.registry import MAX_ROOMS_JOINED
from chatservice.core.room import Room
from chatservice.core.users import Absence, User, UserSession
from chatservice.dialects.irc.capabilities import Cap
from chatservice.dialects.irc.dialect import Facts, Personal, Scene, SharedDialects
from chatservice.dialects.irc.message import serialise
from chatservice.dialects.irc.numerics import WORDS, Numeric

if TYPE_CHECKING:
    from chatservice.session.irc.session import IrcSession

T = TypeVar("T")

# Names that one connection may watch for: some clients watch for a whole address book.
MAX_MONITORED = 100
MAX_CHANNELS = MAX_ROOMS_JOINED
# People who were here, for WHOWAS and as the source of what they said: some 300 KB.
MAX_GONE = 1000
# Of one name.
MAX_GONE_OF_NAME = 5
MAX_HASHES = 10_000  # that are remembered
HASHED = 10  # hexadecimal digits of a network's hash: 40 bits

# What people at other doors are shown to have.
OTHER_DOOR = "chat"


@dataclass(slots=True)
class Profile:
    """What an IRC client says of its person."""

    user: str
    realname: str
    invisible: bool = False
    spoke: float = 0.0


class Gone(NamedTuple):
    """Somebody who was here under a name until `at`."""

    name: str
    facts: Facts
    at: float


@dataclass(slots=True)
class Watched:
    """A name that somebody watches for, and at which connections, with the name as each wrote it.
    `shown` is how whoever has it writes it; empty: nobody has."""

    shown: str = ""
    watchers: dict["IrcSession", str] = field(default_factory=dict)


class Network:
    """See the module. `name` is the server's; `started` is when it was, in seconds since 1970."""

    def __init__(self, chat: Chat, name: str, *, joins_lobby: bool = True) -> None:
        self.chat = chat
        self.name = name
        self.joins_lobby = joins_lobby
        self.started = chat.now()
        self.most_users = 0
        self.unregistered = 0
        self.profiles: dict[int, Profile] = {}
        self.dialects = SharedDialects(
            Scene(name, lambda: chat.log.epoch, self.facts, chat.now, nick=self._nick_of)
        )
        self._ids = 0
        self._hashes: dict[str, str] = {}
        self._key = secrets.token_bytes(16)
        self._present: dict[int, tuple[str, Facts]] = {}
        self._gone: OrderedDict[str, deque[Gone]] = OrderedDict()
        self._topics: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._founded: OrderedDict[str, float] = OrderedDict()
        self._watched: dict[str, Watched] = {}
        chat.watchers.append(self._happened)
        chat.away_watchers.append(self._tell_of_absence)

    # Who somebody is.

    def facts(self, name: str) -> Facts:
        """What is shown of `name`, who is here, or was."""
        user = self.chat.users.get(name)
        if user is not None:
            return self.facts_of(user)
        if gone := self._gone.get(name):
            return gone[-1].facts
        return Facts(OTHER_DOOR, "unknown.guest", "", name)

    def facts_of(self, user: User) -> Facts:
        """What is shown of `user`. The host is that of the account, or stands for a network without
        giving it away; a ban on it hits nobody elsewhere."""
        profile = self.profiles.get(user.id)
        account = user.account.name if user.account is not None else ""
        if account:
            host = f"{account}.account"
        elif user.sessions:
            host = f"{self._hashed(user.sessions[0].peer.network)}.guest"
        else:
            known = self._present.get(user.id)
            host = known[1].host if known is not None else "unknown.guest"
        if profile is None:
            return Facts(OTHER_DOOR, host, account, user.name)
        return Facts(profile.user, host, account, profile.realname)

    def _nick_of(self, room: str, account: str) -> str:
        """What the owner of `account` is called in `room`; its name, if they are not there."""
        found = self.chat.directory.rooms.get(room)
        for user in found.members if found is not None else ():
            if user.account is not None and user.account.name == account:
                return user.name
        return account

    def introduce(self, user: User, ident: str, realname: str) -> None:
        """`user` has come in, or has another connection: IRC shows this of them."""
        self.profiles.setdefault(user.id, Profile(ident, realname, spoke=self.chat.now()))

    def profile(self, user: User) -> Profile:
        """That of `user`, who need not use IRC."""
        return self.profiles.get(user.id) or Profile(OTHER_DOOR, user.name)

    def gone(self, name: str) -> tuple[Gone, ...]:
        """Those who were called `name` (in whatever case), the newest first."""
        found = self._gone.get(name)
        if found is None:
            folded = name.casefold()
            found = next((g for key, g in self._gone.items() if key.casefold() == folded), None)
        return tuple(reversed(found)) if found else ()

    def _hashed(self, network: str) -> str:
        found = self._hashes.get(network)
        if found is None:
            if len(self._hashes) >= MAX_HASHES:
                self._hashes.clear()
            found = hmac.digest(self._key, network.encode(), "sha256").hex()[:HASHED]
            self._hashes[network] = found
        return found

    # Who watches for whom (MONITOR).

    def watch(self, session: "IrcSession", name: str) -> str:
        """`session` is told when somebody is called `name`. Returns the name of whoever is, or an
        empty one. Raises `Refusal` (one of the NAME_ reasons)."""
        key = _key(name)
        watched = self._watched.setdefault(key, Watched())
        watched.watchers[session] = name
        session.monitored[key] = name
        watched.shown = self.called(name)
        return watched.shown

    def watch_no_more(self, session: "IrcSession", name: str) -> None:
        """It is told no longer."""
        try:
            key = _key(name)
        except Refusal:
            return
        session.monitored.pop(key, None)
        if (watched := self._watched.get(key)) is not None:
            watched.watchers.pop(session, None)
            if not watched.watchers:
                del self._watched[key]

    def forget(self, session: "IrcSession") -> None:
        """`session` is over."""
        for name in list(session.monitored.values()):
            self.watch_no_more(session, name)

    def called(self, name: str) -> str:
        """How whoever is called `name`, in whatever case, writes it; empty: nobody is."""
        try:
            user = self.chat.directory.user(name)
        except Refusal:
            return ""
        return user.name if user.name.casefold() == name.casefold() else ""

    # What is told to those who asked for it.

    def tell_neighbours(self, user: User, cap: Cap, line: Callable[[Personal], bytes]) -> None:
        """Tell what has become of `user` to the IRC connections that share a room with them, or
        watch for them, and have asked for that with `cap`; and to their own."""
        sessions: dict[IrcSession, None] = {}
        for name in user.rooms:
            for member in self.chat.directory.rooms[name].members:
                sessions |= dict.fromkeys(irc_sessions(member))
        for watched in self._watched_as(user.name):
            for session in watched.watchers:
                if Cap.EXTENDED_MONITOR in session.caps:
                    sessions[session] = None
        for session in sessions:
            if cap in session.caps and session not in user.sessions:
                session.tell(Rendered(line(session.personal)))

    def tell_of_absence(self, session: "IrcSession", room: Room) -> None:
        """Somebody has come into `room` who is away: its members hear so after that, if they have
        asked for it."""
        user = session.user
        if user.away is None:
            return
        source = self.dialects.scene.source(user.name)
        line = serialise("AWAY", self._heard_words(user), source=source)
        for member in room.members:
            for other in irc_sessions(member) if member is not user else ():
                if Cap.AWAY_NOTIFY in other.caps:
                    other.tell(Rendered(line), session.cursor.submitted)

    def _tell_of_absence(self, user: User, said_at: UserSession | None) -> None:
        """Somebody is away from now on, or back: others are told, and their own connections but for
        that where they said so, which has its answer."""
        numeric = Numeric.UNAWAY if user.away is None else Numeric.NOWAWAY
        for session in irc_sessions(user):
            if session is not said_at:
                told = serialise(numeric, session.nick, WORDS[numeric], source=self.name)
                session.tell(Rendered(told))
        parameters = () if user.away is None else (self._heard_words(user),)
        source = self.dialects.scene.source(user.name)
        line = serialise("AWAY", *parameters, source=source)
        self.tell_neighbours(user, Cap.AWAY_NOTIFY, lambda _: line)

    def words_of(self, absence: Absence) -> str:
        """What those say who are away: in IRC they have to say something."""
        return absence.text or self.dialects.scene.words.away_unexplained

    def _heard_words(self, user: User) -> str:
        """The same, to those in their rooms: somebody who is muted in one does not speak so."""
        moderation = self.chat.moderation
        is_muted = any(moderation.is_muted(user, room) for room in user.rooms)
        absence = Absence() if is_muted or user.away is None else user.away
        return self.words_of(absence)

    def tell_of_invitation(self, user: User, invited: User, room: Room) -> None:
        """The other members of `room` who have asked for that hear that `user` has invited
        somebody (invite-notify)."""
        line = serialise(
            "INVITE",
            invited.name,
            f"#{room.name}",
            source=self.dialects.scene.source(user.name),
        )
        for member in room.members:
            for session in irc_sessions(member) if member is not user else ():
                if Cap.INVITE_NOTIFY in session.caps:
                    session.tell(Rendered(line))

    def time(self, at: float) -> str:
        """A time, for people."""
        return f"{datetime.fromtimestamp(at, UTC):%a %b %d %H:%M:%S %Y} UTC"

    def topic_setting(self, room: Room) -> tuple[str, float] | None:
        """Who has set the topic of `room`, and when, if that was seen."""
        return self._topics.get(room.name)

    def founded(self, room: Room) -> float | None:
        """When `room` was founded, if that was seen."""
        return self._founded.get(room.name)

    def new_id(self) -> str:
        """The msgid of something that stands in no log."""
        self._ids += 1
        return f"{self.chat.log.epoch}-t{self._ids}"

    def _watched_as(self, name: str) -> Iterable[Watched]:
        watched = self._watched.get(name.casefold())
        return () if watched is None else (watched,)

    # What is committed.

    def _happened(self, batch: Batch) -> None:  # noqa: PLR0912 (a case for each event)
        for draft, entry, _ in batch.settled:
            if not isinstance(entry, Entry):
                continue
            match entry.event:
                case Joined(arrived=False, room=room, at=at):
                    if entry.founded:
                        _note(self._founded, room, at)
                    for session in self._elsewhere(entry):
                        session.show_members(self.chat.directory.rooms[room], draft)
                case Left(reason=LeaveReason.PARTED, room=room, names=names, by=""):
                    line = serialise(
                        "PART", f"#{room}", source=self.dialects.scene.source(names[0])
                    )
                    for session in self._elsewhere(entry):
                        session.tell(Rendered(line), draft)
                case Joined(arrived=True):
                    for user in entry.people:
                        self._appears(user)
                case Left(reason=reason) if reason is not LeaveReason.PARTED:
                    for user, name in zip(entry.people, entry.event.names, strict=True):
                        self._disappears(user, name, entry.event.at)
                case TopicChanged(room=room, name=name, at=at):
                    _note(self._topics, room, (name, at))
                case Renamed(old=old, new=new, at=at):
                    (user,) = entry.people
                    self._remember(old, self.facts_of(user), at)
                    if old.casefold() != new.casefold():
                        self._tell_watchers(old, Numeric.MONOFFLINE, old)
                    self._appears(user)
                case _:
                    pass

    def _elsewhere(self, entry: Entry) -> list["IrcSession"]:
        """The IRC connections of whoever made `entry`, but for that which did."""
        (user,) = entry.people
        return [s for s in irc_sessions(user) if s.cursor.number not in entry.connections]

    def _appears(self, user: User) -> None:
        facts = self.facts_of(user)
        self._present[user.id] = user.name, facts
        self.most_users = max(self.most_users, len(self.chat.users))
        for watched in self._watched_as(user.name):
            if watched.shown.casefold() != user.name.casefold():
                self._tell_watchers(
                    user.name, Numeric.MONONLINE, f"{user.name}!{facts.user}@{facts.host}"
                )
            watched.shown = user.name

    def _disappears(self, user: User, name: str, at: float) -> None:
        _, facts = self._present.pop(user.id, ("", Facts(OTHER_DOOR, "unknown.guest", "", name)))
        self.profiles.pop(user.id, None)
        self._remember(name, facts, at)
        self._tell_watchers(name, Numeric.MONOFFLINE, name)

    def _tell_watchers(self, name: str, numeric: Numeric, shown: str) -> None:
        for watched in self._watched_as(name):
            if numeric is Numeric.MONOFFLINE:
                watched.shown = ""
            for session in list(watched.watchers):
                line = serialise(numeric, session.nick, shown, source=self.name)
                session.tell(Rendered(line))

    def _remember(self, name: str, facts: Facts, at: float) -> None:
        gone = self._gone.setdefault(name, deque(maxlen=MAX_GONE_OF_NAME))
        self._gone.move_to_end(name)
        gone.append(Gone(name, facts, at))
        if len(self._gone) > MAX_GONE:
            self._gone.popitem(last=False)


def irc_sessions(user: User) -> list["IrcSession"]:
    """The IRC connections of `user`."""
    return [s for s in user.sessions if isinstance(s.cursor.dialect, Personal)]  # type: ignore[misc]


def _note(noted: OrderedDict[str, T], name: str, what: T) -> None:
    """Of the newest names."""
    noted[name] = what
    noted.move_to_end(name)
    if len(noted) > MAX_GONE:
        noted.popitem(last=False)


def _key(name: str) -> str:
    return names.well_formed(name).casefold()
