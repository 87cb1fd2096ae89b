"""Routes of the keys whose signatures devices accept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field, StringConstraints

from mooring.ota.releases import documents
from mooring.ota.releases.keys import Keys
from mooring.ota.releases.model import KeyState
from mooring.web.auth import Who
from mooring.web.fields import Document, Reason, Time, Word
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1/firmware-keys", tags=["firmware"])

PEM_MAX = 4096
"""Characters of a public key."""

KeysNow = Annotated[Keys, provided(Keys)]
KeyName = Annotated[
    str,
    Path(
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Its name or identifier.",
    ),
]
OfTenant = Annotated[Word | None, Query(description="Its tenant, if several have such a key.")]


class FirmwareKeyOut(Document):
    """A public key. Devices trust what it has signed."""

    name: str
    tenant: str
    key: str = Field(description="Identifier: the beginning of the SHA-256 of the public key.")
    algorithm: Literal["ed25519", "ecdsa-p256-sha256"]
    state: Literal["trusted", "retired", "revoked"]
    public_key: str = Field(description="PEM.")
    created_at: Time
    created_by: str
    ended_at: Time | None


class FirmwareKeyIn(Document):
    """A public key to trust."""

    name: Word
    public_key: Annotated[str, StringConstraints(min_length=1, max_length=PEM_MAX)] = Field(
        description="PEM, of Ed25519 or ECDSA P-256."
    )
    tenant: Word | None = None
    reason: Reason = ""


class KeyEndIn(Document):
    reason: Reason = ""


@router.get("", response_model=PageOf[FirmwareKeyOut])
def list_firmware_keys(
    keys: KeysNow, who: Who, paging: PagingDep, tenant: Word | None = None
) -> PageOf[dict[str, Any]]:
    """Lists keys that sign firmware, the oldest first."""
    (after,) = paging.key(int) or (0,)
    found = keys.page(who, tenant=tenant, after=int(after), limit=paging.limit + 1)
    numbers = {one.key + one.tenant: one.id for one in found}
    return paging.cut(
        [documents.key(one) for one in found],
        lambda item: (numbers[item["key"] + item["tenant"]],),
    )


@router.post("", status_code=201, response_model=FirmwareKeyOut)
def add_firmware_key(keys: KeysNow, who: Who, new: FirmwareKeyIn) -> dict[str, Any]:
    """Adds a public key. Private keys are rejected: they stay with the person who signs."""
    tenant = new.tenant or who.tenant or "default"
    return documents.key(keys.add(who, tenant, new.name, new.public_key, reason=new.reason))


@router.post("/{key}/retire", response_model=FirmwareKeyOut)
def retire_firmware_key(
    keys: KeysNow, who: Who, key: KeyName, given: KeyEndIn, tenant: OfTenant = None
) -> dict[str, Any]:
    """Retires a key: it signs nothing new, and its signatures still count."""
    done = keys.end(who, key, KeyState.RETIRED, tenant=tenant, reason=given.reason)
    return documents.key(done)


@router.post("/{key}/revoke", response_model=FirmwareKeyOut)
def revoke_firmware_key(
    keys: KeysNow, who: Who, key: KeyName, given: KeyEndIn, tenant: OfTenant = None
) -> dict[str, Any]:
    """Revokes a key: its signatures count no longer."""
    done = keys.end(who, key, KeyState.REVOKED, tenant=tenant, reason=given.reason)
    return documents.key(done)
