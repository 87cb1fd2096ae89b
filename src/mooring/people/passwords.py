"""People's passwords: Argon2id, and rules for new ones.

A hash takes 64 MiB and tens of milliseconds, so only a few run at once: a flood of logins
waits or is rejected, and cannot take the memory of the machine.
"""

from __future__ import annotations

import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mooring.errors import Invalid, TooMany
from mooring.secrets import verifiers

__all__ = ["MAX_CHARACTERS", "MIN_CHARACTERS", "check_new", "generate", "hash_new", "matches"]

MIN_CHARACTERS = 12
MAX_CHARACTERS = 1024
HASHES_AT_ONCE = 2
HASH_WAIT_SECONDS = 10.0

# RFC 9106, second recommended option: 64 MiB, three passes, four lanes.
_hasher = PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4)
_turn = threading.BoundedSemaphore(HASHES_AT_ONCE)


def generate() -> str:
    """A random password of over 128 bits that one double click selects."""
    return verifiers.new_password()


def check_new(password: str) -> None:
    """Raises ``Invalid`` unless it may become somebody's password."""
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        raise Invalid(
            f"The password has {len(password)} characters.",
            hint=f"Choose one of {MIN_CHARACTERS} to {MAX_CHARACTERS} characters.",
            code="weak_password",
        )


def hash_new(password: str) -> str:
    """The Argon2id string that is stored."""
    with _Turn():
        return _hasher.hash(password)


def matches(password: str, stored: str | None) -> bool:
    """Whether it is the password behind ``stored``.

    With ``None`` (nobody by that name) the same work is done for nothing, so that the time
    an answer takes does not tell who exists.
    """
    with _Turn():
        try:
            _hasher.verify(stored if stored is not None else _nobody(), password)
        except (VerificationError, InvalidHashError):
            return False
    return stored is not None


@cache
def _nobody() -> str:
    return _hasher.hash(generate())


class _Turn:
    """One of the places for hashing; ``TooMany`` when none becomes free in time."""

    def __enter__(self) -> None:
        if not _turn.acquire(timeout=HASH_WAIT_SECONDS):
            raise TooMany(
                "Too many simultaneous logins.",
                hint="Try again in a few seconds.",
                code="login_busy",
                retry_after=int(HASH_WAIT_SECONDS),
            )

    def __exit__(self, *_: object) -> None:
        _turn.release()
