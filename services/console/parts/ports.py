"""Free places on loopback."""

import secrets
import socket
from contextlib import suppress
from typing import Final

# Below those that the kernel lends to whoever connects: such a one would be gone before it is bound.
PLACES: Final = range(20_000, 32_768)
_given: set[int] = set()


def free_port() -> int:
    """Return a port nobody listens on at this moment, and no port twice.

    Whoever binds it later learns if that changed.
    """
    while True:
        port = secrets.choice(PLACES)
        if port in _given:
            continue
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port
