"""Whose word about a request's address is believed: that of the proxies named in the settings."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

__all__ = ["FORWARDED_HEADERS", "Proxies"]

FORWARDED_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")

log = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address


class Proxies:
    """The reverse proxies in front of this process.

    Args:
        networks: their addresses and networks.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(ip_network(one, strict=False) for one in networks)
        self._warned = False

    def client_of(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
        """The address a request came from.

        Args:
            peer: the other end of the connection.
            headers: of the request, names in lower case.

        Returns:
            The last address in ``X-Forwarded-For`` that is not a trusted proxy's, when the peer
            is one; the peer otherwise, and where the header holds no address at that place.
        """
        address = _parsed(peer)
        if address is None or not self._trusts(address):
            self._warn(peer, headers)
            return peer
        said = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        found = address
        for word in reversed(said.decode("latin-1").split(",")):
            one = _parsed(word.strip())
            if one is None:
                break
            found = one
            if not self._trusts(one):
                break
        return str(found)

    def trusts(self, peer: str) -> bool:
        """Whether this address is a trusted proxy's."""
        address = _parsed(peer)
        return address is not None and self._trusts(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _warn(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        if not self._warned and any(name == b"x-forwarded-for" for name, _ in headers):
            self._warned = True
            log.warning(
                "%s sends X-Forwarded-For and is not in trusted_proxies: the header is ignored",
                peer[:64],
            )


def _parsed(text: str) -> Address | None:
    """An address; with a port, in brackets, or IPv4 within IPv6, as proxies write it."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
