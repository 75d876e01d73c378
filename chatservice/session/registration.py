"""The requests about one's account."""

from chatservice.core.events import AccountChanged
from chatservice.core.requests import AboutAccount
from chatservice.session.asker import ENDED_BY, Asker


async def change_account(asker: Asker, request: AboutAccount) -> AccountChanged:
    services, user = asker.services, asker.user
    account = user.account
    changed = await services.authenticator.serve(request, user, asker.peer)
    asker.note(
        "{peer}: the account {name}: {change}.",
        peer=asker.peer,
        name=changed.name,
        change=changed.change.value,
    )
    if account is not None:
        services.chat.end_account(account, ENDED_BY[changed.change], spare=user.connection)
    else:
        services.chat.forget_token(user)
    return changed
