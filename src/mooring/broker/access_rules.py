"""Which logins and topics the plugin authority accepts, and why. Pure: values only.

The C library in ``plugin/native`` decides the same way; a generated corpus in
``tests/integration/plugin`` proves that both give equal verdicts. ``login`` answers for one
CONNECT, ``may`` for one topic.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mooring.broker.topic_rules import (
    PLACEHOLDERS,
    SERVICE_LEVELS,
    fill,
    is_filter,
    is_topic,
    within,
)
from mooring.errors import Invalid
from mooring.secrets import verifiers

__all__ = [
    "SERVICE_CLIENT_PREFIX",
    "AccountFacts",
    "Action",
    "Certificate",
    "Login",
    "Password",
    "Reason",
    "RightsVerdict",
    "Situation",
    "Used",
    "login",
    "may",
]

SERVICE_CLIENT_PREFIX = "mooring-"
"""Client ids that begin with this belong to the service account."""


class Reason(StrEnum):
    """Why a login was rejected, or a topic denied."""

    NO_USERNAME = "no_username"
    UNKNOWN_USERNAME = "unknown_username"
    NO_PASSWORD = "no_password"  # noqa: S105  # a reason, not a password
    CERTIFICATE_ONLY = "certificate_only"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105
    LOCKED = "locked"
    WRONG_CLIENT_ID = "wrong_client_id"
    CLIENT_ID_OF_ANOTHER = "client_id_of_another"
    CERTIFICATE_UNKNOWN = "certificate_unknown"
    CERTIFICATE_OF_ANOTHER = "certificate_of_another"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    TENANT_TOO_MANY_CONNECTIONS = "tenant_too_many_connections"
    ACCOUNTS_UNREADABLE = "accounts_unreadable"
    NO_RIGHT = "no_right"
    RESERVED = "reserved"
    INVALID_TOPIC = "invalid_topic"


class Used(StrEnum):
    """What an accepted login showed."""

    PASSWORD = "password"  # noqa: S105
    NEW_PASSWORD = "new_password"  # noqa: S105
    CERTIFICATE = "certificate"


class Action(StrEnum):
    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Password:
    """What CONNECT carries on a listener for passwords; ``None``: the field is absent."""

    username: str | None
    password: str | bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client certificate whose chain the TLS layer has verified.

    Attributes:
        serial: lower-case hex without leading zeros, as ``mooring.pki`` writes serials.
        common_name: the first common name of its subject; ``None``: it has none.
        username: the username in CONNECT, if there is one.
    """

    serial: str
    common_name: str | None
    username: str | None = None


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """One row of the accounts file, with its rights.

    Attributes:
        username: unique on the broker.
        verifier: ``$7$…`` of the password, or ``None``.
        next_verifier: ``$7$…`` of a second accepted password during a rotation, or ``None``.
        locked: every login and every topic is rejected.
        client_id: the only client id the account may use; ``None``: any that belongs to
            no other account.
        publish, subscribe: filters; the characters ``\\x01`` to ``\\x08`` inside a level are
            for the account's value of that number.
        values: the account's values, number 1 first. A missing or empty value matches no topic.
        tenant: the name under which connections of several accounts are counted; may be empty.
        service: the platform itself: every topic, no limits.
        max_connections: connections at a time; ``None``: no limit.
    """

    username: str
    verifier: str | None = field(default=None, repr=False)
    next_verifier: str | None = field(default=None, repr=False)
    locked: bool = False
    client_id: str | None = None
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    tenant: str = ""
    service: bool = False
    max_connections: int | None = None

    def __post_init__(self) -> None:
        if len(self.values) > PLACEHOLDERS:
            raise Invalid(f"An account has at most {PLACEHOLDERS} values, not {len(self.values)}.")


@dataclass(frozen=True, slots=True)
class Situation:
    """What else decides a login, beyond the account.

    Attributes:
        certificate_of: the account that the accounts file names for the certificate's
            serial; ``None``: it names none (revoked, or issued by another CA).
        client_id_of: the account whose fixed client id this is.
        session_of: the account that keeps a persistent session under this client id.
        live_client_id_of: the account that is connected under this client id now.
        connections: live connections of the account, without one that this login replaces.
        tenant_connections: the same of the account's tenant.
        tenant_max_connections: ``None``: no limit.
    """

    certificate_of: str | None = None
    client_id_of: str | None = None
    session_of: str | None = None
    live_client_id_of: str | None = None
    connections: int = 0
    tenant_connections: int = 0
    tenant_max_connections: int | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """The verdict on one CONNECT: ``used`` when it is accepted, ``reason`` when it is not."""

    reason: Reason | None
    used: Used | None = None

    @property
    def accepted(self) -> bool:
        return self.reason is None


@dataclass(frozen=True, slots=True)
class RightsVerdict:
    """The verdict on one topic.

    Attributes:
        rule: the filter that allows it, with the account's values filled in; ``#`` for the
            service account, which needs no filter; ``None`` when it is denied.
        reason: why it is denied; ``None`` when it is allowed.
    """

    rule: str | None
    reason: Reason | None = None

    @property
    def allowed(self) -> bool:
        return self.reason is None


def login(
    account: AccountFacts | None,
    credential: Password | Certificate,
    client_id: str,
    situation: Situation | None = None,
) -> Login:
    """Whether the broker accepts a CONNECT.

    Args:
        account: the account that ``username_of(credential)`` names; ``None``: none exists.
        credential: what the client shows.
        client_id: as in CONNECT, or the one that the broker assigned.
        situation: what else is known; by default an unused client id and no connections.
    """
    now = situation or Situation()
    if isinstance(credential, Certificate):
        reason, used = _by_certificate(account, credential, now), Used.CERTIFICATE
    else:
        reason, used = _by_password(account, credential)
    if reason is None and account is not None:
        reason = _client_id(account, client_id, now) or _connections(account, now)
    return Login(reason, None if reason else used)


def may(  # noqa: PLR0911  # one rule, one line
    account: AccountFacts | None, action: Action, topic: str
) -> RightsVerdict:
    """Whether the broker lets an account publish to, subscribe to or receive from ``topic``.

    Args:
        account: ``None``: the broker knows no such account.
        action: what the account wants to do.
        topic: a topic; for ``SUBSCRIBE`` a filter, which may be ``$share/group/filter``.
    """
    if account is None:
        return RightsVerdict(None, Reason.UNKNOWN_USERNAME)
    subscribing = action is Action.SUBSCRIBE
    wanted = _unshared(topic) if subscribing else topic
    if wanted is None or not (is_filter(wanted) if subscribing else is_topic(wanted)):
        return RightsVerdict(None, Reason.INVALID_TOPIC)
    if account.locked:
        return RightsVerdict(None, Reason.LOCKED)
    if account.service:
        return RightsVerdict("#")
    if wanted.split("/", 1)[0] in SERVICE_LEVELS:
        return RightsVerdict(None, Reason.RESERVED)
    filters = account.publish if action is Action.PUBLISH else account.subscribe
    for template in filters:
        if within(template, account.values, wanted, subscribing=subscribing):
            return RightsVerdict(fill(template, account.values))
    return RightsVerdict(None, Reason.NO_RIGHT)


def _by_certificate(
    account: AccountFacts | None, shown: Certificate, now: Situation
) -> Reason | None:
    if not shown.common_name or "\0" in shown.common_name:
        return Reason.CERTIFICATE_UNKNOWN
    if shown.username and shown.username != shown.common_name:
        return Reason.CERTIFICATE_OF_ANOTHER
    if now.certificate_of != shown.common_name:
        return Reason.CERTIFICATE_UNKNOWN
    if account is None:
        return Reason.UNKNOWN_USERNAME
    return Reason.LOCKED if account.locked else None


def _by_password(  # noqa: PLR0911  # one rule, one line
    account: AccountFacts | None, shown: Password
) -> tuple[Reason | None, Used]:
    used = Used.PASSWORD
    if not shown.username:
        return Reason.NO_USERNAME, used
    if account is None:
        return Reason.UNKNOWN_USERNAME, used
    if account.locked:
        return Reason.LOCKED, used
    held = [_parsed(account.verifier), _parsed(account.next_verifier)]
    if held == [None, None]:
        return Reason.CERTIFICATE_ONLY, used
    password = _as_the_broker_reads(shown.password)
    if not password:
        return Reason.NO_PASSWORD, used
    for verifier, kind in zip(held, (Used.PASSWORD, Used.NEW_PASSWORD), strict=True):
        if verifier is not None and _fits(password, verifier):
            return None, kind
    return Reason.WRONG_PASSWORD, used


def _client_id(account: AccountFacts, client_id: str, now: Situation) -> Reason | None:
    if client_id.startswith(SERVICE_CLIENT_PREFIX):
        return None if account.service else Reason.CLIENT_ID_OF_ANOTHER
    if account.client_id is not None:
        return None if client_id == account.client_id else Reason.WRONG_CLIENT_ID
    owners: Sequence[str | None] = (now.client_id_of, now.session_of, now.live_client_id_of)
    if any(owner is not None and owner != account.username for owner in owners):
        return Reason.CLIENT_ID_OF_ANOTHER
    return None


def _connections(account: AccountFacts, now: Situation) -> Reason | None:
    if account.service:
        return None
    if account.max_connections is not None and now.connections >= account.max_connections:
        return Reason.TOO_MANY_CONNECTIONS
    most = now.tenant_max_connections
    if account.tenant and most is not None and now.tenant_connections >= most:
        return Reason.TENANT_TOO_MANY_CONNECTIONS
    return None


def _parsed(verifier: str | None) -> verifiers.Verifier | None:
    """A malformed verifier accepts no password: it counts as none."""
    if verifier is None:
        return None
    try:
        parts = verifiers.parse(verifier)
    except Invalid:
        return None
    unpadded = any(len(text) % 4 for text in verifier.split("$")[3:])
    return None if unpadded or str(parts).count("=") != verifier.count("=") else parts


def _as_the_broker_reads(password: str | bytes | None) -> bytes:
    """Mosquitto hands a password on as a C string, which ends at the first NUL."""
    raw = password.encode() if isinstance(password, str) else password or b""
    return raw.partition(b"\0")[0]


def _fits(password: bytes, verifier: verifiers.Verifier) -> bool:
    made = hashlib.pbkdf2_hmac(
        "sha512", password, verifier.salt, verifier.iterations, verifiers.HASH_BYTES
    )
    return hmac.compare_digest(made, verifier.hash)


def _unshared(topic: str) -> str | None:
    """The filter inside a shared subscription; ``None`` when its group is missing or invalid."""
    if not topic.startswith("$share/"):
        return topic
    group, slash, inner = topic.removeprefix("$share/").partition("/")
    return inner if group and slash and inner and not set("+#") & set(group) else None
