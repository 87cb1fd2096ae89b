"""What browsers send: forms, within bounds, and addresses to go to."""

from __future__ import annotations

from starlette.datastructures import UploadFile
from starlette.requests import Request

from mooring.dashboard.forms import Form, Upload
from mooring.web.errors import BODY_MAX_BYTES

__all__ = ["local", "read_form", "wants_page"]

FIELDS_MAX = 2_000
FILES_MAX = 4
OTHERS = ("/api/", "/healthz", "/readyz", "/metrics")  # answered to programs


async def read_form(request: Request) -> Form:
    """The texts and files of a form, within bounds.

    Raises:
        HTTPException: it is too large, or no form.
    """
    pairs: list[tuple[str, str]] = []
    files: dict[str, Upload] = {}
    async with request.form(
        max_files=FILES_MAX, max_fields=FIELDS_MAX, max_part_size=BODY_MAX_BYTES
    ) as found:
        for name, value in found.multi_items():
            if isinstance(value, UploadFile):
                if value.filename:
                    files[name] = Upload(value.filename, await value.read())
            else:
                pairs.append((name, value))
    return Form(pairs, files)


def local(address: str) -> str:
    """An address of this server; ``/`` for any other (``//host``, ``/\\host``, ``https:``)."""
    fine = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if fine and address.isprintable() else "/"


def wants_page(request: Request) -> bool:
    """Whether a person looks at it with a browser, outside of what programs use."""
    return not request.url.path.startswith(OTHERS) and "text/html" in request.headers.get(
        "accept", ""
    )
