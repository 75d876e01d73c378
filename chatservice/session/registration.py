"""The requests about one's account."""

from chatservice.core.events import AccountChanged, Change
from chatservice.core.requests import AboutAccount
from chatservice.session.asker import Asker


async def change_account(asker: Asker, request: AboutAccount) -> AccountChanged:
    services, user = asker.services, asker.user
    before = user.account
    changed = await services.authenticator.serve(request, user, asker.peer)
    if (account := user.account) != before:
        user.account = before
        services.chat.set_account(user, account)
    asker.note(
        "{peer}: the account {name}: {change}.",
        peer=asker.peer,
        name=changed.name,
        change=changed.change.value,
    )
    if changed.change is Change.PASSWORD:
        services.chat.forget_tokens(user)
    return changed
