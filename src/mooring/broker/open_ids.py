"""Which sessions another login could still end, said in one sentence."""

from __future__ import annotations

from collections.abc import Iterable

from mooring.identity.account import Account

__all__ = ["foreign_id", "open_client_ids"]

PLATFORM_PREFIX = "mooring-"
"""The platform's client ids begin so, and no device's do."""


def open_client_ids(
    authority: str, accounts: Iterable[Account], *, managed: bool, username_is_client_id: bool
) -> str:
    """What remains open about client ids; empty when a login can end only its own session.

    Args:
        authority: ``plugin``, ``dynamic_security`` or ``password_file``.
        accounts: every login.
        managed: Mooring writes the broker's configuration.
        username_is_client_id: the broker takes a client's username for its client id.
    """
    if authority == "plugin" or username_is_client_id:
        return ""
    if authority == "password_file":
        remedy = (
            "Set client_ids to auto."
            if managed
            else "Add use_username_as_clientid true to the broker's listeners for devices, and set "
            "client_ids to username."
        )
        return f"Every login can end the session of another one by its client id. {remedy}"
    free = sum(account.client_id is None for account in accounts)
    if not free:
        return ""
    # Dynamic Security binds a login to an id, and still lets other logins use that id.
    remedy = (
        "Set client_ids to auto, or use the plugin authority."
        if managed
        else "Add use_username_as_clientid true to the broker's listeners for devices, and set "
        "client_ids to username."
    )
    return (
        f"{free} logins choose their client ids, and each of them can end the session of another "
        f"login. " + remedy
    )


def foreign_id(client_id: str | None, username: str | None, own: Iterable[str]) -> bool:
    """Whether a login has a client id that only the platform uses.

    Args:
        own: the platform's usernames.
    """
    if client_id is None or username is None or not client_id.startswith(PLATFORM_PREFIX):
        return False
    return username not in own and not client_id.startswith("mooring-twin-")
