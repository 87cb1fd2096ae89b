"""What one tenant may take and store, what it does store, and changing the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.changes import queue as change_queue
from mooring.devices import limit_store
from mooring.errors import Invalid
from mooring.identity.account import Quota
from mooring.identity.actor import Actor, Role
from mooring.limits import storage_store
from mooring.limits.service import DeviceLimits, check_values
from mooring.limits.storage import Storage, Usage, in_force
from mooring.limits.storage_store import Full
from mooring.settings import Settings
from mooring.store.engine import Database

__all__ = ["NAMES", "SECONDS_MAX", "TenantLimits", "TenantState"]

NAMES = {
    "connections": "connections",
    "messages_per_second": "messages",
    "bytes_per_second": "bytes",
    "disconnect_seconds": "disconnect_seconds",
    "stored_bytes": "stored_bytes",
    "dead_letter_bytes": "dead_letter_bytes",
}
"""A limit of a tenant → its attribute in ``Quota`` or ``Storage``, or itself."""
SECONDS_MAX = 2_592_000
"""Seconds for which a device can be disconnected because of a limit: 30 days."""


@dataclass(frozen=True, slots=True)
class TenantState:
    """One tenant.

    Attributes:
        own: name of a limit → its own value; ``None``: the setting; 0: no limit.
        in_force: the same as it applies; ``None``: no limit.
        enforced: whether the broker's authority can keep connections and rates.
        usage: what it stores.
    """

    name: str
    own: Mapping[str, int | None]
    in_force: Mapping[str, int | None]
    enforced: bool
    usage: Usage


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """Limits and usage of the tenants of one installation."""

    database: Database
    limits: DeviceLimits
    settings: Settings

    def show(self, actor: Actor, name: str) -> TenantState:
        """Raises: NotFound: no such tenant that the actor sees."""
        with self.database.read() as connection:
            self.limits.require_tenant(connection, actor, name)
            return self._state(connection, name)

    def change(
        self, actor: Actor, name: str, given: Mapping[str, int | None], *, reason: str = ""
    ) -> tuple[TenantState, list[int]]:
        """Changes these limits, and no others; only for who sees every tenant.

        Args:
            given: names of ``NAMES``; ``None``: the setting; 0: no limit.

        Returns:
            The tenant, and the pending changes of the broker to wait for.

        Raises:
            Invalid: a value is negative or too large.
            NotFound: no such tenant.
        """
        check_values(given)
        seconds = given.get("disconnect_seconds") or 0
        if seconds > SECONDS_MAX:
            raise Invalid(
                f"Disconnect seconds must be 0 to {SECONDS_MAX:,}, not {seconds:,}.",
                hint="0: devices above a limit may come back as soon as they may send again.",
                code="invalid_limit",
            )
        with self.database.write() as connection:
            self.limits.require_tenant(connection, actor, name)
            actor.require(Role.ADMIN, None)
            values = {NAMES[key]: value for key, value in given.items()}
            broker = {key: values[key] for key in asdict(Quota()) if key in values}
            stored = {key: values[key] for key in asdict(Storage()) if key in values}
            changes: list[int] = []
            if broker:
                before = limit_store.of_tenant(connection, name)
                limit_store.set_of_tenant(connection, name, replace(before, **broker))
                one = limit_store.a_device_of(connection, name)
                changes = [] if one is None else [change_queue.enqueue(connection, "put", one)]
            if stored:
                own = storage_store.own(connection, name)
                storage_store.set_own(connection, name, replace(own, **stored))
            if "disconnect_seconds" in given:
                limit_store.set_disconnect_seconds(connection, name, given["disconnect_seconds"])
            said = ", ".join(f"{key}={_word(value)}" for key, value in given.items())
            why = f"{said}: {reason}" if reason else said
            audit_log.record(connection, actor, "tenant.limits", name, tenant=name, reason=why)
            return self._state(connection, name), changes

    def stored(self) -> tuple[list[Full], list[Full]]:
        """Bytes and limits of messages, and of dead letters, of every tenant that has some; for
        the platform itself."""
        settings = self.settings
        with self.database.read() as connection:
            return (
                storage_store.messages_over(connection, settings.tenant_stored_bytes_max, 0),
                storage_store.dead_letters_over(
                    connection, settings.tenant_dead_letter_bytes_max, 0
                ),
            )

    # ------------------------------------------------------------------ inside

    def _state(self, connection: Connection, name: str) -> TenantState:
        broker = limit_store.of_tenant(connection, name)
        stored = storage_store.own(connection, name)
        found = self.limits.limited_of_tenant(broker)
        seconds = limit_store.disconnect_seconds_of(connection, name)
        setting = self.settings.limit_disconnect_seconds
        most = Storage(
            self.settings.tenant_stored_bytes_max, self.settings.tenant_dead_letter_bytes_max
        )
        return TenantState(
            name,
            _named(broker, stored, seconds),
            _named(
                found.in_force,
                in_force(stored, most),
                (setting if seconds is None else seconds) or None,
            ),
            found.enforced,
            storage_store.usage(connection, name),
        )


def _named(broker: Quota, stored: Storage, seconds: int | None) -> dict[str, int | None]:
    values = {**asdict(broker), **asdict(stored), "disconnect_seconds": seconds}
    return {name: values[attribute] for name, attribute in NAMES.items()}


def _word(value: int | None) -> str:
    return "default" if value is None else "none" if value == 0 else str(value)
