"""``mooring firmware key``: whose signatures devices accept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.firmware import app
from mooring.cli.firmware_files import private_file
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago
from mooring.cli.words import Limit, Reason
from mooring.errors import Invalid, Unavailable
from mooring.later import later

with later():
    from mooring.ota.releases import documents, manifest, model
    from mooring.ota.releases import keys as key_service

if TYPE_CHECKING:
    from mooring.ota.releases.model import Key, KeyState

__all__ = ["keys"]

keys = noun("Keys that sign firmware. Only public keys are stored.")
app.add_typer(keys, name="key")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the key, or its identifier.")]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="Tenant of the key.")]


@command(keys, "create")
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new key.")],
    out: Annotated[Path, typer.Option("--out", help="Write the private key to this file.")],
    *,
    algorithm: Annotated[
        str,
        typer.Option("--algorithm", help="Algorithm: ed25519, or ecdsa-p256-sha256 for mbedTLS."),
    ] = "ed25519",
    tenant: OfTenant = None,
    reason: Reason = "",
) -> None:
    """Create a key pair: the private key goes to a file, the public key is trusted."""
    if algorithm not in manifest.ALGORITHMS:
        raise Invalid(
            f"{algorithm!r} is not an algorithm for firmware keys.",
            hint=f"Use one of: {', '.join(manifest.ALGORITHMS)}.",
            code="invalid_algorithm",
        )
    private = manifest.generate(algorithm)
    private_file(out, manifest.private_pem(private))
    try:
        made = _add(session, name, manifest.public_pem(private.public_key()), tenant, reason)
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    _done(session, made, f"The key {made.name} ({made.key}) is trusted.")
    session.out.note(f"{out} is the only copy of the private key. Keep it off this machine.")


@command(keys, "add")
def add(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new key.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The public key (PEM).")],
    *,
    tenant: OfTenant = None,
    reason: Reason = "",
) -> None:
    """Trust a public key."""
    try:
        pem = file.read_text(encoding="utf-8", errors="replace")
    except OSError as exc:
        raise Unavailable(
            f"{file} cannot be read: {exc.strerror}.", code="file_unreadable"
        ) from exc
    made = _add(session, name, pem, tenant, reason)
    _done(session, made, f"The key {made.name} ({made.key}) is trusted.")


@command(keys, "list")
def list_(
    session: Session,
    *,
    tenant: OfTenant = None,
    limit: Limit = 50,
    after: Annotated[
        int, typer.Option("--after", min=0, help="Continue after the key with this number.")
    ] = 0,
) -> None:
    """List keys, the oldest first."""
    with session.open() as platform:
        found = platform.service(key_service.Keys).page(
            session.actor, tenant=tenant, after=after, limit=limit + 1
        )
    shown, more = found[:limit], len(found) > limit
    if session.out.as_json:
        session.out.document(
            {
                "keys": [documents.key(one) for one in shown],
                "next_after": shown[-1].id if more else None,
            }
        )
        return
    session.out.table(
        ["Key", "Identifier", "Tenant", "Algorithm", "State", "Added"],
        [
            [one.name, one.key, one.tenant, one.algorithm, one.state, ago(one.created_at)]
            for one in shown
        ],
        empty="No keys. `mooring firmware key create NAME --out FILE` makes one.",
    )
    if more:
        session.out.note(f"More are available. --after {shown[-1].id} shows the next ones.")


@command(keys, "retire")
def retire(session: Session, name: Name, tenant: OfTenant = None, reason: Reason = "") -> None:
    """Retire a key: it signs nothing new, and its signatures still count."""
    done = _end(session, name, model.KeyState.RETIRED, tenant, reason)
    _done(session, done, f"The key {done.name} is retired.")


@command(keys, "revoke")
def revoke(session: Session, name: Name, tenant: OfTenant = None, reason: Reason = "") -> None:
    """Revoke a key: its signatures count no longer."""
    done = _end(session, name, model.KeyState.REVOKED, tenant, reason)
    _done(session, done, f"The key {done.name} is revoked.")


def _add(session: Session, name: str, pem: str, tenant: str | None, reason: str) -> Key:
    with session.open() as platform:
        return platform.service(key_service.Keys).add(
            session.actor, tenant or session.actor.tenant or "default", name, pem, reason=reason
        )


def _end(session: Session, name: str, state: KeyState, tenant: str | None, reason: str) -> Key:
    with session.open() as platform:
        return platform.service(key_service.Keys).end(
            session.actor, name, state, tenant=tenant, reason=reason
        )


def _done(session: Session, key: Key, sentence: str) -> None:
    if session.out.as_json:
        session.out.document(documents.key(key))
    else:
        session.out.say(sentence)
