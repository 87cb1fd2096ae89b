"""The part limits: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part

with later():
    from mooring.limits import api
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "limits",
    routers=lambda: (api.router,),
    tables=lambda: (
        schema.device_limits,
        schema.tenant_limits,
    ),
    settings=(
        "device_connections_max",
        "device_messages_per_second",
        "device_bytes_per_second",
        "tenant_connections_max",
        "tenant_messages_per_second",
        "tenant_bytes_per_second",
    ),
)
