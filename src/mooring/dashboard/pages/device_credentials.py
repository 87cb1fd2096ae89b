"""Credentials of a device: topics, rights, lines to paste, rotation, certificates, removal."""

from __future__ import annotations

from typing import Any

from mooring.broker.access_rules import Action as Access
from mooring.credentials.rotation.rules import Phase
from mooring.credentials.rotation.service import Rotations
from mooring.dashboard.answers import Redirect, Shown
from mooring.dashboard.call import Call
from mooring.dashboard.data import fleet
from mooring.dashboard.data.device import Opened, frame, opened
from mooring.dashboard.data.fleet import Badge
from mooring.dashboard.page import Action, Page
from mooring.dashboard.pages.device_add import lines
from mooring.dashboard.pages.device_now import switch
from mooring.devices.model import Device
from mooring.pki.api import CSR_MAX, DAYS_MAX
from mooring.pki.fleet.service import DeviceCertificates
from mooring.pki.issue import DEVICE_DAYS

__all__ = ["ACTIONS", "PAGES"]

PASSWORD_HERE = "YOUR_PASSWORD"  # noqa: S105
DENIALS = {
    "no_right": "no topic filter of its dialect covers it",
    "reserved": "only the platform itself may use it",
    "invalid_topic": "it is not a valid topic",
    "locked": "the device is disabled",
    "unknown_username": "the broker knows no such account",
}
PHASES = {
    Phase.PREPARED: Badge("off", "Stored, not sent yet"),
    Phase.SENT: Badge("off", "Sent to the device"),
    Phase.PROBED: Badge("off", "Waiting for its next login"),
    Phase.ON_NEW: Badge("off", "Broker holds the new password"),
    Phase.ON_OLD: Badge("warn", "Broker holds the old password"),
    Phase.SETTLED: Badge("ok", "Settled: the device uses the new password"),
    Phase.ROLLED_BACK: Badge("bad", "Rolled back: the device uses the old password"),
    Phase.CANCELLED: Badge("off", "Cancelled"),
}


def view(call: Call) -> dict[str, Any]:
    """What the device may use, and what it logs in with. No password is shown."""
    found = opened(call)
    device = found.device
    action = call.query.choice("action", ("publish", "subscribe"), "publish")
    topic = call.query.text("topic", max=1000)
    rotation = call.service(Rotations).newest(device)
    return {
        **frame(found, "credentials"),
        **_topics(call, found),
        "action": action,
        "topic": topic,
        "asked": _rights(call, device, action, topic) if topic else None,
        "rotation": rotation,
        "phase": PHASES[rotation.phase] if rotation is not None else None,
        "certificates": call.service(DeviceCertificates).list(call.who, device.username),
        "days": DEVICE_DAYS,
        "at": call.now,
    }


def _topics(call: Call, found: Opened) -> dict[str, Any]:
    if found.dialect is None:
        return {"topics": [], "lines": None}
    topics = call.app.devices.topics(found.device)
    channels = {one.name: one for one in found.dialect.channels}
    channels |= {str(one.kind): one for one in reversed(found.dialect.channels)}
    shown = [(kind, channels[kind], topic) for kind, topic in topics.items()]
    return {"topics": shown, "lines": lines(call, found.device, PASSWORD_HERE)}


def _rights(call: Call, device: Device, action: str, topic: str) -> tuple[bool, str]:
    """Whether it may, and why."""
    verdict = call.app.devices.may(device, Access(action), topic)
    if verdict.reason is None:
        return verdict.allowed, f"the filter {verdict.rule} covers it"
    return verdict.allowed, DENIALS[verdict.reason]


def rotate(call: Call) -> Redirect:
    """Starts a rotation."""
    device = call.app.devices.get(call.who, call.path["device"])
    reason = call.form.text("reason", "Reason")
    call.form.check()
    keep = not call.form.flag("compromised")
    call.service(Rotations).start(call.who, device, reason=reason, keep_old=keep)
    said = "The new password was stored. The device gets it when it listens."
    return call.redirect(call.url.rpartition("/")[0], said)


def issue(call: Call) -> Shown:
    """Issues a certificate: for the key of a request, or with a new key that is shown once."""
    device = call.app.devices.get(call.who, call.path["device"])
    days = call.form.number("days", "Valid for days", default=DEVICE_DAYS, ge=1, le=DAYS_MAX)
    csr = call.form.text("csr", "Signing request", max=CSR_MAX, area=True)
    call.form.check()
    certificates = call.service(DeviceCertificates)
    known, bundle = certificates.issue(
        call.who, device.reference, csr=csr.encode("utf-8", "replace") if csr else None, days=days
    )
    said = call.stored(f"Certificate {bundle.info.serial}", certificates.pending(known))
    facts = [("Certificate", bundle.certificate), ("CA that the device trusts", bundle.trust)]
    key = bundle.key_pem
    if key is not None:
        facts.insert(0, ("Private key", key))
    back = f"{fleet.address(device)}/credentials"
    shown = [(word, value.decode("ascii").strip()) for word, value in facts]
    values = {"said": said, "facts": shown, "back": back}
    return Shown(values, "secret", secret=True, title=f"Certificate of {device.name}")


def revoke(call: Call) -> Redirect:
    """Revokes a certificate permanently."""
    device = call.app.devices.get(call.who, call.path["device"])
    serial = call.path["serial"]
    call.form.confirmed("confirm", device.name)
    call.form.check()
    call.service(DeviceCertificates).revoke(call.who, device.username, serial=serial)
    said = f"The certificate {serial} was revoked. The broker rejects it within a minute."
    return call.redirect(call.url.split("/certificates/")[0] + "/credentials", said)


def remove(call: Call) -> Redirect:
    """Removes the device."""
    device = call.app.devices.get(call.who, call.path["device"])
    call.form.confirmed("confirm", device.name)
    reason = call.form.text("reason", "Reason")
    call.form.check()
    _, changes = call.app.devices.remove(call.who, device.username, reason=reason)
    return call.redirect("/devices", call.stored(f"{device.name} removed", changes))


PAGE = Page(
    "/devices/{device}/credentials",
    "Credentials",
    view,
    "device/credentials",
    place="/devices",
)
PAGES = (PAGE,)
ACTIONS = (
    Action("/devices/{device}/credentials/rotate", rotate, PAGE),
    Action("/devices/{device}/disable", switch, PAGE),
    Action("/devices/{device}/remove", remove, PAGE),
    Action("/devices/{device}/certificates", issue, PAGE),
    Action("/devices/{device}/certificates/{serial}/revoke", revoke, PAGE),
)
