"""The device behind a token that one of its keys has signed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from mooring.clock import now_ms
from mooring.devices import store as devices_store
from mooring.devices.keys import store, tokens
from mooring.devices.keys.model import Token
from mooring.devices.model import Device

__all__ = ["token_login"]


def token_login(
    connection: Connection, logins: Sequence[tuple[str, str]], audience: str
) -> tuple[Device, Token] | None:
    """The first enabled device with a token that is valid now.

    Args:
        logins: usernames with what may be a token.
        audience: of tokens.
    """
    for username, password in logins:
        if not tokens.looks_like_one(password):
            continue
        keys = store.keys_of_username(connection, username)
        token = tokens.check(password, keys, username=username, audience=audience, at_ms=now_ms())
        device = devices_store.by_username(connection, username) if token else None
        if token is not None and device is not None and device.enabled:
            return device, token
    return None
