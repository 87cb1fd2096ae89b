"""Addresses of the dashboard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from mooring.dashboard import static_files
from mooring.dashboard.live.socket import PATH, Sockets
from mooring.dashboard.page import particular
from mooring.dashboard.receive import wants_page
from mooring.dashboard.render import takes_gzip
from mooring.dashboard.signing import Signing
from mooring.dashboard.view import SIGN_IN, Pages
from mooring.web import errors

__all__ = ["install"]

SIGN_OUT, THEME = "/sign-out", "/theme"

Endpoint = Callable[[Request], Awaitable[Response]]


def install(api: FastAPI) -> None:
    """Serves the pages, and answers browsers with pages where a program gets a problem."""
    current = api.state.current
    served = Pages(current)
    api.state.pages = served

    def of(endpoint: Callable[[Any, Request], Awaitable[Response]], one: Any) -> Endpoint:
        async def answer(request: Request) -> Response:
            return await endpoint(one, request)

        return answer

    for page in sorted(served.pages, key=particular):
        api.add_route(page.path, of(served.show, page), ["GET"], include_in_schema=False)
    for action in sorted(served.actions, key=particular):
        api.add_route(action.path, of(served.act, action), ["POST"], include_in_schema=False)
    signing = Signing(served)
    api.state.keep_login = signing.keep_login
    api.add_route(SIGN_IN, signing.sign_in, ["GET", "POST"], include_in_schema=False)
    api.add_route(SIGN_OUT, signing.sign_out, ["POST"], include_in_schema=False)
    api.add_route(THEME, signing.theme, ["POST"], include_in_schema=False)
    api.add_route(
        f"{static_files.PREFIX}/{{tree}}/{{name:path}}", _static, ["GET"], include_in_schema=False
    )
    if Sockets in api.state.residents:
        api.router.add_websocket_route(PATH, _live)
    for status, (_, detail, hint) in errors.REFUSALS.items():
        _in_words(api, served, status, detail, hint)


def _in_words(api: FastAPI, served: Pages, status: int, detail: str, hint: str) -> None:
    """What the routing layer rejects, as a page for a browser."""
    for_programs = api.exception_handlers[status]
    if status == HTTPStatus.NOT_FOUND:
        detail, hint = "There is no page at this address.", "Use the navigation, or search with /."

    async def refused(request: Request, error: HTTPException) -> Response:
        if not wants_page(request):
            return for_programs(request, error)  # type: ignore[return-value]
        loop = asyncio.get_running_loop()
        return await run_in_threadpool(served.rejected, request, loop, status, detail, hint)

    api.add_exception_handler(status, refused)  # type: ignore[arg-type]


async def _live(websocket: WebSocket) -> None:
    sockets: Sockets = websocket.app.state.residents[Sockets]
    await sockets.serve(websocket)


async def _static(request: Request) -> Response:
    found = await run_in_threadpool(
        static_files.respond,
        request.path_params["tree"],
        request.path_params["name"],
        gzipped=takes_gzip(request.headers),
    )
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return found
