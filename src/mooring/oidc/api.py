"""Routes of the sign-in with a provider. A browser gets its errors as a page, a program as JSON."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Cookie, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from mooring.errors import MooringError
from mooring.oidc.service import ATTEMPT_SECONDS, SignIn
from mooring.people.api import SessionOut, session_document
from mooring.web.auth import address_of
from mooring.web.errors import answer_for
from mooring.web.routing import Routes

__all__ = ["COOKIE", "router"]

COOKIE = "mooring_sign_in"
PATH = "/api/v1/oidc"
TEXT_MAX = 8192

router = Routes(prefix=PATH, tags=["people"])

Text = Annotated[str, Query(max_length=TEXT_MAX)]

_STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def _sign_in(request: Request) -> SignIn:
    found: SignIn = request.app.state.residents[SignIn]
    return found


@router.get("/start", status_code=303, response_class=Response)
async def start_sign_in(request: Request) -> Response:
    """Sends the browser to the sign-in provider."""

    def begin() -> Response:
        sign_in = _sign_in(request)
        where, sealed = sign_in.begin()
        answer = RedirectResponse(where, HTTPStatus.SEE_OTHER)
        # Lax: the provider sends the browser back with a link, and no other site may use it.
        answer.set_cookie(
            COOKIE,
            sealed,
            max_age=ATTEMPT_SECONDS,
            path=PATH,
            secure=sign_in.secure,
            httponly=True,
            samesite="lax",
        )
        return answer

    return await _answered(request, begin)


@router.get("/callback", response_model=SessionOut)
async def end_sign_in(
    request: Request,
    *,
    held: Annotated[str, Cookie(alias=COOKIE, max_length=TEXT_MAX)] = "",
    state: Text = "",
    code: Text = "",
    error: Text = "",
    iss: Text = "",
) -> Any:
    """Returns tokens as a login does. The provider sends the browser here; a browser that asks for
    HTML is signed in to the dashboard instead."""

    def end() -> Response:
        session = _sign_in(request).end(
            held, state, code, error=error, issuer=iss, origin=address_of(request)
        )
        # A browser is signed in to the pages, where this process serves any.
        keep = getattr(request.app.state, "keep_login", None)
        if keep is not None and "text/html" in request.headers.get("accept", ""):
            kept: Response = keep(request, session, secure=_sign_in(request).secure)
            return kept
        out = SessionOut.model_validate(session_document(session))
        return JSONResponse(out.model_dump(mode="json"))

    answer = await _answered(request, end)
    answer.delete_cookie(COOKIE, path=PATH)  # it is of no use a second time
    return answer


@router.get("/logout", status_code=303, response_class=Response)
async def leave_provider(request: Request) -> Response:
    """Sends the browser to where its session with the provider ends. `POST /api/v1/logout` ends
    the login here."""
    return await _answered(
        request, lambda: RedirectResponse(_sign_in(request).leave(), HTTPStatus.SEE_OTHER)
    )


async def _answered(request: Request, work: Callable[[], Response]) -> Response:
    try:
        async with _sign_in(request).places:
            return await run_in_threadpool(work)
    except MooringError as exc:
        if "text/html" not in request.headers.get("accept", ""):
            return answer_for(exc, request.url.path)
        return HTMLResponse(_page(exc), exc.status, {"Content-Security-Policy": _POLICY})


def _page(error: MooringError) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign-in failed</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>Sign-in failed</h1><p>{escape(error.message)}</p><p>{escape(error.hint)}</p>"
        f"<p><small>{escape(error.slug)}</small></p>"
        f'<p><a href="{PATH}/start">Sign in again</a></p></html>'
    )
