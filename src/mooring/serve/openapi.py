"""The OpenAPI 3.1 document, and a page of it that needs no script."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from mooring import __version__
from mooring.web.errors import CONTENT_TYPE, Problem
from mooring.web.routing import Routes

__all__ = ["DESCRIPTION", "OPENAPI_PATH", "install", "router"]

OPENAPI_PATH = "/api/v1/openapi.json"
DESCRIPTION = (
    "Every list is paged: `limit` (50, at most 500), `cursor`, and `next` in the answer. Every "
    "failure is `application/problem+json` with a stable `code`. Times are RFC 3339 in UTC."
)
_METHODS = ("get", "post", "put", "patch", "delete")
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{background:#f2f2f2;padding:.1em .3em}h2{margin-top:2.5rem}dt{margin-top:1rem}"
)

router = Routes(include_in_schema=False)


def install(api: FastAPI) -> None:
    """Makes ``api.openapi()`` say how failures look, which FastAPI itself does not know."""

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _with_problems(
                get_openapi(
                    title="Mooring",
                    version=__version__,
                    openapi_version="3.1.0",
                    description=DESCRIPTION,
                    routes=api.routes,
                )
            )
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema()
    answer = {
        "description": "A problem (RFC 9457).",
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path in document["paths"].values():
        for method, operation in path.items():
            if method in _METHODS:
                operation["responses"].pop("422", None)
                operation["responses"].update({"4XX": answer, "5XX": answer})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


@router.get("/api/v1/docs")
def docs(request: Request) -> HTMLResponse:
    """Returns a readable page of the OpenAPI document."""
    document = request.app.openapi()
    return HTMLResponse(
        page(document),
        headers={
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
            "frame-ancestors 'none'"
        },
    )


def page(document: dict[str, Any]) -> str:
    """HTML of every operation, grouped by tag."""
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method in _METHODS:
                tag = (operation.get("tags") or ["other"])[0]
                groups.setdefault(tag, []).append(_operation(path, method, operation))
    body = "".join(
        f"<h2>{escape(tag)}</h2><dl>{''.join(entries)}</dl>" for tag, entries in groups.items()
    )
    title = escape(f"{document['info']['title']} {document['info']['version']}: REST")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{escape(document['info']['description'])}</p>"
        f'<p>For programs: <a href="{OPENAPI_PATH}">{OPENAPI_PATH}</a></p>{body}</html>'
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    words = [
        f"<code>{escape(one['name'])}</code>{'' if one.get('required') else ' (optional)'}"
        f" {escape(one.get('description', ''))}"
        for one in operation.get("parameters", [])
        if one["in"] != "header"
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if "$ref" in body.get("schema", {}):
        words.append(f"body: <code>{escape(body['schema']['$ref'].rpartition('/')[2])}</code>")
    listed = f"<ul>{''.join(f'<li>{word}</li>' for word in words)}</ul>" if words else ""
    text = escape(operation.get("description", operation.get("summary", "")))
    return f"<dt><code>{method.upper()} {escape(path)}</code></dt><dd>{text}{listed}</dd>"
