"""Routes of hawkBit's Direct Device Integration API.

They begin with the tenant, as its clients put the address together; no page of the dashboard and
no other route has ``controller/v1`` in second place.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from mooring.devices.keys.service import audience_of
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.errors import NotFound
from mooring.identity.throttle import Throttles
from mooring.limits.allowances import Allowances
from mooring.ota.ddi import documents
from mooring.ota.ddi.feedback import config_of, feedback_of
from mooring.ota.ddi.logins import Logins
from mooring.ota.ddi.polls import Polls
from mooring.ota.ddi.service import Ddi
from mooring.ota.links.api import FILE_ANSWERS, file_answer
from mooring.ota.links.downloads import DOWNLOADS_MAX_PER_DEVICE
from mooring.secrets.instance import Instance
from mooring.store.engine import now_ms
from mooring.store.tally import Tally
from mooring.web.auth import address_of
from mooring.web.routing import Routes
from mooring.web.services import DatabaseNow, Platform, SettingsNow, now, provided

__all__ = ["router"]

router = Routes(prefix="/{tenant}/controller/v1/{controller}", tags=["device"])

_HIGHEST = 2**31 - 1
MD5SUM = ".MD5SUM"

Tenant = Annotated[str, Path(max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$", description="Tenant.")]
Controller = Annotated[
    str,
    Path(max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$", description="Name of the device."),
]
Action = Annotated[int, Path(ge=1, le=_HIGHEST, description="Number of the update.")]
Module = Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of the release.")]
FileName = Annotated[
    str,
    Path(
        max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", description="Name of a file, or of its MD5."
    ),
]
DdiNow = Annotated[Ddi, provided(Ddi)]

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}
_JSON: dict[int | str, dict[str, Any]] = {200: {"description": "As hawkBit defines it."}}


async def _body(request: Request) -> bytes:
    return await request.body()


Body = Annotated[bytes, Depends(_body)]


async def _device(  # what a login needs
    *,
    request: Request,
    platform: Annotated[Platform, Depends(now)],
    database: DatabaseNow,
    devices: Annotated[Devices, provided(Devices)],
    throttles: Annotated[Throttles, provided(Throttles)],
    tally: Annotated[Tally, provided(Tally)],
    settings: SettingsNow,
    instance: Annotated[Instance, provided(Instance)],
    tenant: Tenant,
    controller: Controller,
) -> Device:
    """The device of the request, within its limits."""
    polls: Polls = request.app.state.residents[Polls]
    allowances: Allowances = request.app.state.residents[Allowances]
    logins = Logins(
        platform, database, throttles.devices, tally, audience_of(settings, instance), polls
    )
    authorization = request.headers.get("Authorization", "")
    device = await run_in_threadpool(
        logins.device, authorization, tenant, controller, address_of(request)
    )
    # Without a length, the body itself says how much it is.
    length = request.headers.get("Content-Length", "")
    declared = length.isdecimal() and length.isascii()
    size = len(request.url.path) + (int(length) if declared else len(await request.body()))
    await run_in_threadpool(allowances.take, database, devices, tally, device, [size])
    polls.note(device.id, now_ms())
    return device


Known = Annotated[Device, Depends(_device)]


def _address(request: Request, settings: SettingsNow) -> str:
    """Of the controller, at the address that the device used, or the one that is set."""
    path = request.scope["path"]
    tenant, controller = path.split("/")[1], path.split("/")[4]
    base = (settings.http_url or str(request.base_url)).rstrip("/")
    return f"{base}/{documents.word(tenant)}/controller/v1/{documents.word(controller)}"


Address = Annotated[str, Depends(_address)]


@router.get("", responses=_JSON)
async def poll(device: Known, ddi: DdiNow, at: Address, settings: SettingsNow) -> dict[str, Any]:
    """Returns what there is to do for a device, and when it is to ask again."""
    found = await run_in_threadpool(ddi.poll, device)
    return documents.base(at, settings.ddi_poll_seconds, **found._asdict())


@router.put("/configData", openapi_extra=_BODY)
async def config_data(device: Known, ddi: DdiNow, body: Body) -> Response:
    """Takes what a device describes of itself: values become attributes with the source device."""
    await run_in_threadpool(lambda: ddi.describe(device, config_of(body)))
    return Response()


@router.get("/deploymentBase/{action}", responses=_JSON)
async def deployment(device: Known, ddi: DdiNow, at: Address, action: Action) -> dict[str, Any]:
    """Returns what a device is to install."""
    found = await run_in_threadpool(ddi.deployment, device, action)
    return documents.deployment(at, *found)


@router.post("/deploymentBase/{action}/feedback", openapi_extra=_BODY)
async def deployment_feedback(device: Known, ddi: DdiNow, action: Action, body: Body) -> Response:
    """Takes a device's report about what it installs."""
    await run_in_threadpool(lambda: ddi.feedback(device, action, feedback_of(body)))
    return Response()


@router.get("/cancelAction/{action}", responses=_JSON)
async def cancel_action(device: Known, ddi: DdiNow, action: Action) -> dict[str, Any]:
    """Returns what a device is to stop."""
    return documents.cancellation(await run_in_threadpool(ddi.cancellation, device, action))


@router.post("/cancelAction/{action}/feedback", openapi_extra=_BODY)
async def cancel_feedback(device: Known, ddi: DdiNow, action: Action, body: Body) -> Response:
    """Takes a device's answer to a cancellation."""
    await run_in_threadpool(lambda: ddi.cancel_feedback(device, action, feedback_of(body)))
    return Response()


@router.get("/installedBase/{action}", responses=_JSON)
async def installed(device: Known, ddi: DdiNow, at: Address, action: Action) -> dict[str, Any]:
    """Returns what a device has installed."""
    found = await run_in_threadpool(ddi.installed, device, action)
    return documents.deployment(at, *found)


@router.get("/softwaremodules/{module}/artifacts", responses=_JSON)
async def artifacts(
    device: Known, ddi: DdiNow, at: Address, module: Module
) -> list[dict[str, Any]]:
    """Lists the files of what a device is to install."""
    found = await run_in_threadpool(ddi.files, device, module)
    return [documents.artifact(at, one.release, one.artifact) for one in found]


@router.get(
    "/softwaremodules/{module}/artifacts/{file}", response_class=Response, responses=FILE_ANSWERS
)
async def file(
    *,
    request: Request,
    device: Known,
    ddi: DdiNow,
    platform: Annotated[Platform, Depends(now)],
    module: Module,
    file: FileName,
) -> Response:
    """Downloads a file of what a device is to install, or with `.MD5SUM` its MD5."""
    found = await run_in_threadpool(ddi.files, device, module)
    for one in found:
        if one.artifact.name == file:
            target = documents.target(device, one.update, one.artifact)
            return file_answer(request, target.file(DOWNLOADS_MAX_PER_DEVICE), platform)
    for one in found:
        if f"{one.artifact.name}{MD5SUM}" == file:
            line = f"{one.artifact.md5}  {one.artifact.name}\n"
            return Response(line, media_type="text/plain")
    raise NotFound(
        "There is no such file for this device.",
        hint="Use the links of the deployment.",
        code="ddi_file_not_found",
    )
