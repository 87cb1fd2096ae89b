"""What each rejected login means, and what to do about it: one row a reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mooring.doctor.seen import Event, Seen

__all__ = ["Code", "Word", "refused_word"]


class Code(StrEnum):
    """What is the matter. Stable words for programs."""

    WELL = "well"
    REMOVED = "removed"
    BROKER_DOWN = "broker_down"
    CHANGE_PENDING = "change_pending"
    DISABLED = "disabled"
    TAKEOVER_LOOP = "takeover_loop"
    LIMITED = "limited"
    OVERSIZE = "oversize"
    DENIED_TOPIC = "denied_topic"
    UNDECODABLE = "undecodable"
    SILENT = "silent"
    UNKNOWN_USERNAME = "unknown_username"
    NO_PASSWORD = "no_password"  # noqa: S105 - a word for people
    CERTIFICATE_ONLY = "certificate_only"
    WRONG_PASSWORD_NEVER_USED = "wrong_password_never_used"  # noqa: S105
    WRONG_PASSWORD_OLD = "wrong_password_old"  # noqa: S105
    WRONG_PASSWORD = "wrong_password"  # noqa: S105
    WRONG_CLIENT_ID = "wrong_client_id"
    CLIENT_ID_OF_ANOTHER = "client_id_of_another"
    CERTIFICATE_REVOKED = "certificate_revoked"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_UNKNOWN = "certificate_unknown"
    CERTIFICATE_OF_ANOTHER = "certificate_of_another"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    ACCOUNTS_UNREADABLE = "accounts_unreadable"
    REFUSED = "refused"
    TLS_FAILED = "tls_failed"
    DISCONNECTED = "disconnected"
    NEVER_REACHED = "never_reached"


@dataclass(frozen=True, slots=True)
class Word:
    """A verdict without its evidence."""

    code: Code
    summary: str
    next_step: str


_REFUSED = {
    "unknown_username": Word(
        Code.UNKNOWN_USERNAME,
        "The broker does not know the username {username}.",
        "Compare the broker with the database: `mooring broker sync`.",
    ),
    "no_password": Word(
        Code.NO_PASSWORD,
        "The device sends its username without a password.",
        "Give the device its password, or create a new one with `mooring device rotate`.",
    ),
    "certificate_only": Word(
        Code.CERTIFICATE_ONLY,
        "The device logs in with a password, but it has only a certificate.",
        "Use the listener for certificates, or create a password: mooring device rotate DEVICE.",
    ),
    "locked": Word(
        Code.DISABLED,
        "This login is still disabled on the broker.",
        "Compare the broker with the database: `mooring broker sync`.",
    ),
    "wrong_client_id": Word(
        Code.WRONG_CLIENT_ID,
        "The device connects with the client ID {client_id!r}, which is not its own.",
        "Set the client ID {own} in its firmware.",
    ),
    "client_id_of_another": Word(
        Code.CLIENT_ID_OF_ANOTHER,
        "The device connects with the client ID {client_id!r}, which belongs to another login.",
        "Give each device its own client ID.",
    ),
    "certificate_unknown": Word(
        Code.CERTIFICATE_UNKNOWN,
        "The device shows a certificate that was not issued for it, or not by this platform.",
        "Issue one: mooring cert issue DEVICE.",
    ),
    "certificate_of_another": Word(
        Code.CERTIFICATE_OF_ANOTHER,
        "The device sends a username that is not the name in its certificate.",
        "Leave the username out, or use the certificate of this device.",
    ),
    "too_many_connections": Word(
        Code.TOO_MANY_CONNECTIONS,
        "The device has reached its limit of connections.",
        "Look for a second device or program with the same credentials.",
    ),
    "tenant_too_many_connections": Word(
        Code.TOO_MANY_CONNECTIONS,
        "The tenant has reached its limit of connections.",
        "Raise the limit of the tenant.",
    ),
    "accounts_unreadable": Word(
        Code.ACCOUNTS_UNREADABLE,
        "The broker could not read its accounts when the device connected.",
        "`mooring status` shows the problem with the accounts file.",
    ),
}


def refused_word(seen: Seen, event: Event) -> Word:
    """The verdict on a rejected login, from the broker's reason and what is known besides."""
    if event.why == "wrong_password":
        return _wrong_password(seen)
    if event.why == "certificate_unknown":
        revoked = next((c for c in seen.certificates if c.revoked_at is not None), None)
        live = any(c.revoked_at is None and c.not_after > seen.now for c in seen.certificates)
        if revoked is not None and not live:
            return Word(
                Code.CERTIFICATE_REVOKED,
                "The certificate of the device was revoked.",
                "Issue a new one: mooring cert issue DEVICE.",
            )
    found = _REFUSED.get(event.why)
    if found is not None:
        return Word(
            found.code,
            found.summary.format(username=seen.username, client_id=event.client_id),
            found.next_step.format(own=seen.client_id or "its own"),
        )
    return Word(
        Code.REFUSED,
        f"The broker rejects the login of the device ({event.why.replace('_', ' ')}).",
        "Compare username, password and client ID with those of `mooring device show DEVICE`; "
        "`mooring device rotate DEVICE` makes a new password.",
    )


def _wrong_password(seen: Seen) -> Word:
    again = "`mooring device rotate DEVICE` makes a new password; give it to the device."
    if seen.rotating:
        return Word(
            Code.WRONG_PASSWORD,
            "The device logs in with a password that is neither its current nor its next one.",
            again,
        )
    if seen.proved_at is None:
        return Word(
            Code.WRONG_PASSWORD_NEVER_USED,
            "The password of the device is wrong, and the correct one has never been used.",
            "The password was probably copied wrongly. " + again,
        )
    if seen.password_at is not None and seen.password_at > seen.created_at:
        return Word(
            Code.WRONG_PASSWORD_OLD,
            "The password is wrong. The device had another one before, which is no longer valid.",
            "The device may still have the former password: it can request the current one "
            "(recover). " + again,
        )
    return Word(
        Code.WRONG_PASSWORD,
        "The device logs in with a wrong password, although the correct one worked before.",
        again,
    )
