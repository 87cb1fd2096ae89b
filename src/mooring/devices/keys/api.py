"""Routes of the keys of a device."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Response
from pydantic import Field, StringConstraints

from mooring.devices.keys import documents
from mooring.devices.keys.service import DeviceKeys
from mooring.devices.keys.tokens import PEM_MAX
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Line, Reason, Time
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1/devices/{device}/keys", tags=["devices"])

KeysNow = Annotated[DeviceKeys, provided(DeviceKeys)]
KeyId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="The key's id.")]


class DeviceKeyOut(Document):
    key: str
    algorithm: str
    label: str
    created_at: Time
    used_at: Time | None = Field(description="When its newest token was issued.")


class DeviceKeysOut(Document):
    items: list[DeviceKeyOut]
    audience: str = Field(description="What tokens must have as `aud`.")


class DeviceKeyIn(Document):
    public_key: Annotated[str, StringConstraints(max_length=PEM_MAX), Field(description="In PEM.")]
    label: Annotated[Line, StringConstraints(max_length=200)] = ""
    reason: Reason = ""


@router.get("", response_model=DeviceKeysOut)
def list_device_keys(keys: KeysNow, who: Who, device: DeviceReference) -> dict[str, Any]:
    """Lists the public keys with which a device signs tokens."""
    _, found = keys.listed(who, device)
    return {"items": [documents.key(one) for one in found], "audience": keys.audience}


@router.post("", status_code=201, response_model=DeviceKeyOut)
def add_device_key(
    keys: KeysNow, who: Who, device: DeviceReference, new: DeviceKeyIn
) -> dict[str, Any]:
    """Adds a public key to a device."""
    _, key = keys.add(who, device, new.public_key, label=new.label, reason=new.reason)
    return documents.key(key)


@router.delete("/{fingerprint}", status_code=204)
def remove_device_key(
    keys: KeysNow, who: Who, device: DeviceReference, fingerprint: KeyId, reason: Reason = ""
) -> Response:
    """Removes a key. The password that the device got for a token ends, too."""
    keys.remove(who, device, fingerprint, reason=reason)
    return Response(status_code=204)
