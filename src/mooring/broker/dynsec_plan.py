"""Which Dynamic Security commands make one account so.

Pure: it takes what the plugin says of a client and its role, and returns commands. Every
command makes the plugin write its whole file and most disconnect the account's holder, so an
account that is right already needs none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mooring.broker.dynsec_file import MARK, acls_of, former_role_name, role_name
from mooring.broker.protocol import Difference, DifferenceKind
from mooring.identity.account import Account
from mooring.secrets import verifiers

__all__ = ["NOT_IN_FILE", "UNKNOWN", "Command", "Plan", "Unknown", "differences", "plan"]

Command = dict[str, Any]

NOT_IN_FILE = "no password in the broker's file"


class Unknown(Enum):
    """The plugin's file cannot be read here, so the password it holds is not known."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN


@dataclass(frozen=True, slots=True)
class Plan:
    """Commands in order, and what becomes of the password.

    Attributes:
        commands: to send; none when all is right.
        adopt: the broker holds or will hold a verifier of its own for the given secret.
        impossible: the verifier differs and the secret is not known: the API cannot help.
    """

    commands: tuple[Command, ...] = ()
    adopt: bool = False
    impossible: bool = False


def plan(
    account: Account,
    client: Mapping[str, Any] | None,
    role: Mapping[str, Any] | None,
    held: str | Unknown | None,
    secret: str | None,
) -> Plan:
    """What to send so that the broker has ``account``.

    Args:
        account: as it shall be.
        client: ``getClient``'s answer, ``None`` if it does not exist.
        role: ``getRole``'s answer, ``None`` if it does not exist.
        held: the verifier the plugin has for it, as far as it can be known.
        secret: the password in clear, if it is still known.
    """
    if account.locked:
        return Plan(tuple(_lock(account, client)))
    set_password, possible = _password(account, client, held, secret)
    if not possible:
        return Plan(impossible=True)
    recreate = client is not None and account.verifier is None and held is not None
    commands = _role(account, role)
    if client is None or recreate:
        if recreate:  # no command takes a password away from a client
            commands.append({"command": "deleteClient", "username": account.username})
        commands.append(_create(account, secret if set_password else None))
    else:
        commands += _modify(account, client)
        if set_password:
            commands.append(
                {
                    "command": "setClientPassword",
                    "username": account.username,
                    "password": secret,
                }
            )
    same = client is not None and held == account.verifier
    return Plan(
        tuple(commands),
        adopt=account.verifier is not None and secret is not None and not same,
    )


def _lock(account: Account, client: Mapping[str, Any] | None) -> list[Command]:
    """No login is accepted, a login by certificate has no rights, and every session ends.

    The client stays with its password: no command could give it back.
    """
    if client is None or _is_locked(client):
        return []
    name = {"username": account.username}
    return [
        {"command": "modifyClient", **name, "roles": [], "groups": []},
        {"command": "disableClient", **name},
    ]


def _is_locked(client: Mapping[str, Any]) -> bool:
    return client.get("disabled") is True and not client.get("roles") and not client.get("groups")


def _password(
    account: Account,
    client: Mapping[str, Any] | None,
    held: str | Unknown | None,
    secret: str | None,
) -> tuple[bool, bool]:
    """Whether the password must be set, and whether the account can be made right at all."""
    if account.verifier is None:
        return False, True
    if client is None:
        return True, secret is not None
    if held is UNKNOWN:
        # Without the secret there is nothing to compare and nothing to send: leave it.
        return secret is not None, True
    assert not isinstance(held, Unknown)
    if held == account.verifier:
        return False, True
    if secret is None:
        return False, False
    return held is None or not verifiers.check(secret, held), True


def _role(account: Account, role: Mapping[str, Any] | None) -> list[Command]:
    fields: Command = {
        "rolename": role_name(account.username),
        "textname": MARK,
        "acls": acls_of(account.rights),
    }
    if role is None:
        return [{"command": "createRole", **fields}]
    if _same_acls(account, role) and role.get("textname") == MARK:
        return []
    return [{"command": "modifyRole", **fields}]


def _create(account: Account, secret: str | None) -> Command:
    command: Command = {
        "command": "createClient",
        "username": account.username,
        "roles": [{"rolename": role_name(account.username)}],
    }
    if secret is not None:
        command["password"] = secret
    if account.client_id is not None:
        command["clientid"] = account.client_id
    return command


def _modify(account: Account, client: Mapping[str, Any]) -> list[Command]:
    name = {"username": account.username}
    commands: list[Command] = []
    if not _own_role_only(account, client):
        own = role_name(account.username)
        roles = [{"rolename": own}]
        commands.append({"command": "modifyClient", **name, "roles": roles, "groups": []})
        former = former_role_name(account.username)
        if former != own and former in _roles(client):
            commands.append({"command": "deleteRole", "rolename": former})
    if not _same_client_id(account, client):
        commands.append({"command": "setClientId", **name, "clientid": account.client_id or ""})
    if client.get("disabled") is True:
        commands.append({"command": "enableClient", **name})
    return commands


def differences(
    account: Account,
    client: Mapping[str, Any] | None,
    role: Mapping[str, Any] | None,
    held: str | Unknown | None,
) -> list[Difference]:
    """How what the broker has differs from ``account``."""
    name = account.username
    if account.locked:
        if client is None or _is_locked(client):
            return []
        return [Difference(DifferenceKind.WRONG_RIGHTS, name, "should be locked out")]
    if client is None:
        return [Difference(DifferenceKind.MISSING, name)]
    if client.get("disabled") is True:
        return [Difference(DifferenceKind.MISSING, name, "disabled on the broker")]
    found = []
    if held is not UNKNOWN and held != account.verifier:
        found.append(Difference(DifferenceKind.STALE, name, NOT_IN_FILE if held is None else ""))
    if role is None:
        found.append(Difference(DifferenceKind.WRONG_RIGHTS, name, "has no role"))
    elif not _own_role_only(account, client):
        found.append(Difference(DifferenceKind.WRONG_RIGHTS, name, "other roles or groups"))
    elif not _same_acls(account, role):
        found.append(Difference(DifferenceKind.WRONG_RIGHTS, name, "other topics"))
    elif not _same_client_id(account, client):
        found.append(Difference(DifferenceKind.WRONG_RIGHTS, name, "another client id"))
    return found


def _own_role_only(account: Account, client: Mapping[str, Any]) -> bool:
    return _roles(client) == [role_name(account.username)] and not client.get("groups")


def _roles(client: Mapping[str, Any]) -> list[Any]:
    return [role.get("rolename") for role in client.get("roles") or []]


def _same_client_id(account: Account, client: Mapping[str, Any]) -> bool:
    return (client.get("clientid") or None) == account.client_id


def _same_acls(account: Account, role: Mapping[str, Any]) -> bool:
    return _entries(role.get("acls") or []) == _entries(acls_of(account.rights))


def _entries(acls: Iterable[Mapping[str, Any]]) -> set[tuple[Any, Any, Any]]:
    return {(acl.get("acltype"), acl.get("topic"), acl.get("allow")) for acl in acls}
