"""Routes of firmware releases."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field, StringConstraints
from starlette.concurrency import run_in_threadpool

from mooring.identity.actor import Role
from mooring.ota.releases import documents, manifest
from mooring.ota.releases.checks import (
    FILE_NAME_MAX,
    HARDWARE_MAX,
    NOTES_MAX,
    REQUIRES_MAX,
    SECURITY_VERSION_MAX,
    VERSION_MAX,
)
from mooring.ota.releases.model import Kind, NewRelease, Signature, State
from mooring.ota.releases.service import Releases
from mooring.ota.releases.states import Step
from mooring.ota.releases.turns import FileTurns
from mooring.web import uploads
from mooring.web.auth import Who
from mooring.web.fields import Document, Reason, Time, Word
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1/firmware", tags=["firmware"])

OVERHEAD_BYTES = 1 << 20
"""A file that is this much too large is still answered with the limit it broke."""

ReleasesNow = Annotated[Releases, provided(Releases)]
Reference = Annotated[
    str,
    Path(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Its number, or product:version.",
    ),
]
FileName = Annotated[
    str,
    Path(
        min_length=1,
        max_length=FILE_NAME_MAX,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Name of the file.",
    ),
]
Version = Annotated[str, StringConstraints(min_length=1, max_length=VERSION_MAX)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]


class SignatureOut(Document):
    """A signature of a file's manifest."""

    key: str = Field(description="Identifier of the public key.")
    algorithm: Literal["ed25519", "ecdsa-p256-sha256"]
    value: str = Field(description="Base64; for ECDSA the DER form.")


class ArtifactOut(Document):
    """A file of a release."""

    name: str
    size: int = Field(description="Bytes.")
    sha256: str
    sha1: str
    md5: str
    from_sha256: str | None = Field(
        description="The file that this one is a difference to; null: it is complete."
    )
    image: str | None = Field(description="What the header of the image says.")
    signatures: list[SignatureOut]


class ReleaseOut(Document):
    """A release of firmware."""

    id: int
    tenant: str
    product: str
    kind: Literal["firmware", "filesystem", "other"]
    version: str
    hardware: list[str] = Field(description="Hardware it is for; empty: any.")
    requires: list[str] = Field(description="Versions one of which must run before; empty: any.")
    security_version: int
    notes: str
    state: Literal["draft", "published", "deprecated", "withdrawn"]
    created_at: Time
    created_by: str
    published_at: Time | None
    ended_at: Time | None = Field(description="When it was deprecated or withdrawn.")
    reason: str
    artifacts: list[ArtifactOut]


class RunningOut(Document):
    """A device that runs a release."""

    device: str
    tenant: str


class ReleaseIn(Document):
    """A draft to create."""

    product: Word
    version: Version
    tenant: Word | None = None
    kind: Literal["firmware", "filesystem", "other"] = "firmware"
    hardware: Annotated[tuple[Word, ...], Field(max_length=HARDWARE_MAX)] = ()
    requires: Annotated[tuple[Version, ...], Field(max_length=REQUIRES_MAX)] = ()
    security_version: Annotated[int, Field(ge=0, le=SECURITY_VERSION_MAX)] = 0
    notes: Annotated[str, StringConstraints(max_length=NOTES_MAX)] = ""
    reason: Reason = ""


class StepIn(Document):
    """Why; `unsigned` publishes a release without a signature, where the settings allow it."""

    unsigned: bool = False
    reason: Reason = ""


class ReasonIn(Document):
    reason: Reason = ""


class SignatureIn(Document):
    """A signature of a file's manifest."""

    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    algorithm: Literal["ed25519", "ecdsa-p256-sha256"]
    value: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class CheckOut(Document):
    """What a check of a file found."""

    name: str
    sha256: str
    whole: bool = Field(description="The file is there and has not changed.")
    signed_by: list[str] = Field(description="Names of the keys whose signatures count.")
    problems: list[str]


class ChecksOut(Document):
    files: list[CheckOut]


def _turns(request: Request) -> FileTurns:
    found: FileTurns = request.app.state.residents[FileTurns]
    return found


@router.get("", response_model=PageOf[ReleaseOut])
def list_releases(
    *,
    releases: ReleasesNow,
    who: Who,
    paging: PagingDep,
    tenant: Word | None = None,
    product: Word | None = None,
    state: Literal["draft", "published", "deprecated", "withdrawn"] | None = None,
) -> PageOf[dict[str, Any]]:
    """Lists releases of firmware, the newest first."""
    (before,) = paging.key(int) or (None,)
    found = releases.page(
        who,
        tenant=tenant,
        product=product,
        state=None if state is None else State(state),
        before=None if before is None else int(before),
        limit=paging.limit + 1,
    )
    return paging.cut([documents.release(one) for one in found], lambda item: (item["id"],))


@router.post("", status_code=201, response_model=ReleaseOut)
def create_release(releases: ReleasesNow, who: Who, new: ReleaseIn) -> dict[str, Any]:
    """Creates a draft. Its files are uploaded next."""
    made = releases.create(
        who,
        NewRelease(
            new.product,
            new.version,
            new.tenant or who.tenant or "default",
            Kind(new.kind),
            tuple(new.hardware),
            tuple(new.requires),
            new.security_version,
            new.notes,
        ),
        reason=new.reason,
    )
    return documents.release(made)


@router.get("/{release}", response_model=ReleaseOut)
def show_release(releases: ReleasesNow, who: Who, release: Reference) -> dict[str, Any]:
    """Returns a release of firmware."""
    return documents.release(releases.get(who, release))


@router.delete("/{release}", response_model=ReleaseOut)
def remove_release(
    releases: ReleasesNow, who: Who, release: Reference, reason: Reason = ""
) -> dict[str, Any]:
    """Removes a draft."""
    return documents.release(releases.remove(who, release, reason=reason))


@router.get("/{release}/devices", response_model=PageOf[RunningOut])
def list_running_devices(
    releases: ReleasesNow, who: Who, release: Reference, paging: PagingDep
) -> PageOf[dict[str, Any]]:
    """Lists the devices that run a release, also one that was withdrawn: of firmware, those that
    report its version; of other kinds, those whose last update that was installed is one to it."""
    (after,) = paging.key(int) or (0,)
    wanted = releases.get(who, release)
    found = releases.devices(who, wanted, after=int(after), limit=paging.limit + 1)
    last = (found[paging.limit - 1][0],) if len(found) > paging.limit else None
    items = [{"device": name, "tenant": wanted.tenant} for _, name in found[: paging.limit]]
    return paging.page(items, last)


@router.get("/{release}/check", response_model=ChecksOut)
def check_release(
    request: Request, releases: ReleasesNow, who: Who, release: Reference
) -> dict[str, Any]:
    """Reads every file of a release again, and checks digests and signatures. One release of a
    tenant at a time."""
    wanted = releases.get(who, release)
    with _turns(request).check(wanted.tenant):
        found = releases.verify(who, wanted)
    return {"files": [documents.checked(one) for one in found]}


@router.post("/{release}/{step}", response_model=ReleaseOut)
def change_release(
    releases: ReleasesNow,
    who: Who,
    release: Reference,
    step: Literal["publish", "deprecate", "restore", "withdraw"],
    given: StepIn,
) -> dict[str, Any]:
    """Publishes, deprecates, restores or withdraws a release."""
    return documents.release(
        releases.step(who, release, Step(step), unsigned=given.unsigned, reason=given.reason)
    )


@router.put(
    "/{release}/files/{file}",
    response_model=ReleaseOut,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
)
async def upload_file(
    *,
    request: Request,
    releases: ReleasesNow,
    who: Who,
    release: Reference,
    file: FileName,
    from_sha256: Annotated[
        Digest | None, Query(description="The file that this one is a difference to.")
    ] = None,
    force: Annotated[
        bool, Query(description="Although the image contradicts the release; takes a reason.")
    ] = False,
    reason: Reason = "",
) -> dict[str, Any]:
    """Uploads a file to a draft. Up to `firmware_max_bytes` are accepted."""
    found = await run_in_threadpool(releases.get, who, release)
    who.require(Role.OPERATOR, found.tenant)
    most = releases.settings.firmware_max_bytes
    with (
        _turns(request).upload(found.tenant),
        await run_in_threadpool(releases.files.receive, most) as incoming,
    ):
        await uploads.receive(request, most + OVERHEAD_BYTES, incoming.write)
        made = await run_in_threadpool(
            lambda: releases.add_file(
                who,
                str(found.id),
                file,
                incoming,
                from_sha256=from_sha256 or "",
                force=force,
                reason=reason,
            )
        )
    return documents.release(made)


@router.get(
    "/{release}/files/{file}",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
            "description": "The file.",
        }
    },
)
def download_file(
    releases: ReleasesNow, who: Who, release: Reference, file: FileName
) -> StreamingResponse:
    """Downloads a file of a release."""
    found = releases.artifact(releases.get(who, release), file)
    return StreamingResponse(
        releases.files.read(found.sha256),
        media_type="application/octet-stream",
        headers={
            "Content-Length": str(found.size),
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        },
    )


@router.delete("/{release}/files/{file}", response_model=ReleaseOut)
def drop_file(
    releases: ReleasesNow, who: Who, release: Reference, file: FileName, reason: Reason = ""
) -> dict[str, Any]:
    """Takes a file out of a draft."""
    return documents.release(releases.drop_file(who, release, file, reason=reason))


@router.get(
    "/{release}/files/{file}/manifest",
    response_class=Response,
    responses={
        200: {
            "content": {"application/json": {"schema": {"type": "object"}}},
            "description": "The manifest, byte for byte what is signed.",
        }
    },
)
def show_manifest(releases: ReleasesNow, who: Who, release: Reference, file: FileName) -> Response:
    """Returns the manifest of a file: sign these bytes unchanged."""
    found = releases.get(who, release)
    said = manifest.describe(found, releases.artifact(found, file))
    return Response(manifest.canonical(said), media_type="application/json")


@router.post("/{release}/files/{file}/signatures", response_model=ReleaseOut)
def sign_file(
    releases: ReleasesNow, who: Who, release: Reference, file: FileName, given: SignatureIn
) -> dict[str, Any]:
    """Adds a signature of a file's manifest. It replaces an earlier one of the same key."""
    signature = Signature(given.key, given.algorithm, given.value)
    return documents.release(releases.sign(who, release, file, signature))
