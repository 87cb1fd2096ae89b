"""Rights as templates: what many accounts have in common, stored once. Pure.

In a template a control character from U+0001 to U+0008 stands for the account's value of that
number. Filling a template with the values it was made with gives the account's filters, so a
template is never wrong, whichever levels happen to equal a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mooring.identity.account import Account, Rights, SharedRights

__all__ = ["VALUES_MAX", "filled", "rights_of", "template", "texts_of", "values_of"]

VALUES_MAX = 8
_CONTROL = frozenset(map(chr, range(32)))
_ANY_CONTROL = re.compile(r"[\x00-\x1f]")


def values_of(account: Account) -> tuple[str, ...]:
    """The account's values by number, at most eight; an empty one stands for nothing."""
    every = (account.username, account.client_id or "", *account.values)[:VALUES_MAX]
    if not _ANY_CONTROL.search("".join(every)):
        return every
    return tuple("" if _CONTROL.intersection(value) else value for value in every)


def template(filters: Iterable[str], values: Sequence[str]) -> str:
    """The filters with values replaced by their numbers, sorted, one a line.

    A filter with a control character is left out: it would look like a template. In a value,
    wildcards and ``$`` are ordinary characters to the plugin, so a level with one is
    never replaced.
    """
    numbers: dict[str, str] = {}
    for number, value in enumerate(values, 1):
        if value and value not in ("+", "#") and value[0] != "$":
            numbers.setdefault(value, chr(number))
    lines = {
        "/".join(numbers.get(level, level) for level in topic.split("/"))
        for topic in filters
        if not _CONTROL.intersection(topic)
    }
    return "\n".join(sorted(lines))


def texts_of(account: Account, values: Sequence[str]) -> tuple[str, str]:
    """The account's rights as two templates, for what to publish and what to subscribe to."""
    rights = account.rights
    if isinstance(rights, SharedRights):
        return rights.pattern.texts
    return template(rights.publish, values), template(rights.subscribe, values)


def filled(text: str, values: Sequence[str]) -> list[str]:
    """The filters behind a template."""
    return text.translate(dict(enumerate(values, 1))).split("\n") if text else []


def rights_of(publish: str, subscribe: str, values: Sequence[str]) -> Rights:
    """Two templates as rights."""
    return Rights(tuple(sorted(filled(publish, values))), tuple(sorted(filled(subscribe, values))))
