"""TCP ports on this machine: which are free, and a clear word about one that is taken."""

import errno
import random
import socket
from collections.abc import Iterable
from contextlib import closing

from jobplatform.errors import PlatformError


class PortTaken(PlatformError):
    """Something else listens on this port."""


def free_port(candidates: Iterable[int] = (), host: str = "127.0.0.1") -> int:
    """The first free one of the candidates, else any free one.

    Any: below the range that outgoing connections take theirs from, so that the port can be used again after a restart.
    """
    # Not Python's shared generator: whoever seeds it, as tests do, would have every process choose the same port.
    for port in (*candidates, *random.SystemRandom().sample(range(10_000, 32_000), 200)):
        if is_free(port, host):
            return port
    raise PortTaken(f"No port is free on {host}.")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    try:
        _probe(port, host)
    except OSError:
        return False
    return True


def is_open(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def claim(port: int, host: str, purpose: str, variable: str) -> None:
    """Make sure that the port can be listened on.

    Raises:
        PortTaken: one line that names the port and the variable that changes it.
    """
    try:
        _probe(port, host)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: f"Port {port} on {host}, for {purpose}, is taken by another program",
            errno.EACCES: f"Port {port}, for {purpose}, needs more rights than this user has",
            errno.EADDRNOTAVAIL: f"{host} is no address of this machine (HOST)",
        }
        reason = reasons.get(error.errno or 0, f"Nothing can listen on {host} port {port}, for {purpose}: {error}")
        raise PortTaken(f"{reason}: stop that, or choose another port with {variable}.") from None


def _probe(port: int, host: str) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with closing(socket.socket(family, kind, protocol)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)
