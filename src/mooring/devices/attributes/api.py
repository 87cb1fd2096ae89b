"""Routes of attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Body, Header, Response

from mooring.devices.attributes.model import Held, document
from mooring.devices.attributes.service import Attributes, version_of
from mooring.devices.model import Device
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Json, Reason, Time
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["AttributesNow", "router"]

router = Routes(prefix="/api/v1/devices", tags=["devices"])

AttributesNow = Annotated[Attributes, provided(Attributes)]


class SaidOut(Document):
    """Who set an attribute, and when."""

    source: Literal["person", "import", "claim code", "registration", "device"]
    by: str
    at: Time


class AttributesOut(Document):
    """Attributes of a device and their sources."""

    device: str
    tenant: str
    attributes: dict[str, Any]
    sources: dict[str, SaidOut]


def _document(device: Device, held: Mapping[str, Held]) -> dict[str, Any]:
    return {
        "device": device.name,
        "tenant": device.tenant,
        "attributes": document(held),
        "sources": {
            name: {"source": str(one.source), "by": one.actor, "at": one.at}
            for name, one in held.items()
        },
    }


@router.get("/{device}/attributes", response_model=AttributesOut)
def device_attributes(
    attributes: AttributesNow, who: Who, device: DeviceReference, response: Response
) -> dict[str, Any]:
    """Returns the attributes of a device. `ETag` is the version for `If-Match`."""
    found, held = attributes.of(who, device)
    response.headers["ETag"] = f'"{version_of(held)}"'
    return _document(found, held)


@router.patch("/{device}/attributes", response_model=AttributesOut)
def change_device_attributes(
    *,
    attributes: AttributesNow,
    who: Who,
    device: DeviceReference,
    values: Annotated[dict[str, Json], Body(media_type="application/merge-patch+json")],
    response: Response,
    if_match: Annotated[
        str | None,
        Header(max_length=1000, description="Change only this version, from `ETag`."),
    ] = None,
    reason: Reason = "",
) -> dict[str, Any]:
    """Sets attributes: a JSON merge patch (RFC 7396), in which null removes an attribute.

    A value that a person has set is not replaced by other sources.
    """
    found, held = attributes.change(
        who, device, values, versions=_versions(if_match), reason=reason
    )
    response.headers["ETag"] = f'"{version_of(held)}"'
    return _document(found, held)


def _versions(text: str | None) -> frozenset[str] | None:
    """The versions in an ``If-Match`` header; ``None``: any."""
    if text is None or text.strip() == "*":
        return None
    return frozenset(one.strip().removeprefix("W/").strip('"') for one in text.split(","))
