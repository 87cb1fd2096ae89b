"""Routes of device certificates."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from mooring.changes.waiting import broker_runs
from mooring.pki import documents
from mooring.pki.bundle import DeviceBundle
from mooring.pki.fleet.service import DeviceCertificates
from mooring.pki.issue import DEVICE_DAYS
from mooring.pki.model import Reason
from mooring.settings import Settings
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Time
from mooring.web.routing import Routes
from mooring.web.services import DatabaseNow, SettingsNow, provided
from mooring.web.watching import Watch

__all__ = ["router"]

router = Routes(prefix="/api/v1/devices/{device}/certificates", tags=["devices"])

CertificatesNow = Annotated[DeviceCertificates, provided(DeviceCertificates)]

IN_FORCE_SECONDS = 5.0
CSR_MAX = 65_536
DAYS_MAX = 36_500

Serial = Annotated[
    str, Path(min_length=1, max_length=64, description="In hexadecimal, colons or not.")
]


class CertificateOut(Document):
    """An issued certificate. Times are UTC."""

    serial: str
    username: str
    fingerprint: str
    authority: str
    key_type: str
    own_key: bool
    not_before: Time
    not_after: Time
    issued_at: Time
    revoked_at: Time | None
    reason: str | None


class CertificatesOut(Document):
    items: list[CertificateOut]


class IssuedOut(Document):
    """A new certificate, and the CAs that the device must trust, both as PEM, without secrets.

    `in_force`: the broker accepts it now.
    """

    serial: str
    username: str
    not_before: Time
    not_after: Time
    certificate: str
    ca: str
    port: int | None
    in_force: bool


class RequestIn(Document):
    """A signing request created on the device. Only its public key is used."""

    csr: Annotated[str, Field(min_length=1, max_length=CSR_MAX)]
    days: Annotated[int, Field(ge=1, le=DAYS_MAX)] = DEVICE_DAYS


class RevokedOut(Document):
    """`in_force`: the broker already rejects it, and no session is left."""

    revoked: list[CertificateOut]
    in_force: bool


@router.post("", status_code=201, response_model=IssuedOut)
async def issue_certificate(
    *,
    certificates: CertificatesNow,
    settings: SettingsNow,
    who: Who,
    watch: Watch,
    device: DeviceReference,
    request: RequestIn,
) -> dict[str, Any]:
    """Signs a request created on the device. The key stays on the device."""

    def issue() -> tuple[DeviceBundle, list[int]]:
        known, bundle = certificates.issue(who, device, csr=request.csr.encode(), days=request.days)
        return bundle, certificates.pending(known)

    bundle, changes = await run_in_threadpool(issue)
    in_force = await watch.applied(changes, IN_FORCE_SECONDS)
    return {**_issued(settings, bundle), "in_force": in_force}


@router.get("", response_model=CertificatesOut)
def list_certificates(
    certificates: CertificatesNow, who: Who, device: DeviceReference
) -> dict[str, Any]:
    """Lists the certificates of a device, newest first."""
    return {"items": [documents.certificate(one) for one in certificates.list(who, device)]}


@router.delete("/{serial}", response_model=RevokedOut)
async def revoke_certificate(
    *,
    certificates: CertificatesNow,
    database: DatabaseNow,
    who: Who,
    watch: Watch,
    device: DeviceReference,
    serial: Serial,
    reason: Reason = Reason.UNSPECIFIED,
) -> dict[str, Any]:
    """Permanently revokes a certificate. New connections are rejected, and the sessions of its "
    "device end."""
    done = await run_in_threadpool(certificates.revoke, who, device, serial=serial, reason=reason)
    running = await run_in_threadpool(broker_runs, database)
    in_force = await watch.until(
        lambda: certificates.in_force(done.certificates), IN_FORCE_SECONDS if running else 0.0
    )
    return {
        "revoked": [documents.certificate(one) for one in done.certificates],
        "in_force": in_force,
    }


def _issued(settings: Settings, bundle: DeviceBundle) -> dict[str, Any]:
    return {
        "serial": bundle.info.serial,
        "username": bundle.info.subject,
        "not_before": documents.moment(bundle.info.not_before),
        "not_after": documents.moment(bundle.info.not_after),
        "certificate": bundle.certificate.decode("ascii"),
        "ca": bundle.trust.decode("ascii"),
        "port": settings.mqtt_mtls_port or None,
    }
