"""The session of an IRC client: registration, then commands, each of which is a row of a table."""
