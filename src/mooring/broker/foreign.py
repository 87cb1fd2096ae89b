"""Reading the accounts of a broker that Mooring did not set up. Pure: text in, values out.

Whatever cannot be taken over exactly is taken over with *fewer* rights, and said. Where a
line denies something, everything that line touches is left out: Mooring knows only what is
allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring.broker.users import CONTROL
from mooring.dialects.topics import filters_overlap, valid_filter
from mooring.errors import Invalid
from mooring.identity.account import Rights
from mooring.secrets import verifiers

__all__ = ["Found", "Takeover", "covers", "from_dynsec", "from_files"]


@dataclass(frozen=True, slots=True)
class Found:
    """One account of the other broker.

    Attributes:
        verifier: ``$7$…``; ``None`` where the password cannot be taken over: ``notes`` say why.
        disabled: the other broker rejects it.
        administers: it may change accounts there.
        notes: what is not taken over, as sentences.
    """

    username: str
    verifier: str | None = field(repr=False)
    rights: Rights
    disabled: bool = False
    administers: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Takeover:
    """Every account, and notes about lines that belong to none."""

    accounts: tuple[Found, ...]
    notes: tuple[str, ...] = ()
    rights_known: bool = True


# ---------------------------------------------------------------------- password file


def from_files(passwords: str, access: str | None) -> Takeover:
    """Accounts of a password file with its access list.

    Args:
        access: ``None`` where none exists: rights are not known then.
    """
    notes: list[str] = []
    lines = _lines(passwords, notes)
    known = _Access.parse(access or "", notes)
    if access is None:
        notes.append("There is no access list, so the rights of the accounts are not known.")
    found = []
    for username in sorted(lines):
        verifier, note = _verifier(lines[username])
        rights, more = known.rights(username)
        rights, administers = _without_control(rights)
        told = [note] if note else []
        found.append(
            Found(username, verifier, rights, administers=administers, notes=(*told, *more))
        )
    notes += [
        f"The access list has rights of {username}, which has no password."
        for username in sorted(known.users.keys() - lines.keys())
    ]
    return Takeover(tuple(found), tuple(notes), access is not None)


def _lines(text: str, notes: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.rstrip()
        if not line or line.startswith("#"):
            continue
        username, colon, digest = line.partition(":")
        if not colon or not username or not digest:
            notes.append(f"Line {number} of the password file has no username and password.")
        elif username in found:
            notes.append(
                f"Line {number} of the password file repeats {username}; the first counts."
            )
        else:
            found[username] = digest
    return found


def _verifier(digest: str) -> tuple[str | None, str]:
    kind = digest.split("$")[1] if digest.count("$") >= 2 and digest.startswith("$") else ""
    if kind == "6":
        return None, "needs a new password: its hash is salted SHA-512, which cannot be kept"
    if kind != "7":
        return None, "needs a new password: its line contains no usable hash"
    try:
        return str(verifiers.parse(digest)), ""
    except Invalid:
        return None, "needs a new password: its hash is damaged"


@dataclass(slots=True)
class _Lines:
    """What one user, or a pattern, is granted and denied."""

    publish: list[str] = field(default_factory=list)
    subscribe: list[str] = field(default_factory=list)
    deny: list[str] = field(default_factory=list)

    def filled(self, username: str) -> _Lines:
        return _Lines(
            *(
                [topic.replace("%u", username) for topic in topics]
                for topics in (self.publish, self.subscribe, self.deny)
            )
        )


@dataclass(slots=True)
class _Access:
    patterns: _Lines
    users: dict[str, _Lines]

    @classmethod
    def parse(cls, text: str, notes: list[str]) -> _Access:
        self = cls(_Lines(), {})
        user: str | None = None
        for number, raw in enumerate(text.splitlines(), 1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            word, _, rest = line.partition(" ")
            rest = rest.strip()
            where = f"Line {number} of the access list"
            if word == "user" and rest:
                user = rest
                self.users.setdefault(user, _Lines())
            elif word == "topic" and user is None and rest:
                notes.append(f"{where} is for anonymous clients, which Mooring rejects.")
            elif word in ("topic", "pattern") and rest:
                target = self.patterns if word == "pattern" else self.users[str(user)]
                _add(target, rest, where, notes)
            else:
                notes.append(f"{where} cannot be parsed.")
        return self

    def rights(self, username: str) -> tuple[Rights, list[str]]:
        own = self.users.get(username, _Lines())
        # The broker fills no pattern with a name that would be a wildcard itself. With 2.0 one
        # with a slash spans levels; 2.1 fills no pattern with it.
        filled = _Lines() if set("+#") & set(username) else self.patterns.filled(username)
        return _granted(
            [*own.publish, *filled.publish],
            [*own.subscribe, *filled.subscribe],
            [*own.deny, *filled.deny],
            [*own.deny, *filled.deny],
        )


def _add(target: _Lines, rest: str, where: str, notes: list[str]) -> None:
    word, space, topic = rest.partition(" ")
    if not space or word not in ("read", "write", "readwrite", "deny"):
        word, topic = "readwrite", rest
    topic = topic.strip()
    if "%c" in topic:
        notes.append(f"{where} grants by client id (%c), which a client chooses itself.")
    elif not valid_filter(topic):
        notes.append(f"{where} names no topic filter.")
    elif word == "deny":
        target.deny.append(topic)
    else:
        if word != "read":
            target.publish.append(topic)
        if word != "write":
            target.subscribe.append(topic)


# ---------------------------------------------------------------------- Dynamic Security


def from_dynsec(text: str) -> Takeover:
    """Accounts of a ``dynamic-security.json``, with the rights of their roles and groups.

    Raises:
        Invalid: it is no such file.
    """
    try:
        document = json.loads(text)
    except ValueError as exc:
        raise Invalid(f"The file is not JSON: {exc}.", code="not_dynsec") from exc
    if not isinstance(document, dict) or "clients" not in document:
        raise Invalid("The file is not a dynamic-security.json.", code="not_dynsec")
    notes: list[str] = []
    roles = {str(r.get("rolename")): _items(r, "acls") for r in _items(document, "roles")}
    groups = _groups(document)
    default = document.get("defaultACLAccess")
    defaults: Mapping[str, Any] = default if isinstance(default, dict) else {}
    found = []
    for client in _items(document, "clients"):
        username = client.get("username")
        if not isinstance(username, str) or not username:
            notes.append("There is a client without a username.")
            continue
        names = [str(r.get("rolename")) for r in _items(client, "roles")]
        names += groups.get(username, [])
        acls = [acl for name in dict.fromkeys(names) for acl in roles.get(name, [])]
        rights, more = _from_acls(acls, defaults)
        rights, administers = _without_control(rights)
        try:
            verifier, told = verifiers.from_dynsec(client), []
            if verifier is None:
                told = ["has no password"]
        except Invalid:
            verifier, told = None, ["needs a new password: its hash is damaged"]
        if client.get("clientid"):
            told.append("was bound to a client id, which Mooring does not support")
        found.append(
            Found(
                username,
                verifier,
                rights,
                disabled=client.get("disabled") is True,
                administers=administers,
                notes=(*told, *more),
            )
        )
    return Takeover(tuple(sorted(found, key=lambda one: one.username)), tuple(notes))


def _groups(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Username → the roles of its groups."""
    found: dict[str, list[str]] = {}
    for group in _items(document, "groups"):
        roles = [str(r.get("rolename")) for r in _items(group, "roles")]
        for member in _items(group, "clients"):
            found.setdefault(str(member.get("username")), []).extend(roles)
    for client in _items(document, "clients"):  # some versions write it on this side
        for named in _items(client, "groups"):
            for group in _items(document, "groups"):
                if group.get("groupname") == named.get("groupname"):
                    roles = [str(r.get("rolename")) for r in _items(group, "roles")]
                    found.setdefault(str(client.get("username")), []).extend(roles)
    return found


def _from_acls(
    acls: Iterable[Mapping[str, Any]], defaults: Mapping[str, Any]
) -> tuple[Rights, list[str]]:
    allow: dict[str, list[str]] = {}
    deny: dict[str, list[str]] = {}
    for acl in acls:
        kind, topic = str(acl.get("acltype")), acl.get("topic")
        if isinstance(topic, str) and valid_filter(topic):
            (allow if acl.get("allow") is True else deny).setdefault(kind, []).append(topic)
    everything = ["#"]
    send = allow.get("publishClientSend", [])
    if defaults.get("publishClientSend") is True:
        send = [*send, *everything]
    subscribe = [*allow.get("subscribePattern", []), *allow.get("subscribeLiteral", [])]
    if defaults.get("subscribe") is True:
        subscribe += everything
    receive = allow.get("publishClientReceive", [])
    if defaults.get("publishClientReceive") is not True:
        # Both are needed: what may be subscribed to but never arrives is not a right.
        subscribe = [topic for topic in subscribe if any(covers(r, topic) for r in receive)]
    not_read = [
        *deny.get("subscribePattern", []),
        *deny.get("subscribeLiteral", []),
        *deny.get("publishClientReceive", []),
    ]
    return _granted(send, subscribe, deny.get("publishClientSend", []), not_read)


def _items(of: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    items = of.get(key)
    return [i for i in items if isinstance(i, dict)] if isinstance(items, list) else []


# ---------------------------------------------------------------------- both


def _granted(
    publish: Iterable[str], subscribe: Iterable[str], not_write: list[str], not_read: list[str]
) -> tuple[Rights, list[str]]:
    notes: list[str] = []

    def left(topics: Iterable[str], denied: list[str]) -> tuple[str, ...]:
        kept = []
        for topic in dict.fromkeys(topics):
            if any(filters_overlap(topic, one) for one in denied):
                notes.append(f"loses {topic}, which was partly denied")
            else:
                kept.append(topic)
        return tuple(sorted(kept))

    rights = Rights(left(publish, not_write), left(subscribe, not_read))
    return rights, list(dict.fromkeys(notes))


def _without_control(rights: Rights) -> tuple[Rights, bool]:
    """Nobody but Mooring changes accounts."""
    publish = tuple(t for t in rights.publish if not filters_overlap(t, CONTROL))
    subscribe = tuple(t for t in rights.subscribe if not filters_overlap(t, CONTROL))
    return Rights(publish, subscribe), publish != rights.publish


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic of the filter ``narrow`` is one of ``wide``."""
    wide_levels, narrow_levels = wide.split("/"), narrow.split("/")
    if narrow_levels[0][:1] == "$" and wide_levels[0] in ("+", "#"):
        return False  # [MQTT-4.7.2-1]
    for index, level in enumerate(wide_levels):
        if level == "#":
            return True
        if index >= len(narrow_levels) or narrow_levels[index] == "#":
            return False
        if level not in ("+", narrow_levels[index]):
            return False
    return len(wide_levels) == len(narrow_levels)
