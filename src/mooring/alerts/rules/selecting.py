"""Which devices the groups and queries in the scopes of rules stand for."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sqlalchemy.engine import Connection

from mooring.alerts.rules.model import Rule
from mooring.errors import Invalid
from mooring.groups.selector import Selector

__all__ = ["Selected", "select", "selector_of"]

log = logging.getLogger(__name__)

AT_ONCE = 500

Selected = dict[tuple[str, str, str], frozenset[int]]
"""(tenant, "group" or "where", its name or the query) → numbers of devices."""


def selector_of(tenant: str, kind: str, text: str) -> Selector:
    """Raises ``Invalid`` for a query that cannot be evaluated."""
    if kind == "group":
        return Selector(tenant, group=text)
    return Selector(tenant, where=text)


def select(connection: Connection, rules: Iterable[Rule]) -> Selected:
    """Asks each group and each query once. A group that was removed has no devices."""
    found: Selected = {}
    for rule in rules:
        scope = rule.definition.scope
        for kind, text in (("group", scope.group), ("where", scope.where)):
            key = (rule.tenant, kind, text)
            if text and key not in found:
                found[key] = _numbers(connection, key)
    return found


def _numbers(connection: Connection, key: tuple[str, str, str]) -> frozenset[int]:
    try:
        selector = selector_of(*key)
    except Invalid as exc:  # written by a newer version: the rule is about no device
        log.warning("the scope %r of a rule of %s cannot be evaluated: %s", key[2], key[0], exc)
        return frozenset()
    numbers: set[int] = set()
    after = 0
    while True:
        page = selector.page(connection, after, AT_ONCE)
        numbers.update(page)
        if len(page) < AT_ONCE:
            return frozenset(numbers)
        after = page[-1]
