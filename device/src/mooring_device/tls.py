"""TLS contexts for the broker and the platform: verified, TLS 1.2 at least, resumed.

A resumed handshake costs both sides about half: no certificates, no signature. That is what
brings ten thousand devices back quickly after a broker restart.
"""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import time
from calendar import timegm
from pathlib import Path
from typing import Any

from mooring_device.credentials import Tls
from mooring_device.errors import InvalidSetting
from mooring_device.words import EXPIRED, NOT_YET_VALID, Facts

__all__ = [
    "Contexts",
    "ResumingContext",
    "build_context",
    "gather_facts",
    "refusal",
    "trusted",
    "validity",
]

TOLD_MOST = 4  # of a device's CAs; more is a collection, not a choice
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class ResumingContext(ssl.SSLContext):
    """A client context that offers the last session to the next connection.

    ``ssl.SSLSession`` is bound to its context, so one context serves all connections.
    """

    resume: ssl.SSLSession | None = None

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        if kwargs.get("session") is None:
            kwargs["session"] = self.resume
        return super().wrap_socket(sock, *args, **kwargs)

    def remember(self, sock: Any) -> None:
        """Keep the session of a live connection. With TLS 1.3 it is there only after the
        first bytes from the server [RFC 8446 4.6.1], so this comes after CONNACK."""
        session = getattr(sock, "session", None)
        if session is not None and session.has_ticket:
            self.resume = session


def build_context(tls: Tls) -> ResumingContext:
    """The context that ``tls`` describes.

    Raises:
        InvalidSetting: a file is missing, unreadable, no PEM, or key and certificate differ.
    """
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _load_trust(context, tls)
    if tls.cert_file:
        _load_own(context, tls)
    return context


class Contexts:
    """The context for a connection; made again when one of its files has changed, so that a
    renewed certificate counts from the next connection on."""

    def __init__(self) -> None:
        self._key: tuple[Tls, tuple[float, ...]] | None = None
        self._context: ResumingContext | None = None

    def get(self, tls: Tls) -> ResumingContext:
        """The context for ``tls``.

        Raises:
            InvalidSetting: see ``build_context``.
        """
        key = tls, tuple(_changed(f) for f in (tls.ca_file, tls.cert_file, tls.key_file))
        if self._context is None or key != self._key:
            self._context = build_context(tls)
            self._key = key
        return self._context


def _changed(name: str) -> float:
    try:
        return Path(name).stat().st_mtime if name else 0.0
    except OSError:
        return -1.0  # build_context says what is wrong with it


def _load_trust(context: ssl.SSLContext, tls: Tls) -> None:
    try:
        if tls.ca_file:
            context.load_verify_locations(cafile=tls.ca_file)
        elif tls.ca_pem:
            context.load_verify_locations(cadata=tls.ca_pem)
        else:
            context.load_default_certs()
    except FileNotFoundError as exc:
        raise InvalidSetting(f"The CA file {tls.ca_file} (MQTT_CA_CERTS) does not exist.") from exc
    except (ssl.SSLError, OSError, ValueError) as exc:
        raise InvalidSetting(
            f"No CA certificate can be read: {tls.trusts} is not a PEM file of certificates.",
            hint="It starts with -----BEGIN CERTIFICATE-----.",
        ) from exc


def trusted(tls: Tls | None) -> str:
    """SHA-256 fingerprints of the CAs this device was given, in hexadecimal, one space
    between two; "" when it goes by the system's, which are too many to tell."""
    if tls is None or tls.insecure:
        return ""
    try:
        pem = Path(tls.ca_file).read_text(encoding="ascii") if tls.ca_file else tls.ca_pem
        found = [ssl.PEM_cert_to_DER_cert(one) for one in _CERTIFICATE.findall(pem)]
    except (OSError, ValueError):
        return ""  # the handshake was made with what the file held before
    if len(found) > TOLD_MOST:
        return ""
    return " ".join(hashlib.sha256(one).hexdigest() for one in found)


def _load_own(context: ssl.SSLContext, tls: Tls) -> None:
    files = f"{tls.cert_file} and {tls.key_file}"
    try:
        # The empty password keeps OpenSSL from asking for one on the terminal.
        context.load_cert_chain(tls.cert_file, tls.key_file or None, password="")
    except FileNotFoundError as exc:
        raise InvalidSetting(f"Of the device's certificate files {files} one is missing.") from exc
    except PermissionError as exc:
        raise InvalidSetting(f"This user may not read {files}.") from exc
    except ssl.SSLError as exc:
        if "MISMATCH" in str(exc).upper():
            message = f"The key and the certificate in {files} do not belong together."
        else:
            message = f"The device's certificate or key cannot be read ({files})."
        raise InvalidSetting(message, hint="Both are PEM files, the key without password.") from exc


# Validity ::= SEQUENCE { notBefore Time, notAfter Time } [RFC 5280 4.1.2.5]; Time is a
# UTCTime (tag 17, 13 characters) or a GeneralizedTime (tag 18, 15 characters).
_VALIDITY = re.compile(
    rb"\x30[\x1e\x20\x22](?:\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z)"
    rb"(?:\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z)"
)


def _epoch(short: bytes | None, long: bytes | None) -> float:
    digits = (long or b"").decode()
    if short is not None:
        year = int(short[:2])  # two digits: from 1950 to 2049 [RFC 5280 4.1.2.5.1]
        digits = f"{1900 + year if year >= 50 else 2000 + year}{short[2:].decode()}"
    parts = [int(digits[:4]), *(int(digits[i : i + 2]) for i in range(4, 14, 2))]
    return float(timegm((*parts, 0, 0, 0)))


def validity(der: bytes) -> tuple[float, float] | None:
    """From when to when a certificate is valid, in epoch seconds; ``None`` when not found.

    For messages only: it decides nothing.
    """
    found = _VALIDITY.search(der)
    return (_epoch(*found.group(1, 2)), _epoch(*found.group(3, 4))) if found else None


def gather_facts(host: str, port: int, trusts: str, exc: OSError | None) -> Facts:
    """What ``mooring_device.words`` wants to know about a failure."""
    dates = None
    if getattr(exc, "verify_code", 0) in (NOT_YET_VALID, EXPIRED):
        dates = _fetch_validity(host, port)
    return Facts(
        host=host,
        port=port,
        now=time.time(),
        not_before=dates[0] if dates else None,
        not_after=dates[1] if dates else None,
        trusts=trusts,
    )


def _fetch_validity(host: str, port: int, timeout: float = 5.0) -> tuple[float, float] | None:
    # A second connection that trusts nobody and says nothing: only to name the dates.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout) as raw,
            context.wrap_socket(raw, server_hostname=host) as sock,
        ):
            return validity(sock.getpeercert(binary_form=True) or b"")
    except OSError:
        return None  # the message then does without the dates


def refusal(host: str, port: int, context: ssl.SSLContext, timeout: float = 3.0) -> str:
    """OpenSSL's words for why a server ends a connection after the handshake, or "".

    With TLS 1.3 a server rejects the device's certificate only then [RFC 8446 4.4.2.4]. If
    we have sent something by that time, TCP throws its words away with the connection; so
    this asks again and only listens.
    """
    try:
        with (
            socket.create_connection((host, port), timeout) as raw,
            context.wrap_socket(raw, server_hostname=host) as sock,
        ):
            sock.recv(1)
    except OSError as exc:
        return str(exc)
    return ""
