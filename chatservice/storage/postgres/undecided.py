"""Ids of what is decided, and has no place in the log so far."""

UNDECIDED = 1 << 60  # they count from here


def relative_id(id_: int) -> int:
    """`id_` as the functions of the database take it: those that are undecided are below 0."""
    return -(id_ - UNDECIDED) - 1 if id_ >= UNDECIDED else id_
