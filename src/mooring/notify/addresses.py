"""Which addresses a notification may go to, checked after the name was looked up.

A tenant chooses its targets. Without this check it could have the platform talk to services that
only the platform's own network reaches. Who connects uses the checked address and never looks the
name up again, so an answer of DNS that changes meanwhile changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

__all__ = ["AddressRejected", "allowed_address", "resolve"]

_NAT64 = ip_network("64:ff9b::/96")
_ROUTED = ip_network("2000::/3")
"""All IPv6 addresses of the internet. Others may stand for IPv4 addresses of a private network."""


class AddressRejected(Exception):
    """The target is an address that is not allowed."""


def allowed_address(text: str, *, private: bool) -> bool:
    """Whether a notification may go to this address.

    Args:
        text: an IP address; a zone after ``%`` is ignored.
        private: an administrator allows addresses of private networks, this machine's included.
    """
    try:
        found = _plain(ip_address(text.partition("%")[0]))
    except ValueError:
        return False
    if found.is_multicast or found.is_unspecified or str(found) == "255.255.255.255":
        return False
    routed = isinstance(found, IPv4Address) or found in _ROUTED
    return private or (found.is_global and routed)


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for: mapped, 6to4, NAT64, Teredo."""
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    if inner is None and (address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1)):
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    return address if inner is None else inner


async def resolve(host: str, port: int, *, private: bool) -> str:
    """The address to connect to. One address that is not allowed rejects them all: the target
    is not what it seems.

    Raises:
        OSError: the name cannot be looked up.
        AddressRejected: an address is not allowed.
    """
    addresses = await _look_up(host, port)
    for address in addresses:
        if not allowed_address(address, private=private):
            # Without the address: a tenant learns nothing of names that only this network knows.
            raise AddressRejected(f"{host} has an address that is not allowed for notifications")
    return addresses[0]


async def _look_up(host: str, port: int) -> list[str]:
    """In a thread of its own: a name server that does not answer holds it longer than an attempt
    takes, and the threads that the loop shares would soon all wait for such servers."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(addresses: list[str], failure: Exception | None) -> None:
        if answer.done():  # the attempt has ended
            return
        if failure is None:
            answer.set_result(addresses)
        else:
            answer.set_exception(failure)

    def ask() -> None:
        addresses: list[str] = []
        failure: Exception | None = None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [str(one[4][0]) for one in found]
        except Exception as exc:  # noqa: BLE001 - passed on to the attempt
            failure = exc
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
            loop.call_soon_threadsafe(settle, addresses, failure)

    threading.Thread(target=ask, name="look up a name", daemon=True).start()
    return await answer
