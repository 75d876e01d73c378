"""Whether a server is the one it says it is, over TLS (extra ``tls``).

A certificate that an authority of this system vouches for must have the server's name. One that
the server has signed itself is trusted when it is first seen, and remembered, as ssh does it; from
then on no other will do.
"""

import ipaddress
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.internet.ssl import CertificateOptions, TLSVersion, platformTrust
from twisted.python.failure import Failure
from zope.interface import implementer

from chatservice.client.errors import Untrusted

_SELF_SIGNED = 18  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
# What does not matter of a certificate that is known by its fingerprint: its dates.
_OF_SELF_SIGNED = {_SELF_SIGNED, 9, 10}
_ERRORS = {
    9: "is not valid yet",
    10: "has expired",
    19: "is vouched for by an authority that this system does not know",
    20: "is vouched for by an authority that this system does not know",
    21: "is vouched for by nobody that this system knows",
}
_AUTHORITIES = "authorities"


def known_servers_file() -> Path:
    """Where servers are remembered, as the XDG Base Directory Specification has it."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "chatservice" / "known_servers"


class KnownServers:
    """The servers that have been seen, in a file with a line for each: where it is, and the SHA-256
    fingerprint of its certificate, or that authorities vouch for it.

    Reads the file at once, which is before the reactor runs. Raises OSError, UnicodeDecodeError.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._known = self._read()

    def get(self, where: str) -> str | None:
        """The fingerprint, or that authorities vouch for it; None if it has not been seen."""
        return self._known.get(where)

    def remember(self, where: str, what: str) -> None:
        """One short line, once for each server. Raises OSError, UnicodeDecodeError."""
        self._known[where] = what
        self._known = {**self._read(), where: what}  # other clients remember, too
        self.file.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{where} {what}\n" for where, what in self._known.items())
        unfinished = self.file.with_suffix(".new")
        unfinished.write_text(lines, encoding="utf-8")
        unfinished.replace(self.file)

    def _read(self) -> dict[str, str]:
        if not self.file.exists():
            return {}
        lines = (line.split() for line in self.file.read_text(encoding="utf-8").splitlines())
        return {line[0]: line[1] for line in lines if len(line) == 2}


@implementer(IOpenSSLClientConnectionCreator)
class Trust:
    """Makes connections to `host` that go no further than the certificate unless it will do.

    `fingerprint`, if there is one, is the only one that will do. `tell` is given a line when a
    server is seen for the first time.
    """

    def __init__(
        self,
        host: str,
        port: int,
        known: KnownServers,
        tell: Callable[[str], None],
        fingerprint: str | None = None,
    ) -> None:
        self._host = host
        self._where = f"{host.lower()}:{port}"
        self._known = known
        self._tell = tell
        self._fingerprint = fingerprint
        self._errors: set[int] = set()  # that OpenSSL has found in this connection's chain
        self._certificate: crypto.X509 | None = None  # the server's, once OpenSSL has come to it
        self._context = CertificateOptions(
            trustRoot=platformTrust(), raiseMinimumTo=TLSVersion.TLSv1_2
        ).getContext()
        self._context.set_verify(SSL.VERIFY_PEER, self._verify)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        self._errors, self._certificate = set(), None
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(tlsProtocol)
        if not _is_address(self._host):
            connection.set_tlsext_host_name(self._host.encode("idna"))
        return connection

    def _verify(
        self, connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, _: int
    ) -> bool:
        """OpenSSL asks this for each fault that it finds, and for each certificate without one.
        That of the server itself comes last but for faults of the chain as a whole."""
        if error:
            self._errors.add(error)
        if depth == 0:
            self._certificate = certificate
        if self._certificate is None:
            return True
        try:
            self._judge(self._certificate)
        except Untrusted as why:
            connection.get_app_data().failVerification(Failure(why))
            return False
        return True

    def _judge(self, certificate: crypto.X509) -> None:
        """Raises `Untrusted`."""
        errors = self._errors
        shown = certificate.digest("sha256").decode()
        known = self._known.get(self._where)
        if self._fingerprint is not None:
            if shown != self._fingerprint:
                raise Untrusted(
                    f"WARNING: {self._where} has not the certificate that --fingerprint names: it "
                    f"has {shown}."
                )
        elif not errors:
            self._check_name(certificate)
            if known != _AUTHORITIES:
                self._remember(_AUTHORITIES)
        elif _SELF_SIGNED not in errors or not errors <= _OF_SELF_SIGNED:
            faults = sorted({_ERRORS.get(error, f"has fault {error}") for error in errors})
            raise Untrusted(f"The certificate of {self._where} {' and '.join(faults)}.")
        elif known is None:
            self._remember(shown)
            self._tell(
                f"First time at {self._where}. Its certificate is self-signed; from now on it must "
                f"have this fingerprint (SHA-256), which its operator can confirm: {shown}"
            )
        elif known != shown:
            raise Untrusted(self._changed(shown, known))

    def _check_name(self, certificate: crypto.X509) -> None:
        wanted = IPAddress_ID if _is_address(self._host) else DNS_ID
        try:
            patterns = extract_patterns(certificate.to_cryptography())
            verify_service_identity(patterns, [wanted(self._host)], [])
        except (CertificateError, VerificationError):  # it has no name, or another
            raise Untrusted(
                f"The certificate of {self._where} is for another server, not for {self._host}."
            ) from None

    def _remember(self, what: str) -> None:
        try:
            self._known.remember(self._where, what)
        except (OSError, UnicodeDecodeError) as error:
            self._tell(f"{self._where} cannot be remembered: {error}")

    def _changed(self, shown: str, known: str) -> str:
        was = "one that an authority vouches for" if known == _AUTHORITIES else known
        return (
            f"WARNING: {self._where} is not what it was. Its certificate was {was}; now it is "
            f"{shown}. Somebody may be listening in between. If its operator has made a new one, "
            f"have them confirm that, and remove its line in {self._known.file}."
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def encrypted(reactor: Any, host: str, port: int, trust: Trust) -> IStreamClientEndpoint:
    """The endpoint of a server that `trust` is to decide about."""
    endpoint: IStreamClientEndpoint = wrapClientTLS(trust, HostnameEndpoint(reactor, host, port))
    return endpoint
