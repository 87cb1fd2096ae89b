"""Whether a device can be updated to a release now. Pure."""

from __future__ import annotations

from typing import NamedTuple

from mooring.dialects import Dialect
from mooring.ota.releases.model import Release
from mooring.ota.releases.model import State as ReleaseState
from mooring.ota.releases.states import not_offered
from mooring.ota.updates.about import About
from mooring.ota.updates.evidence import key_of
from mooring.ota.updates.model import NOT_BEGUN, Options, Update, Way
from mooring.ota.updates.offers import reach_of
from mooring.ota.updates.store import Former

__all__ = ["CAUSES", "Why", "why_not"]

CAUSES = {
    "already": "The device runs this version already.",
    "newer": "The device runs a newer version.",
    "hardware": "The release is for other hardware.",
    "hardware_unknown": "The release is for certain hardware, and that of the device is not known.",
    "requires": "The release requires another version to run before.",
    "other_rollout": "Another update of the device is under way.",
    "held": "Two installs of the device were not confirmed.",
    "device_disabled": "The device is disabled.",
    "no_channel": "The dialect of the device has no way to offer firmware.",
    "packet_too_large": "The offer is larger than the packets that the device accepts.",
    "release_state": "The release is not published.",
    "no_address": "No address of the platform is set that devices can reach.",
    "device_not_found": "The device does not exist any more.",
}
"""Why a device is skipped; docs/explanation/firmware.md shows them."""


class Why(NamedTuple):
    """Why a device is skipped.

    Attributes:
        cause: a word of ``CAUSES``; words: for people, with what it found.
    """

    cause: str
    words: str


def why_not(  # one question after the other, in the order in which people look
    release: Release,
    dialect: Dialect,
    about: About,
    options: Options,
    *,
    enabled: bool,
    running: Update | None,
    former: Former,
    way: Way = Way.MQTT,
) -> Why | None:
    """The first reason against an update; ``None``: it can be offered."""
    if release.state is not ReleaseState.PUBLISHED:
        return Why("release_state", not_offered(release))
    if not enabled:
        return Why("device_disabled", CAUSES["device_disabled"])
    if way is not Way.DDI and not reach_of(dialect, release.kind):
        return Why("no_channel", f"The dialect {dialect.name} has no way to offer firmware.")
    return (
        _version(release, about.version(release.kind), options)
        or _hardware(release, about, options)
        or _history(release, running, former)
    )


def _history(release: Release, running: Update | None, former: Former) -> Why | None:
    if former.loop_at is not None:
        return Why("held", CAUSES["held"])
    if running is None or (running.state in NOT_BEGUN and running.release_id != release.id):
        return None
    return Why("other_rollout", f"Its update {running.id} to {running.version} is under way.")


def _version(release: Release, version: str, options: Options) -> Why | None:
    if version:
        if key_of(version) == key_of(release.version):
            return Why("already", f"The device reports {version}.")
        if key_of(version) > key_of(release.version) and not options.force_downgrade:
            return Why("newer", f"The device reports {version}, and {release.version} is older.")
    if release.requires:
        fitting = {key_of(one) for one in release.requires}
        if not version or key_of(version) not in fitting:
            needed = " or ".join(release.requires)
            return Why(
                "requires", f"It requires {needed}; the device reports {version or 'no version'}."
            )
    return None


def _hardware(release: Release, about: About, options: Options) -> Why | None:
    if not release.hardware:
        return None
    needed = " or ".join(release.hardware)
    if not about.hardware:
        if options.force_hardware:
            return None
        return Why("hardware_unknown", f"The release is for {needed}. Set the device's hardware.")
    if about.hardware.lower() not in {one.lower() for one in release.hardware}:
        return Why("hardware", f"The release is for {needed}; the device is {about.hardware}.")
    return None
