"""A multi-user chat on Twisted: ``twistd -n chat``."""

__version__ = "0.1.0"
