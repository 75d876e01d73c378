"""Addresses of this machine."""

import socket

import pytest


def elsewhere() -> str:
    """One that is not this machine's own to a client: not of the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.99", 9))  # nothing is sent
        except OSError:
            pytest.skip("there is only the loopback interface here")
        address = str(probe.getsockname()[0])
    if address.startswith("127."):
        pytest.skip("there is only the loopback interface here")
    return address
