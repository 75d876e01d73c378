"""The IRC dialect: what an IRC client sends and reads (RFC 1459 and 2812, and IRCv3)."""
