"""Whether the broker answers at all."""

from __future__ import annotations

import socket

from mooring.settings import Settings

__all__ = ["broker_answers"]

CONNECT_SECONDS = 2.0


def broker_answers(settings: Settings) -> bool:
    """Whether something takes connections where this platform reaches its broker."""
    address = (settings.mqtt_host, settings.mqtt_port)
    try:
        with socket.create_connection(address, timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False
