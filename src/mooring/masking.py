"""Secrets inside addresses: shown nowhere. Pure.

A login is everything up to the last @, whatever it holds: a password that was not percent-encoded
is masked as well, at the price of masking too much of a strange address.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["MASK", "masked", "without_login"]

MASK = "********"
_LOGIN = re.compile(r"://(.*)@", re.DOTALL)
_OPTION = re.compile(r"([?&][^=&]*pass[^=&]*=)[^&]*", re.IGNORECASE | re.DOTALL)


def masked(text: str) -> str:
    """An address with its username, and a mask instead of passwords."""

    def login(found: re.Match[str]) -> str:
        user, colon, _ = found[1].partition(":")
        return f"://{user}:{MASK}@" if colon else f"://{user}@"

    return _replaced(text, login)


def without_login(text: str) -> str:
    """An address without username and password; any other text as it is."""
    return _replaced(text, lambda _found: "://")


def _replaced(text: str, login: Callable[[re.Match[str]], str]) -> str:
    option = _OPTION.search(text)
    if option is None or "@" in text[: option.start()]:
        text = _LOGIN.sub(login, text)
    return _OPTION.sub(rf"\g<1>{MASK}", text)
