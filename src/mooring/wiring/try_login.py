"""Tries a login, to report the broker's answer and its reason.

The broker rejects all logins in the same way; the database knows the reason.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from dataclasses import dataclass, replace

import sqlalchemy as sa

from mooring.app import App
from mooring.broker.connection import Connection, Endpoint
from mooring.errors import BrokerUnavailable, InvalidSetting, NotFound
from mooring.identity.actor import Actor
from mooring.secrets import verifiers
from mooring.settings import Settings
from mooring.store.schema import broker_changes
from mooring.wiring.broker import service_endpoint

__all__ = ["Answer", "TlsOptions", "explain", "try_login"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The broker's answer. ``reason`` is a stable word, ``message`` one sentence."""

    username: str
    host: str
    port: int
    accepted: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Known:
    """The state of one login in the database.

    Attributes:
        what: ``device``, ``broker user`` or ``account``, for the sentence.
        exists: the login exists.
        enabled: the broker should accept it.
        verifier: of its password, if it has one.
        client_id: the only client id it may use, if it is bound to one.
        waiting: a change is pending; with the last error, if any.
    """

    what: str = "account"
    exists: bool = False
    enabled: bool = True
    verifier: str | None = None
    waiting: str | None = None
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How to connect over TLS: the settings' port, verified with the CA that devices use."""

    settings: Settings

    def endpoint(self, plain: Endpoint) -> Endpoint:
        cafile = self.settings.tls_cafile
        if cafile is None and self.settings.tls_certfile is None:
            cafile = self.settings.data_dir / "pki" / "ca.crt"
        try:
            context = ssl.create_default_context(cafile=None if cafile is None else str(cafile))
        except OSError as exc:
            raise InvalidSetting(f"The CA file {cafile} cannot be used: {exc}.") from exc
        return replace(
            plain, host=self.settings.mqtt_host, port=self.settings.mqtt_tls_port, tls=context
        )


def try_login(
    app: App, actor: Actor, name: str | None, password: str | None, tls: TlsOptions | None = None
) -> Answer:
    """Connects once.

    Args:
        name: a device, a username, or ``None`` for the platform's own account.

    Raises:
        BrokerUnavailable: no broker answers there.
    """
    endpoint = service_endpoint(app)
    known = Known("platform's account", True)
    if name is not None:
        username, known = _known(app, actor, name)
        endpoint = replace(endpoint, username=username, password=password)
    if tls is not None:
        endpoint = tls.endpoint(endpoint)
    # Through the platform's own socket a try has a client id of its own; elsewhere it has the
    # device's, and a device that is connected has to connect again.
    client_id = None if endpoint.host.startswith("/") else known.client_id
    if client_id is None and name is not None:
        client_id = f"try-{secrets.token_hex(8)}"
    accepted = asyncio.run(_accepted(endpoint, client_id))
    reason, why = explain(known, password, accepted=accepted)
    verb = "accepts" if accepted else "rejects"
    host = app.settings.mqtt_host
    where = f"{host}:{endpoint.port}"
    return Answer(
        endpoint.username or "",
        host,
        endpoint.port,
        accepted,
        reason,
        f"The broker at {where} {verb} {endpoint.username}{why}.",
    )


def explain(known: Known, password: str | None, *, accepted: bool) -> tuple[str, str]:
    """The reason of the answer: a stable word and the second half of the sentence. Pure."""
    fits = password is None or known.verifier is None or verifiers.check(password, known.verifier)
    if accepted:
        if not known.exists or not known.enabled or not fits:
            return (
                "broker_differs",
                ", although the database rejects it: `mooring broker sync` fixes that",
            )
        return "accepted", ""
    waits = f" ({known.waiting})" if known.waiting else ""
    reasons = (
        (
            known.waiting is not None,
            "change_waiting",
            f"because a change is still pending{waits}",
        ),
        (not known.exists, "unknown", "because the account does not exist"),
        (not known.enabled, "disabled", f"because the {known.what} is disabled"),
        (
            known.verifier is None and password is not None,
            "no_password",
            f"because the {known.what} has no password",
        ),
        (not fits, "wrong_password", f"because that is not the {known.what}'s password"),
        (
            True,
            "broker_differs",
            "although the database accepts it: `mooring broker sync` shows and fixes the "
            "differences",
        ),
    )
    return next((word, f", {text}") for holds, word, text in reasons if holds)


async def _accepted(endpoint: Endpoint, client_id: str | None) -> bool:
    try:
        connection = await Connection.open(endpoint, client_id=client_id, keep_session=True)
    except BrokerUnavailable as exc:
        if exc.slug != "broker_refused":
            raise
        return False
    await connection.close()
    return True


def _known(app: App, actor: Actor, name: str) -> tuple[str, Known]:
    """The username of a name, and its state in the database."""
    try:
        device = app.devices.get(actor, name)
    except NotFound:
        username, what, enabled = name, "broker user", True
    else:
        username, what, enabled = device.username, "device", device.enabled
    account = app.devices.account(username)
    with app.database.read() as connection:
        waiting = connection.execute(
            sa.select(sa.func.coalesce(broker_changes.c.error, "")).where(
                broker_changes.c.username == username
            )
        ).scalar()
    return username, Known(
        what,
        exists=account is not None or what == "device",
        enabled=enabled,
        verifier=account.verifier if account is not None else None,
        waiting=None if waiting is None else str(waiting),
        client_id=account.client_id if account is not None else None,
    )
