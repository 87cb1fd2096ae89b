"""Which of another broker's accounts are devices of a dialect. Pure: values in, values out.

A username that fits the dialect's template is a device if what it may do agrees: each of its
topics is its own or one that every device has. An account that may more than one device is a
program, whatever its name, and stays a broker user with the rights it has.

Some brokers give all devices one role with everything of a tenant. Where an operator says whose
the devices are, a username that only a device has (a MAC address, or one with the dialect's own
words around the name) is a device with such a role, too: it keeps the rights of one device.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mooring.broker.foreign import Found, covers
from mooring.dialects.ids import check_word, normal_mac
from mooring.dialects.model import Attribute, Dialect, Identity
from mooring.errors import Invalid
from mooring.identity.account import Rights
from mooring.identity.policy import rights_of

__all__ = ["SKIP", "USER", "Becomes", "match"]

SKIP = "-"
"""In a map: leave this account out."""

USER = "user"
"""In a map: a broker user, even if it looks like a device."""

_PLACEHOLDER = re.compile(r"\{(tenant|device|mac)\}")


@dataclass(frozen=True, slots=True)
class Becomes:
    """What an account becomes.

    Attributes:
        identity: of the device it is; ``None`` when it is none.
        skipped: why it is left out; empty when it is not.
        why: why it is not a device, where it might have been one.
        loses: topics it might use before and a device of the dialect may not.
    """

    found: Found
    identity: Identity | None = None
    skipped: str = ""
    why: str = ""
    loses: tuple[str, ...] = field(default=())


def match(
    accounts: Iterable[Found],
    dialect: Dialect,
    *,
    tenant: str | None = None,
    named: Mapping[str, str] | None = None,
    rights_known: bool = True,
) -> list[Becomes]:
    """Looks at every account.

    Args:
        tenant: whose the devices are; by default what username or topics say, else
            ``default``.
        named: username → device (``name`` or ``tenant:name``), ``user`` or ``-``, where an
            operator knows better.
        rights_known: whether the other broker had an access list.
    """
    matcher = _Matcher(dialect, _template(dialect), tenant, rights_known)
    mapped = named or {}
    return [matcher.look(found, mapped.get(found.username)) for found in accounts]


@dataclass(frozen=True, slots=True)
class _Matcher:
    dialect: Dialect
    template: re.Pattern[str]
    tenant: str | None
    rights_known: bool

    def look(self, found: Found, named: str | None) -> Becomes:
        if named == SKIP:
            return Becomes(found, skipped="skipped by --map")
        if named is None and found.administers:
            return Becomes(found, skipped="administers the other broker")
        if named == USER:
            return Becomes(found)
        said = _from_topics(found.rights, self.dialect)
        if named is not None:
            return _device(found, self.dialect, self._as_named(found, named, said))
        identity, why = self._by_name(found, said)
        if identity is not None and self.rights_known:
            why = _is_more(found.rights, self.dialect, identity)
            if why and self._may_be_wide and _covers_own(found.rights, self.dialect, identity):
                why = "" if self.tenant else f"{why}; with --tenant it is a device"
        if identity is None or why:
            return Becomes(found, why=why)
        return _device(found, self.dialect, identity)

    @property
    def _may_be_wide(self) -> bool:
        """Whether a username alone shows that it is a device's."""
        return self.dialect.username != "{device}"

    def _as_named(self, found: Found, named: str, said: Mapping[Attribute, str]) -> Identity:
        owner, colon, name = named.rpartition(":")
        return Identity(
            (owner if colon else self.tenant) or said.get(Attribute.TENANT) or "default",
            name,
            _mac(found.username) or said.get(Attribute.MAC),
        )

    def _by_name(self, found: Found, said: Mapping[Attribute, str]) -> tuple[Identity | None, str]:
        """Who it is by its username, helped by its topics; or why it is none."""
        fits = self.template.fullmatch(found.username)
        if fits is None:
            return None, "its name does not match the dialect's usernames"
        words = fits.groupdict()
        mac = words.get("mac")
        if mac is not None and _mac(mac) is None:
            return None, "its name is not a MAC address"
        if self.tenant is not None and words.get("tenant", self.tenant) != self.tenant:
            return None, f"its name belongs to the tenant {words['tenant']}"
        device = words.get("device") or said.get(Attribute.DEVICE) or _name_of(mac or "")
        tenant = words.get("tenant") or self.tenant or said.get(Attribute.TENANT) or "default"
        return Identity(tenant, device, mac or said.get(Attribute.MAC)), ""


def _device(found: Found, dialect: Dialect, identity: Identity) -> Becomes:
    try:
        check_word(identity.device, "device name")
        check_word(identity.tenant, "tenant")
    except Invalid as exc:
        return Becomes(found, why=exc.message)
    if dialect.needs_mac and identity.mac is None:
        return Becomes(found, why="its MAC address is not known, which the dialect requires")
    granted = rights_of(dialect, identity)
    loses = [
        topic
        for before, now in (
            (found.rights.publish, granted.publish),
            (found.rights.subscribe, granted.subscribe),
        )
        for topic in before
        if not any(covers(one, topic) for one in now)
    ]
    return Becomes(found, identity, loses=tuple(dict.fromkeys(loses)))


def _is_more(rights: Rights, dialect: Dialect, identity: Identity) -> str:
    """Why these are not the rights of one device; empty when they are."""
    granted = rights_of(dialect, identity)
    everybodys = {*granted.publish, *granted.subscribe}
    own = {identity.device}
    if identity.mac is not None:
        own.add(identity.mac)
    topics = (*rights.publish, *rights.subscribe)
    if not topics:
        return ""
    for topic in topics:
        if topic not in everybodys and not own & set(topic.split("/")):
            return f"it may use {topic}, which is not a topic of one device"
    if not any(own & set(topic.split("/")) for topic in topics):
        return "none of its topics names it"
    return ""


def _covers_own(rights: Rights, dialect: Dialect, identity: Identity) -> bool:
    """Whether every topic is one of the device's own, or a wider filter with some of them."""
    granted = rights_of(dialect, identity)
    own = {*granted.publish, *granted.subscribe}
    return all(
        any(covers(topic, one) or covers(one, topic) for one in own)
        for topic in (*rights.publish, *rights.subscribe)
    )


def _name_of(mac: str) -> str:
    """The name of a device that is known by its MAC address only. Twelve digits in a row are
    kept as they are: such firmware uses them as client id and in its topics."""
    return mac if mac.isalnum() else normal_mac(mac)


def _template(dialect: Dialect) -> re.Pattern[str]:
    """The username's template as a pattern; the shortest words first."""
    parts = _PLACEHOLDER.split(dialect.username)
    seen: set[str] = set()
    pattern = ""
    for index, part in enumerate(parts):
        if index % 2 == 0:
            pattern += re.escape(part)
        elif part in seen:
            pattern += f"(?P={part})"
        else:
            seen.add(part)
            pattern += f"(?P<{part}>.+?)"
    return re.compile(pattern, re.DOTALL)


def _from_topics(rights: Rights, dialect: Dialect) -> dict[Attribute, str]:
    """What the account's topics say of it: the word most of them agree on."""
    votes: dict[Attribute, Counter[str]] = {}
    for topic in (*rights.publish, *rights.subscribe):
        levels = topic.split("/")
        for channel in dialect.channels:
            for attribute, word in _aligned(channel.topic.split("/"), levels, channel.placeholders):
                votes.setdefault(attribute, Counter())[word] += 1
    macs = {word for word in votes.get(Attribute.MAC, ()) if _mac(word)}
    said: dict[Attribute, str] = {}
    for attribute in (Attribute.TENANT, Attribute.DEVICE):
        counted = [
            (word, number)
            for word, number in votes.get(attribute, Counter()).most_common()
            # A channel by MAC and one by id may look alike: an address is not a valid name.
            if attribute is not Attribute.DEVICE or word not in macs
        ]
        if counted:
            said[attribute] = counted[0][0]
    if len(macs) == 1:
        said[Attribute.MAC] = next(iter(macs))
    return said


def _aligned(
    pattern: list[str], levels: list[str], placeholders: Mapping[str, Attribute]
) -> list[tuple[Attribute, str]]:
    """The words in the placeholders' places, if the topic may be one of the pattern's."""
    words: list[tuple[Attribute, str]] = []
    for index, level in enumerate(levels):
        if level == "#":
            return words
        if index >= len(pattern):
            return []
        wanted = pattern[index]
        if wanted.startswith("{"):
            if level != "+":
                words.append((placeholders[wanted[1:-1]], level))
        elif level not in ("+", wanted):
            return []
    return words if len(levels) == len(pattern) else []


def _mac(text: str) -> str | None:
    try:
        normal_mac(text)
    except Invalid:
        return None
    return text
