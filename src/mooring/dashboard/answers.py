"""What views may answer besides the values of their template. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Redirect", "Shown"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer other than a page: a file, a document for a script.

    Attributes:
        secret: it is kept nowhere and not compressed.
    """

    body: bytes | str
    media_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """The answer of an action that is done.

    Attributes:
        to: path and query of a page.
        notice: said once on the next page; no secret.
        kind: ``ok``, ``warn`` or ``bad``.
    """

    to: str
    notice: str = ""
    kind: str = "ok"


@dataclass(frozen=True, slots=True)
class Shown:
    """A page with other values, another template or status than ``Page`` says.

    Attributes:
        template: empty: the page's own.
        secret: it shows a secret, whatever the page says.
    """

    values: Mapping[str, Any]
    template: str = ""
    status: int = 200
    secret: bool = False
    title: str = ""
