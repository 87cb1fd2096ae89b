"""Adding, retiring and revoking the keys whose signatures devices accept."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mooring.audit import log as audit_log
from mooring.devices.store import ensure_tenant
from mooring.dialects import check_word
from mooring.errors import Conflict, NotFound
from mooring.identity.actor import Actor, Role
from mooring.ota.releases import checks, key_store, manifest
from mooring.ota.releases.model import Key, KeyState
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms

__all__ = ["Keys"]


@dataclass(frozen=True, slots=True)
class Keys:
    """Public keys of one installation's tenants. No private key is ever stored."""

    database: Database
    settings: Settings

    def page(
        self, actor: Actor, *, tenant: str | None = None, after: int = 0, limit: int = 50
    ) -> list[Key]:
        """Keys, the oldest first."""
        actor.require(Role.VIEWER, actor.tenant)
        with self.database.read() as connection:
            return key_store.page(connection, actor, tenant=tenant, after=after, limit=limit)

    def add(self, actor: Actor, tenant: str, name: str, pem: str, *, reason: str = "") -> Key:
        """Adds a public key. From now on its signatures count.

        Args:
            pem: of Ed25519 or ECDSA P-256.

        Raises:
            Invalid: ``invalid_key``, or the name is not valid.
            Conflict: ``key_exists`` or ``limit_reached``.
        """
        actor.require(Role.ADMIN, tenant)
        check_word(name, "key name")
        key = manifest.public_key(pem)
        try:
            with self.database.write() as connection:
                ensure_tenant(connection, tenant, self.settings.tenants_max)
                key_store.insert(
                    connection,
                    tenant=tenant,
                    name=name,
                    key=manifest.key_id(key),
                    algorithm=manifest.algorithm_of(key),
                    pem=manifest.public_pem(key),
                    by=actor.name,
                    at=now_ms(),
                )
                made = self._find(connection, actor, name, tenant)
                _audit(connection, actor, "firmware_key.add", made, reason)
        except IntegrityError as exc:
            raise Conflict(
                f"The tenant {tenant} has this key, or another one named {name}.",
                hint="`mooring firmware key list` shows all.",
                code="key_exists",
            ) from exc
        return made

    def end(
        self,
        actor: Actor,
        name: str,
        state: KeyState,
        *,
        tenant: str | None = None,
        reason: str = "",
    ) -> Key:
        """Retires a key (its signatures still count), or revokes it (they do not).

        Raises:
            NotFound: ``key_not_found``.
            Conflict: ``key_state``: it is revoked already; ``ambiguous_key``.
            Invalid: ``reason_needed`` to revoke.
        """
        actor.require(Role.ADMIN, actor.tenant)
        if state is KeyState.REVOKED and not reason.strip():
            raise checks.no_reason("Revoking a key")
        with self.database.write() as connection:
            key = self._find(connection, actor, name, tenant)
            actor.require(Role.ADMIN, key.tenant)
            if key.state is KeyState.REVOKED or key.state is state:
                raise Conflict(f"The key {key.name} is {key.state} already.", code="key_state")
            key_store.end(connection, key.id, state, now_ms())
            what = "retire" if state is KeyState.RETIRED else "revoke"
            _audit(connection, actor, f"firmware_key.{what}", key, reason)
            return self._find(connection, actor, key.key, key.tenant)

    def _find(self, connection: Connection, actor: Actor, name: str, tenant: str | None) -> Key:
        found = key_store.find(connection, actor, name, tenant)
        if len(found) > 1:
            raise Conflict(
                f"Several tenants have a key {name}.",
                hint="Name the tenant with --tenant, or use the key's identifier.",
                code="ambiguous_key",
            )
        if not found:
            raise NotFound(
                f"There is no firmware key {name}.",
                hint="`mooring firmware key list` shows all.",
                code="key_not_found",
            )
        return found[0]


def _audit(connection: Connection, actor: Actor, action: str, key: Key, reason: str) -> None:
    audit_log.record(
        connection, actor, action, f"{key.name} {key.key}", tenant=key.tenant, reason=reason
    )
