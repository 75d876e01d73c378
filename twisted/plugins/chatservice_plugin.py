"""Makes ``twistd chat`` known to Twisted."""

from twisted.application.service import ServiceMaker

chat = ServiceMaker("chatservice", "chatservice.tap", "A multi-user chat server.", "chat")
