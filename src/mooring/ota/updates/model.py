"""Values of firmware updates: one device and one release. Times are epoch milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from mooring.ota.releases.model import Kind

__all__ = [
    "FINAL",
    "INSTALL_BEGUN",
    "NOT_BEGUN",
    "OPEN",
    "Code",
    "Kind",
    "Options",
    "Seen",
    "State",
    "Step",
    "Update",
    "Way",
]


class State(StrEnum):
    """Where an update is; ``mooring.ota.updates.rules`` has the transitions."""

    WAITING = "waiting"  # an offer waits until the device is connected and subscribed
    OFFERED = "offered"  # handed over
    DEFERRED = "deferred"  # the device asked for a later time
    DOWNLOADING = "downloading"
    INSTALLING = "installing"
    REBOOTING = "rebooting"
    INSTALLED = "installed"  # the device claims it, or has named the version; not proved yet
    CONFIRMED = "confirmed"  # proved in a session after the install
    REVERTED = "reverted"  # the device runs the old version again
    REGRESSED = "regressed"  # likewise, after it was confirmed
    UNPROVED = "unproved"  # nothing shows which version runs
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"  # by an update to another release
    GONE = "gone"  # the device was removed


NOT_BEGUN = frozenset({State.WAITING, State.OFFERED, State.DEFERRED})
"""The device has not begun, so it can end immediately."""
INSTALL_BEGUN = frozenset({State.INSTALLING, State.REBOOTING, State.INSTALLED})
OPEN = NOT_BEGUN | INSTALL_BEGUN | {State.DOWNLOADING}
FINAL = frozenset(State) - OPEN


class Code(StrEnum):
    """Why an update failed or was rejected."""

    NO_SPACE = "no_space"
    DIGEST = "digest"
    SIGNATURE = "signature"
    HARDWARE = "hardware"
    DOWNGRADE = "downgrade"
    LINK = "link"
    HTTP_4XX = "http_4xx"
    NETWORK = "network"
    INSTALL = "install"
    HEALTH = "health"
    LOOP = "loop"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Way(StrEnum):
    """How a device gets its offer."""

    MQTT = "mqtt"  # on the firmware channel of its dialect
    DDI = "ddi"  # it asks over HTTP, as hawkBit's clients do


class Seen(StrEnum):
    """Which version the newest message of a device named that counts as evidence."""

    NOTHING = ""
    NEW = "new"
    OLD = "old"


class Step(NamedTuple):
    """One state that an update entered, and why."""

    at: int
    state: State
    event: str
    words: str


@dataclass(frozen=True, slots=True)
class Options:
    """What somebody wants of an update.

    Attributes:
        force_downgrade: also where the device reports a newer version.
        force_hardware: also where the device's hardware is not known.
        artifact: name of the file; empty: the release's first complete one.
        expires_ms: how long the device may take to accept; ``None``: as the settings say.
        reason: for the audit.
        jitter_ms: each offer is handed over later by a random time up to this.
        install_in: device → the windows in which it may install, as ``windows.packed`` wrote them.
    """

    force_downgrade: bool = False
    force_hardware: bool = False
    artifact: str = ""
    expires_ms: int | None = None
    reason: str = ""
    jitter_ms: int = 0
    install_in: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Update:
    """One update of one device.

    Attributes:
        device: its name; the device may be gone.
        due_at: when the deadline of its state is; of a confirmed one, until when it is watched.
        offers: how often it was offered since the last download began; offer_at: when last.
        attempts: downloads that were begun.
        installs: installs that were begun, those of earlier updates to the same release that
            ended within a day without a confirmation included.
        percent: as the device reports it, or from the bytes served.
        served: the file's bytes up to which it was served.
        from_version: what the device reported when it was made; empty: nothing.
        session_at: when the session after the install began; ``None``: it has not begun.
        linked: whether the device is connected, as far as was looked; ``None``: not known.
        linked_at: since when.
        seen: which version its newest message named; seen_since: since when it is the same one;
            seen_ts: the time of the newest such message.
        reported_ts: the device's own time of its newest progress report.
        progress_at: when bytes were last served, or progress was reported.
        download_at: when the download began; install_at: when the install began.
        until: when a deferred one is offered again.
        asked_at: when the device was asked to cancel.
        renewed_at: when it last got a fresh offer because its link had expired.
        interval_ms: how often the device sends; ``None``: not known.
        provable: its dialect has a place for the version.
        reports: its dialect has a channel for progress.
        way: how the device gets the offer.
        install_in: windows in which the device may install (``windows.packed``); empty: always.
        downlink_id: the newest message that carried an offer.
        code, words, log: why it ended, in the device's words where it has some.
    """

    id: int
    tenant: str
    device_id: int
    device: str
    release_id: int
    artifact_id: int
    kind: Kind
    version: str
    from_version: str
    size: int
    created_at: int
    expires_at: int
    state: State
    state_at: int
    due_at: int | None
    job_id: int | None = None
    actor: str = ""
    reason: str = ""
    offers: int = 0
    offer_at: int = 0
    attempts: int = 0
    installs: int = 0
    percent: int | None = None
    served: int = 0
    session_at: int | None = None
    linked: bool | None = None
    linked_at: int | None = None
    seen: Seen = Seen.NOTHING
    seen_since: int | None = None
    seen_ts: int | None = None
    reported_ts: int | None = None
    progress_at: int | None = None
    download_at: int | None = None
    install_at: int | None = None
    until: int | None = None
    asked_at: int | None = None
    renewed_at: int | None = None
    interval_ms: int | None = None
    provable: bool = True
    reports: bool = True
    way: Way = Way.MQTT
    install_in: str = ""
    downlink_id: int | None = None
    code: str = ""
    words: str = ""
    log: str = ""
    history: tuple[Step, ...] = field(default=())
    finished_at: int | None = None

    @property
    def uid(self) -> str:
        """Its id on the wire."""
        return str(self.id)

    @property
    def action(self) -> int:
        """Its number for clients that want a decimal one below 2**31."""
        return self.id

    @property
    def over(self) -> bool:
        return self.state in FINAL
