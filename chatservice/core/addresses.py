"""How people read the address of a connection or of a listening port."""

import os


def address_text(address: object) -> str:
    """``192.168.1.2:54321``, ``[::1]:54321``, ``unix:/run/chat.sock``, or what `address` says of
    itself. It may be one of Twisted's, or a pair of host and port."""
    match address:
        case (str() as host, int() as port):
            pass
        case object(host=str(host), port=int(port)):
            pass
        case object(name=bytes(path)):
            return f"unix:{os.fsdecode(path)}"
        case _:
            return str(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
