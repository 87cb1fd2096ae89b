"""Mosquitto's access list: who may publish and read what. Pure: text and values only.

A ``user`` section with ``topic`` lines says it for one account. 2.0 searches the list of
users again for every line, so sections cost a reload quadratic time: 12 topics each, 1,000
users 30 ms, 5,000 users 0.7 s, 10,000 users 2.8 s. ``pattern`` lines with ``%u`` hold for
every account and cost next to nothing; they are used where that is exact, that is where
*every* account has that right under its own name. ``%c`` is never written: a client may
choose its client id.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mooring.errors import Invalid
from mooring.identity.account import Account, Rights

__all__ = ["AccessList", "factor", "parse", "render"]

MAX_OWN_LEVELS = 4
"""Topic levels equal to the username that are tried as ``%u``; more are left as they are."""


@dataclass(frozen=True, slots=True)
class AccessList:
    """Rights of single users, and patterns that hold for all; ``%u`` is the username."""

    patterns: Rights = field(default_factory=Rights)
    users: Mapping[str, Rights] = field(default_factory=dict)

    def rights(self, username: str) -> Rights:
        """What one account may do, sorted."""
        own = self.users.get(username, Rights())
        filled = _fill(self.patterns, username)
        return Rights(
            tuple(sorted({*own.publish, *filled.publish})),
            tuple(sorted({*own.subscribe, *filled.subscribe})),
        )


def factor(accounts: Iterable[Account]) -> AccessList:
    """The shortest exact list: patterns for what all have, sections for the rest.

    An account without password keeps a section even if it is empty: nothing else in the two
    files would name it.
    """
    every = list(accounts)
    patterns = _common(every)
    users = {}
    for account in every:
        common = _fill(patterns, account.username)
        rest = Rights(
            _without(account.rights.publish, common.publish),
            _without(account.rights.subscribe, common.subscribe),
        )
        if rest != Rights() or account.verifier is None:
            users[account.username] = rest
    return AccessList(patterns, users)


def render(access: AccessList) -> str:
    """The text of the file.

    Raises:
        Invalid: a topic that does not fit on a line.
    """
    lines = ["# Written by Mooring. Manual changes are lost at the next change of an account."]
    lines += _topics("pattern", access.patterns)
    for username in sorted(access.users):
        lines += ["", f"user {username}", *_topics("topic", access.users[username])]
    text = "\n".join(lines) + "\n"
    if parse(text) != AccessList(
        _sorted(access.patterns), {name: _sorted(own) for name, own in access.users.items()}
    ):  # the proof that the broker reads what was meant
        raise Invalid("The access list would not be read back unchanged.")
    return text


def parse(text: str) -> AccessList:
    """The rights in a file, sorted.

    Raises:
        Invalid: a line that rights cannot express: ``deny``, ``%c``, rights of anonymous
            clients, or no such line at all. The message names its number.
    """
    sets: dict[str | None, tuple[set[str], set[str]]] = {None: (set(), set())}
    user: str | None = None
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "user" and rest.strip():
            user = rest.strip()
            sets.setdefault(user, (set(), set()))
        elif word in ("topic", "pattern") and rest.strip():
            if word == "topic" and user is None:
                raise Invalid(f"Line {number} of the access list is for anonymous clients.")
            publish, subscribe = sets[None if word == "pattern" else user]
            access, topic = _access(rest.strip(), number)
            if word == "pattern" and "%c" in topic:
                raise Invalid(
                    f"Line {number} of the access list grants by client id (%c), "
                    "which a client chooses itself."
                )
            if access != "read":
                publish.add(topic)
            if access != "write":
                subscribe.add(topic)
        else:
            raise Invalid(f"Line {number} of the access list cannot be parsed.")
    rights = {k: Rights(tuple(sorted(p)), tuple(sorted(s))) for k, (p, s) in sets.items()}
    patterns = rights.pop(None)
    return AccessList(patterns, {str(name): own for name, own in rights.items()})


def _access(rest: str, number: int) -> tuple[str, str]:
    word, space, topic = rest.partition(" ")
    if space and word in ("read", "write", "readwrite"):
        return word, topic.strip()
    if space and word == "deny":
        raise Invalid(
            f"Line {number} of the access list denies access; Mooring supports only rules that "
            f"allow."
        )
    return "readwrite", rest


def _topics(word: str, rights: Rights) -> list[str]:
    for topic in (*rights.publish, *rights.subscribe):
        if topic != topic.strip() or not topic.isprintable() or not topic:
            raise Invalid(f"The topic {topic!r} cannot be written into the access list.")
    return [f"{word} write {topic}" for topic in sorted(set(rights.publish))] + [
        f"{word} read {topic}" for topic in sorted(set(rights.subscribe))
    ]


def _common(accounts: list[Account]) -> Rights:
    # A wildcard in a username makes 2.0 reject every pattern for it.
    if not accounts or any(set("+#") & set(account.username) for account in accounts):
        return Rights()
    fewest = min(accounts, key=lambda a: len(a.rights.publish) + len(a.rights.subscribe))
    publish = _templates(fewest.rights.publish, fewest.username)
    subscribe = _templates(fewest.rights.subscribe, fewest.username)
    for account in accounts:
        mine = set(account.rights.publish), set(account.rights.subscribe)
        publish = {t for t in publish if t.replace("%u", account.username) in mine[0]}
        subscribe = {t for t in subscribe if t.replace("%u", account.username) in mine[1]}
        if not publish and not subscribe:
            break
    return Rights(tuple(sorted(publish)), tuple(sorted(subscribe)))


def _templates(topics: Iterable[str], username: str) -> set[str]:
    """Every topic with the username as ``%u``, in each combination of places."""
    found = set()
    for topic in topics:
        if "%u" in topic or "%c" in topic:  # would be substituted, and is not meant to be
            continue
        levels = topic.split("/")
        own = [i for i, level in enumerate(levels) if level == username][:MAX_OWN_LEVELS]
        for count in range(1, len(own) + 1):
            for chosen in itertools.combinations(own, count):
                found.add("/".join("%u" if i in chosen else x for i, x in enumerate(levels)))
    return found


def _fill(patterns: Rights, username: str) -> Rights:
    return Rights(
        tuple(topic.replace("%u", username) for topic in patterns.publish),
        tuple(topic.replace("%u", username) for topic in patterns.subscribe),
    )


def _without(topics: tuple[str, ...], common: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(topics) - set(common)))


def _sorted(rights: Rights) -> Rights:
    return Rights(tuple(sorted(set(rights.publish))), tuple(sorted(set(rights.subscribe))))
