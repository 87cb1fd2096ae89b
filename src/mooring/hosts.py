"""The names a server certificate is made for."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address

from cryptography import x509

from mooring.errors import Invalid

__all__ = [
    "LOCAL_HOSTS",
    "general_names",
    "host_matches",
    "machine_hosts",
    "normalise",
    "recent_hosts",
]

REMEMBERED_SECONDS = 5.0
"""How old ``recent_hosts`` may be."""

#: Always in the certificate, so that tools on the machine itself can verify it.
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_MAX_NAME = 253  # RFC 1035, 2.3.4

# Addresses of the documentation ranges: connecting a UDP socket sends nothing, it only asks
# the kernel which of our own addresses it would send from.
_PROBES = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def normalise(host: str) -> str:
    """A host as it is in a certificate: an IP address or a lower-case DNS name.

    ``[::1]`` loses its brackets, international names become their ``xn--`` form, and a
    leading ``*.`` is allowed.

    Raises:
        Invalid: the text is neither an address nor a DNS name.
    """
    text = host.strip()
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ip_address(bare))
    except ValueError:
        pass  # not an address: a name, then
    name = text.rstrip(".")
    wildcard = name.startswith("*.")
    labels = (name[2:] if wildcard else name).split(".")
    try:
        ascii_labels = [
            label.lower() if label.isascii() else label.encode("idna").decode("ascii")
            for label in labels
        ]
    except UnicodeError as exc:
        raise _bad(host) from exc
    result = ("*." if wildcard else "") + ".".join(ascii_labels)
    if len(result) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in ascii_labels):
        raise _bad(host)
    # A last label of digits alone is a mistyped address (10.0.0.300), not a name.
    if ascii_labels[-1].isdigit():
        raise _bad(host)
    return result


def _bad(host: str) -> Invalid:
    return Invalid(
        f"{host[:80]!r} is neither an IP address nor a host name.",
        hint="Give a name such as mqtt.example.org or an address such as 192.0.2.10, no port.",
        code="invalid_host",
    )


def general_names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    """Subject alternative names for normalised hosts, in the order given, each once."""
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(normalise(host) for host in hosts):
        try:
            names.append(x509.IPAddress(ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def host_matches(host: str, sans: Iterable[str]) -> bool:
    """Whether a client that dials *host* accepts a certificate with these names.

    A ``*`` stands for exactly one whole label and never for part of an address
    (RFC 6125, 6.4.3).
    """
    wanted = normalise(host)
    names = {san.lower().rstrip(".") for san in sans}
    if wanted in names:
        return True
    try:
        ip_address(wanted)
    except ValueError:
        first, dot, rest = wanted.partition(".")
        return bool(dot) and first != "*" and f"*.{rest}" in names
    return False


class _Remembered:
    """The machine's names and addresses, and until when they are used."""

    def __init__(self) -> None:
        self.hosts: tuple[str, ...] = ()
        self.until = 0.0


_REMEMBERED = _Remembered()


def recent_hosts() -> tuple[str, ...]:
    """``machine_hosts`` as of a few seconds ago: finding them out asks the resolver, which each
    device that is added would pay for. Safe from any thread."""
    now = time.monotonic()
    if now >= _REMEMBERED.until:
        _REMEMBERED.hosts = machine_hosts()
        _REMEMBERED.until = now + REMEMBERED_SECONDS
    return _REMEMBERED.hosts


def machine_hosts() -> tuple[str, ...]:
    """This machine's own names and addresses, loopback first; link-local ones left out."""
    found = list(LOCAL_HOSTS)
    name = socket.gethostname()
    candidates = [name]
    with suppress(OSError, UnicodeError):  # a label that is empty or too long is not a DNS name
        candidates.append(socket.getfqdn())
    if "." not in name:
        candidates.append(f"{name}.local")  # what mDNS answers to on a home or workshop network
    candidates += _addresses(name)
    for candidate in candidates:
        try:
            found.append(normalise(candidate))
        except Invalid:
            continue  # a machine name that is not a DNS name, which no certificate can hold
    return tuple(dict.fromkeys(found))


def _addresses(name: str) -> list[str]:
    texts: list[str] = []
    for family, probe in _PROBES:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probing:
                probing.connect((probe, 9))
                texts.append(str(probing.getsockname()[0]))
        except OSError:
            continue  # no route in this family: the machine has no address in it
    with suppress(OSError, UnicodeError):  # the machine's own name need not resolve, or be one
        texts += [str(entry[4][0]) for entry in socket.getaddrinfo(name, None)]
    usable = []
    for text in texts:
        address = ip_address(text.partition("%")[0])
        if not (address.is_link_local or address.is_unspecified or address.is_loopback):
            usable.append(str(address))
    return usable
