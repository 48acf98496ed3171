"""Servers on this machine: ports for them, and the way to them past any proxy."""

from __future__ import annotations

import os
import random
import socket

HOST = "127.0.0.1"
PORTS = range(10_000, 32_000)
"""Below those that the system gives to outgoing connections."""


def bypass_proxies() -> None:
    """Have this process, and those that it starts, speak to loopback directly."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = os.environ.get(name, "").split(",")
        if HOST not in hosts:
            os.environ[name] = ",".join([*filter(None, hosts), HOST])


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens; all held at once while looking, so that none is given twice."""
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            candidate = socket.socket()
            held.append(candidate)
            try:
                candidate.bind((HOST, random.choice(PORTS)))
            except OSError:
                held.pop().close()
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()
