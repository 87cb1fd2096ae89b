"""``dynamic-security.json``: accounts to text and back.

Each account is a client with one role of its own, named like it, with literal topics: the
plugin of 2.0 does not substitute ``%c`` or ``%u``. Pure: text and values only. It does not
keep what it was not told to keep: everything else in an old file goes when a new one is
written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mooring.errors import Invalid
from mooring.identity.account import Account, Rights
from mooring.secrets import verifiers

__all__ = [
    "BUILT_IN_ROLES",
    "CONTROL_TOPICS",
    "MARK",
    "SERVICE_ROLES",
    "SERVICE_USERNAME",
    "Foreign",
    "acls_of",
    "foreign",
    "former_role_name",
    "former_service",
    "parse",
    "passwords",
    "render",
    "rights_of",
    "role_name",
    "username_of_role",
]

SERVICE_USERNAME = "service:mooring"
"""The account of Mooring itself, unless settings name another."""

SERVICE_ROLES = ("server", "admin")

MARK = "Written by Mooring"
"""The text name of every role of ours: tells them from an operator's."""

CONTROL_TOPICS = "$CONTROL/dynamic-security/#"

DEFAULT_ACCESS = {
    "publishClientSend": False,
    "publishClientReceive": False,
    "subscribe": False,
    "unsubscribe": True,
}

_ESCAPE = "account:"

_ALL = ("publishClientSend", "publishClientReceive", "subscribePattern", "unsubscribePattern")

_BUILT_IN: dict[str, tuple[str, ...]] = {
    "admin": (CONTROL_TOPICS, "$SYS/#", "#"),
    "server": ("#", "$SYS/#", CONTROL_TOPICS),
    "device": (),
}

BUILT_IN_ROLES = frozenset(_BUILT_IN)


@dataclass(frozen=True, slots=True)
class Foreign:
    """Clients that are not Mooring's, with the roles and groups they need, as they are."""

    clients: tuple[Mapping[str, Any], ...] = ()
    roles: tuple[Mapping[str, Any], ...] = ()
    groups: tuple[Mapping[str, Any], ...] = ()


def role_name(username: str) -> str:
    """The role of an account: named like it, or with ``account:`` before it.

    Two accounts never have the same role: the prefix is added where a built-in role has the
    name, and where the name begins with the prefix itself.
    """
    escaped = username in _BUILT_IN or username.startswith(_ESCAPE)
    return f"{_ESCAPE}{username}" if escaped else username


def username_of_role(role: str) -> str:
    """The account a role of ours belongs to; the reverse of ``role_name``.

    A role that ``role_name`` gives to nobody was written by an older version; it belongs to
    the account of its name.
    """
    plain = role.removeprefix(_ESCAPE)
    return plain if role_name(plain) == role else role


def former_role_name(username: str) -> str:
    """The role older versions gave this account, unless it is another's now or built in."""
    free = username not in _BUILT_IN and username_of_role(username) == username
    return username if free else role_name(username)


def acls_of(rights: Rights) -> list[dict[str, Any]]:
    """Rights as a role's access list.

    ``subscribePattern`` and not ``subscribeLiteral``: with ``…/command/+`` the first lets a
    device subscribe to that and to any one command, the second only to exactly that filter;
    for a topic without wildcards they are the same (tried with 2.0.11).
    """
    wanted = [("publishClientSend", topic) for topic in rights.publish]
    for topic in rights.subscribe:
        wanted += [("subscribePattern", topic), ("publishClientReceive", topic)]
    return [_allow(kind, topic) for kind, topic in dict.fromkeys(wanted)]


def rights_of(acls: Iterable[Mapping[str, Any]]) -> Rights:
    """The rights an access list grants; the reverse of ``acls_of``, in sorted order.

    What a device may receive but not subscribe to, or the other way round, is not a right.

    Raises:
        Invalid: an entry that denies, or of a kind that rights cannot express.
    """
    kinds: dict[str, set[str]] = {kind: set() for kind in (*_ALL, "subscribeLiteral")}
    for acl in acls:
        kind, topic = acl.get("acltype"), acl.get("topic")
        if kind not in kinds or not isinstance(topic, str):
            raise Invalid(
                f"A role has an access entry of kind {kind!r}, which Mooring cannot read."
            )
        if acl.get("allow") is not True:
            raise Invalid(f"A role denies {topic!r}; Mooring supports only rules that allow.")
        kinds[kind].add(topic)
    may_subscribe = kinds["subscribePattern"] | kinds["subscribeLiteral"]
    return Rights(
        publish=tuple(sorted(kinds["publishClientSend"])),
        subscribe=tuple(sorted(may_subscribe & kinds["publishClientReceive"])),
    )


def render(accounts: Iterable[Account], service: Account, kept: Foreign | None = None) -> str:
    """The whole file.

    Args:
        accounts: the devices'; in the file they are sorted as the plugin sorts them.
        service: Mooring's own account; its rights are those of ``server`` and ``admin``.
        kept: what else to carry over.

    Raises:
        Invalid: a username twice, or an account that is the service's or a kept one.
    """
    kept = kept or Foreign()
    clients = [_client(service, SERVICE_ROLES), *map(dict, kept.clients)]
    roles = {name: _built_in(name, topics) for name, topics in _BUILT_IN.items()}
    roles |= {str(role["rolename"]): dict(role) for role in kept.roles}
    taken = {client["username"] for client in clients}
    for account in accounts:
        if account.username in taken:
            raise Invalid(f"The account {account.username!r} is in the list twice.")
        taken.add(account.username)
        name = role_name(account.username)
        if name in roles:  # a kept client's role; ours would change its rights
            raise Invalid(f"The role {name!r} belongs to a client that is not Mooring's.")
        if account.locked:
            clients.append({**_client(account, ()), "disabled": True})
            continue
        clients.append(_client(account, (name,)))
        roles[name] = {
            "rolename": name,
            "textname": MARK,
            "acls": acls_of(account.rights),
        }
    document = {
        "defaultACLAccess": DEFAULT_ACCESS,
        "clients": sorted(clients, key=lambda client: str(client["username"])),
        "groups": list(map(dict, kept.groups)),
        "roles": [roles[name] for name in sorted(roles)],
    }
    return json.dumps(document, indent="\t", ensure_ascii=False) + "\n"


def parse(text: str) -> list[Account]:
    """Every account in the file that may log in, with all that its roles grant it.

    This is how accounts come over from a broker that had its own file. Mooring's service
    account is among them. Rights of groups are included.

    Raises:
        Invalid: no such file, or one that rights cannot express.
    """
    document = _load(text)
    roles = {r.get("rolename"): r.get("acls") or [] for r in _items(document, "roles")}
    by_group = {
        g.get("groupname"): _names(g, "roles", "rolename") for g in _items(document, "groups")
    }
    members: dict[str, list[str]] = {}
    for group in _items(document, "groups"):
        for member in _names(group, "clients", "username"):
            members.setdefault(member, []).append(str(group.get("groupname")))
    accounts = []
    for client in _items(document, "clients"):
        username = client.get("username")
        if not isinstance(username, str) or not username:
            raise Invalid("dynamic-security.json has a client without a username.")
        if client.get("disabled") is True:
            continue
        wanted = _names(client, "roles", "rolename")
        for group_name in members.get(username, ()):
            wanted += by_group.get(group_name, [])
        acls = [acl for role in dict.fromkeys(wanted) for acl in roles.get(role, ())]
        accounts.append(
            Account(
                username,
                verifiers.from_dynsec(client),
                rights_of(acls),
                client_id=client.get("clientid") or None,
            )
        )
    return accounts


class _Client(msgspec.Struct, gc=False):
    """The part of a client that ``passwords`` needs; the rest is skipped unread."""

    username: str
    password: str | None = None
    salt: str | None = None
    iterations: float | None = None
    encoded_password: str | None = None


class _Clients(msgspec.Struct, gc=False):
    clients: list[_Client] = msgspec.field(default_factory=list)


def passwords(text: bytes) -> Callable[[str], str | None]:
    """A look-up from username to verifier; ``None`` for nobody, no password or a broken one.

    Made for one look-up in a file of ten thousand accounts: it decodes four fields a client.

    Raises:
        Invalid: no such file.
    """
    try:
        clients = {c.username: c for c in msgspec.json.decode(text, type=_Clients).clients}
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Invalid(f"dynamic-security.json cannot be read: {exc}.") from exc

    def look_up(username: str) -> str | None:
        client = clients.get(username)
        if client is None:
            return None
        try:
            return verifiers.from_dynsec(msgspec.structs.asdict(client))
        except Invalid:  # the plugin skips such a password, too: nobody gets in with it
            return None

    return look_up


def foreign(text: str, usernames: Iterable[str]) -> Foreign:
    """The named clients as they are, with the roles and groups they refer to.

    Raises:
        Invalid: no such file.
    """
    document, wanted = _load(text), set(usernames)
    clients = tuple(c for c in _items(document, "clients") if c.get("username") in wanted)
    roles = {name for client in clients for name in _names(client, "roles", "rolename")}
    groups = []
    for group in _items(document, "groups"):
        members = [m for m in group.get("clients") or [] if m.get("username") in wanted]
        if members:
            groups.append({**group, "clients": members})
            roles |= set(_names(group, "roles", "rolename"))
    return Foreign(
        clients,
        tuple(r for r in _items(document, "roles") if r.get("rolename") in roles),
        tuple(groups),
    )


def former_service(username: str) -> dict[str, Any]:
    """A client nobody can log in as, with the rights of the service's sessions."""
    return {"username": username, "textname": MARK, "roles": [{"rolename": SERVICE_ROLES[0]}]}


def _client(account: Account, roles: Iterable[str]) -> dict[str, Any]:
    password = verifiers.to_dynsec(account.verifier) if account.verifier is not None else {}
    client_id = {"clientid": account.client_id} if account.client_id is not None else {}
    return {
        "username": account.username,
        **client_id,
        "roles": [{"rolename": name} for name in roles],
        **password,
    }


def _built_in(name: str, topics: Iterable[str]) -> dict[str, Any]:
    acls = [_allow(kind, topic) for topic in topics for kind in _ALL]
    return {"rolename": name, "textname": MARK, "acls": acls}


def _allow(kind: str, topic: str) -> dict[str, Any]:
    return {"acltype": kind, "topic": topic, "priority": 0, "allow": True}


def _load(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as exc:
        raise Invalid(f"dynamic-security.json is not JSON: {exc}.") from exc
    if not isinstance(document, dict):
        raise Invalid("dynamic-security.json does not hold an object.")
    return document


def _items(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    items = document.get(key) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Invalid(f"dynamic-security.json: {key!r} is not a list of objects.")
    return items


def _names(item: Mapping[str, Any], key: str, name: str) -> list[str]:
    return [str(entry.get(name)) for entry in _items(item, key)]
