"""What hawkBit's clients read, as JSON. Pure.

SWUpdate, RAUC's client, Zephyr and Hara were read for it: numbers of actions are decimal texts
below 2**31, a deployment has one chunk with one artifact, and every address is absolute.
"""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

from mooring.devices.model import Device
from mooring.ota.ddi.model import Asked
from mooring.ota.links.model import Target
from mooring.ota.releases.model import Artifact, Kind, Release
from mooring.ota.updates.model import Update

__all__ = ["artifact", "base", "cancellation", "deployment", "sleep", "target", "word"]

Action = Asked | Update

PARTS = {Kind.FIRMWARE: "os"}  # hawkBit's own words; the others are applications


def word(text: str) -> str:
    """A name as it is in an address."""
    return quote(text, safe="")


def sleep(seconds: int) -> str:
    """A duration below a day, as ``HH:MM:SS``."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def base(
    at: str,
    seconds: int,
    *,
    config: bool,
    deployed: Asked | None,
    cancelled: Asked | None,
    installed: Asked | None,
) -> dict[str, Any]:
    """The answer to a poll.

    Args:
        at: address of the controller.
        config: whether the device is asked to describe itself.
        deployed: what it is to install; cancelled: what it is to stop; installed: what it has.
    """
    links: dict[str, Any] = {}
    if config:
        links["configData"] = {"href": f"{at}/configData"}
    if cancelled is not None:
        links["cancelAction"] = {"href": f"{at}/cancelAction/{cancelled.action}"}
    elif deployed is not None:
        links["deploymentBase"] = {"href": f"{at}/deploymentBase/{_action(deployed)}"}
    if installed is not None:
        links["installedBase"] = {"href": f"{at}/installedBase/{_action(installed)}"}
    return {"config": {"polling": {"sleep": sleep(seconds)}}, "_links": links}


def _action(update: Asked) -> str:
    """With a word that changes when the content does; RAUC's client asks only where one is."""
    word = hashlib.sha256(f"{update.id}:{update.artifact_id}".encode()).hexdigest()[:8]
    return f"{update.action}?c={int(word, 16)}"


def deployment(at: str, update: Action, release: Release, file: Artifact) -> dict[str, Any]:
    """What there is to install.

    Args:
        at: address of the controller.
    """
    return {
        "id": str(update.action),
        "deployment": {
            "download": "forced",
            "update": "forced",
            "chunks": [
                {
                    "part": PARTS.get(release.kind, "bApp"),
                    "version": release.version,
                    "name": release.product,
                    "artifacts": [artifact(at, release, file)],
                }
            ],
        },
    }


def artifact(at: str, release: Release, file: Artifact) -> dict[str, Any]:
    """One file. Clients without TLS look for the links that end in ``-http`` only."""
    href = f"{at}/softwaremodules/{release.id}/artifacts/{word(file.name)}"
    download, md5sum = {"href": href}, {"href": f"{href}.MD5SUM"}
    return {
        "filename": file.name,
        "hashes": {"sha1": file.sha1, "md5": file.md5, "sha256": file.sha256},
        "size": file.size,
        "_links": {
            "download": download,
            "download-http": download,
            "md5sum": md5sum,
            "md5sum-http": md5sum,
        },
    }


def cancellation(update: Action) -> dict[str, Any]:
    """The action that is to be stopped."""
    number = str(update.action)
    return {"id": number, "cancelAction": {"stopId": number}}


def target(device: Device, update: Asked, file: Artifact) -> Target:
    """What a download of a file needs; the request itself has shown whose it is."""
    return Target(
        link=0,
        update=update.id,
        device_id=device.id,
        device=device.reference,
        tenant=device.tenant,
        username=device.username,
        artifact=file.id,
        name=file.name,
        size=file.size,
        sha256=file.sha256,
        expires_at=update.expires_at,
        open=True,
        asked_at=None,
        misused_at=None,
    )
