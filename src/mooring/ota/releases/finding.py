"""Which release a person means."""

from __future__ import annotations

import re

from sqlalchemy.engine import Connection

from mooring.errors import Conflict, NotFound
from mooring.identity.actor import Actor, Role
from mooring.ota.releases import store
from mooring.ota.releases.model import Release

__all__ = ["release_of"]

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


def release_of(
    connection: Connection,
    actor: Actor,
    reference: str,
    tenant: str | None = None,
    *,
    lock: bool = False,
) -> Release:
    """A release by its number, or as ``product:version``.

    Args:
        lock: until the end of the transaction nobody else changes it.

    Raises:
        NotFound: ``release_not_found``.
        Conflict: ``ambiguous_release``.
    """
    actor.require(Role.VIEWER, actor.tenant)
    product, colon, version = reference.rpartition(":")
    if _NUMBER.fullmatch(reference):
        found = store.find(connection, actor, number=int(reference), tenant=tenant, lock=lock)
    elif colon:
        found = store.find(
            connection, actor, product=product, version=version, tenant=tenant, lock=lock
        )
    else:
        found = []
    if len(found) > 1:
        raise Conflict(
            f"{reference} names several releases.",
            hint=f"Use its number, such as {found[0].id} ({found[0].tenant}, {found[0].kind}).",
            code="ambiguous_release",
        )
    if not found:
        raise NotFound(
            f"There is no release {reference}.",
            hint="Use product:version or the number. `mooring firmware list` shows both.",
            code="release_not_found",
        )
    return found[0]
