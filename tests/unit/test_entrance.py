"""Who may come in, and how often a password may be tried: with a clock, and a checker that can be
told what to say."""

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from chatservice.accounts.accounts import Accounts
from chatservice.accounts.authenticator import Authenticator
from chatservice.accounts.cred import Members
from chatservice.core import names
from chatservice.core.events import Account, CloseReason, ErrorCode, Refusal
from chatservice.core.limits import GUESSES_OF_ACCOUNT, GUESSES_OF_ADDRESS, PASSWORDS_OF_ADDRESS
from chatservice.core.peer import Peer
from chatservice.core.requests import ChangePassword, Nick, Register, Request
from chatservice.core.stores import Credentials
from chatservice.core.users import User
from tests.support.house import House as House_
from tests.support.house import Session

ALICE = Account("Alice", 1.0)
PASSWORD = "correct horse"
HOME = Peer(network="192.0.2.1", private=True)


class Book(Accounts):
    """Has Alice."""

    def __init__(self) -> None:
        self.alice: Account | None = ALICE
        self.likeness = "Alice"
        self.known: set[tuple[Account, str]] = set()
        self.trouble: Refusal | None = None

    async def credentials(self, name: str, asker: str = "") -> Credentials | None:
        if self.alice is None or names.keys(name).isdisjoint(names.keys(self.likeness)):
            return None
        return Credentials(self.alice, "hash")

    async def owners(self, name: str, asker: str = "") -> frozenset[Account]:
        owner = await self.owner(name)
        return frozenset() if owner is None else frozenset((owner,))

    async def knows(self, account: Account, network: str) -> bool:
        return (account, network) in self.known

    async def remember(self, account: Account, network: str) -> None:
        self.known.add((account, network))

    async def register(self, name: str, password: str, asker: str = "") -> Account:
        if self.trouble is not None:
            raise self.trouble
        return Account(name, 2.0)


@implementer(ICredentialsChecker)
class Checker:
    """Knows one password."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self) -> None:
        self.trouble: Refusal | None = None
        self.looked_at = 0

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        if self.trouble is not None:
            return fail(self.trouble)
        self.looked_at += 1
        if credentials.password != PASSWORD.encode():
            return fail(UnauthorizedLogin())
        return succeed(b"Alice")


class House:
    def __init__(self, **options: Any) -> None:
        self.book: Book | None = Book()
        self.checker = Checker()
        self.clock = Clock()
        self.make(**options)

    def make(self, **options: Any) -> None:
        portal = Portal(Members(), [self.checker])
        self.authenticator = Authenticator(self.book, portal, self.clock.seconds, **options)

    def admit(self, name: str, password: str, peer: Peer = HOME) -> Account | ErrorCode | None:
        """Their account, or why they are refused."""
        admitted: Account | ErrorCode | None = outcome(
            self.authenticator.admit(name, password, peer)
        )
        return admitted

    def serve(self, request: Request, user: User, peer: Peer = HOME) -> Any:
        return outcome(self.authenticator.serve(request, user, peer))  # type: ignore[arg-type]


def outcome(asked: Any) -> Any:
    results: list[Any] = []
    Deferred.fromCoroutine(asked).addBoth(results.append)
    (result,) = results
    error = getattr(result, "value", None)
    if error is None:
        return result
    assert isinstance(error, Refusal), error
    return error.code


def guest(name: str, account: Account | None = None) -> User:
    user = User(name, None)  # type: ignore[arg-type]
    user.account = account
    return user


@pytest.fixture
def house() -> House:
    return House()


def visitors() -> Iterator[Peer]:
    for number in range(1000):
        yield Peer(network=f"198.51.100.{number}", private=True)


def test_all_likenesses_of_a_name_are_guesses_at_one_password(house: House) -> None:
    guessers = visitors()
    for _ in range(GUESSES_OF_ACCOUNT):
        for like in ("Alice", "AIice", "alice", "ALICE"):
            house.admit(like, "a guess", next(guessers))
    assert house.checker.looked_at == GUESSES_OF_ACCOUNT
    assert house.admit("AIice", "a guess", next(guessers)) is ErrorCode.TOO_OFTEN


def test_what_was_not_looked_at_is_no_guess(house: House) -> None:
    for reason in (ErrorCode.BUSY, ErrorCode.NOT_SAVED):
        house.checker.trouble = Refusal(reason)
        for _ in range(2 * GUESSES_OF_ADDRESS):
            assert house.admit("Alice", PASSWORD) is reason
    house.checker.trouble = None
    assert house.admit("Alice", PASSWORD) == ALICE


def test_who_comes_too_late_to_guess_has_not_guessed(house: House) -> None:
    """An owner at a new address waits for as long as it takes, and no longer."""
    guessers = visitors()
    for _ in range(GUESSES_OF_ACCOUNT):
        house.admit("Alice", "a guess", next(guessers))
    for _ in range(2 * GUESSES_OF_ADDRESS):
        assert house.admit("Alice", PASSWORD) is ErrorCode.TOO_OFTEN
    house.clock.advance(31)
    assert house.admit("Alice", PASSWORD) == ALICE


def test_who_guesses_elsewhere_does_not_lock_the_owner_out(house: House) -> None:
    """Where they have been before; elsewhere nobody comes in for some time."""
    assert house.admit("Alice", PASSWORD) == ALICE
    guessers = visitors()
    for _ in range(GUESSES_OF_ACCOUNT + 1):
        house.admit("Alice", "a guess", next(guessers))
    assert house.admit("Alice", PASSWORD, next(guessers)) is ErrorCode.TOO_OFTEN
    assert house.admit("Alice", PASSWORD) == ALICE
    house.make()  # the server was started anew
    for _ in range(GUESSES_OF_ACCOUNT + 1):
        house.admit("Alice", "a guess", next(guessers))
    assert house.admit("Alice", PASSWORD) == ALICE


def test_who_guesses_at_another_account_does_not_lock_the_owner_beside_them_out(
    house: House,
) -> None:
    assert house.admit("Alice", PASSWORD) == ALICE
    assert house.book is not None
    alice, house.book.alice = house.book.alice, Account("Bob", 1.0)
    house.book.likeness = "Bob"
    for _ in range(2 * GUESSES_OF_ADDRESS):
        house.admit("Bob", "a guess")
    assert house.admit("Bob", "a guess") is ErrorCode.TOO_OFTEN
    house.book.alice, house.book.likeness = alice, "Alice"
    assert house.admit("Alice", PASSWORD) == ALICE


@pytest.mark.parametrize("has_been_here", [True, False])
def test_who_tries_a_list_on_one_connection_does_not_lock_the_owner_beside_them_out(
    house: House, has_been_here: bool
) -> None:
    if has_been_here:
        assert house.admit("Alice", PASSWORD) == ALICE
    guesser = Peer("192.0.2.1:1", network="192.0.2.1", private=True)
    for _ in range(2 * GUESSES_OF_ADDRESS):
        house.admit("Alice", "a guess", guesser)
    assert house.admit("Alice", "a guess", guesser) is ErrorCode.TOO_OFTEN
    owner = Peer("192.0.2.1:2", network="192.0.2.1", private=True)
    assert house.admit("Alice", PASSWORD, owner) == ALICE


def test_where_an_owner_has_been_a_password_can_be_guessed_at_no_more_often(house: House) -> None:
    assert house.admit("Alice", PASSWORD) == ALICE
    house.checker.looked_at = 0
    for number in range(100):
        house.admit("Alice", "a guess", Peer(str(number), network="192.0.2.1", private=True))
    assert house.checker.looked_at == 2 * GUESSES_OF_ADDRESS


def test_where_a_former_owner_has_been_nobody_guesses_more(house: House) -> None:
    places = [next(guessers) for guessers in [visitors()] for _ in range(GUESSES_OF_ACCOUNT)]
    for place in places:
        assert house.admit("Alice", PASSWORD, place) == ALICE
    assert house.book is not None
    house.book.alice = Account("Alice", 2.0)
    house.checker.looked_at = 0
    for place in places:
        for _ in range(2):
            house.admit("Alice", "a guess", place)
    assert house.checker.looked_at == GUESSES_OF_ACCOUNT


def test_right_passwords_are_not_counted(house: House) -> None:
    for _ in range(2 * GUESSES_OF_ACCOUNT):
        assert house.admit("Alice", PASSWORD) == ALICE


def test_an_account_that_is_gone_meanwhile_lets_nobody_in(house: House) -> None:
    assert house.book is not None
    book = house.book

    class Removing(Checker):
        def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
            book.alice = None
            return succeed(b"Alice")

    house.checker = Removing()
    house.make(members_only=True)
    assert house.admit("Alice", PASSWORD) is ErrorCode.NOT_A_MEMBER
    assert house.admit("Alice", PASSWORD) is ErrorCode.NOT_A_MEMBER


def test_a_password_that_can_be_none_costs_nothing(house: House) -> None:
    bob = guest("Bob")
    for _ in range(2 * PASSWORDS_OF_ADDRESS):
        assert house.serve(Register("short"), bob) is ErrorCode.PASSWORD_LENGTH
        assert house.serve(ChangePassword("short"), guest("Alice", ALICE)) is (
            ErrorCode.PASSWORD_LENGTH
        )
    assert house.book is not None
    house.book.trouble = Refusal(ErrorCode.BUSY)
    for _ in range(2 * PASSWORDS_OF_ADDRESS):
        assert house.serve(Register(PASSWORD), bob) is ErrorCode.BUSY
    house.book.trouble = Refusal(ErrorCode.NAME_REGISTERED, name="Bob")
    for _ in range(PASSWORDS_OF_ADDRESS):
        assert house.serve(Register(PASSWORD), bob) is ErrorCode.NAME_REGISTERED
    assert house.serve(Register(PASSWORD), bob) is ErrorCode.TOO_OFTEN  # that had been hashed


def test_members_have_names_of_their_own(house: House) -> None:
    """Be they in the database or with a checker of Twisted's; guests have what is nobody's."""

    def may_be(name: str, account: Account | None) -> Any:
        return outcome(house.authenticator.admit_rename(Nick(name), account, HOME))

    assert may_be("ALICE", ALICE) is None
    assert may_be("Bob", ALICE) is None
    assert may_be("ALICE", None) is ErrorCode.NAME_REGISTERED
    assert may_be("ALICE", Account("Alice", 2.0)) is ErrorCode.NAME_REGISTERED  # another's by now
    house.make(members_only=True)
    assert may_be("ALICE", ALICE) is None
    assert may_be("Bob", ALICE) is ErrorCode.NAME_NOT_YOURS
    assert may_be("Bob", None) is ErrorCode.NAME_NOT_YOURS  # who has given it up meanwhile
    house.book = None
    house.make(members_only=True)
    assert may_be("alice", Account("Alice", 0.0)) is None
    assert may_be("Bob", Account("Alice", 0.0)) is ErrorCode.NAME_NOT_YOURS


class Chatting(House_):
    """A chat in which people who are sent away go."""

    def joins(self, key: str, name: str, account: Account | None = None) -> User:
        """Somebody at the connection `key`."""
        session = self.sessions[key] = Session()
        session.leaves = self._leaves
        came: list[Any] = []
        self.chat.enter(session, name, came.append, account=account)
        self.quiet()
        (who,) = came
        if isinstance(who, Refusal):
            raise who
        self.users[session] = who
        return who  # type: ignore[no-any-return]

    def _leaves(self, session: Session) -> None:
        self.chat.leave(self.users[session], session, lost=False)

    @property
    def users(self) -> dict[Session, User]:
        return self.__dict__.setdefault("_users", {})  # type: ignore[no-any-return]

    def renames(self, user: User, name: str) -> None:
        outcomes: list[Any] = []
        self.chat.rename(user, user.sessions[0], name, then=outcomes.append)
        self.quiet()
        for outcome in outcomes:
            if isinstance(outcome, Refusal):
                raise outcome


def test_an_owner_takes_their_name_from_a_guest_and_stands_beside_themselves() -> None:
    """Under any likeness; the guest may have come in before the name was registered."""
    for name in ("Alice", "ALICE"):
        house = Chatting()
        house.joins("squatter", name)
        owner = house.joins("first", "alice", ALICE)
        assert owner.name == "Alice"
        assert house.sessions["squatter"].closed == [CloseReason.CLAIMED]
        house.renames(owner, "aLice")
        assert house.joins("second", "Alice", ALICE) is owner
        assert house.sessions["first"].closed == []
        another = house.joins("another", "Alice", Account("Alice", 2.0))
        assert another is not owner  # registered anew
        assert list(house.chat.users) == ["Alice"]


def test_owners_of_names_that_have_become_alike_are_here_side_by_side() -> None:
    """They were registered before they counted as alike. Guests are neither of them."""
    alice, imitator = Account("Alice", 1.0), Account("ALlCE", 2.0)
    house = Chatting()
    first = house.joins("0", "Alice", alice)
    second = house.joins("1", "ALlCE", imitator)
    directory = house.chat.directory
    assert directory.online() == ("Alice", "ALlCE")
    assert house.joins("2", "alice", alice) is first
    assert house.joins("3", "ALlCE", imitator) is second
    house.renames(first, "Carol")
    house.renames(first, "ALICE")
    assert directory.user("allce") is second
    assert directory.user("AIice") is first  # of those who are like it, who came first
    with pytest.raises(Refusal) as refused:
        house.joins("4", "AIice")
    assert refused.value.code is ErrorCode.NAME_TAKEN
    with pytest.raises(Refusal) as refused:
        house.renames(house.joins("4", "Bob", Account("Bob", 3.0)), "A1ICE")
    assert refused.value.code is ErrorCode.NAME_TAKEN


def test_the_owner_of_a_reserved_name_has_it_and_nobody_else() -> None:
    """An operator has registered it, or it was registered before it was reserved."""
    root = Account("root", 1.0)
    house = Chatting()
    for name in ("root", "R00T", "Server"):
        with pytest.raises(Refusal) as refused:
            house.joins("guest", name)
        assert refused.value.code is ErrorCode.NAME_RESERVED
    owner = house.joins("owner", "r00t", root)
    assert owner.name == "root"
    house.renames(owner, "Carol")
    for name in ("r00t", "admin"):
        with pytest.raises(Refusal) as refused:
            house.renames(owner, name)
        assert refused.value.code is ErrorCode.NAME_RESERVED
    house.renames(owner, "Root")
    bob = house.joins("bob", "Bob")
    with pytest.raises(Refusal) as refused:
        house.renames(bob, "root")
    assert refused.value.code is ErrorCode.NAME_RESERVED


def test_one_may_go_back_to_ones_own_name_though_another_is_like_it(house: House) -> None:
    class TwoAlike(Book):
        async def owners(self, name: str, asker: str = "") -> frozenset[Account]:
            return frozenset((ALICE, Account("ALlCE", 2.0)))

    house.book = TwoAlike()
    house.make()

    def may_be(name: str, account: Account | None) -> Any:
        return outcome(house.authenticator.admit_rename(Nick(name), account, HOME))

    assert may_be("alice", ALICE) is None
    assert may_be("AIice", ALICE) is ErrorCode.NAME_REGISTERED
    assert may_be("Alice", Account("Alice", 3.0)) is ErrorCode.NAME_REGISTERED
    assert may_be("Alice", None) is ErrorCode.NAME_REGISTERED
