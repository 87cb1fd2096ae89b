"""CSS, scripts and vendored files: one hash over all of them is in their address, so that they can
be kept indefinitely and scripts can import each other by relative paths."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import Response

__all__ = ["PREFIX", "address", "exists", "files", "respond", "tree_hash"]

PREFIX = "/static"
ROOT = Path(__file__).parent / "static"
FOREVER = "public, max-age=31536000, immutable"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".ico": "image/x-icon",
}


@cache
def files() -> dict[str, bytes]:
    """Every file that is served, by its name in the address. Read once a process."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in sorted(ROOT.rglob("*"))
        if path.is_file() and path.suffix in _TYPES
    }


@cache
def tree_hash() -> str:
    """Changes with any file."""
    found = hashlib.sha256()
    for name, content in files().items():
        found.update(f"{name}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()[:16]


def address(name: str) -> str:
    """``css/base.css`` → ``/static/<hash>/css/base.css``.

    Raises:
        KeyError: no such file.
    """
    if name not in files():
        raise KeyError(f"static/{name}")
    return f"{PREFIX}/{tree_hash()}/{name}"


def exists(name: str) -> bool:
    return name in files()


@cache
def _compressed(name: str) -> bytes:
    return gzip.compress(files()[name], 9, mtime=0)


def respond(given_hash: str, name: str, *, gzipped: bool) -> Response | None:
    """The file; ``None`` if it does not exist. Under another hash (a page of an older or newer
    process) it is answered too, and not kept."""
    content = files().get(name)
    if content is None:
        return None
    kind = _TYPES[Path(name).suffix]
    headers = {
        "Cache-Control": FOREVER if given_hash == tree_hash() else "no-cache",
        "Vary": "Accept-Encoding",
    }
    if gzipped and not kind.startswith("image/p"):
        content = _compressed(name)
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type=kind, headers=headers)
