"""The words that fill placeholders: device ids, tenants, groups, command names, MACs."""

from __future__ import annotations

import re
import unicodedata

from mooring.errors import Invalid

__all__ = ["MAX_WORD_BYTES", "check_name", "check_text", "check_word", "normal_mac"]

MAX_WORD_BYTES = 128

# Wildcards and the separator would change what a topic covers; braces would be read as a
# placeholder when a template is filled in.
_FORBIDDEN = "/+#{}"
_SUBSTITUTED = ("%c", "%u")
_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
"""Letters and marks without a shape: two names would look the same."""
_MAC = re.compile(
    r"(?i)[0-9a-f]{2}([:.\- ]?)(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}"
)


def check_word(value: str, what: str) -> None:
    """Raise ``Invalid`` unless ``value`` can be one level of a topic.

    Args:
        value: the id or name to look at.
        what: what it is called in the message, such as ``device id``.
    """
    hint = "Use letters, digits and marks such as - _ . : without spaces around them."
    if not value:
        raise Invalid(f"The {what} is empty.", hint=hint, code="invalid_id", what=what)

    def wrong(why: str) -> Invalid:
        return Invalid(f"The {what} {value[:64]!a} {why}.", hint=hint, code="invalid_id", what=what)

    for character in _FORBIDDEN:
        if character in value:
            raise wrong(f"holds {character!r}, which is a special character in topics")
    if value.startswith("$"):
        raise wrong("begins with '$', which is reserved for the broker")
    if value != value.strip():
        raise wrong("begins or ends with white space")
    if not value.strip("."):
        raise wrong("consists of dots, which paths and URLs resolve")
    for name in _SUBSTITUTED:
        if name in value:
            raise wrong(f"holds {name}, which brokers replace")
    for character in value:
        # Control characters, also those that change the direction of text; spaces that look
        # like none; what is not assigned.
        if not character.isprintable():
            raise wrong(f"holds U+{ord(character):04X}, which cannot be printed")
        if character in _INVISIBLE:
            raise wrong(f"holds U+{ord(character):04X}, which cannot be seen")
    size = len(value.encode())
    if size > MAX_WORD_BYTES:
        raise wrong(f"has {size} bytes, more than the {MAX_WORD_BYTES} allowed")


def check_text(value: str, what: str) -> None:
    """Raise ``Invalid`` unless ``value`` can be shown as one line that is what it looks like.

    Joiners are allowed: some scripts and emoji need them.

    Args:
        what: what it is called in the message, such as ``label``.
    """
    for character in value:
        if character in "\u200c\u200d":
            continue
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            raise Invalid(
                f"The {what} holds U+{ord(character):04X}, which cannot be printed.",
                hint="Leave it out.",
                code="invalid_id",
                what=what,
            )


def normal_mac(text: str) -> str:
    """A MAC address as 12 lower-case hex digits, however it was written.

    Accepts ``AA:BB:CC:DD:EE:FF``, ``aa-bb-…``, ``aabb.ccdd.eeff`` and bare digits. Raises
    ``Invalid`` for anything else.
    """
    found = text.strip()
    if not found.isascii() or not _MAC.fullmatch(found):
        raise Invalid(
            f"{text[:64]!a} is not a MAC address.",
            hint="Write it as six pairs of hex digits, such as AA:BB:CC:DD:EE:FF.",
            code="invalid_mac",
        )
    return re.sub(r"[^0-9a-f]", "", found.lower())


def check_name(name: str, what: str, *, most: int, numbered: bool = True) -> None:
    """Raise ``Invalid`` unless a person may give something this name.

    Args:
        what: what has the name, such as ``rule``.
        most: characters.
        numbered: it is also found by its number, so its name may not be one.
    """
    if not 0 < len(name) <= most or not name.isprintable() or name != name.strip():
        raise Invalid(
            f"{name!a:.140} is not a valid name of a {what}.",
            hint=f"Use 1 to {most} printable characters without blanks at the ends.",
            code="invalid_name",
        )
    if numbered and name.isascii() and name.isdigit():
        raise Invalid(
            f"{name!a:.140} is not a valid name of a {what}: it would be a number.",
            hint="Add a letter.",
            code="invalid_name",
        )
