"""Reads and changes the settings of a tenant, a dialect, a type or a group.

A change is committed with a mark that says which devices do not have it yet. The worker goes
through them (``mooring.device_settings.worker``); no transaction has the size of a fleet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.device_settings import level_store
from mooring.device_settings.apply import require_valid
from mooring.device_settings.documents import Secrets, check_document, masked, merge_all
from mooring.device_settings.model import Change, Key, Level, LevelRow, LevelView
from mooring.device_settings.schemas import check_schema, secrets_of
from mooring.device_settings.service import merged_change, require_match
from mooring.devices import group_store
from mooring.dialects import Catalogue
from mooring.dialects.ids import check_word
from mooring.errors import Invalid, NotFound
from mooring.identity.actor import Actor, Role
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.room import limit_reached
from mooring.store.tenants import tenant_exists

__all__ = ["PRIORITY_MAX", "SettingsLevels"]

PRIORITY_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class SettingsLevels:
    """Settings of levels above the devices."""

    database: Database
    instance: Instance
    settings: Settings
    catalogue: Catalogue

    def show(self, actor: Actor, tenant: str, level: Level, name: str) -> LevelView:
        """One level; secret fields are masked.

        Raises:
            NotFound: no such tenant that the actor sees.
            Invalid: ``invalid_level``: the level has no such name.
        """
        key = self._key(tenant, level, name)
        with self.database.read() as connection:
            self._require_tenant(connection, actor, tenant)
            row = level_store.level(connection, self.instance, key)
            return LevelView(_masked(row, self._secrets(connection, tenant)))

    def page(
        self, actor: Actor, tenant: str, *, after: int = 0, limit: int = 50
    ) -> list[tuple[int, LevelView]]:
        """Number and level of each that has settings or a schema, in the order in which they
        were made.

        Raises:
            NotFound: no such tenant that the actor sees.
        """
        with self.database.read() as connection:
            self._require_tenant(connection, actor, tenant)
            secrets = self._secrets(connection, tenant)
            found = level_store.page_of_levels(
                connection, self.instance, tenant, after=after, limit=limit
            )
        return [(number, LevelView(_masked(row, secrets))) for number, row in found]

    def change(
        self,
        actor: Actor,
        tenant: str,
        level: Level,
        name: str,
        change: Change,
        *,
        priority: int | None = None,
    ) -> LevelView:
        """Changes what a level says; the worker applies it to its devices.

        Args:
            priority: of a group among those of a device; ``None``: as it is.

        Raises:
            NotFound: no such tenant that the actor sees.
            Outdated: ``settings_changed``: it is not the version of ``if_match`` any more.
            Invalid: the document breaks a schema or a limit.
            Conflict: ``limit_reached``, or ``group_is_dynamic``.
        """
        key = self._key(tenant, level, name)
        _check_priority(level, priority)
        if change.guard_ms:
            raise Invalid(
                "Only a change of one device can be guarded.",
                hint="Use `mooring device settings set DEVICE --guard`.",
                code="guard_not_possible",
            )
        with self.database.write() as connection:
            row = self._read(connection, actor, key)
            require_match(change.if_match, str(row.version), str(key))
            secrets = self._secrets(connection, tenant)
            document = merged_change(row.document, change, secrets)
            check_document(document, self.settings.device_settings_max_bytes)
            self._check_schemas(connection, key, row, document)
            self._prepare_group(connection, actor, key, priority)
            after = self._write(
                connection,
                actor,
                replace(
                    row,
                    document=document,
                    priority=row.priority if priority is None else priority,
                    reason=change.reason,
                ),
            )
            self._audit(connection, actor, "settings.change", key, change.reason)
            return LevelView(_masked(after, secrets))

    def set_schema(
        self,
        actor: Actor,
        tenant: str,
        level: Level,
        name: str,
        schema: bytes | None,
        *,
        if_match: frozenset[str] | None = None,
        reason: str = "",
    ) -> LevelView:
        """Sets the JSON Schema that settings of the level's devices have to fulfil; ``None``
        removes it. Devices whose settings break it keep those that they have.

        Raises:
            NotFound: no such tenant that the actor sees.
            Outdated: as ``change``.
            Invalid: ``invalid_schema``, or the level's own settings break it.
            Conflict: ``limit_reached``.
        """
        key = self._key(tenant, level, name)
        stored = None if schema is None else check_schema(schema)
        with self.database.write() as connection:
            row = self._read(connection, actor, key)
            require_match(if_match, str(row.version), str(key))
            if stored is not None and row.schema is None:
                self._require_room_for_schema(connection, tenant)
            row = replace(row, schema=stored, reason=reason)
            self._prepare_group(connection, actor, key, None)
            if stored is not None:
                require_valid(row, row.document, whole=False)
            after = self._write(connection, actor, row)
            self._audit(connection, actor, "settings.schema", key, reason)
            return LevelView(_masked(after, self._secrets(connection, tenant)))

    def schema(self, actor: Actor, tenant: str, level: Level, name: str) -> bytes:
        """The schema of a level, with its references replaced.

        Raises:
            NotFound: ``schema_not_found``, or no such tenant that the actor sees.
        """
        key = self._key(tenant, level, name)
        with self.database.read() as connection:
            self._require_tenant(connection, actor, tenant)
            row = level_store.level(connection, self.instance, key)
        if row.schema is None:
            raise NotFound(
                f"The {key} has no schema.",
                hint="`mooring settings schema set` sets one.",
                code="schema_not_found",
            )
        return row.schema

    # ------------------------------------------------------------------ inside

    def _read(self, connection: Connection, actor: Actor, key: Key) -> LevelRow:
        self._require_tenant(connection, actor, key.tenant)
        actor.require(Role.ADMIN, key.tenant)
        row = level_store.level(connection, self.instance, key)
        most = self.settings.device_settings_levels_max_per_tenant
        if not row.version and level_store.count_levels(connection, key.tenant, most) >= most:
            raise limit_reached(
                f"levels with settings of the tenant {key.tenant}",
                most,
                "device_settings_levels_max_per_tenant",
            )
        return row

    def _write(self, connection: Connection, actor: Actor, row: LevelRow) -> LevelRow:
        after = replace(
            row,
            version=row.version + 1,
            updated_at=now_ms(),
            updated_by=actor.name,
            pending=True,
        )
        level_store.put_level(connection, self.instance, after)
        return after

    def _prepare_group(
        self, connection: Connection, actor: Actor, key: Key, priority: int | None
    ) -> None:
        """Settings of a group bring it into being, as its first member does."""
        if key.level is not Level.GROUP:
            return
        most = self.settings.groups_max_per_tenant
        group_store.ensure(connection, key.tenant, [key.name], most=most, actor=actor.name)
        if priority is not None:
            group_store.set_priority(connection, key.tenant, key.name, priority)

    def _require_room_for_schema(self, connection: Connection, tenant: str) -> None:
        """Every schema of a tenant is read for each change of its devices."""
        most = self.settings.device_settings_schemas_max_per_tenant
        if len(level_store.schemas_of_tenant(connection, tenant)) >= most:
            raise limit_reached(
                f"JSON Schemas of the tenant {tenant}",
                most,
                "device_settings_schemas_max_per_tenant",
            )

    def _check_schemas(
        self, connection: Connection, key: Key, row: LevelRow, document: Mapping[str, Any]
    ) -> None:
        """By its own schema and the tenant's: other levels concern only some of its devices."""
        above = level_store.level(connection, self.instance, Key(key.tenant, Level.TENANT, ""))
        whole = document if above.key == key else merge_all([above.document, document])
        for one in {above.key: above, key: row}.values():
            if one.schema is not None:
                require_valid(one, whole, whole=False)

    @staticmethod
    def _secrets(connection: Connection, tenant: str) -> Secrets:
        found = level_store.schemas_of_tenant(connection, tenant)
        return frozenset(path for schema in found for path in secrets_of(schema))

    @staticmethod
    def _audit(connection: Connection, actor: Actor, action: str, key: Key, reason: str) -> None:
        audit_log.record(connection, actor, action, str(key), tenant=key.tenant, reason=reason)

    def _key(self, tenant: str, level: Level, name: str) -> Key:
        """Raises ``Invalid`` for a level that has no such name."""
        if level is Level.TENANT:
            if name not in ("", tenant):
                raise _invalid(f"The tenant is called {tenant}, not {name[:64]!a}.")
            return Key(tenant, level, "")
        if level is Level.DEVICE:
            raise _invalid("Settings of one device are set at the device.")
        check_word(name, str(level))
        if level is Level.DIALECT:
            self.catalogue.get(name)
        return Key(tenant, level, name)

    @staticmethod
    def _require_tenant(connection: Connection, actor: Actor, name: str) -> None:
        actor.require(Role.VIEWER, actor.tenant)
        if not actor.sees(name) or not tenant_exists(connection, name):
            raise NotFound(
                f"There is no tenant {name}.",
                hint="`mooring tenant list` shows every tenant.",
                code="tenant_not_found",
            )


def _invalid(message: str) -> Invalid:
    return Invalid(
        message,
        hint="The levels are tenant, dialect NAME, type NAME and group NAME.",
        code="invalid_level",
    )


def _check_priority(level: Level, priority: int | None) -> None:
    if priority is None:
        return
    if level is not Level.GROUP:
        raise _invalid("Only groups have a priority.")
    if not -PRIORITY_MAX <= priority <= PRIORITY_MAX:
        raise _invalid(f"A priority is a number from {-PRIORITY_MAX} to {PRIORITY_MAX}.")


def _masked(row: LevelRow, secrets: Secrets) -> LevelRow:
    return replace(row, document=masked(row.document, secrets)) if secrets else row
