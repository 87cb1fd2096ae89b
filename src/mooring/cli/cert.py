"""``mooring cert``: the CA, the broker's certificate, and those of devices."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.cert_files import (
    CertificateTarget,
    pkcs12_password,
    read_request,
    write_certificate,
)
from mooring.cli.frame import Session, command, is_on_disk, noun
from mooring.cli.output import clean
from mooring.cli.words import Limit, Yes
from mooring.later import later

with later():
    from mooring import clock
    from mooring.broker import address as broker_place
    from mooring.changes import waiting
    from mooring.pki import documents, expiry, operator
    from mooring.pki import model as pki_model

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.devices.model import Device
    from mooring.pki.bundle import DeviceBundle
    from mooring.pki.ledger import CertificateRecord
    from mooring.pki.model import CertificateInfo
    from mooring.pki.service import Settled
    from mooring.pki.show import Shown

__all__ = ["app", "settled"]

app = noun("Certificates: the CA, the broker's, and those of devices.")

IN_FORCE_SECONDS = 20.0
DAYS = 730


class KeyWord(StrEnum):
    """``mooring.pki.model.KeyType`` as an option value."""

    EC_P256 = "ec-p256"
    RSA_2048 = "rsa-2048"


class ReasonWord(StrEnum):
    """Reason for a revocation, as ``openssl`` names it."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"


Reference = Annotated[
    str,
    typer.Argument(
        metavar="DEVICE", help="Name, tenant:name, username or MAC address of the device."
    ),
]
Days = Annotated[int, typer.Option("--days", min=1, help="Validity in days.")]
Key = Annotated[KeyWord | None, typer.Option("--key-type", help="Key type.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for the files, created if missing.")
]


@command(app, "init")
def init(session: Session) -> None:
    """Create the CA and the broker's certificate, or repair missing and damaged files."""
    settings, _ = session.settings()
    fresh = is_on_disk(settings) and not settings.sqlite_path.exists()
    with session.open(upgrade=fresh) as platform:
        done = platform.pki.init()
        settled(session, platform, done, "All files are valid.")


@command(app, "server")
def server(
    session: Session,
    *,
    new_key: Annotated[
        bool,
        typer.Option(
            "--new-key", help="Also create a new key. Devices that pin the old key will reject it."
        ),
    ] = False,
) -> None:
    """Reissue the broker's certificate. No restart, no session ends."""
    with session.open() as platform:
        done = platform.pki.server(new_key=new_key)
        settled(session, platform, done, "Reissued the broker's certificate.")


@command(app, "device")
def device(
    session: Session,
    reference: Reference,
    *,
    out: Out = None,
    days: Days = DAYS,
    key_type: Key = None,
    pkcs12: Annotated[
        bool, typer.Option("--bundle", help="One encrypted PKCS#12 file instead of three.")
    ] = False,
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the PKCS#12 password from standard input."),
    ] = False,
) -> None:
    """Create a key and a certificate for a device. Mooring does not keep the key."""
    with session.open() as platform:
        known = platform.devices.get(session.actor, reference)
        target = CertificateTarget.of(out or Path(f"{known.name}-certificate"), pkcs12=pkcs12)
        target.prepare()  # before a certificate is issued whose key could not be written
        password = pkcs12_password(from_stdin=password_stdin) if pkcs12 else None
        _, bundle = platform.certificates.issue(
            session.actor,
            known.username,
            days=days,
            key_type=None if key_type is None else pki_model.KeyType(key_type),
        )
        written = target.write(bundle, password)
        _told(session, platform, known, bundle, written)


@command(app, "sign")
def sign(
    session: Session,
    csr: Annotated[
        Path, typer.Argument(metavar="CSR", help="Signing request, or - for standard input.")
    ],
    reference: Reference,
    *,
    out: Out = None,
    days: Days = DAYS,
) -> None:
    """Sign a request created on the device. The key stays on the device."""
    request = read_request(csr)
    with session.open() as platform:
        known, bundle = platform.certificates.issue(
            session.actor, reference, csr=request, days=days
        )
        beside = Path() if str(csr) == "-" else csr.parent
        stem = "device" if str(csr) == "-" else csr.stem
        written = write_certificate(bundle, out or beside, stem)
        _told(session, platform, known, bundle, written)


@command(app, "renew")
def renew(
    session: Session,
    reference: Reference,
    *,
    csr: Annotated[
        Path | None,
        typer.Option(
            "--csr", help="Signing request with a new key. Default: keep the current key."
        ),
    ] = None,
    out: Out = None,
    days: Days = DAYS,
) -> None:
    """Issue a new certificate for the device's current key. The old one stays valid."""
    request = None if csr is None else read_request(csr)
    with session.open() as platform:
        known, bundle = platform.certificates.renew(
            session.actor, reference, csr=request, days=days
        )
        written = write_certificate(bundle, out or Path(f"{known.name}-certificate"), "device")
        _told(session, platform, known, bundle, written)


@command(app, "revoke")
def revoke(
    session: Session,
    reference: Annotated[
        str | None, typer.Argument(metavar="DEVICE", help="Revoke all certificates of this device.")
    ] = None,
    *,
    serial: Annotated[
        str | None,
        typer.Option("--serial", help="Revoke only the certificate with this serial number."),
    ] = None,
    reason: Annotated[
        ReasonWord, typer.Option("--reason", help="Reason given in the revocation list.")
    ] = ReasonWord.UNSPECIFIED,
    yes: Yes = False,
) -> int | None:
    """Revoke certificates permanently. New connections are rejected and live sessions end."""
    with session.open() as platform:
        what = f"the certificate {serial}" if serial else f"all certificates of {reference}"
        if (serial or reference) and not session.confirm(
            f"Permanently revoke {clean(what)}?", yes=yes
        ):
            session.out.note("Nothing was revoked.")
            return 1
        done = platform.certificates.revoke(
            session.actor, reference, serial=serial, reason=pki_model.Reason(reason)
        )
        in_force = _in_force(platform, done.certificates)
    if session.out.as_json:
        session.out.document(
            {
                "revoked": [documents.certificate(record) for record in done.certificates],
                "usernames": list(done.usernames),
                "in_force": in_force,
            }
        )
        return None
    count = len(done.certificates)
    session.out.say(
        f"{count} {'certificate' if count == 1 else 'certificates'} revoked."
        if count
        else "They were already revoked."
    )
    session.out.say(
        "The broker rejects them, and the sessions have ended."
        if in_force
        else "The change applies when `mooring up` runs."
    )
    return None


@command(app, "list")
def list_(
    session: Session,
    reference: Annotated[
        str | None, typer.Argument(metavar="DEVICE", help="List only certificates of this device.")
    ] = None,
    *,
    live: Annotated[
        bool,
        typer.Option("--live", help="List only certificates that are neither revoked nor expired."),
    ] = False,
    limit: Limit = 50,
) -> None:
    """List device certificates, newest first."""
    with session.open() as platform:
        found = platform.certificates.list(session.actor, reference)
    if live:
        found = [record for record in found if _state(record) == "good" or _ends(record)]
    shown = found[:limit]
    if session.out.as_json:
        session.out.document(
            {
                "certificates": [documents.certificate(record) for record in shown],
                "total": len(found),
            }
        )
        return
    session.out.table(
        ["Serial", "Username", "Key", "Ends", "State"],
        [
            [
                record.serial,
                record.username,
                record.key_type,
                f"{record.not_after:%Y-%m-%d}",
                _state(record),
            ]
            for record in shown
        ],
        empty="No device certificates yet. Create one with `mooring cert device DEVICE`.",
    )
    if len(found) > limit:
        session.out.note(f"{len(found) - limit} more: raise --limit.")


@command(app, "show")
def show(session: Session) -> None:
    """Show the files, their contents, and commands to paste."""
    with session.open() as platform:
        settings = platform.settings
        shown = platform.pki.show(
            host=broker_place.broker_address(settings).host,
            port=settings.mqtt_tls_port,
            mtls_port=settings.mqtt_mtls_port,
            operators=operator.operator_files(settings),
        )
    if session.out.as_json:
        session.out.document(_shown(shown))
        return
    session.out.facts(_facts(shown))
    session.out.say()
    each = (
        shown.lines.subscribe,
        shown.lines.publish,
        shown.lines.subscribe_certificate,
        shown.lines.publish_certificate,
    )
    session.out.say("\n".join(line for line in each if line))
    if not shown.lines.publish_certificate:
        session.out.note(
            "To accept certificates instead of passwords, set mqtt_mtls_port, for example to 8884."
        )


# ---------------------------------------------------------------------- answers


def settled(session: Session, platform: App, done: Settled, said: str) -> None:
    """Prints which files changed and when the broker reads them."""
    if session.out.as_json:
        session.out.document({"server": info_document(done.server), "changed": list(done.changed)})
        return
    session.out.say(said)
    session.out.facts(
        [
            ("written", ", ".join(done.changed) or "none; all files were valid"),
            ("broker's certificate", _line(done.server)),
            ("in", platform.pki.paths.ca.parent.absolute()),
        ]
    )
    if done.changed:
        session.out.note("`mooring up` makes the broker read them within two seconds.")


def _told(
    session: Session, platform: App, known: Device, bundle: DeviceBundle, written: dict[str, Path]
) -> None:
    port = platform.settings.mqtt_mtls_port
    running = waiting.broker_runs(platform.database)
    accepted = waiting.wait_applied(
        platform.database,
        platform.certificates.pending(known),
        IN_FORCE_SECONDS if running else 0.0,
    )
    if session.out.as_json:
        session.out.document(
            {
                "device": known.name,
                "tenant": known.tenant,
                "username": known.username,
                **info_document(bundle.info),
                "files": {name: str(path.absolute()) for name, path in written.items()},
                "port": port or None,
                "in_force": accepted,
            }
        )
        return
    session.out.facts(
        [
            ("device", known.reference),
            ("serial", bundle.info.serial),
            ("ends", f"{bundle.info.not_after:%Y-%m-%d}"),
            *written.items(),
        ]
    )
    if not known.enabled:
        session.out.note(
            "The device is disabled. Its certificate is rejected until the device is enabled."
        )
    if not accepted and running:
        session.out.note(
            f"The broker did not confirm within {IN_FORCE_SECONDS:g} s that it accepts the "
            f"certificate. See `mooring status`."
        )
    elif not accepted:
        session.out.note(
            "The broker will accept the certificate when it runs. Start it with `mooring up`."
        )
    if not port:
        session.out.note("The broker accepts certificates on mqtt_mtls_port, which is not set.")


def _in_force(platform: App, records: Collection[CertificateRecord]) -> bool:
    """Whether the broker rejects them now. Waits only if a running process can update it."""
    running = any(p.alive and p.role == "up" for p in platform.telemetry.processes())
    return platform.certificates.wait_in_force(records, IN_FORCE_SECONDS if running else 0.0)


def _ends(record: CertificateRecord) -> bool:
    return _state(record).startswith("ends")


def _state(record: CertificateRecord) -> str:

    if record.revoked_at is not None:
        return f"revoked {record.revoked_at:%Y-%m-%d} ({record.reason})"
    now = clock.utc_now()
    match expiry.expiry_level(record.not_after, now):
        case expiry.ExpiryLevel.EXPIRED:
            return "expired"
        case expiry.ExpiryLevel.OK:
            return "good"
    return f"ends in {expiry.days_left(record.not_after, now)} days"


def info_document(info: CertificateInfo) -> dict[str, Any]:
    """A certificate in JSON."""
    return {
        "serial": info.serial,
        "subject": info.subject,
        "issuer": info.issuer,
        "hosts": list(info.sans),
        "fingerprint": info.fingerprint,
        "key_type": info.key_type,
        "not_before": documents.moment(info.not_before),
        "not_after": documents.moment(info.not_after),
    }


def _line(info: CertificateInfo) -> str:
    return f"{info.key_type}, ends {info.not_after:%Y-%m-%d}, for {', '.join(info.sans)}"


def _facts(shown: Shown) -> list[tuple[str, object]]:
    paths = shown.paths
    facts: list[tuple[str, object]] = [
        ("CA", f"{shown.ca.subject}, {shown.ca.key_type}, ends {shown.ca.not_after:%Y-%m-%d}"),
        ("fingerprint", shown.ca.fingerprint),
    ]
    if shown.old_ca is not None:
        facts.append(("old CA", f"{shown.old_ca.subject}, ends {shown.old_ca.not_after:%Y-%m-%d}"))
    return [
        *facts,
        ("broker's certificate", _line(shown.server)),
        ("CA for devices", paths.ca.absolute()),
        ("all CAs trusted now", paths.trust.absolute()),
        ("broker's certificate file", paths.server_cert.absolute()),
        ("broker's key file", paths.server_key.absolute()),
        ("revocation list", paths.crl.absolute()),
    ]


def _shown(shown: Shown) -> dict[str, Any]:
    paths, lines = shown.paths, shown.lines
    return {
        "ca": info_document(shown.ca),
        "old_ca": None if shown.old_ca is None else info_document(shown.old_ca),
        "server": info_document(shown.server),
        "paths": {
            "ca": str(paths.ca.absolute()),
            "trust": str(paths.trust.absolute()),
            "server_cert": str(paths.server_cert.absolute()),
            "server_key": str(paths.server_key.absolute()),
            "crl": str(paths.crl.absolute()),
        },
        "lines": {
            "publish": lines.publish,
            "subscribe": lines.subscribe,
            "publish_certificate": lines.publish_certificate or None,
            "subscribe_certificate": lines.subscribe_certificate or None,
        },
    }
