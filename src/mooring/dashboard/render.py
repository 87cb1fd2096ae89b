"""Templates to answers: the environment, the policy, what may be kept and compressed."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.datastructures import Headers
from starlette.responses import Response

from mooring.dashboard import static_files, words
from mooring.settings.checks import tiles_origin

__all__ = ["HEADERS", "POLICY", "environment", "html_answer", "policy", "takes_gzip"]

TEMPLATES = Path(__file__).parent / "templates"
COMPRESSED_FROM = 500  # bytes; below that it does not pay

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    # With ``no-referrer`` a browser sends ``Origin: null`` with every form.
    "Referrer-Policy": "same-origin",
    "Vary": "Cookie, Accept-Encoding",
}


def policy(tiles: str | None) -> str:
    """The policy of pages. A map may have pictures of one more origin.

    Args:
        tiles: the setting ``map_tiles_url``.
    """
    origin = tiles_origin(tiles) if tiles else ""
    own = "img-src 'self' data:"
    return POLICY.replace(own, f"{own} {origin}") if origin else POLICY


@cache
def environment() -> Environment:
    """Autoescape everywhere; a name that is not given is an error."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.globals.update(
        static=static_files.address, has_static=static_files.exists, count=words.count
    )
    found.filters.update(
        number=words.number,
        duration=words.duration,
        rate=words.rate,
        reason=words.reason,
        bytes=words.bytes_,
        clean=words.clean,
        short=words.short,
        pretty=words.pretty,
        labelled=_labelled,
        prose=_prose,
        utc=words.utc,
        iso=words.iso,
        age=_age,
        moment=_moment,
    )
    return found


_CELLS = re.compile(r"<(tr|td)\b")


def _labelled(rows: object, columns: Sequence[Any]) -> Markup:
    """Rows of a table with the heading of its column at each cell: on a phone a row is shown as
    lines, and each value needs its name.

    Args:
        rows: markup; what is in its cells is escaped, so that each ``<td`` is a cell.
        columns: headings as ``parts.html`` has them.
    """
    words = [escape(_heading(one)) for one in columns]
    at = 0

    def label(found: re.Match[str]) -> str:
        nonlocal at
        at = 0 if found[1] == "tr" else at + 1
        if found[1] == "tr" or at > len(words):
            return found[0]
        return f'<td data-label="{words[at - 1]}"'

    return Markup(_CELLS.sub(label, str(escape(rows))))  # noqa: S704 - both parts are escaped


def _heading(column: Any) -> str:
    if isinstance(column, str):
        return column
    return str(column["word"] if isinstance(column, Mapping) else column[0])


def _prose(text: object) -> Markup:
    """A sentence; what is between two backticks as code. Everything in it is escaped."""
    parts = words.clean(text).split("`")
    if len(parts) % 2 == 0:  # a backtick without another one
        return Markup("`").join(parts)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts)
    )


@pass_context
def _age(context: Context, ms: int | None) -> str:
    return words.age(ms, context["call"].now)


@pass_context
def _moment(context: Context, ms: int | None) -> str:
    call = context["call"]
    return words.moment(ms, call.zone, call.now)


def takes_gzip(headers: Headers) -> bool:
    """Whether the browser reads gzip."""
    return "gzip" in headers.get("accept-encoding", "")


def html_answer(
    template: str,
    values: Mapping[str, Any],
    *,
    headers: Headers,
    status: int = 200,
    secret: bool = False,
    tiles: str | None = None,
) -> Response:
    """A whole page.

    Args:
        headers: of the request.
        secret: it shows a secret: kept nowhere, and not compressed, because the size of what is
            compressed tells of its content.
        tiles: address of tiles of the map, which the policy allows.
    """
    body = environment().get_template(template).render(**values).encode("utf-8", "replace")
    given = {
        **HEADERS,
        "Content-Security-Policy": policy(tiles),
        "Cache-Control": "no-store" if secret else "private, no-cache",
    }
    if not secret and len(body) >= COMPRESSED_FROM and takes_gzip(headers):
        body = gzip.compress(body, 5, mtime=0)
        given["Content-Encoding"] = "gzip"
    return Response(body, status, given, "text/html; charset=utf-8")
