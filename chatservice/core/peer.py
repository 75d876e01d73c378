"""The other end of a connection."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """Whose connection it is.

    `address`: as the log shows it (see `addresses.address_text`). `network`: what its connections,
    guesses and lines in the log are counted for (see `limits.network_of`); empty if it has no
    address. `private`: nobody can listen to what it sends.
    """

    address: str = ""
    network: str = ""
    private: bool = False

    def __str__(self) -> str:
        return self.address
