"""How irctest (https://github.com/progval/irctest) starts our server: its plug-in, loaded by `run`.

What is not offered is not declared here, so that its tests are skipped.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from irctest import cases, patma
from irctest.basecontrollers import BaseServerController, DirectoryBasedController
from irctest.runner import NotImplementedByController
from irctest.specifications import Capabilities, OptionalBehaviors

TWISTD = os.environ.get("CHAT_TWISTD", "twistd")
# The operator whom irctest's tests log in as, and the password.
OPERATOR, PASSWORD = "operuser", "operpassword"
# The files of tests that do. Others need no database, with which a departure is heard once it is
# on disk: tests of `whowas` and `monitor` expect it at once.
WITH_OPERATOR = ("info", "kill", "oper", "wallops", "who", "whois")


@cache
def template() -> Path:
    """A database with the operator's account."""
    database = Path(tempfile.mkdtemp(prefix="irctest-")) / "chat.sqlite3"
    python = str(Path(TWISTD).with_name("python")) if os.sep in TWISTD else sys.executable
    program = [python, "-m", "chatservice.accounts", "--database", str(database)]
    subprocess.run([*program, "add", OPERATOR], input=PASSWORD, text=True, check=True)
    subprocess.run([*program, "operator", OPERATOR], check=True)
    return database


class ChatserviceController(BaseServerController, DirectoryBasedController):
    """Runs ``twistd chat --irc``."""

    software_name = "chatservice"
    _port_wait_interval = 0.05
    supported_sasl_mechanisms = {"PLAIN"}  # noqa: RUF012 (irctest's way)
    supports_sts = False
    extban_mute_char = "m"

    capabilities = frozenset(
        {
            Capabilities.ACCOUNT_NOTIFY,
            Capabilities.ACCOUNT_TAG,
            Capabilities.AWAY_NOTIFY,
            Capabilities.BATCH,
            Capabilities.ECHO_MESSAGE,
            Capabilities.EXTENDED_JOIN,
            Capabilities.EXTENDED_MONITOR,
            Capabilities.LABELED_RESPONSE,
            Capabilities.MESSAGE_TAGS,
            Capabilities.MULTI_PREFIX,
            Capabilities.SERVER_TIME,
            Capabilities.SETNAME,
        }
    )
    optional_behaviors = frozenset(
        {
            OptionalBehaviors.CAP_REQ_MINUS,
            OptionalBehaviors.MULTI_JOIN,
            OptionalBehaviors.MULTI_KICK,
            OptionalBehaviors.MULTI_PRIVMSG,
        }
    )
    isupport = {  # noqa: RUF012
        "CASEMAPPING": "ascii",
        "ELIST": "MNU",
        "MONITOR": patma.ANYSTR,
        "MSGREFTYPES": "msgid,timestamp",
        "PREFIX": "(qov)~@+",
        "TARGMAX": patma.ANYSTR,
        "UTF8ONLY": None,
        "WHOX": None,
    }

    def run(
        self,
        hostname: str,
        port: int,
        *,
        password: str | None,
        ssl: bool,
        run_services: bool,
        faketime: str | None,
        websocket_hostname: str | None = None,
        websocket_port: int | None = None,
    ) -> None:
        """Start it. A server that asks for a password of its own, or for addresses of e-mail, is
        not what we offer, nor is registration before the connection is."""
        config = self.test_config
        if password is not None:
            raise NotImplementedByController("a password of the server")
        if websocket_port is not None:
            raise NotImplementedByController("IRC over WebSocket")
        if config.account_registration_before_connect:
            raise NotImplementedByController("account registration before connecting")
        if config.account_registration_requires_email:
            raise NotImplementedByController("e-mail")
        self.create_config()
        assert self.directory is not None
        self.port = port
        option = "--irc-tls" if ssl else "--irc"
        arguments = [
            *(TWISTD, "-n", "--pidfile=", "-d", str(self.directory), "chat", "--port", "none"),
            *(option, f"tcp:{port}:interface={hostname.replace(':', chr(92) + ':')}"),
            *("--irc-name", "My.Little.Server", "--irc-no-lobby", "--password-length", "1"),
            *("--rate", "0", "--max-per-address", "0", "--max-users", "500"),
            *("--shutdown-timeout", "0"),
        ]
        file = Path(os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0]).stem
        if run_services or file in WITH_OPERATOR:
            shutil.copy(template(), self.directory)
        else:
            arguments += ["--database", "none"]
        if ssl:
            self.gen_ssl()
            arguments += ["--certificate", str(self.pem_path), "--key", str(self.key_path)]
        self.proc = self.execute(arguments)

    def wait_for_services(self) -> None:
        """There are none beside the server."""

    def registerUser(
        self, case: cases.BaseServerTestCase, username: str, password: str | None = None
    ) -> None:
        """Register an account, as a client does."""
        if not case.run_services:
            raise ValueError("this test has to be marked with mark_services")
        client = case.addClient(show_io=False)
        for line in ("CAP LS 302", f"NICK {username}", "USER r e g :user", "CAP END"):
            case.sendLine(client, line)
        while case.getRegistrationMessage(client).command != "001":
            pass
        case.getMessages(client)
        case.sendLine(client, f"REGISTER * * {password}")
        replies = [case.getMessage(client) for _ in range(1)]
        assert replies[0].command == "REGISTER", replies
        case.getMessages(client)
        case.sendLine(client, "QUIT")
        case.assertDisconnected(client)


def get_irctest_controller_class() -> type[ChatserviceController]:
    """What irctest looks for."""
    return ChatserviceController
