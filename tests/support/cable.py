"""A network of its own for a device: a namespace and a virtual cable that can be pulled.

Linux only, and only for root: ``Cable.refusal()`` says why it does not work here.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
from enum import StrEnum
from types import TracebackType

__all__ = ["Cable", "Pull"]


# Packets go to an Ethernet address that nobody has: they leave, and arrive nowhere.
_SEND = ("neighbour", "replace")
_ASTRAY = ("lladdr", "02:00:00:00:00:99", "nud", "permanent", "dev")


class Pull(StrEnum):
    """How a cable fails, for a while. Nobody is told, as in a real network."""

    OUT = "out"  # the link is down
    DEAF = "deaf"  # what this machine sends does not arrive
    MUTE = "mute"  # what the device sends does not arrive


class Cable:
    """A namespace that reaches this machine by one cable and nothing else.

    Attributes:
        address: of this machine, at the end of the cable.
        words: in front of a command that is to run in the namespace.
    """

    kinds = tuple(Pull)
    longest = 8.0  # seconds; longer than the keepalive of the device at the other end

    def __init__(self) -> None:
        word = f"{os.getpid() % 100_000}"
        self._space, self._near, self._far = f"mooring{word}", f"mrn{word}", f"mrf{word}"
        net = f"10.{random.randrange(200, 250)}.{random.randrange(256)}"
        self.address, self._there = f"{net}.1", f"{net}.2"
        self.words = ["ip", "netns", "exec", self._space]
        self.cuts: dict[str, int] = dict.fromkeys(map(str, Pull), 0)
        self._out = threading.Event()
        self._timers: list[threading.Timer] = []

    @staticmethod
    def refusal() -> str:
        """Why there can be no cable here; empty when there can."""
        if shutil.which("ip") is None:
            return "The program ip is not here (Linux, package iproute2)."
        if os.geteuid() != 0:
            return "Only root may make network namespaces."
        name = f"mooringtry{os.getpid()}"
        done = subprocess.run(
            ["ip", "netns", "add", name], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return f"Network namespaces are not allowed here: {done.stderr.strip()}"
        subprocess.run(["ip", "netns", "delete", name], check=True)
        return ""

    @property
    def open(self) -> int:
        """1 while the cable is plugged in."""
        return 0 if self._out.is_set() else 1

    @property
    def connections(self) -> int:
        """Nobody counts them in a real network."""
        return 0

    def cut(self, kind: str, seconds: float) -> None:
        """Breaks the cable for so long; returns at once."""
        self.cuts[kind] += 1
        self._out.set()
        match kind:
            case Pull.OUT:
                self._ip("link", "set", self._near, "down")
            case Pull.DEAF:
                self._ip(*_SEND, self._there, *_ASTRAY, self._near)
            case _:
                self._ip(*_SEND, self.address, *_ASTRAY, self._far, within=True)
        timer = threading.Timer(seconds, self._mend, [kind])
        timer.start()
        self._timers.append(timer)

    def __enter__(self) -> Cable:
        self._ip("netns", "add", self._space)
        self._ip("link", "add", self._near, "type", "veth", "peer", "name", self._far)
        self._ip("link", "set", self._far, "netns", self._space)
        self._ip("address", "add", f"{self.address}/30", "dev", self._near)
        self._ip("link", "set", self._near, "up")
        self._ip("address", "add", f"{self._there}/30", "dev", self._far, within=True)
        self._ip("link", "set", self._far, "up", within=True)
        self._ip("link", "set", "lo", "up", within=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for timer in self._timers:
            timer.cancel()
            timer.join()
        self._ip("link", "delete", self._near)
        self._ip("netns", "delete", self._space)

    def _mend(self, kind: str) -> None:
        if kind == Pull.OUT:
            self._ip("link", "set", self._near, "up")
        elif kind == Pull.DEAF:
            self._ip("neighbour", "delete", self._there, "dev", self._near)
        else:
            self._ip("neighbour", "delete", self.address, "dev", self._far, within=True)
        self._out.clear()

    def _ip(self, *words: str, within: bool = False) -> None:
        space = ["-n", self._space] if within else []
        done = subprocess.run(["ip", *space, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
