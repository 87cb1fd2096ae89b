"""Devices that a rule accepts: what a fleet code is worth.

A fleet code is built into the firmware of many devices. Each of them claims its own credentials
with it, as with a claim code. Messages of the broker change nothing about that: a registration is
neither needed nor enough.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mooring.credentials.claims import code as codes
from mooring.credentials.claims.model import Admitted, NewClaim
from mooring.discovery import store
from mooring.discovery.model import Action, Rule
from mooring.discovery.rules import key_of, matches, rule_for
from mooring.errors import Conflict
from mooring.secrets.instance import Instance
from mooring.store.engine import now_ms

__all__ = ["FLEET_CODE_LENGTH", "Admission", "new_code", "shown_code"]

FLEET_CODE_LENGTH = 26
"""Of 32 characters: 130 random bits, because the code is in use for years."""


def new_code() -> str:
    return "".join(secrets.choice(codes.ALPHABET) for _ in range(FLEET_CODE_LENGTH))


def shown_code(code: str) -> str:
    """As people read it."""
    return "-".join((code[:7], code[7:13], code[13:19], code[19:]))


@dataclass(frozen=True, slots=True)
class Admission:
    """See ``mooring.credentials.claims.model.FleetCodes``."""

    instance: Instance

    def read(self, text: str) -> str | None:
        code = re.sub(r"[\s-]", "", text).upper()
        fits = len(code) == FLEET_CODE_LENGTH and set(code) <= set(codes.ALPHABET)
        return code if fits else None

    def digest(self, code: str) -> str:
        """What is stored of a fleet code."""
        return codes.digest(f"fleet:{code}", self.instance.instance_key)

    def known(self, connection: Connection, code: str, *, lock: bool) -> bool:
        return store.rule_of(connection, self.digest(code), lock=lock) is not None

    def admit(self, connection: Connection, code: str, name: str) -> Admitted | None:
        at = now_ms()
        rule = store.rule_of(connection, self.digest(code), lock=True)
        if rule is None or not matches(rule.pattern, name) or self._refused(connection, rule, name):
            return None
        if rule.left(at) <= 0:
            raise Conflict(
                f"The rule {rule.id} has accepted {rule.per_day} devices today, as many as it may.",
                hint="Try again tomorrow (UTC), or accept the device with `mooring discovery "
                "accept`.",
                code="discovery_quota_used",
            )
        store.count_use(connection, rule, at)
        return Admitted(NewClaim(rule.dialect, rule.tenant, name=name), f"discovery rule {rule.id}")

    def _refused(self, connection: Connection, rule: Rule, name: str) -> bool:
        at = now_ms()
        if store.refused(connection, rule.tenant, rule.dialect, key_of(name), at):
            return True
        rules = store.rules_of(connection, rule.tenant)
        found = rule_for(rules, rule.dialect, name, at)
        return found is not None and found.action is Action.REFUSE
