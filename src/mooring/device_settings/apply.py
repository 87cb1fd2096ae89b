"""From what the levels say to what each device is to have: in the caller's transaction.

A device gets a new version when its merged document has changed, and only then. Failure
invariant: a document that breaks a schema or a limit changes nothing of the device but the
sentence that says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from mooring.device_settings import level_store, store
from mooring.device_settings.documents import Secrets, canonical, check_document, merge_all
from mooring.device_settings.kinds import NOTHING, facts_of
from mooring.device_settings.model import Cause, Level, LevelRow, Row, Whole
from mooring.device_settings.packets import check_packet
from mooring.device_settings.rules import State, changed
from mooring.device_settings.schemas import ERRORS_MAX, problems, secrets_of
from mooring.devices.model import Device
from mooring.dialects import Catalogue
from mooring.dialects.model import Channel, Dialect, Direction, Kind
from mooring.dialects.outgoing import compose
from mooring.downlink.desired.service import Desired
from mooring.downlink.model import NewDownlink
from mooring.downlink.rules import Until
from mooring.downlink.service import Downlinks
from mooring.errors import Conflict, Invalid, MooringError
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.tally import add_to_counter

__all__ = [
    "ORIGIN",
    "Applying",
    "Levels",
    "names_of",
    "reports",
    "require_valid",
    "settings_channel",
]

ORIGIN = "settings"
DEDUPE = "settings"
DOWNLINK_MS = 365 * 86_400_000  # a device that was away for longer needs a resend


def settings_channel(dialect: Dialect) -> Channel | None:
    """The channel on which a device gets its settings."""
    return next(
        (
            channel
            for channel in dialect.of_kind(Kind.CONFIG)
            if channel.direction is Direction.DOWN and not channel.operator_only
        ),
        None,
    )


def reports(dialect: Dialect) -> bool:
    """Whether devices can report which version they have."""
    return any(
        channel.direction is Direction.UP and channel.payload.reply_to is not None
        for channel in dialect.of_kind(Kind.CONFIG_REPORTED)
    )


@dataclass(frozen=True, slots=True)
class Levels:
    """What the levels of one tenant say, without those of devices.

    Attributes:
        secrets: paths of fields that any of its schemas marks as secret.
    """

    rows: Mapping[tuple[Level, str], LevelRow]
    secrets: Secrets

    @classmethod
    def read(cls, connection: Connection, instance: Instance, tenant: str) -> Levels:
        """All of them."""
        found = level_store.levels_of_tenant(connection, instance, tenant)
        return cls.of(found, [row.schema for row in found if row.schema is not None])

    @classmethod
    def read_for(
        cls, connection: Connection, instance: Instance, device: Device, kind: str
    ) -> Levels:
        """Those that concern one device."""
        names = names_of(device, kind)
        found = level_store.levels_named(connection, instance, device.tenant, names)
        return cls.of(found, level_store.schemas_of_tenant(connection, device.tenant))

    @classmethod
    def of(cls, rows: Sequence[LevelRow], schemas: Sequence[bytes]) -> Levels:
        """From rows, and every schema of the tenant."""
        secrets = frozenset(path for schema in schemas for path in secrets_of(schema))
        return cls({(row.key.level, row.key.name): row for row in rows}, secrets)

    def whole(self, device: Device, kind: str, own: LevelRow | None) -> Whole:
        """The merged document of a device, and where it came from."""
        found = [self.rows[name] for name in names_of(device, kind) if name in self.rows]
        found.sort(key=_order)
        if own is not None:
            found.append(own)
        return Whole(merge_all(row.document for row in found), tuple(found))


def names_of(device: Device, kind: str) -> list[tuple[Level, str]]:
    """The levels above a device."""
    return [
        (Level.TENANT, ""),
        (Level.DIALECT, device.dialect),
        *([(Level.TYPE, kind)] if kind else []),
        *((Level.GROUP, group) for group in device.groups),
    ]


_RANK = {level: rank for rank, level in enumerate(Level)}


def _order(row: LevelRow) -> tuple[int, int, str]:
    """Of two groups the one with the higher priority wins, then the later name."""
    return _RANK[row.key.level], row.priority, row.key.name


@dataclass(frozen=True, slots=True)
class Applying:
    """Works out and hands over what devices are to have."""

    instance: Instance
    settings: Settings
    catalogue: Catalogue
    desired: Desired
    downlinks: Downlinks

    def apply(
        self,
        connection: Connection,
        devices: Sequence[Device],
        levels: Levels,
        cause: Cause,
        *,
        strict: bool = False,
        guard_ms: int = 0,
    ) -> int:
        """Brings devices of one tenant to what the levels say; how many got a new version.

        Args:
            strict: raise what is wrong with a document; otherwise it is noted with the device.
            guard_ms: told to the device, where its dialect has a place for it.

        Raises:
            Invalid: a document breaks a schema or a limit (``strict``).
        """
        numbers = [device.id for device in devices]
        known = store.rows(connection, self.instance, numbers, lock=True)
        own = level_store.own_levels(connection, self.instance, numbers)
        facts = facts_of(connection, numbers)
        new: list[tuple[Row, Cause]] = []
        for device in sorted(devices, key=lambda one: one.id):
            fact = facts.get(device.id, NOTHING)
            whole = levels.whole(device, fact.kind, own.get(device.id))
            row = known.get(device.id)
            try:
                made = self._apply_one(
                    connection,
                    _One(device, whole, row, fact.max_packet),
                    levels.secrets,
                    guard_ms,
                    every=strict,
                )
            except (Conflict, Invalid) as exc:
                if strict:
                    raise
                self._hold_back(connection, device, row, exc)
                continue
            if made is not None:
                new.append((made, cause))
        if new:
            kept = self.settings.device_settings_versions_kept
            store.add_history(connection, self.instance, new, kept=kept)
            add_to_counter(connection, "device_settings_versions", len(new))
        return len(new)

    def _apply_one(
        self,
        connection: Connection,
        one: _One,
        secrets: Secrets,
        guard_ms: int,
        *,
        every: bool,
    ) -> Row | None:
        """The device's row with a new version; ``None`` where it needs none."""
        device, document, row = one.device, one.whole.document, one.row
        channel = self.channel(device)
        if channel is None:
            return None
        there = row is not None and row.document is not None
        if not there and not document:
            return None
        if row is not None and there and canonical(row.document) == canonical(document):
            self._keep(connection, one, channel, secrets)
            return None
        self.check(one.whole, every=every)
        at = now_ms()
        record = changed((row or Row(device.id)).record)
        after = replace(
            row or Row(device.id),
            record=record,
            document=document,
            changed_at=at,
            sent_at=None,
            problem="",
        )
        after = self.place(
            connection,
            one.device,
            channel,
            after,
            secrets=secrets,
            packet=one.packet,
            guard_ms=guard_ms,
        )
        store.set_row(connection, self.instance, after, with_document=True)
        return after

    def _keep(self, connection: Connection, one: _One, channel: Channel, secrets: Secrets) -> None:
        """The document is the same; the address may be another one, or what was wrong is right
        now."""
        row = one.row
        assert row is not None
        after = replace(row, problem="")
        topic = channel.address(one.device.identity)
        moved = channel.retain and row.topic is not None and row.topic != topic
        if moved and row.record.state is not State.STOPPED:
            after = self.place(
                connection, one.device, channel, after, secrets=secrets, packet=one.packet
            )
        if after != row:
            store.set_row(connection, self.instance, after, with_document=False)

    def _hold_back(
        self, connection: Connection, device: Device, row: Row | None, exc: MooringError
    ) -> None:
        after = replace(row or Row(device.id), problem=exc.message)
        if after == row:
            return
        store.set_row(connection, self.instance, after, with_document=False)
        add_to_counter(connection, "device_settings_held_back", 1)

    # ------------------------------------------------------------------ parts of it

    def reports(self, device: Device) -> bool:
        """Whether the device can report which version it has."""
        names = self.catalogue.names()
        return device.dialect in names and reports(self.catalogue.get(device.dialect))

    def channel(self, device: Device) -> Channel | None:
        """Where the device gets its settings; ``None`` where it cannot."""
        if device.dialect not in self.catalogue.names():
            return None
        channel = settings_channel(self.catalogue.get(device.dialect))
        if channel is None or channel.address(device.identity) is None:
            return None
        return channel

    def check(self, whole: Whole, *, every: bool) -> None:
        """Checks a merged document by itself and by the schemas of all levels.

        Args:
            every: name every mistake; one is enough where nobody waits for the answer.

        Raises:
            Invalid: ``settings_too_large``, ``invalid_settings``, ``settings_break_schema``.
        """
        check_document(whole.document, self.settings.device_settings_max_bytes)
        for row in whole.levels:
            if row.schema is not None:
                require_valid(row, whole.document, whole=True, every=every)

    def place(
        self,
        connection: Connection,
        device: Device,
        channel: Channel,
        row: Row,
        *,
        secrets: Secrets,
        packet: int,
        guard_ms: int = 0,
    ) -> Row:
        """Hands the newest version over; the row as it is then.

        Raises:
            Invalid: ``packet_too_large``: the device could not take it.
            Conflict: ``limit_reached``.
        """
        topic = channel.address(device.identity)
        assert topic is not None
        version = row.record.version
        payload = compose(
            channel.payload,
            row.document or {},
            time_ms=row.changed_at or now_ms(),
            identifier=version,
            device=device.name,
            guard_seconds=guard_ms // 1000 or None,
            secrets=sorted(secrets) or None,
        )
        dialect = self.catalogue.get(device.dialect)
        check_packet(topic, payload, channel.qos, packet or dialect.max_packet)
        after = replace(row, topic=None, downlink=None, placed=version)
        if channel.retain:
            new = self.desired.put(
                connection,
                topic,
                device,
                payload,
                version=version,
                origin=ORIGIN,
                qos=channel.qos,
                secret=bool(secrets),
            )
            if not new:
                self.desired.publish_again(connection, topic)
            self._take_back(connection, row, but=topic)
            return replace(after, topic=topic)
        self._take_back(connection, row, but=None)
        written = self.downlinks.put(
            connection,
            NewDownlink(
                topic=topic,
                payload=payload,
                tenant=device.tenant,
                origin=ORIGIN,
                device_id=device.id,
                expires_at=now_ms() + DOWNLINK_MS,
                qos=channel.qos,
                secret=bool(secrets),
                until=Until.LIVE,
                dedupe=DEDUPE,
                reason=f"settings {version}",
            ),
        )
        return replace(after, downlink=written.id)

    def withdraw(self, connection: Connection, row: Row) -> Row:
        """The platform stops sending the newest version; the row as it is then."""
        self._take_back(connection, row, but=None)
        return replace(row, topic=None, downlink=None, placed=0)

    def _take_back(self, connection: Connection, row: Row, *, but: str | None) -> None:
        if row.topic is not None and row.topic != but:
            self.desired.drop(connection, row.topic)
        if row.downlink is not None:
            self.downlinks.drop(connection, row.device_id, DEDUPE)


@dataclass(frozen=True, slots=True)
class _One:
    device: Device
    whole: Whole
    row: Row | None
    packet: int


def require_valid(
    row: LevelRow, document: Mapping[str, Any], *, whole: bool, every: bool = True
) -> None:
    """Checks a document by the schema of a level.

    Raises:
        Invalid: ``settings_break_schema``; ``context["mistakes"]`` has a path and a sentence
            for each.
    """
    assert row.schema is not None
    found = problems(row.schema, document, whole=whole, most=ERRORS_MAX if every else 1)
    if not found:
        return
    path, words = found[0]
    more = f" There are {len(found) - 1} more mistakes." if len(found) > 1 else ""
    raise Invalid(
        f"The settings break the schema of the {row.key} at {path!a}: {words}.{more}",
        hint="`mooring settings schema show` prints the schema.",
        code="settings_break_schema",
        mistakes=[{"path": path, "message": words} for path, words in found],
    )
