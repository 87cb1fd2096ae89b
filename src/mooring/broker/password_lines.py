"""Mosquitto's password file: one ``username:$7$…`` a line. Pure: text and values only.

2.0 cuts a line at its first colon and ignores lines that begin with ``#``; it drops a bad
line and continues, 2.1 stops. So nothing is written that it would not read back as meant.
"""

from __future__ import annotations

from collections.abc import Mapping

from mooring.errors import Invalid
from mooring.secrets import verifiers

__all__ = ["CANARY_USERNAME", "check_username", "parse", "render"]

CANARY_USERNAME = "mooring.reload"
"""An account without rights whose newest password tells that a reload is through."""

MAX_USERNAME = 65_535
"""MQTT's own limit for a string, in bytes. [MQTT-1.5.4]"""


def check_username(username: str) -> None:
    """Reject a username that the password file or the access list cannot hold.

    Raises:
        Invalid: the message says why.
    """
    if ":" in username:
        raise Invalid(
            f"The username {username!r} has a colon, which Mosquitto's password file cannot "
            f"contain.",
            hint="Use the plugin or Dynamic Security as authority for this dialect.",
            code="username_not_for_password_file",
        )
    if (
        not username
        or username != username.strip()
        or username.startswith("#")
        or not username.isprintable()
        or len(username.encode(errors="replace")) > MAX_USERNAME
    ):
        raise Invalid(
            f"The username {username!r} cannot be written into Mosquitto's password file.",
            hint="Use printable characters, no space at the ends and no # at the beginning.",
            code="username_not_for_password_file",
        )


def render(lines: Mapping[str, str], *, kept: Mapping[str, str] | None = None) -> str:
    """The whole file, sorted by username.

    Args:
        lines: username → verifier.
        kept: accounts of others, whatever kind of hash they have.

    Raises:
        Invalid: a username or verifier the file cannot hold.
    """
    kept = kept or {}
    for username, verifier in lines.items():
        check_username(username)
        verifiers.parse(verifier)
    every = {**kept, **lines}
    text = "".join(f"{name}:{every[name]}\n" for name in sorted(every))
    if parse(text) != every:  # the proof that the broker reads what was meant
        raise Invalid("The password file would not be read back unchanged.")
    return text


def parse(text: str) -> dict[str, str]:
    """Username → hash of each line the broker would take; the first of two counts.

    A line without a hash is left out, as the broker leaves it out.
    """
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if line.startswith("#"):
            continue
        username, colon, digest = line.rstrip("\r ").partition(":")
        if colon and username and digest.startswith("$"):
            found.setdefault(username, digest)
    return found
