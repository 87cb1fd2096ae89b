"""``mooring claim``: codes that let a device fetch its credentials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.attributes import AttributeOption, given
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, clean, iso
from mooring.cli.words import Limit, Reason
from mooring.durations import seconds_of
from mooring.errors import Invalid, Unavailable
from mooring.later import later

with later():
    from mooring.credentials.claims import documents, qr
    from mooring.credentials.claims import model as claims_model
    from mooring.store import engine
    from mooring.web import address as access_address

if TYPE_CHECKING:
    pass

__all__ = ["app"]

app = noun("Claim codes, with which a device fetches its credentials.")


@command(app, "new")
def new(
    session: Session,
    *,
    dialect: Annotated[str, typer.Option("--dialect", "-d", help="Dialect the device speaks.")],
    tenant: Annotated[
        str, typer.Option("--tenant", help="Tenant that owns the device.")
    ] = "default",
    name: Annotated[str, typer.Option("--name", help="Label for people, such as Kitchen.")] = "",
    device: Annotated[
        str | None,
        typer.Option(
            "--device", help="Device ID used in topics. Default: made from its hardware ID."
        ),
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option("--group", help="Group of the device. May be repeated.")
    ] = None,
    attribute: AttributeOption = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="Validity of the code, such as 7d.")
    ] = None,
    qr_file: Annotated[
        Path | None,
        typer.Option("--qr-file", help="Also write the QR code to this .png or .svg file."),
    ] = None,
    reason: Reason = "",
) -> None:
    """Create a claim code. It is shown only once, with its QR code."""
    if qr_file is not None and qr_file.suffix.lower() not in {".png", ".svg"}:
        raise Invalid(
            f"{qr_file} is neither a .png nor an .svg file.",
            hint="Name the file code.png or code.svg.",
            code="qr_format",
        )
    seconds = seconds_of(expires) if expires else None
    with session.open() as platform:
        wanted = claims_model.NewClaim(
            dialect, tenant, name, device, tuple(group or ()), seconds, given(attribute)
        )
        issued = platform.claims.new(session.actor, wanted, reason=reason)
        told = access_address.told_to_devices(platform.settings)
    url = told["http"]["url"]
    text = qr.content(issued.code, url)
    if qr_file is not None:
        _write(qr_file, qr.svg(text).encode() if qr_file.suffix.lower() == ".svg" else qr.png(text))
    if session.out.as_json:
        session.out.document(
            {
                **documents.claim(issued.claim, engine.now_ms()),
                "code": issued.code,
                "qr_text": text,
                "url": url,
            }
        )
        return
    session.out.say(qr.terminal(text))
    session.out.say(
        f"Claim code: {issued.code}\n"
        f"Valid for one device until {iso(issued.claim.expires_at)}. It is shown only once.\n\n"
        "The device sends it with its hardware id:\n\n"
        f"curl {url or 'https://HOST'}/api/v1/claims -H 'Content-Type: application/json' "
        f"""-d '{{"code": "{issued.code}", "hardware_id": "AA:BB:CC:DD:EE:FF"}}'"""
    )
    if url is None:
        session.out.note(
            "Devices cannot reach HTTP from other machines without sending passwords unencrypted. "
            "Put a reverse proxy with TLS in front of Mooring and set http_url."
        )


@command(app, "list")
def list_(
    session: Session,
    *,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant.")] = None,
    limit: Limit = 50,
    before: Annotated[
        int | None, typer.Option("--before", help="Continue after the code with this number.")
    ] = None,
) -> None:
    """List claim codes, newest first. The codes themselves are not stored."""
    with session.open() as platform:
        found = platform.claims.page(session.actor, limit=limit + 1, before=before, tenant=tenant)
    shown, more = found[:limit], len(found) > limit
    if session.out.as_json:
        session.out.document(
            {
                "claims": [documents.claim(claim, engine.now_ms()) for claim in shown],
                "next_before": shown[-1].id if more else None,
            }
        )
        return
    session.out.table(
        ["Number", "State", "Tenant", "Dialect", "Name", "Device", "Made", "Expires"],
        [
            [
                claim.id,
                claim.state(engine.now_ms()),
                claim.tenant,
                claim.dialect,
                claim.label,
                claim.hardware_id or claim.name or "",
                ago(claim.created_at),
                ago(claim.expires_at),
            ]
            for claim in shown
        ],
        empty="No claim codes yet. Create one with `mooring claim new --dialect mooring`.",
    )
    if more:
        session.out.note(
            f"More are available. --before {shown[-1].id} shows the next ones, or raise --limit."
        )


@command(app, "revoke")
def revoke(
    session: Session,
    number: Annotated[
        int, typer.Argument(metavar="NUMBER", help="Number of the code, from `mooring claim list`.")
    ],
    *,
    reason: Reason = "",
) -> None:
    """Revoke a claim code immediately. A device that has used it keeps its credentials."""
    with session.open() as platform:
        claim = platform.claims.revoke(session.actor, number, reason=reason)
    if session.out.as_json:
        session.out.document({"revoked": documents.claim(claim, engine.now_ms())})
    else:
        session.out.say(f"Claim code number {number} ({clean(claim.label)}) is revoked.")


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as exc:
        raise Unavailable(
            f"{path} cannot be written: {exc.strerror}.",
            hint="The code was created. To revoke it, find its number with `mooring claim list`.",
        ) from exc
