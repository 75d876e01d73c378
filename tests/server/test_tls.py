"""TLS at the server: who can connect how, the certificate, and what an operator does with it.

The tests of test_server.py and test_protocol_page.py run through TLS too.
"""

import os
import signal
import socket
import ssl
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.usage import UsageError

from chatservice.options import Options
from chatservice.server import tls
from chatservice.server.tls import (
    CERTIFICATE_FILE,
    KEY_FILE,
    BadCertificate,
    ServerCertificate,
    TLSFactory,
    make_self_signed,
)
from chatservice.server.turns import Turns
from tests.server.test_tap import chat
from tests.support.people import HINT, PATIENCE, QUESTION, Server, joined, left

LOOPBACK = "tcp:0:interface=127.0.0.1"


def s_client(port: int, *options: str) -> "subprocess.CompletedProcess[str]":
    """One handshake of ``openssl s_client``."""
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-brief", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def fingerprint(certificate: Path) -> str:
    shown = subprocess.run(
        ["openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"],
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.strip()


def pem(key: Any, passphrase: bytes = b"") -> bytes:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    private: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return private


def issue(
    name: str,
    key: Any,
    issuer: str,
    issuer_key: Any,
    *others: x509.ExtensionType,
    ca: bool,
    dns_name: bool = True,
) -> bytes:
    """A certificate in PEM. `others`: critical extensions besides the usual ones."""
    subjects = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (name, issuer)]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subjects[0])
        .issuer_name(subjects[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .add_extension(
            x509.KeyUsage(True, False, False, False, False, ca, ca, False, False), critical=True
        )
    )
    if dns_name:
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        certificate = certificate.add_extension(names, critical=False)
    for other in others:
        certificate = certificate.add_extension(other, critical=True)
    return certificate.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_openssl_s_client_is_all_it_takes(tmp_path: Path) -> None:
    with Server(tmp_path, "--tls", LOOPBACK) as server:
        tls_port = server.wait_for_log(r":(\d+) with TLS")[1]
        bob = server.join("Bob")
        alice = subprocess.Popen(
            [
                *("openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{tls_port}"),
                *("-CAfile", server.certificate, "-verify_hostname", "localhost"),
                "-verify_return_error",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert alice.stdin is not None
        alice.stdin.write(b"Alice\n")
        alice.stdin.flush()
        bob.hears(joined("Alice"))
        bob.types("سلام")
        alice.stdin.write(b"hello\n/exit\n")
        alice.stdin.flush()
        bob.hears("Alice: hello", left("Alice"))
        heard, _ = alice.communicate(timeout=PATIENCE)
        assert alice.returncode == 0
        lines = heard.decode().split("\r\n")
        assert lines[:4] == [
            QUESTION,
            "Welcome Alice, you are connected to the server.",
            HINT,
            "*** Online (2): Alice, Bob",
        ]
        assert lines[-2:] == ["*** Goodbye, Alice.", ""]


def test_old_versions_and_weak_suites_are_refused(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)  # with it no suite fails for the key's sake
    (tmp_path / "rsa.pem").write_bytes(issue("x", key, "x", key, ca=False) + pem(key))
    any_cipher = ("-cipher", "ALL:@SECLEVEL=0")
    with Server(tmp_path, "--certificate", "rsa.pem", tls=True) as server:
        for version in ("-tls1", "-tls1_1"):
            refused = s_client(server.port, version, *any_cipher)
            assert refused.returncode != 0
            assert "alert protocol version" in refused.stderr
        for version, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            assert f"Protocol version: {name}" in s_client(server.port, version).stderr
        for weak in (
            "AES128-SHA",
            "AES128-GCM-SHA256",
            "AES256-SHA256",
            "ECDHE-RSA-AES128-SHA",
            "ECDHE-RSA-AES256-SHA384",
            "DHE-RSA-AES128-SHA",
            "ALL:!ECDHE",
        ):
            refused = s_client(server.port, "-tls1_2", "-cipher", f"{weak}:@SECLEVEL=0")
            assert refused.returncode != 0, weak
            assert "handshake failure" in refused.stderr, weak
        for strong in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"):
            served = s_client(server.port, "-tls1_2", "-cipher", strong)
            assert f"Ciphersuite: {strong}" in served.stderr


def test_the_chain_is_sent(tmp_path: Path) -> None:
    root, intermediate, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    (tmp_path / "root.pem").write_bytes(issue("root", root, "root", root, ca=True))
    (tmp_path / "chain.pem").write_bytes(
        issue("localhost", key, "middle", intermediate, ca=False)
        + issue("middle", intermediate, "root", root, ca=True)
        + pem(key)
    )
    with Server(tmp_path, "--certificate", "chain.pem", tls=True) as server:
        server.certificate = tmp_path / "root.pem"
        server.join("Alice")


class TestTheSelfSignedCertificate:
    def test_is_kept_and_its_fingerprint_is_in_the_log_at_every_start(self, tmp_path: Path) -> None:
        fingerprints = []
        for _ in range(2):
            with Server(tmp_path, tls=True) as server:
                fingerprints.append(server.wait_for_log(r"sha256 Fingerprint=[0-9A-F:]{95}")[0])
        assert fingerprints == 2 * [fingerprint(tmp_path / CERTIFICATE_FILE)]

    def test_its_key_is_the_operators_alone(self, tmp_path: Path) -> None:
        umask = os.umask(0)
        try:
            make_self_signed(tmp_path / CERTIFICATE_FILE, tmp_path / KEY_FILE)
        finally:
            os.umask(umask)
        assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600

    def test_no_key_is_ever_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / KEY_FILE).write_text("precious")
        ended = chat(tmp_path, "--port", "none", "--tls", LOOPBACK)
        assert ended.returncode == 1
        assert f"chat: {tmp_path / KEY_FILE}: File exists." in ended.stdout
        assert "Traceback" not in ended.stdout + ended.stderr
        assert (tmp_path / KEY_FILE).read_text() == "precious"


class TestSIGHUP:
    def test_takes_up_a_new_certificate_and_drops_nobody(self, tmp_path: Path) -> None:
        certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
        make_self_signed(certificate, key)
        with Server(tmp_path, "--certificate", "c.pem", "--key", "k.pem", tls=True) as server:
            server.certificate = certificate
            alice = server.join("Alice")
            certificate.unlink()
            key.unlink()
            make_self_signed(certificate, key)
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log(fingerprint(certificate))
            bob = server.join("Bob")  # who trusts the new one alone
            alice.hears(joined("Bob"))
            alice.types("still here")
            bob.hears("Alice: still here")

    def test_keeps_the_old_certificate_when_the_new_one_is_bad(self, tmp_path: Path) -> None:
        certificate = tmp_path / "c.pem"
        make_self_signed(certificate, tmp_path / "k.pem")
        with Server(tmp_path, "--certificate", "c.pem", "--key", "k.pem", tls=True) as server:
            server.certificate = tmp_path / "old.pem"
            server.certificate.write_bytes(certificate.read_bytes())
            for data, why in (
                (b"junk", "holds no certificate in PEM"),
                (None, "No such file or directory"),
            ):
                certificate.unlink()
                if data is not None:
                    certificate.write_bytes(data)
                server.process.send_signal(signal.SIGHUP)
                server.wait_for_log(rf"stays as it was: --certificate {certificate}.* {why}\.\n")
            server.join("Alice")

    def test_does_no_harm_without_tls(self, server: Server) -> None:
        alice = server.join("Alice")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("Reloaded: no option has changed")
        alice.types("/who")
        alice.hears("*** Online (1): Alice")


class TestConnections:
    def test_that_never_shake_hands_delay_the_end_by_a_deadline_and_do_no_harm(
        self, tmp_path: Path
    ) -> None:
        with Server(tmp_path, tls=True) as server:
            address = ("127.0.0.1", server.port)
            with socket.create_connection(address), socket.create_connection(address) as other:
                other.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # half a hello
                alice = server.join("Alice")
                server.process.terminate()
                alice.hears("*** The server is shutting down. Goodbye.")
                assert alice.is_cut_off()
                assert server.process.wait(PATIENCE) == 0

    def test_of_something_else_are_closed(self, tmp_path: Path) -> None:
        with Server(tmp_path, tls=True) as server:
            for garbage in (
                b"GET / HTTP/1.0\r\n\r\n",
                b"Alice\r\n",
                b"\x80\x2e\x01",
                b"\x16\x03\x01",
            ):
                with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as stranger:
                    stranger.sendall(garbage)
                    stranger.shutdown(socket.SHUT_WR)
                    while stranger.recv(4096):
                        pass
            server.wait_for_log(4 * r"(?s:.*has disconnected: )")
            server.join("Alice")

    def test_that_end_in_order_or_by_a_closed_terminal_have_left(self, tmp_path: Path) -> None:
        with Server(tmp_path, tls=True) as server:
            bob, alice = server.join("Bob"), server.join("Alice")
            bob.hears(joined("Alice"))
            assert isinstance(alice.socket, ssl.SSLSocket)
            alice.socket.unwrap().close()
            bob.hears(left("Alice"))
            carol = server.join("Carol")
            bob.hears(joined("Carol"))
            carol.leaves()
            bob.hears(left("Carol"))

    def test_that_ask_for_new_keys_for_ever_are_cut_off(self, tmp_path: Path) -> None:
        with Server(tmp_path, tls=True) as server:
            asker = subprocess.Popen(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            assert asker.stdin is not None
            deadline = time.monotonic() + PATIENCE
            try:
                while asker.poll() is None and time.monotonic() < deadline:
                    asker.stdin.write(b"K\n")  # one at a time is understood
                    asker.stdin.flush()
                    time.sleep(0.001)
            except BrokenPipeError:
                pass
            asker.kill()
            asker.communicate()
            server.wait_for_log("has disconnected: Connection was aborted locally")


class TestBadInput:
    @pytest.fixture(autouse=True)
    def files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        make_self_signed(Path("c.pem"), Path("k.pem"))
        make_self_signed(Path("other-c.pem"), Path("other-k.pem"))
        key = rsa.generate_private_key(65537, 1024)
        Path("weak.pem").write_bytes(issue("x", key, "x", key, ca=False) + pem(key))
        Path("encrypted.pem").write_bytes(pem(key, b"secret"))
        Path("junk.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERT\xff")

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ("--certificate c.pem", r"--certificate needs --tls, --irc-tls or --web-tls\."),
            ("--tls 1 --key k.pem", r"--key needs --certificate\."),
            ("--tls 1 --certificate no.pem", r"no\.pem: No such file or directory\."),
            ("--tls 1 --certificate .", r": Is a directory\."),
            ("--tls 1 --certificate c.pem --key no.pem", r"no\.pem: No such file or directory\."),
            ("--tls 1 --certificate junk.pem", r"junk\.pem holds no certificate in PEM\."),
            ("--tls 1 --certificate c.pem", r"c\.pem holds no private key in PEM\."),
            ("--tls 1 --certificate c.pem --key junk.pem", r"junk\.pem holds no private key"),
            (
                "--tls 1 --certificate c.pem --key other-k.pem",
                r"/c\.pem: .*/other-k\.pem is not its key\.",
            ),
            ("--tls 1 --certificate c.pem --key weak.pem", r"weak\.pem is not its key\."),
            ("--tls 1 --certificate weak.pem", r"weak\.pem: ee key too small\."),
            ("--tls 1 --certificate c.pem --key encrypted.pem", r"the key is encrypted\."),
            ("--port none", r"--port none: there must be --tls or --irc then"),
            ("--tls 1 --port none --port 2", r"--port none: .* no other --port\."),
            ("--tls none", r"--tls none: neither a port number nor"),
            ("--tls 99999", r"--tls 99999: a port number is 65535 at most\."),
            ("--tls ssl:1", r"--tls ssl:1: for that there is --tls\."),
            ("--port ssl:1:certKey=c.pem", r"for that there is --tls\."),
        ],
    )
    def test_is_refused_in_a_line(self, options: str, complaint: str) -> None:
        with pytest.raises(UsageError, match=complaint) as refused:
            Options().parseOptions(options.split())
        assert "\n" not in str(refused.value)

    def test_an_expired_certificate_is_only_warned_about(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tls, "SELF_SIGNED_DAYS", -0.5)
        make_self_signed(Path("expired.pem"), Path("expired-key.pem"))
        certificate = ServerCertificate(Path("expired.pem"), Path("expired-key.pem"))
        with capturedLogs() as events:
            certificate.prepare()
        assert "NOT valid today" in str(events[-1]["log_format"])

    def test_a_kept_certificate_that_has_lost_its_key(self) -> None:
        Path("c.pem").rename(CERTIFICATE_FILE)
        with pytest.raises(BadCertificate, match=rf"{KEY_FILE}: No such file or directory\."):
            ServerCertificate().prepare()


def test_without_the_extra_the_chat_runs_and_tls_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "path" / "OpenSSL"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text("raise ModuleNotFoundError(name='OpenSSL')")
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{missing.parent}{os.pathsep}{path}")
    refused = chat(tmp_path, "--tls", "1")
    assert refused.returncode == 1
    assert "--tls needs OpenSSL: install the extra 'tls' (see Installation in" in refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    with Server(tmp_path) as server:
        server.join("Alice")


def test_who_is_not_let_in_is_not_met_with_a_handshake(tmp_path: Path) -> None:
    class Full(ServerFactory):
        def buildProtocol(self, addr: object) -> None:
            return None

    make_self_signed(tmp_path / "c.pem", tmp_path / "k.pem")
    certificate = ServerCertificate(tmp_path / "c.pem", tmp_path / "k.pem")
    assert TLSFactory(certificate, Full(), Clock(), Turns(Clock())).buildProtocol(None) is None


def test_a_peer_that_offers_protocols_is_served_though_we_have_none(tmp_path: Path) -> None:
    with Server(tmp_path, tls=True) as server:
        shown = s_client(server.port, "-alpn", "h2,http/1.1")
        assert "alert" not in shown.stderr
        assert "CONNECTION ESTABLISHED" in shown.stderr
