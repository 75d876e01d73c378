"""The client over TLS: which servers it talks to, and which it does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chatservice.client.known_servers import KnownServers
from chatservice.server.tls import CERTIFICATE_FILE, KEY_FILE
from tests.server.test_tls import issue, pem
from tests.support.people import Server, run_client


@pytest.fixture(autouse=True)
def known_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which this test's clients remember."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "chatservice" / "known_servers"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, tls=True) as running:
        yield running


def fingerprint(server: Server) -> str:
    certificate = x509.load_pem_x509_certificate(server.certificate.read_bytes())
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def again_with_another_certificate(server: Server, folder: Path) -> Server:
    server.stop()
    (folder / CERTIFICATE_FILE).unlink()
    (folder / KEY_FILE).unlink()
    return Server(folder, "--tls", f"tcp:{server.port}:interface=127.0.0.1", tls=True)


def test_a_self_signed_certificate_is_trusted_the_first_time_and_remembered(
    server: Server, known_servers: Path
) -> None:
    first = run_client(server.port, "--tls", "--name", "ci", typed=b"hello\n")
    assert first.returncode == 0, first.stderr
    assert b"First time at 127.0.0.1" in first.stderr
    assert fingerprint(server) in first.stderr.decode()
    assert known_servers.read_text() == f"127.0.0.1:{server.port} {fingerprint(server)}\n"
    second = run_client(server.port, "--tls", "--name", "ci", typed=b"hello\n")
    assert (second.returncode, second.stderr) == (0, b"")


def test_another_certificate_is_refused_and_nothing_is_said_to_it(
    server: Server, tmp_path: Path
) -> None:
    assert run_client(server.port, "--tls", "--name", "ci").returncode == 0
    known = fingerprint(server)
    with again_with_another_certificate(server, tmp_path) as other:
        ended = run_client(server.port, "--tls", "--name", "Secret", typed=b"psst\n")
        assert ended.returncode == 1
        (complaint,) = ended.stderr.decode().splitlines()
        assert complaint.startswith(
            f"WARNING: the certificate of 127.0.0.1:{server.port} has changed."
        )
        assert known in complaint
        assert fingerprint(other) in complaint
        assert b"Secret" not in ended.stdout
        assert "Secret" not in other.log
        other.port = server.port


def test_a_fingerprint_that_is_given_is_the_only_one_that_will_do(
    server: Server, known_servers: Path
) -> None:
    given = fingerprint(server)
    spellings = (given, "sha256:" + given.lower(), given.replace(":", ""))
    for spelling in spellings:
        ended = run_client(server.port, "--fingerprint", spelling, "--name", "ci")
        assert (ended.returncode, ended.stderr) == (0, b"")
    wrong = run_client(server.port, "--fingerprint", given[:-1] + _other(given[-1]))
    assert wrong.returncode == 1
    assert b"WARNING" in wrong.stderr
    assert not known_servers.exists()


def _other(digit: str) -> str:
    return "0" if digit != "0" else "1"


@pytest.mark.parametrize("value", ["", "AB:CD", "sha1:" + "00" * 20, "x" * 64])
def test_an_invalid_fingerprint_is_refused(value: str) -> None:
    ended = run_client(1, "--fingerprint", value)
    assert ended.returncode == 2
    assert b"is not 32 bytes in hexadecimal" in ended.stderr


def test_clients_that_run_at_the_same_time_remember_what_both_have_seen(tmp_path: Path) -> None:
    one, two = KnownServers(tmp_path / "known"), KnownServers(tmp_path / "known")
    one.remember("one:1", "AA")
    two.remember("two:2", "BB")
    later = KnownServers(tmp_path / "known")
    assert (later.get("one:1"), later.get("two:2")) == ("AA", "BB")


class TestAuthorities:
    """SSL_CERT_FILE, which OpenSSL knows, names those of the system."""

    @pytest.fixture(autouse=True)
    def authority(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.key, authority_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.authority_key = authority_key
        authority = issue("An authority", authority_key, "An authority", authority_key, ca=True)
        (tmp_path / "authority.pem").write_bytes(authority)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

    def serve(self, folder: Path, name: str) -> Server:
        certificate = issue(name, self.key, "An authority", self.authority_key, ca=False)
        (folder / "server.pem").write_bytes(certificate + pem(self.key))
        server = Server(folder, "--certificate", "server.pem", tls=True)
        server.certificate = folder / "authority.pem"
        return server

    def test_vouch_for_a_server_which_may_not_sign_for_itself_any_more(
        self, tmp_path: Path, known_servers: Path
    ) -> None:
        with self.serve(tmp_path, "localhost") as server:
            for _ in range(2):
                ended = run_client(server.port, "--tls", "--name", "ci", host="localhost")
                assert (ended.returncode, ended.stderr) == (0, b"")
            assert known_servers.read_text() == f"localhost:{server.port} authorities\n"
            port = server.port
        (tmp_path / "two").mkdir()
        with Server(tmp_path / "two", "--tls", f"tcp:{port}:interface=127.0.0.1", tls=True):
            ended = run_client(port, "--tls", "--name", "ci", host="localhost")
            assert ended.returncode == 1
            assert b"WARNING" in ended.stderr

    def test_vouch_for_another_server(self, tmp_path: Path, known_servers: Path) -> None:
        with self.serve(tmp_path, "localhost") as server:  # which is asked for by its address
            ended = run_client(server.port, "--tls", "--name", "ci")
            assert ended.returncode == 1
            assert b"is for another server, not for 127.0.0.1." in ended.stderr
            assert not known_servers.exists()

    def test_may_not_vouch_for_names_beyond_their_own(self, tmp_path: Path) -> None:
        """OpenSSL says so of an authority in between only after it has come to the server."""
        only = x509.NameConstraints([x509.DNSName("localhost")], None)
        key = ec.generate_private_key(ec.SECP256R1())
        root = ("Root", self.authority_key)
        (tmp_path / "authority.pem").write_bytes(issue(*root, *root, only, ca=True))
        between = issue("elsewhere", key, *root, ca=True)
        certificate = issue("localhost", self.key, "elsewhere", key, ca=False)
        (tmp_path / "server.pem").write_bytes(certificate + between + pem(self.key))
        with Server(tmp_path, "--certificate", "server.pem", tls=True) as server:
            ended = run_client(server.port, "--tls", "--name", "Secret", host="localhost")
            assert ended.returncode == 1
            assert b"has fault 47" in ended.stderr
            assert "Secret" not in server.log

    def test_vouch_for_no_server_by_name(self, tmp_path: Path) -> None:
        issuer = ("An authority", self.authority_key)
        certificate = issue("localhost", self.key, *issuer, ca=False, dns_name=False)
        (tmp_path / "server.pem").write_bytes(certificate + pem(self.key))
        with Server(tmp_path, "--certificate", "server.pem", tls=True) as server:
            ended = run_client(server.port, "--tls", "--name", "ci", host="localhost")
            assert ended.returncode == 1
            assert b"is for another server, not for localhost." in ended.stderr
            assert b"Traceback" not in ended.stderr

    def test_that_are_not_known_vouch_for_nothing(
        self, tmp_path: Path, known_servers: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with self.serve(tmp_path, "localhost") as server:
            monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
            ended = run_client(server.port, "--tls", "--name", "ci", host="localhost")
            assert ended.returncode == 1
            assert b"by an authority that this system does not know" in ended.stderr
            assert not known_servers.exists()


def test_a_server_without_tls_is_refused(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        ended = run_client(server.port, "--tls", "--name", "ci")
        assert ended.returncode == 1
        assert b"Traceback" not in ended.stderr
        assert b"does not speak TLS on this port" in ended.stderr


def test_a_file_that_cannot_be_read_is_one_line(server: Server, known_servers: Path) -> None:
    known_servers.mkdir(parents=True)
    ended = run_client(server.port, "--tls", "--name", "ci")
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"The known servers cannot be read: ")
    assert ended.stderr.count(b"\n") == 1


class TestAPin:
    """A server that was trusted by its own signature is only ever that one."""

    def test_is_not_replaced_by_a_certificate_that_an_authority_vouches_for(
        self, server: Server, tmp_path: Path, known_servers: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert run_client(server.port, "--tls", "--name", "ci", host="localhost").returncode == 0
        pinned = known_servers.read_text()
        server.stop()
        key, authority_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        authority = issue("An authority", authority_key, "An authority", authority_key, ca=True)
        (tmp_path / "authority.pem").write_bytes(authority)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        certificate = issue("localhost", key, "An authority", authority_key, ca=False)
        (tmp_path / "server.pem").write_bytes(certificate + pem(key))
        listen = f"tcp:{server.port}:interface=127.0.0.1"
        options = ("--tls", listen, "--certificate", "server.pem")
        with Server(tmp_path, *options, tls=True) as other:
            ended = run_client(server.port, "--tls", "--name", "Secret", host="LocalHost")
            assert ended.returncode == 1
            assert b"has changed" in ended.stderr
            assert b"intercepting the connection" in ended.stderr
            assert "Secret" not in other.log
            assert known_servers.read_text() == pinned
            other.port = server.port
            known_servers.unlink()  # as the warning says
            ended = run_client(server.port, "--tls", "--name", "ci", host="localhost")
            assert ended.returncode == 0, ended.stderr
