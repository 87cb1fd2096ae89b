"""How long each state of an update lasts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mooring.ota.updates.model import INSTALL_BEGUN, NOT_BEGUN, Seen, State, Update, Way

__all__ = [
    "ATTEMPTS_MAX",
    "DEFER_MAX_MS",
    "INSTALLS_MAX",
    "OFFERS_MAX",
    "RENEW_MS",
    "SKEW_MS",
    "Waits",
    "by_interval",
    "deadline",
    "hold_ms",
    "shown_since",
]

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

OFFERS_MAX = 5
"""Offers to a device that does not answer."""
ATTEMPTS_MAX = 3
"""Downloads of one update that end without the whole file."""
INSTALLS_MAX = 2
"""Installs without a confirmation."""
DEFER_MAX_MS = 7 * DAY
"""How long a device may put an offer off."""
RENEW_MS = 30_000
"""Between two fresh offers because a link has expired."""
SKEW_MS = 2_000
"""A device's clock may be behind that of the broker by as much."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Durations in milliseconds.

    Attributes:
        offer: how long a device may take to accept, however often it is offered.
        link: after this time an offer that waits is written again, because its link expires.
        answer: between two offers to a connected device.
        stall: without a byte, while the device is connected.
        download: of one attempt in all.
        install, reboot: of these states.
        cancel: how long a device that downloads may take to cancel.
        proof: how long the version must be shown.
        proved: how long an installed version may take to be proved.
        watch: after the confirmation, for the old version.
    """

    offer: int = 7 * DAY
    link: int = 18 * HOUR
    answer: int = 10 * MINUTE
    stall: int = 30 * MINUTE
    download: int = DAY
    install: int = 30 * MINUTE
    reboot: int = 15 * MINUTE
    cancel: int = 10 * MINUTE
    proof: int = 5 * MINUTE
    proved: int = DAY
    watch: int = 30 * DAY


def hold_ms(update: Update, waits: Waits) -> int:
    """How long a version must be shown to be proved: 5 minutes, or 2 intervals of a device that
    sends less often."""
    return max(waits.proof, 2 * (update.interval_ms or 0))


def by_interval(update: Update, waits: Waits) -> bool:
    """Whether the device is away between two messages, so that sessions say nothing."""
    return 2 * (update.interval_ms or 0) > waits.proof


def shown_since(update: Update) -> int | None:
    """Since when the version that its messages name counts as shown; ``None``: it does not."""
    if update.session_at is None or update.seen is Seen.NOTHING or update.seen_since is None:
        return None
    return max(update.seen_since, update.session_at)


def deadline(update: Update, waits: Waits) -> int | None:
    """When ``rules.time`` is to look at it; ``None``: never again."""
    if update.state in NOT_BEGUN:
        return _not_begun(update, waits)
    if update.state in INSTALL_BEGUN:
        begun = update.state_at if update.install_at is None else update.install_at
        return min(_install(update, waits), begun + 2 * waits.proved)
    if update.state is State.DOWNLOADING:
        return _download(update, waits)
    if update.state is State.CONFIRMED:
        return (update.finished_at or update.state_at) + waits.watch
    return None


def _not_begun(update: Update, waits: Waits) -> int:
    match update.state:
        case State.WAITING | State.OFFERED if update.way is Way.DDI:
            due = update.expires_at  # the device asks when it wants to
        case State.WAITING if update.downlink_id is None:
            due = update.state_at
        case State.WAITING:
            due = update.offer_at + waits.link
        case State.DEFERRED:
            due = update.state_at if update.until is None else update.until
        case _ if update.linked is False:
            due = update.expires_at
        case _:
            due = max(update.state_at, update.linked_at or 0) + waits.answer
    return min(due, update.expires_at)


def _download(update: Update, waits: Waits) -> int:
    begun = update.state_at if update.download_at is None else update.download_at
    due = begun + waits.download
    if update.linked is not False:
        newest = max(update.progress_at or begun, update.linked_at or 0)
        due = min(due, newest + waits.stall)
    if update.asked_at is not None:
        due = min(due, update.asked_at + waits.cancel)
    return due


def _install(update: Update, waits: Waits) -> int:
    since = shown_since(update)
    shown = None if since is None else since + hold_ms(update, waits)
    if update.state is State.INSTALLING:
        return update.state_at + waits.install
    if update.state is State.REBOOTING:
        due = update.state_at + waits.reboot
        if update.session_at is not None:  # it is back, and has time to name its version
            due = max(due, update.session_at + waits.reboot + 2 * (update.interval_ms or 0))
        if update.seen is Seen.OLD and shown is not None:
            return shown
        return min(due, update.state_at + waits.proved)
    end = update.state_at + waits.proved
    if shown is not None:
        return min(end, shown)
    if not update.provable and update.session_at is not None:
        return min(end, update.session_at + hold_ms(update, waits))
    return end
