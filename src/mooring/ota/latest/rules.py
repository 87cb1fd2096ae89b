"""What may be announced to every device of a dialect, and where. Pure.

An announcement cannot be offered to a few devices first, so the gates of a rollout stand in for
that: it follows the last one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from mooring.dialects import Channel, Dialect
from mooring.dialects.model import Kind
from mooring.jobs.model import Job
from mooring.jobs.rules import State as JobState
from mooring.ota.releases.model import Kind as Of
from mooring.ota.releases.model import Release
from mooring.ota.releases.model import State as ReleaseState
from mooring.ota.releases.states import not_offered
from mooring.store.version_key import version_key

__all__ = ["Hardware", "Place", "Why", "hardware_problem", "older", "places", "too_early"]

_CHANNELS = {Of.FIRMWARE: Kind.FIRMWARE, Of.FILESYSTEM: Kind.FILESYSTEM}
_FIT = (JobState.RUNNING, JobState.DONE, JobState.EXPIRED)


class Why(NamedTuple):
    """Why a release is not announced: a word, and a sentence."""

    cause: str
    words: str


class Place(NamedTuple):
    """A topic for announcements.

    Attributes:
        channel: as a dialect declares it whose devices have proved the release.
        dialects: names of those that declare it.
        max_packet: bytes of the largest packet that all of them accept; 0: not known.
    """

    topic: str
    channel: Channel
    dialects: tuple[str, ...]
    max_packet: int


class Hardware(NamedTuple):
    """Devices of the dialects by their attribute ``hardware``.

    Attributes:
        named: value → devices; unknown: devices without it.
    """

    named: Mapping[str, int]
    unknown: int


def places(dialects: Iterable[Dialect], of: Of, proved: Collection[str]) -> list[Place]:
    """Topics that all devices of some dialects read, by topic: retained channels for that kind,
    without a placeholder.

    Args:
        dialects: all there are: those that declare a topic read it, whether they are in ``proved``
            or not.
        proved: names of those whose devices have proved the release; other topics are left out.
    """
    wanted = _CHANNELS.get(of)
    found: dict[str, Place] = {}
    for dialect in sorted(dialects, key=lambda one: (one.name not in proved, one.name)):
        for channel in dialect.downs():
            fixed = channel.retain and not channel.operator_only and "{" not in channel.topic
            if channel.kind is not wanted or not fixed:
                continue
            known = found.get(channel.topic)
            if known is None and dialect.name not in proved:
                continue
            names = (*(known.dialects if known else ()), dialect.name)
            sizes = [known.max_packet if known else 0, dialect.max_packet]
            least = min((one for one in sizes if one), default=0)
            shape = known.channel if known else channel
            found[channel.topic] = Place(channel.topic, shape, names, least)
    return [found[topic] for topic in sorted(found)]


def too_early(job: Job, release: Release) -> Why | None:
    """Why the release of a rollout cannot be announced yet, or at all."""
    return _unfit(release) or _before_the_gate(job) or _outcomes(job)


def _unfit(release: Release) -> Why | None:
    if release.state is not ReleaseState.PUBLISHED:
        return Why("release_state", not_offered(release))
    if release.kind not in _CHANNELS:
        return Why("kind", f"No dialect has a topic for releases of the kind {release.kind}.")
    if release.requires:
        needed = " or ".join(release.requires)
        return Why(
            "requires",
            f"{release.reference} requires {needed} to run before. An announcement reaches every "
            "device, whatever it runs.",
        )
    return None


def _before_the_gate(job: Job) -> Why | None:
    if job.state not in _FIT:
        return Why("state", f"The rollout {job.id} is {job.state}.")
    last = len(job.plan.waves) - 1
    if job.wave < last:
        return Why("gate", f"Wave {job.wave + 1} of {last + 1} is open. The last gate comes first.")
    if not last and job.state is JobState.RUNNING:
        return Why("gate", f"The rollout {job.id} has one wave and no gate. Wait for its end.")
    return None


def _outcomes(job: Job) -> Why | None:
    outcomes = job.counts.succeeded + job.counts.failed
    if job.counts.succeeded and job.counts.succeeded >= job.plan.gate_share * outcomes:
        return None
    return Why(
        "outcomes",
        f"{job.counts.succeeded} of {outcomes} outcomes are successes; "
        f"{job.plan.gate_share:.0%} are needed.",
    )


def older(release: Release, version: str) -> bool:
    """Whether the release is older than a version that is announced."""
    return version_key(release.version) < version_key(version)


def hardware_problem(needed: Collection[str], found: Hardware, *, force: bool) -> Why | None:
    """Why devices that would read an announcement keep it from being made.

    Args:
        needed: hardware of the release; empty: any.
        force: devices of unknown hardware do not count.
    """
    if not needed:
        return None
    fitting = {one.lower() for one in needed}
    others = sum(number for name, number in found.named.items() if name.lower() not in fitting)
    if others:
        return Why(
            "hardware",
            f"{others} devices of these dialects are of other hardware than {', '.join(needed)}.",
        )
    if found.unknown and not force:
        return Why(
            "hardware_unknown",
            f"The hardware of {found.unknown} devices of these dialects is not known.",
        )
    return None
