"""The words that fill placeholders: device ids, tenants, groups, command names, MACs."""

from __future__ import annotations

import re
import unicodedata

from mooring.errors import Invalid

__all__ = ["MAX_WORD_BYTES", "check_word", "normal_mac"]

MAX_WORD_BYTES = 128

# Wildcards and the separator would change what a topic covers; braces would be read as a
# placeholder when a template is filled in.
_FORBIDDEN = "/+#{}"
_MAC = re.compile(
    r"(?i)[0-9a-f]{2}([:.\- ]?)(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}"
)


def check_word(value: str, what: str) -> None:
    """Raise ``Invalid`` unless ``value`` can stand as one level of a topic.

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
            raise wrong(f"holds {character!r}, which has a meaning of its own in topics")
    if value.startswith("$"):
        raise wrong("begins with '$', which is the broker's own")
    if value != value.strip():
        raise wrong("begins or ends with white space")
    for character in value:
        category = unicodedata.category(character)
        if category in ("Cc", "Cs", "Zl", "Zp"):
            raise wrong(f"holds the control character U+{ord(character):04X}")
    size = len(value.encode())
    if size > MAX_WORD_BYTES:
        raise wrong(f"has {size} bytes, more than the {MAX_WORD_BYTES} allowed")


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
