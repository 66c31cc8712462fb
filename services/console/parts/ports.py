"""Free places on loopback."""

import socket


def free_port() -> int:
    """Return a port nobody listens on at this moment; whoever binds it later learns if that changed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
