"""Devices and changes for tests of the stream."""

from __future__ import annotations

from functools import cache

from mooring.devices.reference import DeviceRef
from mooring.dialects import load_all
from mooring.dialects.meaning import Scalar
from mooring.dialects.model import Identity
from mooring.stream.model import Change

__all__ = ["change", "device"]


@cache
def device(number: int, tenant: str = "acme", dialect: str = "mooring") -> DeviceRef:
    found = next(one for one in load_all(None).all() if one.name == dialect)
    name = f"d{number}"
    return DeviceRef(number, tenant, name, found, Identity(tenant, name, "aabbccddeeff"))


def change(
    number: int,
    at: int,
    values: dict[str, Scalar] | None = None,
    *,
    tenant: str = "acme",
    kind: str = "telemetry",
    name: str = "",
) -> Change:
    said = {"t": at} if values is None else values
    return Change(device(number, tenant), kind, kind, name, at, said)
