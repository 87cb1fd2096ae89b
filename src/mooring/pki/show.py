"""What ``mooring cert show`` prints: paths, and command lines that work as they are."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from mooring.pki.model import CertificateInfo, PkiPaths

__all__ = ["ClientLines", "Shown", "client_lines"]


@dataclass(frozen=True, slots=True)
class ClientLines:
    """``mosquitto_pub`` and ``mosquitto_sub``; words in capitals are to be filled in.

    Attributes:
        publish, subscribe: with username and password.
        publish_certificate, subscribe_certificate: with a device's certificate; empty when
            the broker has no listener for certificates.
    """

    publish: str
    subscribe: str
    publish_certificate: str = ""
    subscribe_certificate: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """The state of the PKI.

    Attributes:
        old_ca: the CA a rollover is leaving.
        server: the broker's certificate.
    """

    ca: CertificateInfo
    old_ca: CertificateInfo | None
    server: CertificateInfo
    paths: PkiPaths
    lines: ClientLines


def client_lines(cafile: Path | None, *, host: str, port: int, mtls_port: int = 0) -> ClientLines:
    """Lines for a broker at *host*.

    Args:
        cafile: whom to trust; ``None``: the public CAs the machine knows.
        mtls_port: the listener for certificates; 0: none exists.
    """
    trust = ["--tls-use-os-certs"] if cafile is None else ["--cafile", str(cafile)]
    publish = ["-t", "TOPIC", "-q", "1", "-m", "MESSAGE"]
    subscribe = ["-t", "TOPIC", "-q", "1", "-v"]
    who = ["-i", "CLIENT_ID"]
    login = ["-u", "USERNAME", "-P", "PASSWORD"]
    password = ["-h", host, "-p", str(port), *trust, *who, *login]
    pub = shlex.join(["mosquitto_pub", *password, *publish])
    sub = shlex.join(["mosquitto_sub", *password, *subscribe])
    if not mtls_port:
        return ClientLines(pub, sub)
    files = ["--cert", "device.crt", "--key", "device.key"]
    certificate = ["-h", host, "-p", str(mtls_port), *trust, *who, *files]
    return ClientLines(
        pub,
        sub,
        shlex.join(["mosquitto_pub", *certificate, *publish]),
        shlex.join(["mosquitto_sub", *certificate, *subscribe]),
    )
