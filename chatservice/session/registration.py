"""The requests about one's account."""

from chatservice.core.events import AccountChanged
from chatservice.core.requests import AboutAccount
from chatservice.session.asker import ENDED_BY, Asker


async def change_account(asker: Asker, request: AboutAccount) -> AccountChanged:
    services, user = asker.services, asker.user
    chat, before = services.chat, user.account
    account, changed = await services.authenticator.serve(request, user, asker.peer)
    asker.note(
        "{peer}: the account {name}: {change}.",
        peer=asker.peer,
        name=changed.name,
        change=changed.change.value,
    )
    if before is not None:
        chat.end_proofs(user, ENDED_BY[changed.change], spare=asker)
    else:
        chat.forget_tokens(user)
    if account != before:
        chat.set_account(user, account)
    return changed
