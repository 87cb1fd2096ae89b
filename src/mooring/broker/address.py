"""Where devices find the broker, from the settings."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from mooring.dialects.snippets import BrokerAddress
from mooring.later import later
from mooring.settings import Settings

with later():
    from mooring import hosts as pki_hosts

__all__ = ["broker_address"]


def broker_address(settings: Settings) -> BrokerAddress:
    """The address that devices use: the public one if it is set, else this machine's."""
    attached = urlsplit(settings.broker_url) if settings.broker_url else None
    if attached is not None and attached.hostname:
        host = network_host = attached.hostname
    elif settings.public_hosts:
        host = network_host = settings.public_hosts[0]
    else:
        host, network_host = "localhost", _own_name()
    cafile = _cafile(settings)
    return BrokerAddress(
        host=host,
        port=settings.mqtt_port,
        tls_port=settings.mqtt_tls_port,
        ws_port=settings.mqtt_ws_port,
        cafile=str(cafile) if cafile else None,
        network_host=network_host,
        ca_pem=_read(cafile),
    )


def _cafile(settings: Settings) -> Path | None:
    if settings.tls_cafile is not None:
        return settings.tls_cafile.absolute()
    if settings.tls_certfile is not None:
        return None  # the operator's own certificate, from a CA that systems know
    return (settings.data_dir / "pki" / "ca.crt").absolute()


def _read(cafile: Path | None) -> str | None:
    try:
        return cafile.read_text(encoding="ascii") if cafile else None
    except (OSError, UnicodeDecodeError):
        return None  # made at the first start; the snippet then names the file


def _own_name() -> str:
    """This machine's name or address on its network, as far as it can be determined."""
    names = [host for host in pki_hosts.machine_hosts() if host not in pki_hosts.LOCAL_HOSTS]
    numbers = [host for host in names if host.replace(".", "").isdigit()]
    return next(iter(numbers or names), "localhost")
