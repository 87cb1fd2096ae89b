"""Broker: what runs, what waits, and logins that are not devices."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from mooring.broker.service import BrokerUsers
from mooring.broker.users import NOTE_MAX, BrokerUser
from mooring.dashboard.call import Call
from mooring.dashboard.page import Action, Nav, Page, Redirect, Shown
from mooring.identity.account import Rights
from mooring.identity.actor import Role
from mooring.store.schema import broker_changes
from mooring.telemetry import problems
from mooring.telemetry.model import ProcessInfo
from mooring.telemetry.service import Telemetry

__all__ = ["ACTIONS", "PAGES"]

PENDING_SHOWN = 20
CHANGE_WORDS = {
    "put": "create or change",
    "remove": "remove",
    "kick": "disconnect",
    "replace": "replace",
}
USERS_SHOWN = 200


def view(call: Call) -> dict[str, Any]:
    """Processes, workers, pending changes, broker users."""
    overview = call.service(Telemetry).overview(call.who)
    connected = call.publisher.connected
    settings = call.app.settings
    with call.app.database.read() as connection:
        pending = connection.execute(
            sa.select(
                broker_changes.c.id,
                broker_changes.c.action,
                broker_changes.c.username,
                broker_changes.c.created_at,
                broker_changes.c.attempts,
                broker_changes.c.error,
            )
            .order_by(broker_changes.c.id)
            .limit(PENDING_SHOWN)
        ).all()
    ports = (
        ("MQTT over TLS", settings.mqtt_tls_port),
        ("MQTT with certificates", settings.mqtt_mtls_port),
        ("MQTT over WebSocket", settings.mqtt_ws_port),
        ("MQTT on this machine", settings.mqtt_port),
    )
    return {
        "connected": connected,
        "error": call.publisher.error,
        "authority": settings.authority.replace("_", " "),
        "managed": settings.broker == "managed",
        "ports": [(word, port) for word, port in ports if port],
        "problems": problems.of_overview(overview, broker_answers=connected),
        "processes": [(one, _figures(one)) for one in overview.processes],
        "workers": [
            (process, worker)
            for process in overview.processes
            if process.alive
            for worker in process.workers
        ],
        "pending": pending,
        "change_words": CHANGE_WORDS,
        "pending_count": overview.broker_changes_pending,
        "counters": sorted(overview.counters.items()),
        "users": call.service(BrokerUsers).page(call.who, limit=USERS_SHOWN),
    }


def _figures(process: ProcessInfo) -> str:
    """``connected, devices 6, stored 1204``: flags as words, numbers with their name."""
    return ", ".join(
        (name if value else f"not {name}") if isinstance(value, bool) else f"{name} {value}"
        for name, value in process.detail.items()
        if value is not None
    ).replace("_", " ")


def create_user(call: Call) -> Shown:
    """A broker user; its password is on this page alone."""
    form = call.form
    name = form.text("name", "Name", needed=True)
    publish = form.text("publish", "May publish to", max=20_000, area=True).split()
    subscribe = form.text("subscribe", "May subscribe to", max=20_000, area=True).split()
    note = form.text("note", "Note", max=NOTE_MAX)
    if not publish and not subscribe:
        form.wrong["publish"] = "Enter at least one topic filter to publish or to subscribe."
    form.check()
    rights = Rights(publish=tuple(publish), subscribe=tuple(subscribe))
    password, changes = call.service(BrokerUsers).create(call.who, BrokerUser(name, rights, note))
    said = call.stored(f"The broker user {name}", changes)
    return _secret("Broker user", name, password, said)


def new_password(call: Call) -> Shown:
    """Another password; its sessions end."""
    name = call.path["name"]
    password, changes = call.service(BrokerUsers).set_password(call.who, name)
    return _secret("New password", name, password, call.stored(f"The password of {name}", changes))


def _secret(title: str, name: str, password: str, said: str) -> Shown:
    values = {
        "said": said,
        "facts": [("Username", name), ("Password", password)],
        "back": "/broker#users",
    }
    return Shown(values, "secret", secret=True, title=title)


def delete_user(call: Call) -> Redirect:
    """Its sessions end."""
    name = call.path["name"]
    call.form.confirmed("confirm", name)
    call.form.check()
    changes = call.service(BrokerUsers).delete(call.who, name)
    return call.redirect("/broker#users", call.stored(f"The removal of {name}", changes))


PAGE = Page("/broker", "Broker", view, "broker", whole=True, nav=Nav("run", 10, "Broker", "b"))
PAGES = (PAGE,)
ACTIONS = (
    Action("/broker/users", create_user, PAGE, role=Role.ADMIN, whole=True),
    Action("/broker/users/{name}/password", new_password, PAGE, role=Role.ADMIN, whole=True),
    Action("/broker/users/{name}/delete", delete_user, PAGE, role=Role.ADMIN, whole=True),
)
