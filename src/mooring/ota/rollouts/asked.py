"""What somebody asks of a rollout, checked, and as it is stored with its job. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import time
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, field

from mooring.devices.attributes.query import terms
from mooring.errors import Invalid
from mooring.jobs.what import What
from mooring.ota.rollouts.model import GateOn, Terms
from mooring.ota.rollouts.windows import DAYS, Window

__all__ = [
    "BYTES_PER_SECOND_MAX",
    "DAYS",
    "JITTER_MAX_MS",
    "WINDOWS_MAX",
    "FirmwareWhat",
    "WindowWhat",
    "terms_of",
    "window_document",
    "window_of",
    "written",
]

WINDOWS_MAX = 14
BYTES_PER_SECOND_MAX = 1 << 40
JITTER_MAX_MS = 3_600_000
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)

Word = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]


class WindowWhat(
    What, frozen=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}
):
    """A time of the week."""

    days: list[str] = field(default_factory=lambda: list(DAYS))
    start: str = "00:00"
    end: str = "00:00"


class FirmwareWhat(What, frozen=True, forbid_unknown_fields=True):
    """A rollout.

    Attributes:
        release: number, or ``product:version``; stored as the number.
        approval: a second person has to approve it.
        reference, kind: of the release; added when it is stored.
    """

    release: Word
    gate_on: GateOn = GateOn.CONFIRMED
    windows: Annotated[list[WindowWhat], Meta(max_length=WINDOWS_MAX)] = field(default_factory=list)
    zone: Word = "UTC"
    condition: Annotated[str, Meta(max_length=1000)] = ""
    first: Word = ""
    artifact: Word = ""
    force_downgrade: bool = False
    force_hardware: bool = False
    bytes_per_second: Annotated[int, Meta(ge=0, le=BYTES_PER_SECOND_MAX)] = 0
    jitter_ms: Annotated[int, Meta(ge=0, le=JITTER_MAX_MS)] = 0
    download_any_time: bool = False
    approval: bool = False
    reference: str = ""
    kind: str = ""


def terms_of(what: FirmwareWhat) -> Terms:
    """The terms that a rollout names.

    Raises:
        Invalid: ``invalid_rollout``: a window or the time zone; ``invalid_search``: the condition.
    """
    try:
        ZoneInfo(what.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            f"{what.zone[:60]!a} is not a time zone.",
            hint="Use an IANA name, such as Europe/Berlin.",
            code="invalid_rollout",
        ) from None
    if what.condition:
        terms([what.condition])
    if what.download_any_time and not what.windows:
        raise Invalid(
            "Downloads at any time need a window for the install.",
            hint="Give a window.",
            code="invalid_rollout",
        )
    return Terms(
        what.gate_on,
        tuple(window_of(one.days, one.start, one.end) for one in what.windows),
        what.zone,
        what.condition,
        what.first,
        what.artifact,
        what.force_downgrade,
        what.force_hardware,
        what.bytes_per_second,
        what.jitter_ms,
        what.download_any_time,
    )


def window_of(days: Sequence[str], start: str, end: str) -> Window:
    """A window from the words of a request.

    Raises:
        Invalid: ``invalid_rollout``.
    """
    wrong = [day for day in days if day not in DAYS]
    if not days or wrong:
        raise Invalid(
            f"{wrong[0][:40]!a} is not a day." if wrong else "A window needs a day.",
            hint=f"Use some of {' '.join(DAYS)}.",
            code="invalid_rollout",
        )
    return Window(frozenset(map(DAYS.index, days)), _time(start), _time(end))


def _time(text: str) -> time:
    found = _TIME.fullmatch(text)
    if found is None:
        raise Invalid(
            f"{text[:40]!a} is not a time of day.",
            hint="Use hours and minutes, such as 22:00.",
            code="invalid_rollout",
        )
    return time(int(found[1]), int(found[2]))


def written(release: str, terms: Terms, *, approval: bool) -> Mapping[str, Any]:
    """The terms as a job takes them."""
    return {
        "release": release,
        "gate_on": str(terms.gate_on),
        "windows": [window_document(one) for one in terms.windows],
        "zone": terms.zone,
        "condition": terms.condition,
        "first": terms.first,
        "artifact": terms.artifact,
        "force_downgrade": terms.force_downgrade,
        "force_hardware": terms.force_hardware,
        "bytes_per_second": terms.bytes_per_second,
        "jitter_ms": terms.jitter_ms,
        "download_any_time": terms.download_any_time,
        "approval": approval,
    }


def window_document(window: Window) -> dict[str, Any]:
    """A window as JSON; ``WindowWhat`` reads it."""
    return {
        "days": [DAYS[day] for day in sorted(window.days)],
        "from": f"{window.start:%H:%M}",
        "to": f"{window.end:%H:%M}",
    }
