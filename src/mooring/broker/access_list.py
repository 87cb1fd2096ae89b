"""Mosquitto's access list: who may publish and read what. Pure: text and values only.

A ``user`` section with ``topic`` lines says it for one account. 2.0 searches the list of
users again for every line, so sections cost a reload quadratic time: 12 topics each, 1,000
users 30 ms, 5,000 users 0.7 s, 10,000 users 2.8 s. ``pattern`` lines with ``%u`` hold for
every account and cost next to nothing. With 2.0 ``%u`` may span levels: ``x/%u/#`` holds for
the username ``a/b``; with 2.1 it does not (both tried). ``%c`` is never written: a client may
choose its client id.

A pattern is written where most accounts have that right under their own names. An account
that lacks it keeps to its own rights in one of two ways:

- what the pattern opens for it is nobody's: no account may use that topic. To publish, it must
  also be no topic that an account of another name would publish to: a device must not speak
  as one that does not exist.
- otherwise its section denies that topic. The broker looks at what is denied first.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mooring.dialects.topics import filter_covers, filters_overlap
from mooring.errors import Invalid
from mooring.identity.account import Account, Rights

__all__ = ["AccessList", "factor", "parse", "render"]

MAX_OWN_LEVELS = 4
"""Places of the username in a topic that are tried as ``%u``; more are left as they are."""

PATTERNS_MOST = 64
"""Patterns that are tried, the most frequent first."""

SHAPES_MOST = 500
"""Topics, apart from usernames in them, that are compared with what a pattern opens; with more,
a section denies it."""

_WILDCARDS = frozenset("+#")
PUBLISH, SUBSCRIBE = 0, 1


@dataclass(frozen=True, slots=True)
class AccessList:
    """Rights of single users, and patterns that hold for all; ``%u`` is the username.

    Attributes:
        denied: username → filled patterns that do not hold for that user.
    """

    patterns: Rights = field(default_factory=Rights)
    users: Mapping[str, Rights] = field(default_factory=dict)
    denied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def rights(self, username: str) -> Rights:
        """What one account may do, sorted."""
        own = self.users.get(username, Rights())
        if _WILDCARDS & set(username):  # the broker fills no pattern with it
            return _sorted(own)
        denied = self.denied.get(username, ())
        filled = _fill(self.patterns, username)
        return Rights(
            tuple(sorted({*own.publish, *_more(filled.publish, own.publish, denied)})),
            tuple(sorted({*own.subscribe, *_more(filled.subscribe, own.subscribe, denied)})),
        )


def factor(accounts: Iterable[Account], *, spanning: bool = False) -> AccessList:
    """A short list: patterns for what most have, sections for the rest.

    An account gets no right that it lacks, but for topics that are nobody's. One without a
    password keeps a section even if that is empty: nothing else in the two files would name it.

    Args:
        spanning: whether the broker fills patterns with usernames that have a slash. If it is not
            known, pass ``False``: such accounts then have sections of their own, regardless of the
            broker.
    """
    every = list(accounts)
    patterns, denied = _common(every, spanning=spanning)
    users = {}
    for account in every:
        rest = _rest(account, patterns, spanning=spanning)
        if rest != Rights() or account.verifier is None or account.username in denied:
            users[account.username] = rest
    return AccessList(patterns, users, {name: tuple(sorted(d)) for name, d in denied.items()})


def render(access: AccessList) -> str:
    """The text of the file.

    Raises:
        Invalid: a topic that does not fit on a line.
    """
    lines = ["# Written by Mooring. Manual changes are lost at the next change of an account."]
    lines += _topics("pattern", access.patterns)
    for username in sorted(access.users):
        lines += ["", f"user {username}", *_topics("topic", access.users[username])]
        lines += [f"topic deny {topic}" for topic in access.denied.get(username, ())]
    text = "\n".join(lines) + "\n"
    if parse(text) != AccessList(
        _sorted(access.patterns),
        {name: _sorted(own) for name, own in access.users.items()},
        access.denied,
    ):  # the proof that the broker reads what was meant
        raise Invalid("The access list would not be read back unchanged.")
    return text


def parse(text: str) -> AccessList:
    """The rights in a file, sorted.

    Raises:
        Invalid: a line that rights cannot express: one that denies more or less than what a
            pattern gives that user, ``%c``, rights of anonymous clients, or no such line at
            all. The message names its number.
    """
    denials: dict[str, dict[str, int]] = {}
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
            access, topic = _access(rest.strip())
            if access == "deny":
                if word == "pattern":
                    raise _denies(number)
                denials.setdefault(str(user), {})[topic] = number
                continue
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
    users = {str(name): own for name, own in rights.items()}
    _check_denials(denials, patterns, users)
    return AccessList(patterns, users, {name: tuple(sorted(d)) for name, d in denials.items()})


def _check_denials(
    denials: Mapping[str, Mapping[str, int]], patterns: Rights, users: Mapping[str, Rights]
) -> None:
    for name, topics in denials.items():
        filled = _fill(patterns, name)
        for topic, number in topics.items():
            if topic not in (*filled.publish, *filled.subscribe) or _overlaps(topic, users[name]):
                raise _denies(number)


def _denies(number: int) -> Invalid:
    return Invalid(
        f"Line {number} of the access list denies access; Mooring supports only rules that allow."
    )


def _access(rest: str) -> tuple[str, str]:
    word, space, topic = rest.partition(" ")
    if space and word in ("read", "write", "readwrite", "deny"):
        return word, topic.strip()
    return "readwrite", rest


def _topics(word: str, rights: Rights) -> list[str]:
    for topic in (*rights.publish, *rights.subscribe):
        if topic != topic.strip() or not topic.isprintable() or not topic:
            raise Invalid(f"The topic {topic!r} cannot be written into the access list.")
    return [f"{word} write {topic}" for topic in sorted(set(rights.publish))] + [
        f"{word} read {topic}" for topic in sorted(set(rights.subscribe))
    ]


# ---------------------------------------------------------------------- which patterns


def _common(accounts: Sequence[Account], *, spanning: bool) -> tuple[Rights, dict[str, set[str]]]:
    """The patterns, and what each of them must not open for an account."""
    # A wildcard in a username makes the broker reject every pattern for it.
    plain = [account for account in accounts if not _WILDCARDS & set(account.username)]
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for account in plain:
        if "/" in account.username and not spanning:
            continue
        for kind, topics in enumerate((account.rights.publish, account.rights.subscribe)):
            counts[kind].update(_templates(topics, account.username))
    used = _Used(accounts)
    chosen: tuple[list[str], list[str]] = ([], [])
    denied: dict[str, set[str]] = {}
    tried = sorted(
        (-count, kind, template)
        for kind in (PUBLISH, SUBSCRIBE)
        for template, count in counts[kind].items()
        if count > 1 or count == len(plain)
    )
    for negative, kind, template in tried[:PATTERNS_MOST]:
        denials = _denials(plain, kind, template, -negative, used)
        if denials is None:
            continue
        chosen[kind].append(template)
        for name, topic in denials.items():
            denied.setdefault(name, set()).add(topic)
    return Rights(tuple(sorted(chosen[PUBLISH])), tuple(sorted(chosen[SUBSCRIBE]))), denied


def _denials(
    accounts: Sequence[Account], kind: int, template: str, count: int, used: _Used
) -> dict[str, str] | None:
    """Username → what has to be denied where the template becomes a pattern; ``None``: it is
    none, because an account would lose something of its own or too many lack it."""
    found: dict[str, str] = {}
    if count == len(accounts):
        return found
    for account in accounts:
        rights, topic = account.rights, template.replace("%u", account.username)
        own = rights.publish if kind == PUBLISH else rights.subscribe
        if topic in own or used.nobodys(kind, template, account.username):
            continue
        if any(filter_covers(wide, topic) for wide in own):
            continue  # it has that anyway
        if _overlaps(topic, rights):
            return None
        found[account.username] = topic
        if len(found) >= count:
            return None
    return found


class _Used:
    """Topics that the accounts use."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self._accounts = accounts
        self._shapes: set[str] = set()  # to publish, with a ``+`` for each level of a username
        self._by_level: dict[str, Any] | None = None
        self._known: dict[tuple[str, int], bool] = {}
        for account in accounts:
            self._shapes.update(_shape(one, account.username) for one in account.rights.publish)
            if len(self._shapes) > SHAPES_MOST:
                break

    def nobodys(self, kind: int, template: str, username: str) -> bool:
        """Whether what the template opens for an account that lacks it is nobody's."""
        if kind == PUBLISH and not self._outside(template, username.count("/") + 1):
            return False
        if self._by_level is None:
            self._by_level = _tree(self._accounts)
        return not _meets(self._by_level, template.replace("%u", username).split("/"))

    def _outside(self, template: str, levels: int) -> bool:
        """Whether no account would publish there, whatever its name of so many levels."""
        key = (template, levels)
        if key not in self._known:
            opened = template.replace("%u", "/".join("+" * levels))
            self._known[key] = len(self._shapes) <= SHAPES_MOST and not any(
                filters_overlap(opened, topic) for topic in self._shapes
            )
        return self._known[key]


def _tree(accounts: Iterable[Account]) -> dict[str, Any]:
    """The topics of all accounts, level by level; the key ``""`` after the last one."""
    tree: dict[str, Any] = {}
    for account in accounts:
        for topic in (*account.rights.publish, *account.rights.subscribe):
            node = tree
            for level in topic.split("/"):
                node = node.setdefault(f"/{level}", {})
            node[""] = {}
    return tree


def _meets(node: Mapping[str, Any], levels: Sequence[str]) -> bool:
    """Whether a topic filter and one below the node have a topic in common."""
    if "/#" in node:
        return True
    if not levels:
        return "" in node
    level, rest = levels[0], levels[1:]
    if level == "#":
        return bool(node)
    if level == "+":
        return any(_meets(below, rest) for name, below in node.items() if name)
    return any(_meets(node[name], rest) for name in (f"/{level}", "/+") if name in node)


def _shape(topic: str, username: str) -> str:
    levels, size = topic.split("/"), username.count("/") + 1
    for place in _places(levels, username.split("/")):
        levels[place : place + size] = "+" * size
    return "/".join(levels)


def _places(levels: Sequence[str], own: Sequence[str]) -> Iterator[int]:
    """Where the levels of a username are among those of a topic; none overlaps another."""
    place = 0
    while place + len(own) <= len(levels):
        if list(levels[place : place + len(own)]) == list(own):
            yield place
            place += len(own)
        else:
            place += 1


def _templates(topics: Iterable[str], username: str) -> set[str]:
    """Every topic with the username as ``%u``, in each combination of places."""
    found = set()
    own = username.split("/")
    for topic in topics:
        if "%u" in topic or "%c" in topic:  # would be substituted, and is not meant to be
            continue
        levels = topic.split("/")
        places = list(itertools.islice(_places(levels, own), MAX_OWN_LEVELS))
        for count in range(1, len(places) + 1):
            for chosen in itertools.combinations(places, count):
                found.add("/".join(_replaced(levels, chosen, len(own))))
    return found


def _replaced(levels: Sequence[str], places: Sequence[int], size: int) -> Iterator[str]:
    place = 0
    while place < len(levels):
        if place in places:
            yield "%u"
            place += size
        else:
            yield levels[place]
            place += 1


def _rest(account: Account, patterns: Rights, *, spanning: bool) -> Rights:
    """What the section of an account has to say besides the patterns."""
    if _WILDCARDS & set(account.username) or ("/" in account.username and not spanning):
        return _sorted(account.rights)
    filled = _fill(patterns, account.username)
    return Rights(
        _besides(account.rights.publish, filled.publish),
        _besides(account.rights.subscribe, filled.subscribe),
    )


def _besides(topics: Iterable[str], filled: tuple[str, ...]) -> tuple[str, ...]:
    rest = set(topics) - set(filled)
    given = set(_more(filled, tuple(rest), ()))
    return tuple(sorted(rest | (set(topics) - given)))


def _more(filled: Iterable[str], own: Sequence[str], denied: Sequence[str]) -> Iterator[str]:
    """What patterns add to a section: nothing that it covers or denies."""
    for topic in filled:
        if topic not in denied and not any(filter_covers(wide, topic) for wide in own):
            yield topic


def _overlaps(topic: str, rights: Rights) -> bool:
    return any(filters_overlap(topic, own) for own in (*rights.publish, *rights.subscribe))


def _fill(patterns: Rights, username: str) -> Rights:
    return Rights(
        tuple(topic.replace("%u", username) for topic in patterns.publish),
        tuple(topic.replace("%u", username) for topic in patterns.subscribe),
    )


def _sorted(rights: Rights) -> Rights:
    return Rights(tuple(sorted(set(rights.publish))), tuple(sorted(set(rights.subscribe))))
