"""Reads and changes the settings of one device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.device_settings import level_store, store
from mooring.device_settings.apply import Applying, Levels
from mooring.device_settings.documents import (
    Secrets,
    canonical,
    check_document,
    difference,
    keep_masked,
    masked,
    merge_all,
    merge_patch,
    parse,
    without_nulls,
)
from mooring.device_settings.kinds import NOTHING, facts_of
from mooring.device_settings.model import (
    Cause,
    Change,
    DeviceView,
    Guard,
    HistoryEntry,
    Key,
    Level,
    LevelRow,
    Row,
)
from mooring.device_settings.rules import REFUSALS_MAX, resent
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.errors import Conflict, Invalid, Outdated
from mooring.identity.actor import Actor, Role
from mooring.store.engine import Database, now_ms

__all__ = ["GUARD_MAX_MS", "GUARD_MIN_MS", "DeviceSettings", "merged_change", "require_match"]

REFUSING_SHOWN = 5
GUARD_MIN_MS, GUARD_MAX_MS = 30_000, 86_400_000


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """Settings of devices, one device at a time."""

    database: Database
    devices: Devices
    applying: Applying

    # ------------------------------------------------------------------ asking

    def show(self, actor: Actor, reference: str) -> tuple[Device, DeviceView]:
        """What a device is to have, where it comes from, and what it reports.

        Raises:
            NotFound: there is no such device.
        """
        device = self.devices.get(actor, reference)
        actor.require(Role.VIEWER, device.tenant)
        with self.database.read() as connection:
            return device, self._view(connection, device)

    def refusing(self, actor: Actor) -> list[str]:
        """Devices that have refused their settings too often to be sent them again, a sentence
        each; of many the first ones."""
        with self.database.read() as connection:
            found = store.stopped(connection, actor, REFUSING_SHOWN + 1)
        said = [
            f"The device {tenant}:{name} has refused its settings {REFUSALS_MAX} times: "
            f"{words or 'it gives no reason'}. They are not sent again until they change."
            for tenant, name, words in found[:REFUSING_SHOWN]
        ]
        return said + ["More devices have refused their settings."] * (len(found) > len(said))

    def history(
        self, actor: Actor, reference: str, *, before: int | None = None, limit: int = 50
    ) -> tuple[Device, list[HistoryEntry]]:
        """Versions of a device's settings, the newest first; secret fields are masked.

        Raises:
            NotFound: there is no such device.
        """
        device = self.devices.get(actor, reference)
        actor.require(Role.VIEWER, device.tenant)
        instance = self.applying.instance
        with self.database.read() as connection:
            secrets = self._levels(connection, device).secrets
            found = store.history(connection, instance, device.id, before=before, limit=limit)
        return device, [replace(one, document=masked(one.document, secrets)) for one in found]

    # ------------------------------------------------------------------ changing

    def change(self, actor: Actor, reference: str, change: Change) -> tuple[Device, DeviceView]:
        """Changes what the device's own level says.

        Raises:
            NotFound: there is no such device.
            Outdated: ``settings_changed``: it is not the version of ``if_match`` any more.
            Invalid: the dialect has no channel for settings, the document breaks a schema or a
                limit, or the change cannot be guarded.
        """
        device = self.devices.get(actor, reference)
        actor.require(Role.OPERATOR, device.tenant)
        with self.database.write() as connection:
            self.put(connection, actor, device, change)
            return device, self._view(connection, device)

    def put(self, connection: Connection, actor: Actor, device: Device, change: Change) -> None:
        """As ``change``, in the caller's transaction; the caller checks permissions."""
        self._require_channel(device)
        if change.guard_ms:
            self.require_guard(device, change.guard_ms)
        view = self._view(connection, device, mask=False)
        require_match(change.if_match, view.etag, device.reference)
        levels = self._levels(connection, device)
        document = merged_change(view.own.document, change, levels.secrets)
        check_document(document, self.applying.settings.device_settings_max_bytes)
        self._write(connection, actor, view, document, change)
        self._apply(connection, actor, device, levels, change)
        audit_log.record(
            connection,
            actor,
            "settings.change",
            device.reference,
            tenant=device.tenant,
            reason=change.reason,
        )

    def adopt(
        self,
        actor: Actor,
        reference: str,
        *,
        if_match: frozenset[str] | None = None,
        reason: str = "",
    ) -> tuple[Device, DeviceView]:
        """Makes what the device reports its desired settings: its own level then says what the
        levels above do not.

        Raises:
            NotFound: there is no such device.
            Conflict: ``nothing_reported``: the device has not reported its settings.
            Outdated: as ``change``.
            Invalid: what it reports breaks a schema or a limit.
        """
        device = self.devices.get(actor, reference)
        actor.require(Role.OPERATOR, device.tenant)
        self._require_channel(device)
        with self.database.write() as connection:
            view = self._view(connection, device, mask=False)
            require_match(if_match, view.etag, device.reference)
            if view.reported is None:
                raise Conflict(
                    f"{device.reference} has not reported its settings.",
                    hint="Some dialects cannot report: `mooring dialect show` says which.",
                    code="nothing_reported",
                )
            levels = self._levels(connection, device)
            reported = keep_masked(without_nulls(view.reported), view.document, levels.secrets)
            above = merge_all(row.document for row in view.levels if row.key != view.own.key)
            change = Change(difference(above, reported), whole=True, reason=reason)
            check_document(change.document, self.applying.settings.device_settings_max_bytes)
            self._write(connection, actor, view, change.document, change)
            self._apply(connection, actor, device, levels, change)
            audit_log.record(
                connection,
                actor,
                "settings.adopt",
                device.reference,
                tenant=device.tenant,
                reason=reason,
            )
            return device, self._view(connection, device)

    def resend(
        self, actor: Actor, reference: str, *, reason: str = ""
    ) -> tuple[Device, DeviceView]:
        """Sends the newest version again, also after the device has refused it too often.

        Raises:
            NotFound: there is no such device.
            Conflict: ``no_settings``: the device has none.
        """
        device = self.devices.get(actor, reference)
        actor.require(Role.OPERATOR, device.tenant)
        with self.database.write() as connection:
            self.put_again(connection, actor, device, reason=reason)
            return device, self._view(connection, device)

    def put_again(
        self, connection: Connection, actor: Actor, device: Device, *, reason: str = ""
    ) -> None:
        """As ``resend``, in the caller's transaction; the caller checks permissions."""
        channel = self._require_channel(device)
        instance = self.applying.instance
        row = store.rows(connection, instance, [device.id], lock=True).get(device.id)
        if row is None or row.document is None:
            raise Conflict(
                f"{device.reference} has no settings.",
                hint="`mooring device settings set` sets some.",
                code="no_settings",
            )
        levels = self._levels(connection, device)
        packet = facts_of(connection, [device.id]).get(device.id, NOTHING).max_packet
        after = self.applying.place(
            connection,
            device,
            channel,
            replace(row, record=resent(row.record), sent_at=None),
            secrets=levels.secrets,
            packet=packet,
        )
        store.set_row(connection, instance, after, with_document=False)
        audit_log.record(
            connection,
            actor,
            "settings.resend",
            device.reference,
            tenant=device.tenant,
            reason=reason,
        )

    # ------------------------------------------------------------------ inside

    def _write(
        self,
        connection: Connection,
        actor: Actor,
        view: DeviceView,
        document: Mapping[str, Any],
        change: Change,
    ) -> None:
        own, at = view.own, now_ms()
        guard = None
        if change.guard_ms:
            # Of several guarded changes the first one knows what the device had before.
            before = own.guard.document if own.guard is not None else own.document
            guard = Guard(at, at + change.guard_ms, view.row.record.version + 1, before)
        level_store.put_level(
            connection,
            self.applying.instance,
            replace(
                own,
                document=document,
                version=own.version + 1,
                updated_at=at,
                updated_by=actor.name,
                reason=change.reason,
                guard=guard,
            ),
        )

    def _apply(
        self, connection: Connection, actor: Actor, device: Device, levels: Levels, change: Change
    ) -> None:
        made = self.applying.apply(
            connection,
            [device],
            levels,
            Cause(actor.name, "device", change.reason),
            strict=True,
            guard_ms=change.guard_ms,
        )
        if not made and change.guard_ms:
            raise Conflict(
                "The change makes no difference, so there is nothing to guard.",
                hint="The device gets the same settings as before.",
                code="nothing_changed",
            )

    def _levels(self, connection: Connection, device: Device) -> Levels:
        kind = facts_of(connection, [device.id]).get(device.id, NOTHING).kind
        return Levels.read_for(connection, self.applying.instance, device, kind)

    def _view(self, connection: Connection, device: Device, *, mask: bool = True) -> DeviceView:
        instance = self.applying.instance
        kind = facts_of(connection, [device.id]).get(device.id, NOTHING).kind
        levels = Levels.read_for(connection, instance, device, kind)
        row = store.rows(connection, instance, [device.id], lock=not mask).get(device.id)
        row = row or Row(device.id)
        key = Key(device.tenant, Level.DEVICE, str(device.id))
        own = level_store.own_levels(connection, instance, [device.id]).get(device.id)
        own = own or LevelRow(key)
        parts = levels.whole(device, kind, own if own.version else None).levels
        document = row.document or {}
        reported = None if row.record.reported is None else parse(row.record.reported)
        secrets = levels.secrets if mask else frozenset()
        return DeviceView(
            row=row,
            document=masked(document, secrets),
            own=_masked(own, secrets),
            reported=None if reported is None else masked(reported, secrets),
            differs=reported is not None and _differs(document, reported, levels.secrets),
            reports=self._reports(device),
            levels=tuple(_masked(one, secrets) for one in parts),
        )

    def _reports(self, device: Device) -> bool:
        return self.applying.reports(device)

    def _require_channel(self, device: Device) -> Any:
        channel = self.applying.channel(device)
        if channel is None:
            raise Invalid(
                f"{device.reference} cannot be sent settings: the dialect {device.dialect} has "
                f"no channel for them.",
                hint="`mooring dialect show` prints what a dialect can do.",
                code="settings_not_supported",
            )
        return channel

    def require_guard(self, device: Device, guard_ms: int) -> None:
        """Raises ``Invalid`` where the device's change cannot be guarded for that long."""
        if not GUARD_MIN_MS <= guard_ms <= GUARD_MAX_MS:
            raise Invalid(
                f"A change cannot be guarded for {guard_ms // 1000} s.",
                hint="Use 30s to 24h, for example 10m.",
                code="invalid_guard",
            )
        if not self._reports(device):
            raise Invalid(
                f"A change cannot be guarded: the dialect {device.dialect} does not report which "
                f"settings a device has.",
                hint="Change the settings without a guard.",
                code="guard_not_possible",
            )


def merged_change(current: Mapping[str, Any], change: Change, secrets: Secrets) -> dict[str, Any]:
    """The document of a level after a change."""
    given = keep_masked(change.document, current, secrets)
    if change.whole:
        return dict(given)
    merged: dict[str, Any] = merge_patch(current, given)
    return merged


def require_match(wanted: frozenset[str] | None, etag: str, what: str) -> None:
    """Raises ``Outdated`` unless the version is one that the caller knows; ``None``: any."""
    if wanted is not None and etag not in wanted:
        raise Outdated(
            f"The settings of {what} have changed: they are version {etag} now.",
            hint="Read them again, and repeat the change if it is still wanted.",
            code="settings_changed",
            version=etag,
        )


def _masked(row: LevelRow, secrets: Secrets) -> LevelRow:
    return replace(row, document=masked(row.document, secrets)) if secrets else row


def _differs(desired: Mapping[str, Any], reported: Mapping[str, Any], secrets: Secrets) -> bool:
    """Whether a device runs with something else. It may report a secret masked."""
    if canonical(desired) == canonical(reported):
        return False
    kept = keep_masked(reported, desired, secrets)
    return canonical(desired) != canonical(kept)
