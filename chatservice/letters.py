"""Private messages, also to those who are not here: they wait for who is registered."""

from chatservice import names
from chatservice.accounts import Accounts
from chatservice.chat import Chat, User
from chatservice.events import Account, Reason, Refusal, Sent, Told


class Letters:
    """What is said to one person alone. What cannot be said raises `Refusal`. `accounts`: where it
    may wait, if the server keeps any."""

    def __init__(self, chat: Chat, accounts: Accounts | None) -> None:
        self._chat = chat
        self._accounts = accounts

    async def tell(self, user: User, to: str, text: str) -> Sent:
        """`user` says `text` to `to`."""
        try:
            return self._chat.tell(user, to, text)
        except Refusal as refusal:
            if refusal.reason is not Reason.NOBODY:
                raise
            return await self._post(user, to, text, refusal)

    async def reply(self, user: User, text: str) -> Sent:
        """`user` says `text` to whoever last wrote to them, or they last wrote to."""
        try:
            return self._chat.reply(user, text)
        except Refusal as refusal:
            if refusal.reason not in (Reason.GONE, Reason.NOBODY):
                raise
            return await self._post(user, str(refusal.details["name"]), text, refusal)

    async def waiting(self, account: Account | None) -> tuple[Told, ...]:
        """What has been said to the owner of `account` while they were away."""
        if self._accounts is None or account is None:
            return ()
        return await self._accounts.letters(account)

    async def handed_over(self, letters: tuple[Told, ...]) -> None:
        """They have been sent."""
        if self._accounts is not None:
            await self._accounts.handed_over(letters)

    async def _post(self, user: User, to: str, text: str, refusal: Refusal) -> Sent:
        """It waits, if `to` is registered; else `refusal` is the answer."""
        if self._accounts is None:
            raise refusal
        try:
            owner = await self._accounts.owner(names.checked(to))
            if owner is None:
                raise refusal
            letter = Told(0, self._chat.now(), user.name, owner.name, text)
            number = await self._accounts.post(owner, letter)
        except Refusal as other:
            if other.reason in (Reason.NOT_SAVED, Reason.LETTERBOX_FULL):
                raise
            raise refusal from None  # that is no name, or nobody's any more
        user.correspondent = owner.name
        return Sent(number, letter.at, owner.name, text, waiting=True)
