"""What the accounts file has, compared with what it should have. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mooring.broker.plugin_rights import filled, texts_of, values_of
from mooring.broker.plugin_rows import Held
from mooring.broker.protocol import Difference, DifferenceKind
from mooring.identity.account import Account, Quota

__all__ = ["Comparison"]


class Comparison:
    """One comparison of accounts with a file.

    Args:
        rights: every set of rights of the file by its number.
        of_tenant: what a tenant may take, as the file has it.
    """

    def __init__(
        self, rights: Mapping[int, tuple[str, str]], of_tenant: Callable[[str], Quota]
    ) -> None:
        self._rights = rights
        self._numbers = {texts: number for number, texts in rights.items()}
        self._of_tenant = of_tenant
        self._tenants: dict[str, Quota] = {}

    def equals(self, account: Account, row: tuple[Any, ...]) -> bool:
        """Whether a row of the file is what would be written today, which needs no further look:
        of 100,000 accounts all but a few.

        Args:
            row: as ``raw_rows`` gives it, of an account without certificates in the file.
        """
        tenant = account.tenant
        if account.certificates or (
            tenant and self._tenants.get(tenant) is not account.tenant_quota
        ):
            return False
        values, quota = values_of(account), account.quota
        return (
            row[2] == account.next_verifier
            and row[1] == account.verifier
            and row[6] == "\n".join(values)
            and row[5] == self._numbers.get(texts_of(account, values))
            and row[4] == account.client_id
            and row[3] == account.locked
            and row[7] == tenant
            and row[9:12] == (quota.connections, quota.messages, quota.bytes)
        )

    def differences(self, account: Account, held: Held | None) -> list[Difference]:
        """What is not as it should be.

        Args:
            held: the account in the file, if it is there.
        """
        found = _differences(account, held, self._rights)
        name = account.tenant
        if name:
            if name not in self._tenants:
                self._tenants[name] = self._of_tenant(name)
            if self._tenants[name] is account.tenant_quota:
                return found  # as with every other account of the tenant
            different = self._tenants[name] != account.tenant_quota
            self._tenants[name] = account.tenant_quota  # told once
            if different:
                found.append(
                    Difference(
                        DifferenceKind.WRONG_RIGHTS, account.username, "limits of the tenant"
                    )
                )
        return found


def _differences(
    account: Account, held: Held | None, rights: Mapping[int, tuple[str, str]]
) -> list[Difference]:
    name = account.username
    if held is None:
        return [Difference(DifferenceKind.MISSING, name)]
    found = []
    if held.verifier != account.verifier or held.next_verifier != account.next_verifier:
        found.append(Difference(DifferenceKind.STALE, name))
    detail = _wrong_rights(account, held, rights)
    if detail is not None:
        found.append(Difference(DifferenceKind.WRONG_RIGHTS, name, detail))
    return found


def _wrong_rights(
    account: Account, held: Held, rights: Mapping[int, tuple[str, str]]
) -> str | None:
    """What is not as it should be; ``None``: nothing."""
    limits = (held.max_connections, held.max_messages, held.max_bytes)
    has = (held.locked, held.client_id, held.certificates, held.tenant, *limits)
    quota = account.quota
    wanted = (
        *(account.locked, account.client_id, frozenset(account.certificates), account.tenant),
        *(quota.connections, quota.messages, quota.bytes),
    )
    if has != wanted:
        first = next(n for n, one in enumerate(has) if one != wanted[n])
        if first == 0:
            return "locked at the broker" if held.locked else "not locked at the broker"
        return ("client id", "certificates", "tenant", "limits", "limits", "limits")[first - 1]
    values = values_of(account)
    publish, subscribe = rights.get(held.rights, ("", ""))
    if held.vars == "\n".join(values) and (publish, subscribe) == texts_of(account, values):
        return None  # as it would be written today: nothing has to be filled in
    kept = held.vars.split("\n")
    same = set(filled(publish, kept)) == set(account.rights.publish) and set(
        filled(subscribe, kept)
    ) == set(account.rights.subscribe)
    return None if same else ""
