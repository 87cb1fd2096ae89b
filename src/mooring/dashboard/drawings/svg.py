"""Elements of a drawing, with every text escaped. Pure."""

from __future__ import annotations

import unicodedata

from markupsafe import Markup, escape

__all__ = ["TEXT_MAX", "clean", "drawing", "element", "number", "shortened"]

TEXT_MAX = 80  # characters of a label; the rest is cut
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(text: str) -> str:
    """The text without characters that cannot be seen or that turn the direction of others."""
    return "".join(c if unicodedata.category(c) not in _HIDDEN else "\N{REPLACEMENT CHARACTER}"
                   for c in text)  # fmt: skip


def shortened(text: str, most: int = TEXT_MAX) -> str:
    """``clean``, and cut where it is longer than ``most`` characters."""
    found = clean(text)
    return found if len(found) <= most else found[: most - 1] + "…"


def number(value: float) -> str:
    """A coordinate, with two decimals at most."""
    found = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if found in ("-0", "") else found


def element(name: str, *content: Markup | str, **attributes: str | float) -> Markup:
    """One element. Texts in it and in its attributes are escaped; ``Markup`` is not.

    Args:
        attributes: ``class_`` is written as ``class``, ``aria_label`` as ``aria-label``.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(
            key.rstrip("_").replace("_", "-"),
            clean(value) if isinstance(value, str) else number(value),
        )
        for key, value in attributes.items()
    )
    inside = Markup("").join(
        one if isinstance(one, Markup) else escape(clean(one)) for one in content
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inside)  # noqa: S704


def drawing(
    kind: str, width: float, height: float, said: str, *content: Markup, stretched: bool = False
) -> Markup:
    """The whole picture.

    Args:
        kind: its class.
        said: what it shows, for those who do not see it.
        stretched: fills its place whatever the proportions; not for a drawing with texts.
    """
    how = {"preserveAspectRatio": "none"} if stretched else {}
    return element(
        "svg",
        *content,
        class_=f"drawing {kind}",
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        aria_label=said,
        focusable="false",
        **how,
    )
