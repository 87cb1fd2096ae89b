"""Claim codes: making, reading, keeping; and what a hardware id becomes. Pure.

Eight characters of 32: forty random bits. That is little for a secret, so guesses are
throttled, a code is valid for days only, and what is stored of it is an HMAC under a key that
is not in the database.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata

from mooring.dialects import MAX_WORD_BYTES, check_word, normal_mac
from mooring.errors import Invalid

__all__ = ["ALPHABET", "LENGTH", "device_name", "digest", "hardware_key", "new", "read", "shown"]

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without 0 and O, 1 and I, which people take for each other."""

LENGTH = 8
HARDWARE_MAX = 128  # characters


def new() -> str:
    """A fresh code, without its dash."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def shown(code: str) -> str:
    """As people read it: ``ABCD-2345``."""
    return f"{code[:4]}-{code[4:]}"


def read(text: str) -> str | None:
    """A code however it was typed; ``None`` for what cannot be one."""
    code = re.sub(r"[\s\u2010-\u2015-]", "", text).upper()
    return code if len(code) == LENGTH and set(code) <= set(ALPHABET) else None


def digest(code: str, key: str) -> str:
    """What is stored of it. Looking it up takes as long for a wrong code as for a right one,
    whatever they have in common."""
    return hmac.new(f"claim codes:{key}".encode(), code.encode(), hashlib.sha256).hexdigest()


def hardware_key(hardware_id: str) -> str:
    """The same for every way to write one hardware id.

    Raises:
        Invalid: empty, too long, or with control characters.
    """
    found = hardware_id.strip()
    if not found or len(found) > HARDWARE_MAX or not found.isprintable():
        raise Invalid(
            f"A hardware id has 1 to {HARDWARE_MAX} printable characters.",
            hint="Send the MAC address or the serial number of the device.",
            code="invalid_hardware_id",
        )
    return mac_of(found) or unicodedata.normalize("NFC", found).casefold()


def mac_of(hardware_id: str) -> str | None:
    """Its twelve hex digits when it is a MAC address."""
    try:
        return normal_mac(hardware_id)
    except Invalid:
        return None


def device_name(hardware_id: str) -> str:
    """A name that is safe in topics: the MAC address's digits, or the id with what topics do
    not take replaced.

    Raises:
        Invalid: nothing of the id is left.
    """
    key = mac_of(hardware_id)
    if key is not None:
        return key
    name = re.sub(r"[^\w.:-]+", "-", hardware_id.strip()).strip("-.")
    while len(name.encode()) > MAX_WORD_BYTES:
        name = name[:-1]
    check_word(name, "device name")
    return name
