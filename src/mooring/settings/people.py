"""Settings of people, their logins and the audit."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["PeopleSettings"]


class PeopleSettings(Declared):
    """Units are in the names or descriptions."""

    users_max_per_tenant: int = setting(1_000, "Maximum users of one tenant.", ge=1)
    api_keys_max_per_tenant: int = setting(1_000, "Maximum valid API keys of one tenant.", ge=1)
    saved_views_max_per_user: int = setting(
        50, "Maximum saved views of one person, in the list of devices.", ge=1
    )
    session_hours: float = setting(12.0, "Validity of a login token.", gt=0)
    login_days: float = setting(
        30.0, "How long a login can be renewed with its refresh token, from the password on.", gt=0
    )
    login_attempts_per_minute: int = setting(
        10, "Maximum failed logins from one address, and of one account from there.", ge=1
    )
    audit_max: int = setting(
        1_000_000, "Maximum audit entries. The oldest are deleted first.", ge=1
    )
    audit_failures_max: int = setting(
        100_000, "Maximum failed logins in the audit log. The oldest are deleted first.", ge=1
    )
