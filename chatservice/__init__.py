"""A multi-user chat on Twisted: ``twistd -n chat``."""
