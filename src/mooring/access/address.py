"""What devices are told of where the platform is, from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mooring.pki.hosts import LOCAL_HOSTS, machine_hosts
from mooring.settings import Settings

__all__ = ["told_to_devices"]


def told_to_devices(settings: Settings, *, asked_at: str | None = None) -> dict[str, Any]:
    """``broker`` {host, port, tls_port, ws_port, ca_pem} and ``http`` {url}.

    Args:
        asked_at: the host name or address the device reached us by, which it can reach again;
            used where no public host is set.
    """
    attached = urlsplit(settings.broker_url).hostname if settings.broker_url else None
    own = _host(settings, asked_at)
    if asked_at is None and not settings.public_hosts and settings.http_host in LOCAL_HOSTS:
        web = settings.http_host  # it listens nowhere else
    else:
        web = own
    name = f"[{web}]" if ":" in web else web
    return {
        "broker": {
            "host": attached or own,
            "port": settings.mqtt_port,
            "tls_port": settings.mqtt_tls_port,
            "ws_port": settings.mqtt_ws_port,
            "ca_pem": _ca(settings),
        },
        "http": {"url": settings.http_url or f"http://{name}:{settings.http_port}"},
    }


def _host(settings: Settings, asked_at: str | None) -> str:
    if settings.public_hosts:
        return settings.public_hosts[0]
    own = [host for host in machine_hosts() if host not in LOCAL_HOSTS]
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
