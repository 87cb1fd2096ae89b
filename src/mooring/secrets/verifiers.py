"""What is stored instead of a device's password: Mosquitto's ``$7$`` string.

``$7$101$<salt>$<hash>``: PBKDF2 with HMAC-SHA512, a 64-byte hash, both parts in base64. The
password file and Dynamic Security hold the same hash in two spellings, so an account moves
between them without anyone knowing its password.

101 iterations are few on purpose: they protect random 128-bit secrets, which cannot be
guessed, and leave the broker able to answer thousands of logins a second. Passwords that
people choose do not belong here; those are Argon2id.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from mooring.errors import Invalid

__all__ = [
    "DEFAULT_ITERATIONS",
    "Verifier",
    "check",
    "from_dynsec",
    "make",
    "new_password",
    "parse",
    "salt_of",
    "to_dynsec",
]

DEFAULT_ITERATIONS = 101
"""What ``mosquitto_passwd`` 2.0 and Dynamic Security use."""

MAX_ITERATIONS = 10_000_000
"""Above this one login would hold the broker, which hashes in its only thread, for seconds."""

SALT_BYTES = 12
"""The only length 2.0 accepts; a line with another one accepts nobody (tried with 2.0.11)."""

MAX_SALT_BYTES = 64
"""What is read back: later versions take other lengths, too."""

HASH_BYTES = 64
PASSWORD_BYTES = 18
"""144 random bits: 24 characters, and still over 128 when some first characters are rejected."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """The parts of a ``$7$`` string."""

    iterations: int
    salt: bytes
    hash: bytes

    def __str__(self) -> str:
        return f"$7${self.iterations}${_b64(self.salt)}${_b64(self.hash)}"

    def __repr__(self) -> str:  # verifiers are not passwords, but they have no place in a log
        return f"Verifier(iterations={self.iterations}, salt=…, hash=…)"


def make(password: str, *, iterations: int = DEFAULT_ITERATIONS, salt: bytes | None = None) -> str:
    """The verifier of a password, with a fresh random salt unless one is given.

    Raises:
        Invalid: an empty password (Mosquitto never accepts one), a NUL character in it (the
            broker would read the password only up to there), or numbers out of range.
    """
    if not password:
        raise Invalid("The password is empty.", hint="Give a password or let Mooring generate one.")
    if "\0" in password:
        raise Invalid("The password contains a NUL character, at which MQTT brokers cut it off.")
    if salt is None:
        salt = secrets.token_bytes(SALT_BYTES)
    elif len(salt) != SALT_BYTES:
        raise Invalid(f"The salt must have {SALT_BYTES} bytes, not {len(salt)}.")
    _check_numbers(iterations, salt)
    return str(Verifier(iterations, salt, _hash(password, iterations, salt)))


def check(password: str, verifier: str) -> bool:
    """Whether ``password`` is the one behind ``verifier``; compares in constant time.

    Raises:
        Invalid: ``verifier`` is malformed.
    """
    parts = parse(verifier)
    return hmac.compare_digest(_hash(password, parts.iterations, parts.salt), parts.hash)


def salt_of(verifier: str) -> str:
    """The first 16 characters of the salt as it is written: they tell one password of a login
    from every other. Empty for a verifier of another kind."""
    fields = verifier.split("$")
    return fields[3][:16] if len(fields) == 5 and fields[1] == "7" else ""


def parse(verifier: str) -> Verifier:
    """The parts of a ``$7$`` string.

    Raises:
        Invalid: anything else; the message says what is wrong and never repeats the hash.
    """
    fields = verifier.split("$")
    if len(fields) != 5 or fields[0] or fields[1] != "7":
        kind = fields[1] if len(fields) > 2 and not fields[0] else ""
        raise Invalid(
            f"The verifier is of kind ${kind}$, not $7$ (PBKDF2-SHA512)."
            if kind and kind != "7" and kind.isalnum()
            else "The verifier does not have the form $7$iterations$salt$hash.",
            hint="Create it with mosquitto_passwd 2.0 or let Mooring create it.",
        )
    if not fields[2].isascii() or not fields[2].isdigit() or len(fields[2]) > 9:
        raise Invalid("The verifier's number of iterations is not a number.")
    return _checked(int(fields[2]), fields[3], fields[4])


def new_password() -> str:
    """A new random password: 24 URL-safe characters, over 128 bits.

    It neither begins nor ends with ``-`` or ``_``, so a double click selects all of it and
    no command takes it for an option.
    """
    while True:
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        if password[0].isalnum() and password[-1].isalnum():
            return password


def to_dynsec(verifier: str) -> dict[str, str | int]:
    """The verifier as a Dynamic Security client has it: ``password``, ``salt``, ``iterations``."""
    parts = parse(verifier)
    return {
        "password": _b64(parts.hash),
        "salt": _b64(parts.salt),
        "iterations": parts.iterations,
    }


def from_dynsec(client: Mapping[str, object]) -> str | None:
    """The verifier of a client in ``dynamic-security.json``; ``None`` if it has no password.

    2.1 writes ``encoded_password``, a ``$7$`` string, and prefers it when it reads; 2.0 writes
    ``password``, ``salt`` and ``iterations``, which both read.

    Raises:
        Invalid: the fields are there but malformed.
    """
    encoded = client.get("encoded_password")
    if encoded is not None:
        if not isinstance(encoded, str):
            raise Invalid("A Dynamic Security client's encoded password is not a text.")
        return str(parse(encoded))
    password, salt, iterations = (client.get(k) for k in ("password", "salt", "iterations"))
    if password is None and salt is None:
        return None
    if not isinstance(password, str) or not isinstance(salt, str):
        raise Invalid(
            "A Dynamic Security client has an incomplete password. It needs hash and salt."
        )
    if not isinstance(iterations, int | float) or isinstance(iterations, bool):
        raise Invalid("A Dynamic Security client's number of iterations is not a number.")
    return str(_checked(int(iterations), salt, password))


def _checked(iterations: int, salt: str, digest: str) -> Verifier:
    raw_salt, raw_hash = _unb64(salt, "salt"), _unb64(digest, "hash")
    _check_numbers(iterations, raw_salt)
    if len(raw_hash) != HASH_BYTES:
        raise Invalid(f"The verifier's hash has {len(raw_hash)} bytes, not {HASH_BYTES}.")
    return Verifier(iterations, raw_salt, raw_hash)


def _check_numbers(iterations: int, salt: bytes) -> None:
    if not 1 <= iterations <= MAX_ITERATIONS:
        raise Invalid(f"The number of iterations must be 1 to {MAX_ITERATIONS}, not {iterations}.")
    if not 1 <= len(salt) <= MAX_SALT_BYTES:
        raise Invalid(f"The salt must have 1 to {MAX_SALT_BYTES} bytes, not {len(salt)}.")


def _hash(password: str, iterations: int, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, HASH_BYTES)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _unb64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise Invalid(f"The verifier's {what} is not base64.") from exc
