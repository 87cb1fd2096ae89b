"""Who holds a TCP port on this machine."""

from __future__ import annotations

import errno
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mooring.errors import Conflict, InvalidSetting

__all__ = ["PortOwner", "check_free", "is_free", "listening_inodes", "port_owner"]

LISTEN_STATE = "0A"
"""TCP_LISTEN as /proc/net/tcp writes it."""


@dataclass(frozen=True, slots=True)
class PortOwner:
    """The process that listens on a port; ``pid`` is ``None`` where we may not look."""

    pid: int | None
    name: str
    command: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})" if self.pid else self.name


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Whether a server could listen on ``address:port`` now.

    Raises:
        InvalidSetting: the address is not one of this machine, or the port needs root.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a port with only closed connections in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                return False
            if exc.errno == errno.EACCES:
                raise InvalidSetting(
                    f"Port {port} may only be opened by root.", hint="Use a port above 1023."
                ) from exc
            raise InvalidSetting(f"Nothing can listen on {address} port {port}: {exc}.") from exc
    return True


def check_free(endpoints: Iterable[tuple[str, int]]) -> None:
    """Make sure that every ``(address, port)`` is free.

    Raises:
        Conflict: one is taken; the message names the process that has it, when known.
    """
    for address, port in endpoints:
        if is_free(port, address):
            continue
        owner = port_owner(port)
        raise Conflict(
            f"Port {port} is already used by {owner or 'another process'}.",
            hint="Stop that process, or give the broker another port.",
            code="port_taken",
            port=port,
            pid=owner.pid if owner else None,
        )


def port_owner(port: int) -> PortOwner | None:
    """The process that listens on ``port``, or ``None`` if none does or none can be seen."""
    return _owner_from_proc(port) if sys.platform == "linux" else _owner_from_lsof(port)


def listening_inodes(table: str, port: int) -> set[str]:
    """Inodes of sockets that listen on ``port``, from the text of ``/proc/net/tcp[6]``."""
    found = set()
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != LISTEN_STATE:
            continue
        if int(fields[1].rpartition(":")[2], 16) == port:
            found.add(fields[9])
    return found


def _owner_from_proc(port: int) -> PortOwner | None:
    inodes: set[str] = set()
    for name in ("tcp", "tcp6"):
        table = Path("/proc/net") / name
        if table.exists():  # a kernel without IPv6 has no tcp6
            inodes |= listening_inodes(table.read_text(), port)
    if not inodes:
        return None
    links = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            mine = any(str(fd.readlink()) in links for fd in (process / "fd").iterdir())
            if not mine:
                continue
            name = (process / "comm").read_text().strip()
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:  # ended meanwhile, or another user's
            continue
        return PortOwner(int(process.name), name, tuple(command.rstrip("\0").split("\0")))
    return PortOwner(None, "a process of another user")


def _owner_from_lsof(port: int) -> PortOwner | None:
    lsof = shutil.which("lsof")
    if lsof is None:
        return None
    try:
        listing = subprocess.run(
            [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,  # lsof exits with 1 when nothing matches
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None  # the port is taken all the same; only its owner stays unknown
    fields = {line[0]: line[1:] for line in listing.splitlines() if line}
    if not fields.get("p", "").isdigit():
        return None
    return PortOwner(int(fields["p"]), fields.get("c", "a process"))
