"""The route of download links."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, HTTPException, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from mooring.devices.keys.service import audience_of
from mooring.devices.login import device_login
from mooring.devices.model import Device
from mooring.errors import TooMany, Unauthorized
from mooring.identity.throttle import Throttles
from mooring.ota.links.downloads import Downloads
from mooring.ota.links.model import File
from mooring.ota.links.ranges import not_modified, part_of
from mooring.ota.links.sending import FileAnswer, disposition, etag_of
from mooring.ota.links.service import Opening
from mooring.ota.releases.service import Releases
from mooring.ota.updates.protocol import Served
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import Database
from mooring.store.tally import Tally
from mooring.web.auth import address_of
from mooring.web.basic import device_logins
from mooring.web.guard import HEAD
from mooring.web.routing import Routes
from mooring.web.services import Platform, now

__all__ = ["FILE_ANSWERS", "file_answer", "router"]

router = Routes(tags=["device"])

ACCEL = "X-Accel-Redirect"


_FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
FILE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": _FILE, "description": "The file."},
    206: {"content": _FILE, "description": "The part that `Range` asks for."},
    304: {"description": "The file has not changed."},
}


@router.get(
    "/f/{token}",
    response_class=Response,
    responses=FILE_ANSWERS,
)
async def download(
    request: Request,
    platform: Annotated[Platform, Depends(now)],
    token: Annotated[str, Path(max_length=64, description="22 characters.")],
) -> Response:
    """Downloads the firmware of an offer. The link is the permission; it needs no login."""
    logins = _logins(request)

    def login() -> Device | None:
        settings, tally = platform.service(Settings), platform.service(Tally)
        try:
            return device_login(
                platform.service(Database),
                logins,
                throttle=platform.service(Throttles).devices,
                tally=tally,
                audience=audience_of(settings, platform.service(Instance)),
                origin=address_of(request),
            )
        except (Unauthorized, TooMany):
            return None  # credentials that prove nothing: the link alone counts

    opening = platform.service(Opening)
    names = [name for name, _ in logins]
    found = await run_in_threadpool(opening.file, token, names, login, address_of(request))
    return file_answer(request, found, platform)


def _logins(request: Request) -> list[tuple[str, str]]:
    try:
        return device_logins(request)
    except Unauthorized:
        return []  # it names no device


def file_answer(request: Request, found: File, platform: Platform) -> Response:
    """The file, the part that is asked for, or why neither is sent."""
    etag = etag_of(found.sha256)
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": disposition(found.name),
    }
    given = request.headers
    if not_modified(given.get("If-None-Match", ""), etag):
        return Response(status_code=304, headers={"ETag": etag})
    downloads: Downloads = request.app.state.residents[Downloads]
    accel = platform.service(Settings).firmware_accel_path
    if accel:
        # How far it comes is the proxy's knowledge: that the device asked is all there is to note.
        if found.update is not None and not request.scope.get(HEAD):
            downloads.served(found.update, Served(found.artifact, 0, whole=False))
        place = f"{accel.rstrip('/')}/{found.sha256[:2]}/{found.sha256}"
        return Response(headers={**headers, ACCEL: place}, media_type="application/octet-stream")
    part = part_of(given.get("Range", ""), given.get("If-Range", ""), etag, found.size)
    if part is None:
        # With the number of bytes there are [RFC 9110, 15.5.17].
        raise HTTPException(416, headers={"Content-Range": f"bytes */{found.size}"})
    return FileAnswer(
        downloads=downloads,
        path=platform.service(Releases).files.path(found.sha256),
        size=found.size,
        part=part,
        headers=headers,
        file=found,
    )
