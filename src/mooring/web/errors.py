"""Every failure as RFC 9457 ``application/problem+json``; never a stack trace.

{"type": "urn:mooring:problem:device_not_found", "title": "Not Found", "status": 404,
 "detail": "There is no device d1.", "code": "device_not_found", "hint": "…",
 "instance": "/api/v1/devices/d1", "context": {…}}
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from mooring.errors import Internal, Invalid, MooringError, Unauthorized

__all__ = [
    "BODY_MAX_BYTES",
    "CONTENT_TYPE",
    "REFUSALS",
    "Problem",
    "answer_for",
    "install",
    "problem",
    "unexpected",
]

CONTENT_TYPE = "application/problem+json"
ERRORS_SHOWN = 20
BODY_MAX_BYTES = 1_048_576  # of one request

log = logging.getLogger(__name__)

# What the routing layer itself rejects: status → code, sentence, hint.
REFUSALS = {
    400: ("unreadable_body", "The body of the request cannot be read.", "Send JSON in UTF-8."),
    404: ("no_such_route", "This address does not exist.", "See /api/v1/openapi.json."),
    405: (
        "method_not_allowed",
        "This address does not support that method.",
        "The Allow header lists the supported methods.",
    ),
    413: ("body_too_large", f"The request has more than {BODY_MAX_BYTES} bytes.", "Send less."),
    416: (
        "range_not_satisfiable",
        "The range begins behind the end of the file.",
        "Download the file from its beginning.",
    ),
}


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="A URN that ends in the code.")
    title: str
    status: int
    detail: str = Field(description="One sentence for people.")
    code: str = Field(description="A stable word for programs; docs/reference/errors.md.")
    hint: str = Field(description="What to do; may be empty.")
    instance: str = Field(description="The path of the request.")
    context: dict[str, Any] = Field(default_factory=dict, description="Facts for programs.")


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    hint: str = "",
    path: str = "",
    context: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer for one failure."""
    document: dict[str, Any] = {
        "type": f"urn:mooring:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "hint": hint,
        "instance": path,
    }
    if context:
        document["context"] = dict(context)
    return JSONResponse(document, status, dict(headers or {}), CONTENT_TYPE)


def answer_for(error: MooringError, path: str) -> JSONResponse:
    """The answer for an error raised on purpose."""
    headers = {}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if "retry_after" in error.context:
        headers["Retry-After"] = str(error.context["retry_after"])
    return problem(
        error.status,
        error.slug,
        error.message,
        hint=error.hint,
        path=path,
        context=error.context,
        headers=headers,
    )


def unexpected(error: Exception, path: str, number: str) -> JSONResponse:
    """The answer for a fault of ours. The log has the rest, under the same number."""
    link: BaseException | None = error
    while link is not None:
        if hasattr(link, "hide_parameters"):
            link.hide_parameters = True  # SQLAlchemy prints a statement's values otherwise
        link = link.__cause__ or link.__context__
    log.error("request failed, incident %s, %s", number, path, exc_info=error)
    return answer_for(
        Internal(
            "An unexpected error occurred.",
            hint="The log contains the details under the incident number. Please report it.",
            incident=number,
        ),
        path,
    )


def install(api: FastAPI) -> None:
    """Makes the application answer with problems."""

    @api.exception_handler(MooringError)
    def on_purpose(request: Request, error: MooringError) -> JSONResponse:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("%s: %s", request.url.path, error)
        return answer_for(error, request.url.path)

    @api.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer_for(_explain(error.errors()), request.url.path)

    def refused(request: Request, error: HTTPException) -> JSONResponse:
        code, detail, hint = REFUSALS[error.status_code]
        return problem(
            error.status_code,
            code,
            detail,
            hint=hint,
            path=request.url.path,
            headers=error.headers,
        )

    for status in REFUSALS:
        api.exception_handler(status)(refused)


def _explain(found: Sequence[Any]) -> Invalid:
    """What was sent is not repeated: it may hold a password."""
    wrong = [
        {"where": ".".join(str(word) for word in one["loc"]), "message": str(one["msg"])}
        for one in found[:ERRORS_SHOWN]
    ]
    first = wrong[0] if wrong else {"where": "request", "message": "it cannot be read"}
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return Invalid(
        f"The request is not valid: {first['where']}: {first['message']}{more}.",
        hint="See /api/v1/openapi.json for the accepted values.",
        code="invalid_request",
        errors=wrong,
    )
