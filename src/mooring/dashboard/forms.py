"""Reading what people send: queries, which never fail, and forms, which say at which field."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from mooring.errors import Invalid

__all__ = ["Form", "FormInvalid", "Query", "Upload", "row_number"]

TEXT_MAX = 300
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_CONTROLS_OF_AREA = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class FormInvalid(Invalid):
    """Values of a form that are not valid.

    Args:
        fields: name of the field → what is wrong and what to do.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(
            "The form has values that are not valid.", hint="Correct the fields below."
        )
        self.fields = dict(fields)


class Query:
    """The query of an address. A value that is not valid counts as missing: an address that was
    edited by hand still opens its page.

    Args:
        pairs: names and values, in order.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = [(name, value) for name, value in pairs if not _CONTROLS.search(value)]

    def text(self, name: str, default: str = "", *, max: int = TEXT_MAX) -> str:
        """A text of at most ``max`` characters, without spaces around it."""
        found = next((value for key, value in self.pairs if key == name), default).strip()
        return found[:max]

    def many(self, name: str, *, max: int = 50) -> list[str]:
        """Every value of that name, ``max`` at most."""
        found = [value.strip()[:TEXT_MAX] for key, value in self.pairs if key == name]
        return [value for value in found if value][:max]

    def choice(self, name: str, choices: Collection[str], default: str = "") -> str:
        """One of the choices."""
        found = self.text(name)
        return found if found in choices else default

    def number(self, name: str, default: int, *, ge: int = 0, le: int = 2**53) -> int:
        """A whole number within bounds."""
        found = self.text(name)
        if not re.fullmatch(r"-?[0-9]{1,16}", found):
            return default
        return int(found) if ge <= int(found) <= le else default

    def flag(self, name: str) -> bool:
        """``?name=1``."""
        return self.text(name).lower() in ("1", "true", "yes", "on")

    def with_(self, **changes: str | int | None) -> str:
        """The query with some values replaced, as ``?a=b``; ``None`` and empty leave one out."""
        kept = [(key, value) for key, value in self.pairs if key not in changes and value]
        new = [(key, str(value)) for key, value in changes.items() if value not in (None, "")]
        found = urlencode(kept + new)
        return f"?{found}" if found else "?"


class Upload:
    """A file that was sent with a form.

    Attributes:
        name: as the browser says it; not to be trusted.
        content: bytes.
    """

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name[:TEXT_MAX]
        self.content = content


class Form:
    """Values of a form. Each getter notes what is wrong; ``check`` raises it all at once::

    name = form.text("name", "Name", needed=True)
    days = form.number("days", "Days", default=30, ge=1)
    form.check()
    """

    def __init__(
        self, pairs: Iterable[tuple[str, str]] = (), files: Mapping[str, Upload] | None = None
    ) -> None:
        self.pairs = list(pairs)
        self.files = dict(files or {})
        self.wrong: dict[str, str] = {}

    @classmethod
    def held(cls, encoded: str) -> Form:
        """A form as ``encoded`` gave it."""
        return cls(parse_qsl(encoded, keep_blank_values=True))

    def encoded(self) -> str:
        """Its texts in one; files are not in it."""
        return urlencode(self.pairs)

    def raw(self, name: str, default: str = "") -> str:
        """As typed."""
        return next((value for key, value in self.pairs if key == name), default)

    def has(self, name: str) -> bool:
        """Whether it was sent; a box that is not ticked is not."""
        return any(key == name for key, _ in self.pairs)

    def text(
        self,
        name: str,
        label: str,
        *,
        needed: bool = False,
        max: int = TEXT_MAX,
        area: bool = False,
        keep: bool = False,
    ) -> str:
        """A text.

        Args:
            area: it may have several lines.
            keep: spaces around it count (passwords).
        """
        found = self.raw(name)
        found = found.replace("\r\n", "\n") if area else found
        found = found if keep else found.strip()
        if needed and not found:
            self.wrong[name] = f"{label} is missing."
        elif len(found) > max:
            self.wrong[name] = f"{label} has {len(found):,} characters. The maximum is {max:,}."
        elif (_CONTROLS_OF_AREA if area else _CONTROLS).search(found):
            self.wrong[name] = f"{label} contains control characters. Remove them."
        return found

    def choice(self, name: str, label: str, choices: Collection[str], default: str = "") -> str:
        """One of the choices."""
        found = self.raw(name, default)
        if found not in choices:
            self.wrong[name] = f"{label}: select one of {', '.join(choices)}."
        return found

    def number(
        self,
        name: str,
        label: str,
        *,
        default: float | None = None,
        ge: float = -math.inf,
        le: float = math.inf,
        whole: bool = True,
    ) -> Any:
        """A number (``int`` if ``whole``); ``default`` if nothing was typed."""
        found = self.raw(name).strip().replace(",", "") or None
        if found is None:
            if default is None:
                self.wrong[name] = f"{label} is missing."
            return default
        try:
            number = int(found) if whole else float(found)
            finite = math.isfinite(number)
        except (ValueError, OverflowError):  # no number, or a whole one of hundreds of digits
            finite = False
        if finite and ge <= number <= le:
            return number
        kind = "a whole number" if whole else "a number"
        self.wrong[name] = f"'{found:.40}' is not valid. Use {kind}{_between(ge, le)}."
        return default

    def flag(self, name: str) -> bool:
        """Whether the box is ticked."""
        return self.has(name)

    def many(self, name: str) -> list[str]:
        """Every value of that name."""
        return [value for key, value in self.pairs if key == name]

    def confirmed(self, name: str, expected: str) -> None:
        """Notes an error unless the name of the object was typed."""
        if self.raw(name).strip() != expected:
            self.wrong[name] = f"Type {expected} to confirm."

    def file(self, name: str, label: str, *, needed: bool = True) -> Upload | None:
        """A file, if one was selected."""
        found = self.files.get(name)
        if found is None and needed:
            self.wrong[name] = f"{label}: select a file."
        return found

    def check(self) -> None:
        """Raises ``FormInvalid`` if anything was wrong."""
        if self.wrong:
            raise FormInvalid(self.wrong)


def _between(ge: float, le: float) -> str:
    if math.isfinite(ge) and math.isfinite(le):
        return f" from {ge:,g} to {le:,g}"
    if math.isfinite(ge):
        return f" of at least {ge:,g}"
    return f" of at most {le:,g}" if math.isfinite(le) else ""


def row_number(text: str) -> int | None:
    """The number of a row, which both databases can compare; ``None`` if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
