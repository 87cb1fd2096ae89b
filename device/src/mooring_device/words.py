"""Why a connection failed, in words a person can act on.

Pure: the exception and the facts in, one or two sentences out. OpenSSL says
``CERTIFICATE_VERIFY_FAILED`` for an expired certificate, a wrong CA, a wrong host name and a
clock in 1970 alike; each of these needs something else done by somebody else.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from mooring_device.limits import CLOCK_FLOOR_MS

__all__ = ["Facts", "explain_connect_error", "explain_tls_alert", "explain_tls_error"]

# X509_V_ERR_* of OpenSSL's x509_vfy.h
NOT_YET_VALID, EXPIRED, SELF_SIGNED = 9, 10, 18
UNKNOWN_ISSUER, REVOKED, INVALID_CA = 20, 23, 24
WRONG_PURPOSE, HOST_MISMATCH = 26, 62


@dataclass(frozen=True)
class Facts:
    """Facts in addition to the exception. Times are epoch seconds.

    Attributes:
        host, port: what the device connected to.
        now: the device's clock.
        floor: no clock that is right shows less (when this software was made).
        not_before, not_after: the certificate's validity, where it could be read.
        trusts: whom the device trusts, in words (``the CA in /etc/ca.crt``); "": no TLS.
    """

    host: str
    port: int
    now: float
    floor: float = CLOCK_FLOOR_MS / 1000
    not_before: float | None = None
    not_after: float | None = None
    trusts: str = "the system's CAs"

    @property
    def peer(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def clock_is_wrong(self) -> bool:
        return self.now < self.floor


def _day(epoch: float | None) -> str:
    if epoch is None:
        return "a date that could not be read"
    # Arithmetic, not fromtimestamp: that fails beyond the platform's own range.
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=int(epoch))
    return moment.strftime("%Y-%m-%d %H:%M UTC")


# verify code → what it means and what to do
_VERIFY = {
    NOT_YET_VALID: "The certificate of {peer} is not valid before {not_before}, and this device's "
    "clock shows {clock}. Set whichever of the two clocks is wrong, the device's or that of the "
    "machine that made the certificate.",
    EXPIRED: "The certificate of {peer} expired on {not_after}; this device's clock shows {clock}. "
    "Renew the server certificate on the platform (`mooring cert renew`).",
    SELF_SIGNED: "The certificate of {peer} is self-signed: no CA vouches for it, and this device "
    "trusts {trusts}. Point MQTT_CA_CERTS at that very certificate, or give the broker one that "
    "a CA has signed (`mooring cert server`).",
    HOST_MISMATCH: "The certificate of {peer} was made for another host: the name {host} is not "
    "in it. Connect by a name that is in it, or make the server certificate again with this name.",
    UNKNOWN_ISSUER: "The certificate of {peer} was signed by a CA that this device does not know: "
    "it trusts {trusts}. Point MQTT_CA_CERTS at the broker's CA (`mooring cert show` prints where "
    "it is), or claim the device again to get it.",
    REVOKED: "The certificate of {peer} has been revoked by its CA. Do not connect; make a new "
    "server certificate on the platform.",
    WRONG_PURPOSE: "The certificate of {peer} is not one for servers. Give the broker a server "
    "certificate, not a device's or the CA's own.",
    INVALID_CA: "The certificate of {peer} was signed by a certificate that is not a CA. Check "
    "that MQTT_CA_CERTS and the broker's certfile are not mixed up.",
}
_CLOCK = (
    "This device's clock is wrong: it shows {clock}, so the certificate of {peer} seems not to be "
    "valid yet. Set the clock (start NTP, or fit a clock battery) and the device connects by "
    "itself."
)
_OTHER = (
    "The certificate of {peer} was not accepted: {reason}. This device trusts {trusts}, and its "
    "clock shows {clock}."
)
_SAME = {
    19: UNKNOWN_ISSUER,
    2: UNKNOWN_ISSUER,
    21: UNKNOWN_ISSUER,
    64: HOST_MISMATCH,
    79: INVALID_CA,
}


def explain_tls_error(exc: ssl.SSLError, facts: Facts) -> str:
    """Which of the ways TLS fails this is, and what to do."""
    if not isinstance(exc, ssl.SSLCertVerificationError):
        return explain_tls_alert(str(exc), facts)
    code = _SAME.get(exc.verify_code, exc.verify_code)
    wrong_clock = code == NOT_YET_VALID and facts.clock_is_wrong
    return (_CLOCK if wrong_clock else _VERIFY.get(code, _OTHER)).format(
        peer=facts.peer,
        host=facts.host,
        trusts=facts.trusts,
        clock=_day(facts.now),
        not_before=_day(facts.not_before),
        not_after=_day(facts.not_after),
        reason=exc.verify_message,
    )


# A part of OpenSSL's reason → what it means; the first that is found counts.
_ALERTS = (
    (
        ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"),
        "{peer} answers, but not with TLS. This is probably the plain port: use the TLS port "
        "(usually 8883), or switch MQTT_USE_TLS off if the connection may be plain.",
    ),
    (
        ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE"),
        "{peer} wants a certificate from the device and got none it can use. Set MQTT_CERTFILE "
        "and MQTT_KEYFILE, or use the listener for passwords.",
    ),
    (
        ("ALERT_CERTIFICATE_EXPIRED",),
        "{peer} rejected this device's certificate as expired. Get a new one "
        "(`mooring cert renew`), and check the clocks of both.",
    ),
    (
        ("ALERT_CERTIFICATE_REVOKED",),
        "{peer} rejected this device's certificate as revoked. The device must be given a new "
        "one by the platform's operator.",
    ),
    (
        ("ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE_UNKNOWN"),
        "{peer} does not accept the CA that signed this device's certificate. Have it signed by "
        "the broker's own CA (`mooring cert sign`).",
    ),
    (
        ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE"),
        "{peer} and this device share no version of TLS; this device speaks 1.2 and 1.3. "
        "Allow one of these on the broker.",
    ),
    (
        ("EOF", "closed"),
        "{peer} closed the connection during the TLS handshake. Check that the port is the TLS "
        "port of the broker, and the broker's log for the reason.",
    ),
    (
        ("timed out",),
        "{peer} did not finish the TLS handshake in time. Check the network, and that the port "
        "is the TLS port of the broker.",
    ),
)


def explain_tls_alert(reason: str, facts: Facts) -> str:
    """The same for a failure that is not about the broker's certificate: OpenSSL's words in."""
    for parts, sentence in _ALERTS:
        if any(part.lower() in reason.lower() for part in parts):
            return sentence.format(peer=facts.peer)
    return f"TLS with {facts.peer} failed: {reason}. The broker's log may say more."


def explain_connect_error(exc: OSError, facts: Facts) -> str:
    """The same for any failure to connect, TLS or not."""
    if isinstance(exc, ssl.SSLError):
        return explain_tls_error(exc, facts)
    if isinstance(exc, socket.gaierror):
        return (
            f"The name {facts.host} cannot be resolved. Check its spelling, and whether this "
            "device's network has a name server."
        )
    if isinstance(exc, ConnectionRefusedError):
        return (
            f"Nothing listens on {facts.peer}. Check the port and whether the broker runs "
            "(`mooring status` on the platform)."
        )
    if isinstance(exc, (socket.timeout, TimeoutError)):
        return f"{facts.peer} did not answer in time. Check the network and any firewall between."
    if isinstance(exc, ConnectionError):
        plain = f"{facts.peer} ended the connection. Check that this is the right port."
        return explain_tls_alert("closed", facts) if facts.trusts else plain
    return f"{facts.peer} cannot be reached: {exc.strerror or exc}. Check this device's network."
