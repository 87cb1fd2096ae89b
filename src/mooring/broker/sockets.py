"""The TCP connections of the broker's process, seen and ended from outside. Linux only.

Mosquitto has no command for either. ``/proc`` lists the connections of a port. A parent may
copy a descriptor of its child (``pidfd_getfd``, Linux 5.6) and shut the connection down; the
broker then sees that the client is gone. Where a container forbids that, nothing is ended.
"""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import os
import re
import socket
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Peer", "connections", "count", "descriptors", "end", "parse_table", "supported"]

PIDFD_GETFD = 438  # the same number on every architecture
_ESTABLISHED, _CLOSE_WAIT = "01", "08"  # both hold a descriptor
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_SOCKET = re.compile(r"socket:\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Peer:
    """One connection to a port of ours: who is at its other end, and the socket's number."""

    port: int  # ours
    address: str
    peer_port: int
    inode: int


def supported() -> bool:
    """Whether connections can be listed here."""
    return sys.platform == "linux" and Path(_TABLES[0]).exists()


def connections(ports: Collection[int]) -> list[Peer]:
    """Every accepted connection to one of the ports.

    Raises:
        OSError: the tables cannot be read.
    """
    found: list[Peer] = []
    for table in map(Path, _TABLES):
        if table.exists():  # no IPv6, no table
            found += parse_table(table.read_text(encoding="ascii").splitlines()[1:], ports)
    return found


def parse_table(lines: Iterable[str], ports: Collection[int]) -> Iterator[Peer]:
    """The rows of ``/proc/net/tcp`` or ``tcp6`` without their heading. Pure."""
    wanted = {f"{port:04X}": port for port in ports}
    for line in lines:
        # The table is that of the whole machine, so others' lines are passed over cheaply.
        port = wanted.get(line.split(None, 2)[1][-4:])
        if port is None:
            continue
        words = line.split()
        # A connection that nobody has accepted yet has no inode.
        if words[3] not in {_ESTABLISHED, _CLOSE_WAIT} or words[9] == "0":
            continue
        host, _, peer_port = words[2].rpartition(":")
        yield Peer(port, _address(host), int(peer_port, 16), int(words[9]))


def descriptors(pid: int) -> tuple[int, int]:
    """How many a process has open, and how many it may have.

    Raises:
        OSError: the process is gone, or another user's.
    """
    process = Path(f"/proc/{pid}")
    used = sum(1 for _ in (process / "fd").iterdir())
    limits = (process / "limits").read_text(encoding="ascii")
    most = re.search(r"^Max open files\s+(\d+)", limits, re.MULTILINE)
    return used, int(most[1]) if most else 1 << 20


def count(pid: int) -> int:
    """How many descriptors a process has open. Since Linux 6.2 the folder's size says it, at no
    cost for each of them.

    Raises:
        OSError: the process is gone, or another user's.
    """
    folder = f"/proc/{pid}/fd"
    return os.stat(folder).st_size or len(os.listdir(folder))  # noqa: PTH116, PTH208


def end(pid: int, inodes: Collection[int]) -> int:
    """Shuts connections of a child process down; returns how many.

    Raises:
        OSError: the process is gone, or may not be touched.
    """
    ended = 0
    handle = os.pidfd_open(pid)
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found = _SOCKET.fullmatch(str(entry.readlink()))
                if found is None or int(found[1]) not in inodes:
                    continue
                with socket.socket(fileno=_copy(handle, int(entry.name))) as copied:
                    if os.fstat(copied.fileno()).st_ino == int(found[1]):  # not reused meanwhile
                        copied.shutdown(socket.SHUT_RDWR)
                        ended += 1
            except (FileNotFoundError, ConnectionError):
                continue  # it ended by itself
            except OSError as exc:
                if exc.errno in _GONE:
                    continue
                raise
    finally:
        os.close(handle)
    return ended


_GONE = {errno.EBADF, errno.ENOTCONN}


def _copy(handle: int, descriptor: int) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    copied = int(library.syscall(PIDFD_GETFD, handle, descriptor, 0))
    if copied < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return copied


def _address(text: str) -> str:
    """Hexadecimal as the kernel has it: words of four bytes in the order of the machine."""
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = ipaddress.ip_address(raw)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
