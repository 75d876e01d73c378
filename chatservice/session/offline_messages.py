"""Private messages, also to those who are not here: they wait for who is registered."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from twisted.internet.defer import Deferred

from chatservice.accounts.accounts import Accounts
from chatservice.complaints import Complaints
from chatservice.core import names
from chatservice.core.chat import Chat
from chatservice.core.elsewhere import Answered
from chatservice.core.events import (
    Account,
    ErrorCode,
    Refusal,
    Replayed,
    ReplayReason,
    Sent,
    Style,
    Told,
)
from chatservice.core.log import MAX_PAGE_SIZE
from chatservice.core.sanctions import Person
from chatservice.core.stores import OfflineMessage, origin_of
from chatservice.core.users import User, UserSession
from chatservice.session.replay import taken

MAX_SENDERS = 1000  # guests, to whom a letter can be replied as long as they stay


class OfflineMessages:
    """What is said to one person alone. What cannot be said raises `Refusal`. `accounts`: where it
    may wait, if the server keeps any."""

    def __init__(self, chat: Chat, accounts: Accounts | None, complaints: Complaints) -> None:
        self._chat = chat
        self._accounts = accounts
        self._complaints = complaints
        self._delivering: dict[User, bool] = {}  # and whether there may be more meanwhile
        self._senders: OrderedDict[int, User] = OrderedDict()  # of what waits, the newest

    async def send(
        self,
        user: User,
        session: UserSession,
        to: str,
        text: str,
        style: Style | None = None,
    ) -> Sent:
        """`user` says `text` to `to`."""
        try:
            sent = await _sent(
                lambda then: self._chat.send_private(
                    user, session, to, text, style=style, then=then
                )
            )
        except Refusal as refusal:
            if refusal.code is not ErrorCode.NOBODY:
                raise
            owner = await self._owner(to)
            sent = await self._post(user, session, owner, text, refusal)
        is_notice = style is not None and style.notice  # which nothing answers
        return sent if is_notice else self._with_absence(user, sent)

    async def reply(self, user: User, session: UserSession, text: str) -> Sent:
        """`user` says `text` to whoever last wrote to them, or they last wrote to; and to nobody
        else who has that name by now."""
        try:
            sent = await _sent(lambda then: self._chat.reply(user, session, text, then=then))
        except Refusal as refusal:
            if refusal.code not in (ErrorCode.GONE, ErrorCode.NOBODY):
                raise
            sent = await self._post(user, session, user.corresponding_account, text, refusal)
        return self._with_absence(user, sent)

    def _with_absence(self, writer: User, sent: Sent) -> Sent:
        """`sent`; if they are away, `writer` is told so once."""
        recipient = self._chat.users.get(sent.recipient)
        if recipient is None or recipient.away is None or not recipient.away.is_news_to(writer):
            return sent
        return replace(sent, away=recipient.away.text)

    async def deliver(self, user: User) -> None:
        """What waits for `user`, who is here, as fast as they take it. It is kept until it has been
        sent, and if it cannot be discarded then they are told it again the next time."""
        accounts = self._accounts
        if accounts is None or user.account is None:
            return
        if user in self._delivering:
            self._delivering[user] = True
            return
        self._delivering[user] = True
        try:
            while self._delivering[user] and user.sessions and user.account is not None:
                self._delivering[user] = False
                letters = await accounts.offline_messages(user.account)
                if unheard := [each for each in letters if _is_ignored(each, user)]:
                    await accounts.discard(tuple(each.told for each in unheard))
                    letters = tuple(each for each in letters if each not in unheard)
                if letters and user.correspondent is None:
                    last = letters[-1]
                    user.correspondent = last.sender or self._senders.get(last.told.id)
                told = [letter.told for letter in letters]
                for page in _pages(told):
                    if await self._has_taken(user, page, len(told), continues=page[0] != told[0]):
                        await accounts.discard(page)
                    else:
                        self._delivering[user] = True  # they have another connection, or none
                        break
        except Refusal:  # the disk fails, which everybody is told of
            pass
        finally:
            del self._delivering[user]

    async def _has_taken(
        self, user: User, page: tuple[Told, ...], count: int, *, continues: bool
    ) -> bool:
        """Whether the connection that they have now has sent it."""
        if not user.sessions:  # any more
            return False
        cursor = user.cursors[-1]
        cursor.send(
            Replayed(ReplayReason.LETTERS, page, self._chat.now(), count, continues=continues)
        )
        await taken(cursor)
        return user.present and cursor in user.cursors and not cursor.closing

    async def _owner(self, name: str) -> Account | None:
        """Whose account it is."""
        try:
            checked = names.well_formed(name)
        except Refusal:  # that is no name
            return None
        return await self._accounts.owner(checked) if self._accounts is not None else None

    async def _post(
        self,
        user: User,
        session: UserSession,
        owner: Account | None,
        text: str,
        refusal: Refusal,
    ) -> Sent:
        """It waits for `owner`, who may be here under another name or come in meanwhile. If there
        is no such account (any more), `refusal` is the answer."""
        if self._accounts is None or owner is None:
            raise refusal
        if (here := self._chat.owner(owner)) is not None:
            name = here.name
            return await _sent(
                lambda then: self._chat.send_private(user, session, name, text, then=then)
            )
        letter = Told(0, self._chat.now(), user.name, owner.name, text)
        if self._chat.ignoring.of_account(owner) in user.ignored_by:  # which they are not told
            user.correspondent = owner
            return Sent(0, letter.at, owner.name, text, waiting=True)
        try:
            origin = origin_of(user.account, session.peer.network)
            number = await self._accounts.post(owner, letter, origin)
        except Refusal as other:
            raise (refusal if other.code is ErrorCode.NOT_REGISTERED else other) from None
        user.correspondent = owner
        self._senders[number] = user
        if len(self._senders) > MAX_SENDERS:
            self._senders.popitem(last=False)
        here = self._chat.owner(owner)
        is_here = here is not None and bool(here.sessions)
        if here is not None and is_here:
            delivered = Deferred.fromCoroutine(self.deliver(here))  # which may take them long
            delivered.addErrback(partial(self._complaints.tell, "What waited is not delivered"))
        return Sent(number, letter.at, owner.name, text, waiting=not is_here)


def _is_ignored(letter: OfflineMessage, by: User) -> bool:
    """Whether `by` does not hear who has written it."""
    if by.ignores is None:
        return False
    who = letter.told.sender
    return bool(by.ignores.meant(Person(0, who, letter.sender)))


async def _sent(send: Callable[[Answered], Sent | None]) -> Sent:
    """What `send` says at once, or later. Raises `Refusal`."""
    later: Deferred[Sent] = Deferred()

    def then(answer: Sent | Refusal) -> None:
        if isinstance(answer, Refusal):
            later.errback(answer)
        else:
            later.callback(answer)

    sent = send(then)
    return await later if sent is None else sent


def _pages(letters: list[Told]) -> Iterator[tuple[Told, ...]]:
    """As much at a time as one answer has."""
    page: list[Told] = []
    size = 0
    for letter in letters:
        page.append(letter)
        size += len(letter.text)
        if size >= MAX_PAGE_SIZE:
            yield tuple(page)
            page, size = [], 0
    if page:
        yield tuple(page)
