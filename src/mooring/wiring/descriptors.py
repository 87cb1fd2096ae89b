"""How many files and connections the broker and our processes may have open at a time."""

from __future__ import annotations

import logging
import resource

from mooring.settings import Settings

__all__ = ["DESCRIPTORS_MAX", "RESERVE", "available", "device_ports", "per_listener", "raise_limit"]

log = logging.getLogger(__name__)

DESCRIPTORS_MAX = 1_048_576
"""What is asked for at most, also where the system sets no limit."""

USUAL = 16_384  # Mosquitto's WebSocket library keeps 16 bytes for each that there could be

RESERVE = 200
"""Descriptors of the broker that no device gets: files, the platform's own connections."""


def device_ports(settings: Settings) -> tuple[int, ...]:
    """The broker's ports that devices connect to."""
    ports = (settings.mqtt_tls_port, settings.mqtt_ws_port, settings.mqtt_mtls_port)
    return tuple(port for port in ports if port)


def available(settings: Settings) -> int:
    """Descriptors the broker has: what the settings need, if the system allows it."""
    if settings.max_connections < 0:
        wanted = DESCRIPTORS_MAX
    else:
        needed = settings.max_connections * len(device_ports(settings)) + RESERVE
        wanted = min(max(USUAL, needed), DESCRIPTORS_MAX)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def raise_limit(settings: Settings) -> None:
    """Raises this process's limit, which its children inherit, as far as it may and has to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = available(settings)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as exc:  # macOS has a further limit of its own
            log.warning("the limit of open files stays at %d: %s", soft, exc)


def per_listener(settings: Settings) -> int:
    """Connections that each listener for devices may have, so that together they leave the
    reserve."""
    room = max(1, (available(settings) - RESERVE) // len(device_ports(settings)))
    return room if settings.max_connections < 0 else min(settings.max_connections, room)
