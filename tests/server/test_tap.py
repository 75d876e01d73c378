"""The command line: what is refused, and how."""

import os
import pty
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import chatservice
from tests.support import forked
from tests.support.people import PATIENCE, TWISTD, Server


def chat(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(TWISTD), "-n", "--pidfile=", "chat", *options]
    return forked.run_text(command, folder=folder)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--port", "99999"], "--port 99999: a port number is 65535 at most."),
        (["--metrics", "99999"], "--metrics 99999: a port number is 65535 at most."),
        (["--port", "chat"], "--port chat: neither a port number nor"),
        (["--port", "-1"], "--port -1: neither a port number nor"),
        (["--port", ""], "neither a port number nor"),
        (["--port", "tcp:1:nonsense=2"], "neither a port number nor"),
        (["--port", "stdio:"], "--port stdio:: a chat needs more than one connection."),
        (["--motd", "missing"], "--motd missing: [Errno 2] No such file"),
        (["--motd", "latin1"], "--motd latin1: 'utf-8' codec can't decode"),
        (["--motd", "long"], "--motd long: longer than 16384 bytes."),
        (["--max-users", "0"], "--max-users 0: a number from 1 to 1000000."),
        (["--max-users", "many"], "--max-users many: a number from 1"),
        (["--max-per-address", "-1"], "--max-per-address -1: a number from 0"),
        (["--login-timeout", "0"], "--login-timeout 0: a number from 1 to 86400."),
        (["--login-timeout", "nan"], "--login-timeout nan: a number from"),
        (["--rate", "fast"], "--rate fast: a number from 0"),
        (["--rate", "10:0"], "--rate BURST 0: a number from 1"),
        (["--rate", "10:"], "--rate BURST : a number from 1"),
        (["--rate", "inf"], "--rate inf: a number from 0"),
        (["--ping", "1"], "--ping 1: a number from 8 to 86400."),
        (["--shutdown-timeout", "-1"], "--shutdown-timeout -1: a number from 0 to 3600."),
        (["--unknown"], "option --unknown not recognized"),
        (["argument"], "argument"),
    ],
)
def test_nonsense_is_refused_in_a_line(tmp_path: Path, options: list[str], complaint: str) -> None:
    (tmp_path / "latin1").write_bytes(b"\xe9")
    (tmp_path / "long").write_bytes(b"x" * 20_000)
    ended = chat(tmp_path, *options)
    assert ended.returncode == 1
    assert complaint in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "Listening" not in ended.stdout


@pytest.mark.parametrize("daemon", [False, True])
def test_a_port_in_use_is_one_clear_line(tmp_path: Path, daemon: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        how = ["--pidfile=pid", "--logfile=log"] if daemon else ["-n", "--pidfile="]
        ended = subprocess.run(
            [sys.executable, TWISTD, *how, "chat", "--port", f"tcp:{port}:interface=127.0.0.1"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert ended.returncode == 1
    complaint = f"chat: Couldn't listen on 127.0.0.1:{port}: [Errno 98] Address already in use."
    said = ended.stdout
    deadline = time.monotonic() + PATIENCE
    while daemon and complaint not in said and time.monotonic() < deadline:
        time.sleep(0.01)  # the parent of the daemon ends before the daemon writes its log
        said = (tmp_path / "log").read_text()
    assert said.count(complaint) == 1
    assert "Traceback" not in said
    if daemon:
        assert "Couldn't listen on" in ended.stderr
    assert not list(tmp_path.glob("pid"))


def test_every_option_is_explained(tmp_path: Path) -> None:
    help_ = chat(tmp_path, "--help").stdout
    for option in (
        *("--port", "--tls", "--certificate", "--key", "--proxy-protocol"),
        *("--motd", "--echo", "--log-messages", "--max-users", "--max-per-address"),
        *("--login-timeout", "--rate", "--ping", "--shutdown-timeout"),
    ):
        assert option in help_
    assert "12345" in help_


def test_without_options_it_listens_at_12345(tmp_path: Path) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 12345)) == 0:
            pytest.skip("something listens there")
    process = subprocess.Popen(
        [sys.executable, TWISTD, "-n", "--pidfile=", "--logfile=log", "chat"], cwd=tmp_path
    )
    try:
        server = Server.__new__(Server)
        server.log_file, server.process = tmp_path / "log", process
        server.log_file.touch()
        server.wait_for_log(r"Listening on 0\.0\.0\.0:12345")
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_closing_its_terminal_ends_it(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    log = tmp_path / "server.log"
    process = subprocess.Popen(
        [
            *("setsid", "-c", sys.executable, TWISTD, "-n", "--pidfile=", f"--logfile={log}"),
            *("chat", "--port", "tcp:0:interface=127.0.0.1"),
        ],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=tmp_path,
    )
    os.close(slave)
    server = Server.__new__(Server)
    server.log_file, server.process = log, process
    log.touch()
    server.wait_for_log("Listening on")
    os.close(master)
    process.wait(PATIENCE)
    assert "Server Shut Down" in log.read_text()


def test_the_version_is_ours(tmp_path: Path) -> None:
    ended = chat(tmp_path, "--version")
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"chatservice {chatservice.__version__}, Twisted ")
