"""The addresses that devices get, from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mooring.hosts import LOCAL_HOSTS, recent_hosts
from mooring.masking import without_login
from mooring.settings import Settings, is_loopback

__all__ = ["bracketed", "http_url", "stream_url", "told_to_devices"]

WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on


def told_to_devices(settings: Settings, *, asked_at: str | None = None) -> dict[str, Any]:
    """``broker`` {host, port, tls_port, ws_port, ca_pem} and ``http`` {url}.

    Args:
        asked_at: the host name or address the device reached us by, which it can reach again;
            used where no public host is set.
    """
    attached = urlsplit(settings.broker_url).hostname if settings.broker_url else None
    return {
        "broker": {
            "host": attached or _host(settings, asked_at),
            "port": settings.mqtt_port,
            "tls_port": settings.mqtt_tls_port,
            "ws_port": settings.mqtt_ws_port,
            "ca_pem": _ca(settings),
        },
        "http": {"url": http_url(settings, asked_at=asked_at)},
    }


def http_url(settings: Settings, *, asked_at: str | None = None) -> str | None:
    """Where HTTP is reached: the setting, or loopback for who is on this machine.

    Mooring speaks HTTP without TLS, and a device sends its password there. So no answer names
    http:// on another address than loopback: ``http_url`` has to say what is in front of it.

    Args:
        asked_at: the host a request was sent to; ``None``: somebody on this machine asks.

    Returns:
        The URL; ``None`` where devices cannot reach HTTP safely.
    """
    if settings.http_url:
        return settings.http_url
    listening = settings.http_host
    if listening in WILDCARDS:
        listening = "::1" if listening == "::" and asked_at == "::1" else "127.0.0.1"
    if not is_loopback(listening) or not (asked_at is None or is_loopback(asked_at)):
        return None
    return f"http://{bracketed(listening)}:{settings.http_port}"


def stream_url(settings: Settings, *, asked_at: str | None = None) -> str | None:
    """Where a program opens MQTT over WebSocket; ``None`` where an attached broker is not known to
    have such a listener.

    Args:
        asked_at: the host a request was sent to.
    """
    if settings.broker == "attached":
        parts = urlsplit(settings.broker_url or "")
        return without_login(parts.geturl()) if parts.scheme in ("ws", "wss") else None
    if is_loopback(settings.mqtt_ws_host):
        return f"ws://{bracketed(settings.mqtt_ws_host)}:{settings.mqtt_ws_port}"
    host = settings.mqtt_ws_host
    if host in WILDCARDS:
        host = _host(settings, asked_at)
    return f"wss://{bracketed(host)}:{settings.mqtt_ws_port}"


def bracketed(host: str) -> str:
    """A host as it is in a URL."""
    return f"[{host}]" if ":" in host else host


def _host(settings: Settings, asked_at: str | None) -> str:
    if settings.public_hosts:
        return settings.public_hosts[0]
    own = [host for host in recent_hosts() if host not in LOCAL_HOSTS]
    if asked_at and asked_at in {*own, *LOCAL_HOSTS}:
        return asked_at  # only what the broker's certificate names, too
    numbers = [host for host in own if host.replace(".", "").isdigit()]
    return next(iter(numbers or own), "localhost")


def _ca(settings: Settings) -> str | None:
    """The CA to trust; ``None`` for the operator's own certificate from a CA systems know."""
    if settings.tls_certfile is not None and settings.tls_cafile is None:
        return None
    path = settings.tls_cafile or settings.data_dir / "pki" / "trust.crt"
    return _read(path) or _read(settings.data_dir / "pki" / "ca.crt")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None  # made at the first start
