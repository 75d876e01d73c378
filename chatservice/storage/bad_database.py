"""What is wrong with the place where a chat is to be kept."""


class BadDatabase(Exception):
    """The database cannot be used, and why. It has not been touched."""
