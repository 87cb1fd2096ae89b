"""Settings of the live stream."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["StreamSettings"]


class StreamSettings(Declared):
    """How many clients may listen to one serving process."""

    stream_clients_max: int = setting(
        5_000, "Clients of the live stream of one serving process; one more is rejected.", ge=1
    )
    stream_clients_max_per_tenant: int = setting(
        1_000,
        "Clients of the live stream of one serving process with logins of one tenant, or with "
        "logins without one; one more is rejected.",
        ge=1,
    )
    stream_clients_max_per_login: int = setting(
        100,
        "Clients of the live stream of one serving process with one login or API key; one more is "
        "rejected.",
        ge=1,
    )
