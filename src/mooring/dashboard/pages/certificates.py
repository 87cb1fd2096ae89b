"""Certificates: the CA, the broker's, those of devices, and which end when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mooring.dashboard.call import Call
from mooring.dashboard.page import Action, Nav, Page, Redirect
from mooring.errors import MooringError
from mooring.identity.actor import Role
from mooring.pki.expiry import ExpiryLevel
from mooring.pki.fleet.service import Health
from mooring.pki.ledger import CertificateRecord
from mooring.pki.model import CertificateInfo, Reason

__all__ = ["ACTIONS", "PAGES"]

LISTED = 200
LEVELS = {
    ExpiryLevel.OK: ("ok", "Valid"),
    ExpiryLevel.NOTICE: ("warn", "Expires this month"),
    ExpiryLevel.WARNING: ("warn", "Expires in 14 days"),
    ExpiryLevel.CRITICAL: ("bad", "Expires in 3 days"),
    ExpiryLevel.EXPIRED: ("bad", "Expired"),
}
NAMES = {"ca": "CA", "old_ca": "Old CA", "server": "Broker"}
REASONS = [one.value for one in Reason if one is not Reason.CERTIFICATE_HOLD]


def view(call: Call) -> dict[str, Any]:
    """Health in sentences, then each certificate."""
    certificates = call.app.certificates
    # It reads every certificate of the fleet, so the metrics and this page share one look.
    health: Health = call.request.app.state.certificate_health()
    report = health.report
    find = call.query.text("search")
    try:
        found, number = certificates.search(call.who, find, LISTED)
        shown = call.app.pki.show()
        own: list[tuple[str, CertificateInfo]] = [("CA", shown.ca), ("Broker", shown.server)]
        if shown.old_ca is not None:
            own.append(("Old CA", shown.old_ca))
        rollover = certificates.rollover(call.who)
    except MooringError as exc:
        if exc.status >= 500:
            raise
        found, number, own, rollover = [], 0, [], None  # no CA yet: the sentence above says so
    return {
        "problems": health.problems,
        "reminders": health.reminders,
        "standings": [
            (NAMES.get(one.name, one.name), one.days_left, *LEVELS[one.level])
            for one in (report.platform if report else ())
        ],
        "counts": [
            (LEVELS[level][1], number)
            for level, number in (report.devices.items() if report else ())
            if number
        ],
        "own": [(word, one, ms(one.not_before), ms(one.not_after)) for word, one in own],
        "rollover": rollover,
        "certificates": [_row(one, call.now) for one in found],
        "number": number,
        "search": find,
        "reasons": REASONS,
    }


def ms(at: datetime) -> int:
    """Epoch milliseconds."""
    return int(at.timestamp() * 1000)


def _row(one: CertificateRecord, now: int) -> dict[str, Any]:
    if one.revoked_at is not None:
        state, word = "bad", "Revoked"
    elif ms(one.not_after) < now:
        state, word = "warn", "Expired"
    else:
        state, word = "ok", "Valid"
    return {
        "one": one,
        "state": state,
        "word": word,
        "issued": ms(one.issued_at),
        "ends": ms(one.not_after),
        "live": state == "ok",
    }


def revoke(call: Call) -> Redirect:
    """The broker rejects it from now on, and its session ends."""
    serial = call.form.text("serial", "Serial number", needed=True, max=40)
    reason = call.form.choice("reason", "Reason", REASONS, "unspecified")
    call.form.check()
    certificates = call.app.certificates
    done = certificates.revoke(call.who, serial=serial, reason=Reason(reason))
    _changed(call)
    in_force = certificates.wait_in_force(done.certificates, 3.0)
    said = "and the broker rejects it"
    if not in_force:
        said = "and the broker rejects it as soon as it has applied the change"
    return call.redirect("/certificates", f"The certificate {serial} was revoked, {said}.")


def _changed(call: Call) -> None:
    """What this page says next is looked at again."""
    call.request.app.state.certificate_health(again=True)


def rollover_start(call: Call) -> Redirect:
    """A new CA; the old one stays trusted until the rollover is finished."""
    call.form.confirmed("confirm", "rollover")
    call.form.check()
    call.app.certificates.rollover_start(call.who)
    _changed(call)
    return call.redirect("/certificates", "The rollover has started: both CAs are trusted now.")


def rollover_finish(call: Call) -> Redirect:
    """The old CA is trusted no more."""
    call.form.confirmed("confirm", "rollover")
    call.form.check()
    call.app.certificates.rollover_finish(call.who)
    _changed(call)
    return call.redirect("/certificates", "The rollover is finished: only the new CA is trusted.")


PAGE = Page(
    "/certificates",
    "Certificates",
    view,
    "certificates",
    whole=True,
    nav=Nav("run", 30, "Certificates", "t"),
)
PAGES = (PAGE,)
ACTIONS = (
    Action("/certificates/revoke", revoke, PAGE, whole=True),
    Action("/certificates/rollover", rollover_start, PAGE, role=Role.ADMIN, whole=True),
    Action("/certificates/rollover/finish", rollover_finish, PAGE, role=Role.ADMIN, whole=True),
)
