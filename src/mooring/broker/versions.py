"""What differs between Mosquitto 2.0 and 2.1, as far as Mooring depends on it.

One table: the documentation repeats it (docs/explanation/mosquitto-versions.md), and a rule that
the program itself must know is a function below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mooring.broker.installation import version

__all__ = [
    "DIFFERENCES",
    "Difference",
    "expires_sessions_once",
    "has_side_file",
    "installed",
    "patterns_span_levels",
]

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Difference:
    """One row: the subject, what each version does, and what Mooring does about it."""

    subject: str
    before: str
    since: str
    mooring: str


DIFFERENCES = (
    Difference(
        "Passwords in `dynamic-security.json`",
        "`password`, `salt`, `iterations`",
        "`encoded_password`, a `$7$` string; reads both",
        "Reads both, prefers `encoded_password`, writes the first.",
    ),
    Difference(
        "Dynamic Security client without a password",
        "the password file is asked",
        "rejected",
        "With 2.0 an old password returns through a password file; with 2.1 the broker restarts.",
    ),
    Difference(
        "`%c` and `%u` in roles",
        "literal",
        "replaced by client id and username",
        "Rejected in names and filters.",
    ),
    Difference(
        "Broken TLS file at a reload",
        "continues with the old certificate, without the revocation list",
        "the broker ends",
        "Reads the files before each reload, and does not reload when one is broken.",
    ),
    Difference(
        "Invalid line in the password file",
        "skipped",
        "the broker ends",
        "Reads back what it writes before the broker does.",
    ),
    Difference(
        "Kicked client",
        "disconnected during the command",
        "disconnected in the next turn of the loop",
        "Waits for the end of the session, not for the answer.",
    ),
    Difference(
        "Largest packet",
        "no limit",
        "2,000,000 bytes",
        "`message_size_limit` bounds the payload with both.",
    ),
    Difference(
        "`allow_duplicate_messages`",
        "false",
        "true",
        "A message that two subscriptions match may come twice; ingest stores it once.",
    ),
    Difference(
        "`%u` in patterns of the access list",
        "a username may span levels",
        "one level: no pattern holds for a username with a slash",
        "Writes patterns for such names with 2.0 only.",
    ),
    Difference(
        "Session of an absent client whose account a reload removes",
        "expires twice, and the broker dies some time later",
        "expires once",
        "The plugin accepts absent clients at a reload. Without it sessions do not expire with "
        "2.0; there is one for each account.",
    ),
    Difference(
        "`max_connections` after a reload",
        "no longer in force",
        "in force",
        "Counts the connections itself.",
    ),
)


def has_side_file(found: Version) -> bool:
    """Whether Dynamic Security leaves a client without a password to the password file."""
    return found < (2, 1, 0)


def patterns_span_levels(found: Version) -> bool:
    """Whether ``%u`` in the access list stands for a username with a slash."""
    return found < (2, 1, 0)


def expires_sessions_once(found: Version) -> bool:
    """Whether a reload that removes the account of an absent client leaves its session in the list
    of those that expire once. Twice, the broker reads freed memory later and dies."""
    return found >= (2, 1, 0)


def installed(binary: Path) -> Version:
    """The version of a Mosquitto binary; it is started once for each state of the file.

    Raises:
        Unavailable: it does not run, or does not say.
    """
    return _version(binary, binary.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _version(binary: Path, _changed: int) -> Version:
    return version(binary)
