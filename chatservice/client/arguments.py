"""What somebody gives on a command line or in a dialog: hosts, ports, names, passwords.

Each function raises ArgumentTypeError, with one line for that person, for what cannot be meant.
"""

import ipaddress
import re
from argparse import ArgumentTypeError
from typing import NamedTuple

DEFAULT_HOST, DEFAULT_PORT = "localhost", 12345
MAX_HOST, MAX_LABEL = 253, 63  # characters, of a name and of each part of it: DNS has no more
MAX_FILE = 64 * 1024  # bytes of a file that has a password in its first line
_NOT_IN_HOSTS = re.compile(r"[\s/\\@?#\[\]:,;\"'<>]")


class Address(NamedTuple):
    """A server's name or address, and a port, if one stands beside it."""

    host: str
    port: int | None


def as_address(value: str) -> Address:
    """``example.org``, ``example.org:443``, ``127.0.0.1:12345``, ``::1``, ``[::1]:443``."""
    text = value.strip()
    if text.startswith("["):
        inside, bracket, after = text[1:].partition("]")
        if not bracket or not _is_ip(inside, 6) or (after and not after.startswith(":")):
            raise ArgumentTypeError(f"{value!r} is not an address such as [::1] or [::1]:12345")
        return Address(inside, as_port(after[1:]) if after else None)
    if _is_ip(text, 6):
        return Address(text, None)
    host, colon, port = text.partition(":")
    return Address(as_host(host), as_port(port) if colon else None)


def as_host(value: str) -> str:
    """A server's name or address."""
    if not value:
        raise ArgumentTypeError("a host has a name or an address")
    if _is_ip(value, 4) or _is_ip(value, 6):
        return value
    labels = value.removesuffix(".").split(".")
    try:
        encoded = value.encode("ascii" if value.isascii() else "idna")
    except UnicodeError:
        encoded = b""
    is_name = (
        0 < len(encoded) <= MAX_HOST
        and value.isprintable()
        and not _NOT_IN_HOSTS.search(value)
        and all(0 < len(label) <= MAX_LABEL for label in labels)
    )
    if not is_name:
        raise ArgumentTypeError(f"{value!r} is not the name or the address of a host")
    return value


def as_port(value: str) -> int:
    """A port, from the words for it."""
    if not (value.isdecimal() and value.isascii() and len(value) <= 5 and 0 < int(value) < 65536):
        raise ArgumentTypeError(f"{value!r}: a port is a number from 1 to 65535")
    return int(value)


def as_name(value: str) -> str:
    """A name that might do."""
    if not value.strip() or value.strip().startswith("/") or not value.isprintable():
        raise ArgumentTypeError(f"{value!r} is not a name")
    return value


def as_password(file: str) -> str:
    """The first line of `file`."""
    try:
        with open(file, encoding="utf-8-sig") as opened:
            password = opened.readline(MAX_FILE).strip()
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(f"{file}: {error}") from None
    if not password:
        raise ArgumentTypeError(f"{file}: its first line is empty")
    return password


def as_fingerprint(value: str) -> str:
    """A certificate's SHA-256, in the one way that it is written here."""
    digits = value.upper().removeprefix("SHA256:").replace(":", "")
    if not re.fullmatch("[0-9A-F]{64}", digits):
        raise ArgumentTypeError(f"{value!r} is not 32 bytes in hexadecimal")
    return ":".join(digits[i : i + 2] for i in range(0, 64, 2))


def _is_ip(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False
