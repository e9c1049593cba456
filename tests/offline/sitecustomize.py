"""Cut a Python process off the network: only this machine's own addresses and Unix sockets are left.

Python imports a module of this name at start-up, so a folder that holds it, put on PYTHONPATH, cuts off a whole tree of
processes (Ray's workers too). What was tried is refused and, where NETWORK_ATTEMPTS_LOG names a file, noted there: code
that swallows the refusal is still found out. Sockets that native code opens by itself are not seen.
"""

import os
import socket
from functools import cache
from pathlib import Path

_LOG = "NETWORK_ATTEMPTS_LOG"
_ANY = {"", "0.0.0.0", "::", None}  # noqa: S104 - compared, not listened on


@cache
def is_own(host: str | None) -> bool:
    """Whether the host is this machine: a loopback name, or an address that can be bound here."""
    if host in _ANY or host in {"localhost", socket.gethostname()}:
        return True
    family = socket.AF_INET6 if ":" in str(host) else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def refuse(host: str | None) -> None:
    """Note and raise."""
    if log := os.environ.get(_LOG):
        with Path(log).open("a", encoding="utf-8") as notes:
            notes.write(f"{host}\n")
    raise ConnectionRefusedError(f"the network is cut off for this test: {host}")


def _text(host: object) -> str | None:
    return host.decode() if isinstance(host, bytes) else host


def cut_off() -> None:
    """Patch `socket` in this process."""
    real_connect, real_connect_ex, real_sendto = socket.socket.connect, socket.socket.connect_ex, socket.socket.sendto
    real_getaddrinfo = socket.getaddrinfo

    def check(sock: socket.socket, address: object) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not is_own(_text(address[0])):
            refuse(_text(address[0]))

    def connect(self, address):
        # Connecting a datagram socket sends nothing; Ray asks in this way which of its addresses faces outwards.
        if self.type != socket.SOCK_DGRAM:
            check(self, address)
        return real_connect(self, address)

    def connect_ex(self, address):
        check(self, address)
        return real_connect_ex(self, address)

    def sendto(self, data, *rest):
        check(self, rest[-1])
        return real_sendto(self, data, *rest)

    def getaddrinfo(host, *rest, **options):
        if not is_own(_text(host)):
            refuse(_text(host))
        return real_getaddrinfo(host, *rest, **options)

    socket.socket.connect = connect
    socket.socket.connect_ex = connect_ex
    socket.socket.sendto = sendto
    socket.getaddrinfo = getaddrinfo


if __name__ == "sitecustomize":
    cut_off()
