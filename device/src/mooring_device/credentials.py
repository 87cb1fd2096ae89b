"""What a device needs to connect: who it is, where the broker is, which topics it uses.

Built from the platform's answer to a claim (``Credentials.from_answer``) or from the
environment (``mooring_device.environment``). The topics always come from there, so the same
program runs in every dialect.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from mooring_device.builtin import NATIVE, dialect_of
from mooring_device.dialect import VERSION, Dialect, read_shape
from mooring_device.errors import InvalidSetting

__all__ = ["NATIVE", "Credentials", "Tls", "native_topics"]

log = logging.getLogger("mooring_device")


@dataclass(frozen=True)
class Tls:
    """How the broker is verified and how the device proves itself.

    Attributes:
        insecure: the broker is not verified at all; only for a bench.
        ca_pem: certificates of the CAs to trust, as PEM text.
        ca_file: the same, as a file's path. Without either, the system's CAs are trusted.
        cert_file, key_file: the device's own certificate and key (mutual TLS), as paths.
    """

    insecure: bool = False
    ca_pem: str = field(default="", repr=False)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    @property
    def trusts(self) -> str:
        """Whom it trusts, in words for messages."""
        if self.ca_file:
            return f"the CA in {self.ca_file}"
        return "the CA that came with the claim" if self.ca_pem else "the system's CAs"


@dataclass(frozen=True)
class Credentials:
    """Who the device is and where it connects. ``password`` never shows in ``repr``.

    Attributes:
        device, tenant, dialect: as the platform knows them.
        username, password, client_id: for the broker; the password is ``None`` for a device
            that comes by certificate.
        topics: kind → topic (``telemetry``, ``status``, ``command``, …).
        host, port: the broker.
        tls: how it is verified, or ``None`` for a plain connection.
        http_url: the platform's address for claims, recovery and readings over HTTP, or "".
    """

    device: str
    host: str
    port: int
    topics: Mapping[str, str]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_id: str = ""
    tenant: str = "default"
    dialect: str = NATIVE
    tls: Tls | None = None
    http_url: str = ""
    shape: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.host:
            raise InvalidSetting("The broker has no host name.", hint="Set MQTT_BROKER.")
        if not 0 < self.port < 65536:
            raise InvalidSetting(f"The broker's port {self.port} is not between 1 and 65535.")
        for kind, topic in self.topics.items():
            if not topic or "\0" in topic:
                raise InvalidSetting(f"The topic of {kind} is empty or not a topic.")
        if self.http_url and urlsplit(self.http_url).scheme not in ("http", "https"):
            raise InvalidSetting(
                f"The platform's address {self.http_url} does not start with https:// or http://."
            )

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> Credentials:
        """From the JSON of a claim or of ``mooring device add --json``.

        Raises:
            InvalidSetting: something in it is missing or has another type.
        """
        try:
            broker = answer["broker"]
            tls_port = broker.get("tls_port")
            http = answer.get("http") or {}
            # A plain port is open on the platform's own machine only; TLS is for everywhere.
            host = (tls_port and broker.get("network_host")) or broker["host"]
            ca_pem, ca_file = broker.get("ca_pem") or "", broker.get("cafile") or ""
            tls = Tls(ca_pem=_text(ca_pem), ca_file="" if ca_pem else _text(ca_file))
            return cls(
                device=_text(answer["device"]),
                tenant=_text(answer.get("tenant") or "default"),
                dialect=_text(answer.get("dialect") or NATIVE),
                username=_text(answer["username"]),
                password=_text(answer["password"]) if answer.get("password") else None,
                client_id=_text(answer["client_id"]),
                topics={_text(k): _text(v) for k, v in answer["topics"].items()},
                host=_text(host),
                port=int(tls_port or broker["port"]),
                tls=tls if tls_port else None,
                http_url=_text(http.get("url") or "").rstrip("/"),
                shape=usable_shape(answer.get("shape")),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as exc:
            raise InvalidSetting(
                f"The credentials are not complete: {exc!r}.",
                hint="They are the JSON that a claim or `mooring device add --json` answers with.",
            ) from exc

    def with_password(self, password: str | None) -> Credentials:
        return replace(self, password=password)

    def with_shape(self, answer: Mapping[str, Any]) -> Credentials:
        """With the topics and the shape of the platform's answer; as they are where it has none.

        Raises:
            InvalidSetting: they cannot be used.
        """
        shape = usable_shape(answer.get("shape"))
        topics = answer.get("topics")
        if not shape or not isinstance(topics, dict):
            return self
        try:
            topics = {_text(key): _text(topic) for key, topic in topics.items()}
        except TypeError as exc:
            raise InvalidSetting(f"The topics cannot be used: {exc}.") from exc
        return replace(self, shape=shape, topics=topics)

    def channels(self) -> Dialect:
        """How the device speaks.

        Raises:
            InvalidSetting: the shape or a topic cannot be used.
        """
        return dialect_of(self.dialect, self.topics, self.shape)


def usable_shape(given: Any) -> dict[str, Any]:
    """The shape of the platform's answer, checked; empty where it has none, or where it is of a
    version that only a newer SDK understands.

    Raises:
        InvalidSetting: it cannot be used.
    """
    if given is None:
        return {}
    version = given.get("version") if isinstance(given, dict) else None
    if type(version) is int and version > VERSION:
        log.warning("The platform's shape has version %d: update the SDK to use it.", version)
        return {}
    read_shape(given)
    return dict(given)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def native_topics(tenant: str, device: str) -> dict[str, str]:
    """The topics of the native dialect, for a device that was not told its own."""
    base = f"mooring/{tenant}/{device}"
    kinds = (
        "telemetry",
        "event",
        "status",
        "heartbeat",
        "alert",
        "alert_cleared",
        "reply",
        "config",
        "firmware",
        "receipt",
        "rerequest",
    )
    return {
        **{kind: f"{base}/{kind}" for kind in kinds},
        "command": f"{base}/command/+",
        "config_reported": f"{base}/config/reported",
        "firmware_progress": f"{base}/firmware/progress",
    }
