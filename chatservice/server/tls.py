"""TLS under the line door: the server's certificate, and who may connect how.

The only module that needs pyOpenSSL and cryptography (the extra ``tls``).
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import connectionDone
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion
from twisted.internet.tcp import Server
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from chatservice.core.events import ErrorCode, Refusal, Refused
from chatservice.core.limits import network_of
from chatservice.dialects.jsonlines import JSON
from chatservice.dialects.text import TEXT
from chatservice.dialects.wording import ENGLISH
from chatservice.server import foreign
from chatservice.server.connection import Connection
from chatservice.server.factory import TurnedAway
from chatservice.server.turns import Turns

log = Logger()

# Mozilla's intermediate configuration (wiki.mozilla.org/Security/Server_Side_TLS), without its DHE
# suites, which need parameters of their own: all are forward secret and authenticated (AEAD). Of
# TLS 1.3 OpenSSL offers no others by itself.
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
# A self-signed certificate, in the folder that the server runs in.
CERTIFICATE_FILE = "chat-certificate.pem"
KEY_FILE = "chat-key.pem"
# In one connection: its handshake has some 20, and another key, of which TLS 1.3 wants one after 24
# million records (RFC 8446, 5.5), has 4. A peer that asks for keys for ever and does not read the
# answers would fill our memory with them.
HANDSHAKE_STEPS = 1000
# The first byte of TLS, and those of SSL 2, which OpenSSL refuses. (No text in UTF-8 has them.)
TLS_BEGINNINGS = (0x16, *range(0x80, 0xC0))
MAX_RECORD = 2**15  # bytes that OpenSSL is asked for at a time; a record has half of that
# Bytes that are decrypted before it is looked how long it took; then twice as many, and so on. They
# hold 85 records at most.
FIRST_PIECE = 2048
SELF_SIGNED_DAYS = 3650  # people compare its fingerprint: it had better stay


class BadCertificate(ValueError):
    """A certificate or its key cannot be used; says which file, and why, in one line."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate, and the TLS context that shows it."""

    certificate: x509.Certificate
    context: SSL.Context


def load_credentials(certificate_file: Path, key_file: Path) -> Credentials:
    """The certificate in `certificate_file`, which the rest of its chain may follow, with its key.

    Raises `BadCertificate`. Never asks for a passphrase.
    """
    certificate_pem, key_pem = _read(certificate_file), _read(key_file)
    try:
        leaf, *chain = x509.load_pem_x509_certificates(certificate_pem)
    except ValueError:
        raise BadCertificate(f"{certificate_file} holds no certificate in PEM.") from None
    try:
        key = load_pem_private_key(key_pem, password=None)
    except TypeError:
        raise BadCertificate(f"{key_file}: the key is encrypted.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadCertificate(f"{key_file} holds no private key in PEM.") from None
    try:
        if leaf.public_key() != key.public_key():
            raise ValueError(f"{key_file} is not its key")
        context = CertificateOptions(
            privateKey=key,  # type: ignore[arg-type]  # pyOpenSSL's own kinds are deprecated
            certificate=leaf,  # type: ignore[arg-type]
            extraCertChain=chain,  # type: ignore[arg-type]
            raiseMinimumTo=TLSVersion.TLSv1_2,
            acceptableCiphers=AcceptableCiphers.fromOpenSSLCipherString(CIPHERS),
        ).getContext()
    except SSL.Error as error:
        reasons = [reason for _, _, reason in error.args[0]]
        raise BadCertificate(f"{certificate_file}: {', '.join(reasons)}.") from None
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise BadCertificate(f"{certificate_file}: {error}.") from None
    # Who closes a terminal ends the connection without a word of TLS. That is leaving, as it is
    # without TLS; only whole lines are obeyed, so nothing can be cut short unnoticed.
    context.set_options(SSL.OP_IGNORE_UNEXPECTED_EOF)
    context.set_options(SSL.OP_NO_RENEGOTIATION)  # a handshake costs a millisecond, and nobody asks
    context.set_info_callback(_count_step)
    # Twisted's refuses a peer that offers protocols (ALPN), as browsers do, where none is set.
    context.set_alpn_select_callback(_choose_protocol)
    return Credentials(leaf, context)


def make_self_signed(certificate_file: Path, key_file: Path) -> None:
    """Make a certificate for this machine, and its key, in two new files."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chatservice")])
    host = socket.gethostname()
    hosts = ["localhost"] + ([host] if re.fullmatch(r"[A-Za-z0-9.-]{1,253}", host) else [])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # other clocks may be behind
        .not_valid_after(now + timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, hosts))), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write_new(key_file, pem, 0o600)
    _write_new(certificate_file, certificate.public_bytes(Encoding.PEM), 0o644)


@implementer(IOpenSSLServerConnectionCreator)
class ServerCertificate:
    """What the server shows of itself to new connections, from files that can change.

    Without files it is a self-signed certificate, which `prepare` makes once and then keeps.
    """

    def __init__(self, certificate_file: Path | None = None, key_file: Path | None = None) -> None:
        self._self_signed = certificate_file is None
        certificate_file = certificate_file or Path(CERTIFICATE_FILE)
        key_file = key_file or (Path(KEY_FILE) if self._self_signed else certificate_file)
        self._files = certificate_file, key_file
        if not self._self_signed:
            # Now: twistd has yet to change to the folder that it runs in.
            self._files = certificate_file.absolute(), key_file.absolute()
            self._credentials = load_credentials(*self._files)

    def prepare(self) -> None:
        """Be ready to be shown, and log the fingerprint. Raises `BadCertificate`."""
        self.load()
        self._announce()

    def load(self) -> None:
        """Have what is to be shown. Raises `BadCertificate`."""
        if self._self_signed:
            certificate_file, key_file = self._files
            self._files = certificate_file.absolute(), key_file.absolute()
            if not certificate_file.exists():
                make_self_signed(*self._files)
                log.info("A self-signed certificate has been made: {file}", file=self._files[0])
            self._credentials = load_credentials(*self._files)

    def names(self) -> tuple[str, ...]:
        """The names of hosts that it is for, once it is prepared."""
        try:
            alternative = self._credentials.certificate.extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            )
        except x509.ExtensionNotFound:
            return ()
        return tuple(alternative.value.get_values_for_type(x509.DNSName))

    def replace(self, other: ServerCertificate) -> None:
        """Show to new connections what `other`, which is loaded, would show."""
        self._credentials = other._credentials
        self._announce()

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._credentials.context)
        connection.set_app_data(protocol)
        return connection

    def _announce(self) -> None:
        certificate = self._credentials.certificate
        log.info(
            "The TLS certificate is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d}; "
            "sha256 Fingerprint={fingerprint}",
            start=certificate.not_valid_before_utc,
            end=certificate.not_valid_after_utc,
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        )
        now = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            log.warn("The TLS certificate is NOT valid today: clients will refuse it.")


@implementer(IHalfCloseableProtocol)
class TLSConnection(TLSMemoryBIOProtocol):
    """One connection. (Twisted's default gathers small writes for a turn; ours are gathered.)

    It takes turns like the connections that it carries: 32 KiB can be 1,400 records of one byte
    each, which take 10 ms, or steps of a handshake, which take longer.
    """

    transport: Server
    factory: TLSFactory
    network = ""
    steps = 0  # of its handshake, so far
    _speaks_tls: bool | None = None  # which its first byte tells
    _unread = b""  # received, and not decrypted so far
    _is_wanted = True  # what has been received, by the connection that is carried
    _is_reading = True
    _is_in_turn = False
    _stream_has_ended = False  # beneath TLS
    _input_has_ended = False

    def dataReceived(self, data: bytes) -> None:
        if self._speaks_tls is None:
            self._speaks_tls = data[0] in TLS_BEGINNINGS
            if not self._speaks_tls:
                self._turn_away(data)
        if self._speaks_tls:
            self._unread += data
            self._go_on()

    def _turn_away(self, data: bytes) -> None:
        """The peer does not speak TLS: say in its own way that it should. It may still be sending,
        and would lose that if all was closed at once."""
        self.transport.write(_need_of_tls(data))
        if (connection := self._connection) is None:
            self.transport.loseConnection()
            return
        connection.note(
            "{peer} does not speak TLS at a port that does: turned away.", peer=connection.peer
        )
        connection.expect_close()
        self.transport.loseWriteConnection()

    @property
    def _connection(self) -> Connection | None:
        """The connection that is carried, if it is a chat's so far."""
        return getattr(self.wrappedProtocol, "connection", None)

    def take_turn(self, until: float) -> bool:
        """Decrypt what has been received until then, while it is wanted. Whether there is more."""
        self._is_in_turn = True
        size = FIRST_PIECE
        clock = self.factory.clock
        while self._unread and self._is_wanted and (size == FIRST_PIECE or clock.seconds() < until):
            self._decrypt(size)
            size *= 2
        self._is_in_turn = False
        self._end_input_if_stream_has_ended()
        self._read_or_not()
        return bool(self._unread) and self._is_wanted

    def pauseProducing(self) -> None:
        self._is_wanted = False
        self._read_or_not()

    def resumeProducing(self) -> None:
        self._is_wanted = True
        if not self._is_in_turn:
            self._go_on()

    def readConnectionLost(self) -> None:
        """The peer has stopped sending, with a word of TLS or without, and may still hear."""
        self._stream_has_ended = True
        if self._speaks_tls is False:
            self.transport.loseConnection()
        else:
            self._end_input_if_stream_has_ended()

    def writeConnectionLost(self) -> None:
        """Never: this closes both halves."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        while self._unread:
            self._decrypt(len(self._unread))
        self._input_has_ended = True  # or Twisted would look for what else has been sent
        super().connectionLost(reason)

    def _go_on(self) -> None:
        if self._unread and self._is_wanted:
            self.factory.turns.serve(self)
        self._read_or_not()

    def _decrypt(self, size: int) -> None:
        """So many bytes of what has been received. A peer that sends nothing by them is charged for
        them all the same."""
        data, self._unread = self._unread[:size], self._unread[size:]
        if (connection := self._connection) is None:
            super().dataReceived(data)
            return
        connection.has_received = False
        super().dataReceived(data)
        if not connection.has_received:
            connection.charge(len(data))

    def _flushReceiveBIO(self) -> None:
        """As Twisted's, but a peer that will send no more (close_notify) still hears."""
        while not (self._lostTLSConnection or self._input_has_ended):
            try:
                data = self._tlsConnection.recv(MAX_RECORD)
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:
                self._end_input()
            except SSL.Error:
                self._tlsShutdownFinished(Failure())
            else:
                if not self._aborted:
                    self.wrappedProtocol.dataReceived(data)
        self._flushSendBIO()

    def _end_input_if_stream_has_ended(self) -> None:
        if self._stream_has_ended and not self._unread and not self._input_has_ended:
            self._end_input()

    def _end_input(self) -> None:
        """Nothing more will be received. Close in turn, once all that is due is said. A peer that
        says so in TLS (close_notify) when nothing is due is told nothing: many could not read it.
        """
        self._input_has_ended = True
        connection = self._connection
        is_over = connection is not None and connection.is_idle and not self._stream_has_ended
        if self._handshakeDone and not self.disconnecting and not is_over:
            half_closeable = IHalfCloseableProtocol(self.wrappedProtocol, None)
            if half_closeable is not None:
                half_closeable.readConnectionLost()
                return
        self._reason = self._reason or connectionDone  # whatever becomes of our last words
        self._shutdownTLS()
        self._tlsShutdownFinished(None)

    def _shutdownTLS(self) -> None:
        super()._shutdownTLS()
        if self._stream_has_ended:  # without the peer's word of TLS, Twisted would wait for that
            self.transport.loseConnection()

    def _read_or_not(self) -> None:
        if self._stream_has_ended:
            return
        if self._is_reading != (self._is_wanted and not self._unread):
            self._is_reading = not self._is_reading
            if self._is_reading:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()


def _count_step(connection: SSL.Connection, where: int, result: int) -> None:
    """OpenSSL tells of a step in a handshake, or of an alert."""
    protocol: TLSConnection = connection.get_app_data()
    protocol.steps += 1
    if protocol.steps > HANDSHAKE_STEPS:
        protocol.transport.abortConnection()  # not by TLS, in whose midst we are


def _choose_protocol(
    connection: SSL.Connection, offered: list[bytes]
) -> bytes | SSL._NoOverlappingProtocols:
    """OpenSSL asks which of the protocols that a peer offers we speak."""
    protocol: TLSConnection = connection.get_app_data()
    speaks = protocol.factory.speaks
    return next((name for name in offered if name in speaks), SSL.NO_OVERLAPPING_PROTOCOLS)


class TLSFactory(TLSMemoryBIOFactory):
    """Puts TLS between a stream and the connections of another factory. It shares their `turns`.
    `speaks`: the protocols that they speak, by their names in ALPN, if those have any."""

    protocol = TLSConnection

    def __init__(
        self,
        certificate: ServerCertificate,
        wrapped: IProtocolFactory,
        clock: IReactorTime,
        turns: Turns,
        speaks: tuple[bytes, ...] = (),
    ) -> None:
        super().__init__(certificate, isClient=False, wrappedFactory=wrapped, clock=clock)
        self.clock = clock
        self.turns = turns
        self.speaks = speaks

    def buildProtocol(self, addr: IAddress | None) -> TLSMemoryBIOProtocol | None:  # type: ignore[override]
        """Nobody is met with a handshake, which costs a millisecond, to be turned away then."""
        wrapped = self.wrappedFactory.buildProtocol(addr)
        if wrapped is None or isinstance(wrapped, TurnedAway):
            return None
        connection = self.protocol(self, wrapped)
        connection.network = network_of(getattr(addr, "host", ""))
        return connection


def _need_of_tls(received: bytes) -> bytes:
    """What a peer is told that does not speak TLS, and has sent that; in its own way."""
    refused = Refused(Refusal(ErrorCode.TLS_NEEDED))
    opening = foreign.examine(received, 0)
    if opening is None or not opening.protocol:
        return (JSON if received.startswith(b"{") else TEXT).render_personal(refused)
    if opening.protocol == "HTTP":
        return foreign.http_answer(ENGLISH.refusal(refused.refusal))
    return opening.answer


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadCertificate(f"{path}: {error.strerror}.") from None


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    except OSError as error:
        raise BadCertificate(f"{path}: {error.strerror}.") from None
