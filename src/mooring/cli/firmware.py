"""``mooring firmware``: releases of firmware."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, clean
from mooring.cli.words import Limit, Reason, Yes
from mooring.errors import Invalid, Unavailable
from mooring.later import later

with later():
    from mooring.ota.releases import documents, image, model, service, states

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.ota.releases.model import Release

__all__ = ["OfTenant", "Reference", "app", "put", "releases_of", "show_release", "size_of"]

app = noun("Releases of firmware: files, signatures, keys.")

Reference = Annotated[
    str, typer.Argument(metavar="RELEASE", help="Release: product:version, or its number.")
]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="Only releases of this tenant.")]
Force = Annotated[bool, typer.Option("--force", help="Although the image contradicts the release.")]
KINDS = ("firmware", "filesystem", "other")
STATES = ("draft", "published", "deprecated", "withdrawn")


def releases_of(platform: App) -> service.Releases:
    return platform.service(service.Releases)


def size_of(count: int) -> str:
    """Bytes for people."""
    for size, word in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= size:
            return f"{count / size:.1f} {word}"
    return f"{count} bytes"


@command(app, "add")
def add(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The image, or another file.")],
    *,
    product: Annotated[
        str | None, typer.Option("--product", help="Product. Default: the project in the image.")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="Version. Default: the one in the image.")
    ] = None,
    hardware: Annotated[
        list[str] | None,
        typer.Option(
            "--hardware", help="Hardware it is for. May be repeated. Default: the image's chip."
        ),
    ] = None,
    requires: Annotated[
        list[str] | None,
        typer.Option("--requires", help="Version that must run before. May be repeated."),
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", help="Kind: firmware, filesystem or other.")
    ] = "firmware",
    security_version: Annotated[
        int, typer.Option("--security-version", help="Devices accept no lower one.")
    ] = 0,
    notes: Annotated[str, typer.Option("--notes", help="Notes for people.")] = "",
    tenant: Annotated[str | None, typer.Option("--tenant", help="Tenant of the release.")] = None,
    force: Force = False,
    reason: Reason = "",
) -> None:
    """Create a release as a draft, with one file."""
    if kind not in KINDS:
        raise Invalid(
            f"{kind!r} is not a kind of release.",
            hint=f"Use one of: {', '.join(KINDS)}.",
            code="invalid_kind",
        )
    found = image.read(_head(file))
    new = model.NewRelease(
        product or (found.project if found else "") or _missing("--product"),
        version or (found.version if found else "") or _missing("--version"),
        tenant or session.actor.tenant or "default",
        model.Kind(kind),
        tuple(hardware if hardware else [found.chip] if found and found.chip else ()),
        tuple(requires or ()),
        security_version or (found.security_version if found else 0) or 0,
        notes,
    )
    with session.open() as platform:
        releases = releases_of(platform)
        made = releases.create(session.actor, new, reason=reason)
        try:
            made = put(session, releases, made, file, force=force, reason=reason)
        except BaseException:
            # A draft without its file is of no use to anybody.
            releases.remove(session.actor, str(made.id), reason="its file was not accepted")
            raise
    if session.out.as_json:
        session.out.document(documents.release(made))
        return
    session.out.say(f"{made.reference} is a draft with {file.name}.")
    if found is not None:
        session.out.say(f"{found.said}.")
    session.out.note(f"Next: mooring firmware sign {made.reference} --key FILE")


def put(
    session: Session,
    releases: service.Releases,
    release: Release,
    file: Path,
    *,
    name: str = "",
    from_sha256: str = "",
    force: bool = False,
    reason: str = "",
) -> Release:
    """Copies a file into a draft, with progress."""
    most = releases.settings.firmware_max_bytes
    with (
        releases.files.receive(most) as incoming,
        session.out.progress(f"Copying {file.name}", file.stat().st_size) as progress,
    ):
        _copy(file, incoming.write, progress)
        return releases.add_file(
            session.actor,
            str(release.id),
            name or file.name,
            incoming,
            from_sha256=from_sha256,
            force=force,
            reason=reason,
        )


def _copy(file: Path, write: Callable[[bytes], None], progress: Callable[[int], None]) -> None:
    done = 0
    with file.open("rb") as source:
        while piece := source.read(1 << 20):
            write(piece)
            done += len(piece)
            progress(done)


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            return source.read(image.HEAD_BYTES)
    except OSError as exc:
        raise Unavailable(
            f"{file} cannot be read: {exc.strerror}.", code="file_unreadable"
        ) from exc


def _missing(option: str) -> str:
    raise Invalid(
        f"The image does not name its {option.removeprefix('--')}.",
        hint=f"Add {option}.",
        code="label_missing",
    )


@command(app, "list")
def list_(
    session: Session,
    *,
    product: Annotated[
        str | None, typer.Option("--product", help="Only releases of this product.")
    ] = None,
    state: Annotated[
        str | None, typer.Option("--state", help="Only releases in this state.")
    ] = None,
    tenant: OfTenant = None,
    limit: Limit = 50,
    before: Annotated[
        int | None, typer.Option("--before", help="Continue below the release with this number.")
    ] = None,
) -> None:
    """List releases, the newest first."""
    if state is not None and state not in STATES:
        raise Invalid(
            f"{state!r} is not a state of releases.",
            hint=f"Use one of: {', '.join(STATES)}.",
            code="invalid_state",
        )
    with session.open() as platform:
        found = releases_of(platform).page(
            session.actor,
            tenant=tenant,
            product=product,
            state=None if state is None else model.State(state),
            before=before,
            limit=limit + 1,
        )
    shown, more = found[:limit], len(found) > limit
    if session.out.as_json:
        session.out.document(
            {
                "releases": [documents.release(one) for one in shown],
                "next_before": shown[-1].id if more else None,
            }
        )
        return
    session.out.table(
        ["No.", "Release", "Kind", "State", "Hardware", "Files", "Size", "Created"],
        [
            [
                one.id,
                one.reference,
                one.kind,
                one.state,
                ", ".join(one.hardware),
                len(one.artifacts),
                size_of(sum(file.size for file in one.artifacts)),
                ago(one.created_at),
            ]
            for one in shown
        ],
        empty="No releases. `mooring firmware add FILE` creates one.",
        right=["No.", "Files", "Size"],
        optional=("Hardware",),
    )
    if more:
        session.out.note(f"More are available. --before {shown[-1].id} shows the next ones.")


@command(app, "show")
def show(session: Session, release: Reference, tenant: OfTenant = None) -> None:
    """Show a release: files, signatures, and how many devices run it."""
    with session.open() as platform:
        releases = releases_of(platform)
        found = releases.get(session.actor, release, tenant=tenant)
        running = releases.running(session.actor, found)
        names = releases.devices(session.actor, found, limit=RUNNING_SHOWN)
    if session.out.as_json:
        session.out.document({**documents.release(found), "devices_running": running})
        return
    show_release(session, found)
    session.out.say(f"{running:,} devices of the tenant {found.tenant} run this release.")
    if found.state is model.State.WITHDRAWN:
        _running(session, found, names, running)


@command(app, "devices")
def devices(
    session: Session,
    release: Reference,
    *,
    tenant: OfTenant = None,
    limit: Limit = 50,
    after: Annotated[
        int | None, typer.Option("--after", help="Continue after the device with this number.")
    ] = None,
) -> None:
    """List devices that run a release, also one that was withdrawn."""
    with session.open() as platform:
        releases = releases_of(platform)
        found = releases.get(session.actor, release, tenant=tenant)
        some = releases.devices(session.actor, found, after=after or 0, limit=limit + 1)
    shown, more = some[:limit], len(some) > limit
    if session.out.as_json:
        items = [{"device": name, "tenant": found.tenant} for _, name in shown]
        session.out.document({"devices": items, "next_after": shown[-1][0] if more else None})
        return
    session.out.table(
        ["Device", "Tenant"],
        [[name, found.tenant] for _, name in shown],
        empty=f"No device runs {clean(found.reference)}.",
    )
    if more:
        session.out.note(f"More are available. --after {shown[-1][0]} shows the next ones.")


def show_release(session: Session, found: Release) -> None:
    """A release for people."""
    session.out.facts(
        [
            ("release", f"{found.reference} (no. {found.id})"),
            ("tenant", found.tenant),
            ("kind", str(found.kind)),
            ("state", str(found.state)),
            ("hardware", ", ".join(found.hardware) or "any"),
            *([("requires", " or ".join(found.requires))] if found.requires else []),
            *([("security version", found.security_version)] if found.security_version else []),
            ("created", f"{ago(found.created_at)} by {found.created_by}"),
            *([("published", ago(found.published_at))] if found.published_at else []),
            *([("ended", ago(found.ended_at))] if found.ended_at else []),
            *([("reason", found.reason)] if found.reason else []),
            *([("notes", found.notes)] if found.notes else []),
        ]
    )
    session.out.say()
    session.out.table(
        ["File", "Size", "SHA-256", "Signed by", "Image"],
        [
            [
                one.name,
                size_of(one.size),
                one.sha256,
                ", ".join(signature.key for signature in one.signatures) or "nobody",
                one.image,
            ]
            for one in found.artifacts
        ],
        empty="No files. `mooring firmware upload` adds one.",
        right=["Size"],
        optional=("Image",),
    )


@command(app, "publish")
def publish(
    session: Session,
    release: Reference,
    *,
    unsigned: Annotated[
        bool,
        typer.Option("--unsigned", help="Without a signature. The settings must allow it."),
    ] = False,
    reason: Reason = "",
) -> None:
    """Publish a draft. Its files and its description do not change any more."""
    _step(session, release, "publish", unsigned=unsigned, reason=reason)


@command(app, "deprecate")
def deprecate(session: Session, release: Reference, reason: Reason = "") -> None:
    """Advise against a release. It can still be installed."""
    _step(session, release, "deprecate", reason=reason)


@command(app, "restore")
def restore(session: Session, release: Reference, reason: Reason = "") -> None:
    """Take back that a release is deprecated."""
    _step(session, release, "restore", reason=reason)


@command(app, "withdraw")
def withdraw(session: Session, release: Reference, *, yes: Yes = False, reason: Reason = "") -> int:
    """Withdraw a release permanently: nobody gets it any more."""
    with session.open() as platform:
        releases = releases_of(platform)
        found = releases.get(session.actor, release)
        running = releases.running(session.actor, found)
        names = releases.devices(session.actor, found, limit=RUNNING_SHOWN)
    question = f"Withdraw {clean(found.reference)}, which {running:,} devices run?"
    if not session.confirm(question, yes=yes):
        session.out.note("Nothing was withdrawn.")
        return 1
    _step(session, str(found.id), "withdraw", reason=reason)
    if not session.out.as_json:
        _running(session, found, names, running)
    return 0


RUNNING_SHOWN = 10


def _running(session: Session, found: Release, names: list[tuple[int, str]], count: int) -> None:
    """Devices that run a release that was withdrawn."""
    if not count:
        return
    some = ", ".join(clean(name) for _, name in names)
    more = f" and {count - len(names):,} more" if count > len(names) else ""
    session.out.say(f"It runs on {some}{more}.")
    session.out.note(f"`mooring firmware devices {found.id}` lists them.")


@command(app, "remove")
def remove(session: Session, release: Reference, *, yes: Yes = False, reason: Reason = "") -> int:
    """Remove a draft."""
    with session.open() as platform:
        releases = releases_of(platform)
        found = releases.get(session.actor, release)
        if not session.confirm(f"Remove the draft {clean(found.reference)}?", yes=yes):
            session.out.note("Nothing was removed.")
            return 1
        releases.remove(session.actor, str(found.id), reason=reason)
    if session.out.as_json:
        session.out.document(documents.release(found))
    else:
        session.out.say(f"The draft {found.reference} is removed.")
    return 0


def _step(
    session: Session, release: str, step: str, *, unsigned: bool = False, reason: str = ""
) -> None:
    with session.open() as platform:
        done = releases_of(platform).step(
            session.actor, release, states.Step(step), unsigned=unsigned, reason=reason
        )
    if session.out.as_json:
        session.out.document(documents.release(done))
    else:
        session.out.say(f"{done.reference} is {done.state}.")
