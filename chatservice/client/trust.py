"""Verification of servers over TLS (extra ``tls``).

A certificate that an authority of this system vouches for must have the server's name. One that
the server has signed itself is trusted when it is first seen, and pinned, as ssh does it; from then
on no other will do, whoever vouches for it.
"""

import ipaddress
from collections.abc import Callable
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
from chatservice.client.known_servers import AUTHORITIES, KnownServers, place
from chatservice.dialects.wording import ENGLISH, ClientWords

_SELF_SIGNED = 18  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
# What does not matter of a certificate that is known by its fingerprint: its dates.
_OF_SELF_SIGNED = {_SELF_SIGNED, 9, 10}


@implementer(IOpenSSLClientConnectionCreator)
class Trust:
    """Makes TLS connections to `host` that end in the handshake unless the certificate is accepted.

    `fingerprint`, if given, is the only one that is accepted. `tell` is called with a line when a
    self-signed server is seen for the first time.
    """

    def __init__(
        self,
        host: str,
        port: int,
        known: KnownServers,
        tell: Callable[[str], None],
        *,
        fingerprint: str | None = None,
        words: ClientWords = ENGLISH.client,
    ) -> None:
        self._host = host
        self._where = place(host, port)
        self._words = words
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
        """OpenSSL calls this for each fault that it finds, and for each certificate without one.
        The server's own comes last, except for faults of the chain as a whole."""
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
        errors, words, where = self._errors, self._words, self._where
        shown = certificate.digest("sha256").decode()
        known = self._known.get(where)
        if self._fingerprint is not None:
            if shown != self._fingerprint:
                raise Untrusted(words.not_the_fingerprint.format(where=where, shown=shown))
        elif known not in (None, AUTHORITIES):  # it is pinned, and no authority replaces that
            if shown != known:
                raise Untrusted(self._changed(shown, known))
        elif not errors:
            self._check_name(certificate)
            if known is None:
                self._remember(AUTHORITIES)
        elif _SELF_SIGNED not in errors or not errors <= _OF_SELF_SIGNED:
            raise Untrusted(words.faulty_certificate.format(where=where, faults=self._faults()))
        elif known is None:
            self._remember(shown)
            self._tell(words.first_time.format(where=where, shown=shown))
        else:
            raise Untrusted(self._changed(shown, words.from_authority))

    def _faults(self) -> str:
        words = self._words
        other = words.other_fault
        faults = {words.faults.get(e, other.format(number=e)) for e in self._errors}
        return words.and_.join(sorted(faults))

    def _check_name(self, certificate: crypto.X509) -> None:
        wanted = IPAddress_ID if _is_address(self._host) else DNS_ID
        try:
            patterns = extract_patterns(certificate.to_cryptography())
            verify_service_identity(patterns, [wanted(self._host)], [])
        except (CertificateError, VerificationError):  # it has no name, or another
            message = self._words.other_server.format(where=self._where, host=self._host)
            raise Untrusted(message) from None

    def _remember(self, what: str) -> None:
        try:
            self._known.remember(self._where, what)
        except (OSError, UnicodeDecodeError) as error:
            self._tell(self._words.not_remembered.format(where=self._where, error=error))

    def _changed(self, shown: str, known: str | None) -> str:
        return self._words.certificate_changed.format(
            where=self._where, known=known, shown=shown, file=self._known.file
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def encrypted(reactor: Any, host: str, port: int, trust: Trust) -> IStreamClientEndpoint:
    """The endpoint of a server that is verified by `trust`."""
    endpoint: IStreamClientEndpoint = wrapClientTLS(trust, HostnameEndpoint(reactor, host, port))
    return endpoint
