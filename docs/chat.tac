"""A Twisted application file: ``twistd -n --pidfile= -y chat.tac`` runs the chat with these options."""

from twisted.application.service import Application

from chatservice.tap import Options, makeService

options = Options()
options.parseOptions(["--port", "tcp:12345:interface=127.0.0.1", "--port", "tcp6:12346"])

application = Application("chat")
makeService(options).setServiceParent(application)
