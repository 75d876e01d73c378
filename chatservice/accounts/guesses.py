"""How often passwords may be guessed at, so that guessing leads nowhere and keeps no owner out."""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from chatservice.core.events import ErrorCode, Refusal
from chatservice.core.limits import (
    ACCOUNT_SECONDS,
    ADDRESS_SECONDS,
    GUESSES_OF_ACCOUNT,
    GUESSES_OF_ADDRESS,
    MAX_REMEMBERED,
    RateLimiter,
)
from chatservice.core.peer import Peer


class Attempt(NamedTuple):
    """A password that is being tried. It counts as wrong until it is given back, since much can be
    tried at once."""

    counted: tuple[tuple[RateLimiter, str], ...]

    def give_back(self) -> None:
        """It was right, or has not been looked at."""
        for limiter, key in self.counted:
            limiter.give_back(key)


class Guesses:
    """Counts attempts for the network that they come from and for the account that they are at.

    Where an owner has come in before they are counted for just that account at that network, so
    that an owner is kept out by nobody elsewhere, nor by anyone there who is after another's
    account. The first attempt of a connection is counted apart from those that follow, so that
    somebody who tries a list on one connection does not keep the owner beside them out. (Somebody
    at the owner's network who opens a new connection for each guess at the owner's account cannot
    be told from the owner, and does.)
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._of_network = RateLimiter(GUESSES_OF_ADDRESS, ADDRESS_SECONDS, seconds)
        self._of_account = RateLimiter(GUESSES_OF_ACCOUNT, ACCOUNT_SECONDS, seconds)
        self._have_tried: OrderedDict[Peer, None] = OrderedDict()

    def begin(self, account: str, peer: Peer, *, is_known: bool) -> Attempt:
        """`account`: whose password `peer` tries; `is_known`: its owner has come in from there
        before. Raises `Refusal` (TOO_OFTEN)."""
        place = f"{account} at {peer.network}" if is_known else peer.network
        firsts = [f"{place}, first"] if self._is_first(peer) else []
        for key in (*firsts, place):
            if self._of_network.take(key):
                break
        else:
            raise Refusal(ErrorCode.TOO_OFTEN)
        if is_known:
            return Attempt(((self._of_network, key),))
        if not self._of_account.take(account):
            self._of_network.give_back(key)
            raise Refusal(ErrorCode.TOO_OFTEN)
        return Attempt(((self._of_network, key), (self._of_account, account)))

    def _is_first(self, peer: Peer) -> bool:
        """Whether this connection has tried nothing before."""
        if peer in self._have_tried:
            return False
        self._have_tried[peer] = None
        if len(self._have_tried) > MAX_REMEMBERED:
            self._have_tried.popitem(last=False)
        return True
