"""A chat with a thread for each client, as student projects are: a dict, a lock, `sendall`.

A peer of the benchmarks, and the baseline. It speaks this repository's text dialect.

Usage: ``python threaded_chat.py PORT`` (on 127.0.0.1).
"""

import socket
import sys
import threading
from collections.abc import Iterable

clients: dict[str, socket.socket] = {}
lock = threading.Lock()


def send(client: socket.socket, text: str) -> None:
    try:
        client.sendall(text.encode() + b"\r\n")
    except OSError:
        pass  # its own thread will notice


def broadcast(text: str, author: str) -> None:
    """The caller holds the lock."""
    for name, client in clients.items():
        if name != author:
            send(client, text)


def ask_name(client: socket.socket, lines: Iterable[str]) -> str | None:
    """None if the client goes before it has a free name."""
    send(client, "What is your name?")
    for line in lines:
        name = line.strip()
        with lock:
            if name and name not in clients:
                clients[name] = client
                send(client, f"Welcome {name}, you are connected to the server.")
                send(client, f"*** Online ({len(clients)}): {', '.join(clients)}")
                broadcast(f"*** {name} has joined the chat.", name)
                return name
        send(client, f"Error: {name} is taken. What is your name?")
    return None


def serve(client: socket.socket) -> None:
    name = None
    try:
        lines = client.makefile(encoding="utf-8", errors="replace")
        name = ask_name(client, lines)
        if name is None:
            return
        for line in lines:
            text = line.rstrip("\r\n")
            if text == "/exit":
                return
            with lock:
                broadcast(f"{name}: {text}", name)
    except OSError:
        pass
    finally:
        with lock:
            if name is not None:
                del clients[name]
                broadcast(f"*** {name} has left the chat.", name)
        client.close()


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096)
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main()
