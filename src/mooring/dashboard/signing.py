"""Signing in and out, and the theme: what needs no session.

A form that was sent after the session's end comes along as a hidden field of the sign-in form,
and is done for the person who signs in.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import compile_path

from mooring.app import App
from mooring.dashboard import preferences, session
from mooring.dashboard.forms import Form
from mooring.dashboard.page import particular
from mooring.dashboard.receive import local, read_form
from mooring.dashboard.view import SIGN_IN, Pages
from mooring.errors import Forbidden, MooringError, Unauthorized
from mooring.people.logins import HOUR_MS
from mooring.people.model import Session

__all__ = ["Signing"]

log = logging.getLogger(__name__)


class Signing:
    """Sessions of browsers.

    Args:
        pages: what is shown, and what a form that was held does.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        ordered = sorted(pages.actions, key=particular)
        self._ways = [(compile_path(one.path)[0], one) for one in ordered]

    async def sign_in(self, request: Request) -> Response:
        """GET: the form. POST: the session, and then what was asked before."""
        back = local(request.query_params.get("next", "/"))
        if request.method in ("GET", "HEAD"):
            return await run_in_threadpool(self._pages.sign_in_page, request, back=back)
        form = await read_form(request)
        loop = asyncio.get_running_loop()
        return await run_in_threadpool(self._signed_in, request, form, loop)

    def _signed_in(self, request: Request, form: Form, loop: asyncio.AbstractEventLoop) -> Response:
        back = local(form.raw("next", "/"))
        held = form.raw("held") if form.has("held") else None
        name = form.raw("name").strip()[:128]
        address = request.client.host if request.client else "unknown"
        try:
            session.check_origin(request)
            platform = self._pages.current.app()
            assert isinstance(platform, App)
            # No name holds U+0000, and PostgreSQL has no text with it.
            known, password = name.replace("\0", "?"), form.raw("password").replace("\0", "?")
            found = platform.people.login(known, password, address=address)
        except Forbidden as exc:
            return self._pages.failure(exc, request)
        except MooringError as exc:
            if exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                return self._pages.failure(exc, request)
            return self._pages.sign_in_page(
                request, back=back, held=held, status=exc.status, problem=exc, name=name
            )
        except Exception as exc:  # noqa: BLE001 - every failure is a page in words
            return self._pages.failure(exc, request)
        response = (
            self._held(request, back, held, loop, found.token)
            if held is not None
            else RedirectResponse(back, HTTPStatus.SEE_OTHER)
        )
        hours = platform.settings.session_hours
        session.keep(response, request, found.token, int(hours * HOUR_MS / 1000))
        return response

    def _held(
        self,
        request: Request,
        path: str,
        held: str,
        loop: asyncio.AbstractEventLoop,
        token: str,
    ) -> Response:
        """The form that was sent after the session's end, now that somebody is signed in."""
        for pattern, action in self._ways:
            match = pattern.match(path)
            if match is not None:
                try:
                    call = self._pages.open(
                        request, Form.held(held), loop, match.groupdict(), url=path, token=token
                    )
                except Exception as exc:  # noqa: BLE001 - every failure is a page in words
                    return self._pages.failure(exc, request)
                return self._pages.do(action, call)
        return RedirectResponse("/", HTTPStatus.SEE_OTHER)

    def keep_login(self, request: Request, found: Session, *, secure: bool) -> Response:
        """The answer to a browser that has signed in elsewhere (a sign-in provider)."""
        response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        hours = self._pages.current.app().settings.session_hours  # type: ignore[attr-defined]
        seconds = int(hours * HOUR_MS / 1000)
        session.keep(response, request, found.token, seconds, secure=secure)
        return response

    async def sign_out(self, request: Request) -> Response:
        """Ends the session here, or all of them."""
        form = await read_form(request)
        return await run_in_threadpool(self._signed_out, request, form)

    def _signed_out(self, request: Request, form: Form) -> Response:
        try:
            session.check_origin(request)
            platform = self._pages.current.app()
            assert isinstance(platform, App)
            who = session.who(platform, request)
            platform.people.logout(
                who, session.token_of(request), everywhere=form.has("everywhere")
            )
        except Unauthorized as exc:
            log.debug("signed out without a session: %s", exc)
        except Exception as exc:  # noqa: BLE001 - every failure is a page in words
            return self._pages.failure(exc, request)
        response = RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER)
        session.drop(response, request)
        return response

    async def theme(self, request: Request) -> Response:
        """Light, dark or the system's choice, in a cookie of this browser."""
        form = await read_form(request)
        try:
            session.check_origin(request)
        except Forbidden as exc:
            return await run_in_threadpool(self._pages.failure, exc, request)
        response = RedirectResponse(local(form.raw("next", "/")), HTTPStatus.SEE_OTHER)
        chosen = form.raw("theme")
        if chosen in preferences.THEMES:
            preferences.keep_theme(response, request, chosen)
        return response
