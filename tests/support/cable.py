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


class Pull(StrEnum):
    """How a cable fails, for a while. Nobody is told, as in a real network."""

    OUT = "out"  # the link is down
    LOSS = "loss"  # the link is up and nothing arrives
    BAD = "bad"  # half of the packets arrive, late and out of order


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
        for program in ("ip", "tc"):
            if shutil.which(program) is None:
                return f"The program {program} is not here (Linux, package iproute2)."
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
                self._run("ip", "link", "set", self._near, "down")
            case Pull.LOSS:
                self._spoil("loss", "100%")
            case _:
                self._spoil("delay", "200ms", "150ms", "loss", "50%")
        timer = threading.Timer(seconds, self._mend, [kind])
        timer.start()
        self._timers.append(timer)

    def __enter__(self) -> Cable:
        self._run("ip", "netns", "add", self._space)
        self._run("ip", "link", "add", self._near, "type", "veth", "peer", "name", self._far)
        self._run("ip", "link", "set", self._far, "netns", self._space)
        self._run("ip", "address", "add", f"{self.address}/30", "dev", self._near)
        self._run("ip", "link", "set", self._near, "up")
        within = ["ip", "-n", self._space]
        self._run(*within, "address", "add", f"{self._there}/30", "dev", self._far)
        self._run(*within, "link", "set", self._far, "up")
        self._run(*within, "link", "set", "lo", "up")
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
        self._run("ip", "link", "delete", self._near)
        self._run("ip", "netns", "delete", self._space)

    def _spoil(self, *how: str) -> None:
        self._run("tc", "qdisc", "add", "dev", self._near, "root", "netem", *how)

    def _mend(self, kind: str) -> None:
        if kind == Pull.OUT:
            self._run("ip", "link", "set", self._near, "up")
        else:
            self._run("tc", "qdisc", "delete", "dev", self._near, "root")
        self._out.clear()

    def _run(self, *words: str) -> None:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
