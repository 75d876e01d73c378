"""What the system is asked to do for a TCP connection."""

import socket

PROBES = 4  # how often a silent peer is asked whether it is still there, before it is given up


def keep_alive(connection: socket.socket, seconds: float) -> None:
    """Have it noticed within so many seconds (8 at least) that the peer has vanished: after half of
    them in silence it is asked; and nothing that was sent waits longer to be acknowledged."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    whole = max(int(seconds), 2 * PROBES)
    for option, value in (
        ("TCP_KEEPIDLE", whole // 2),
        ("TCP_KEEPINTVL", whole // 2 // PROBES),
        ("TCP_KEEPCNT", PROBES),
        ("TCP_USER_TIMEOUT", whole * 1000),
    ):
        if hasattr(socket, option):  # they are Linux's
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
