"""From a request to an answer: who is it, may they, the view, the template.

The main flow is ``Pages.show`` and ``Pages.act``. Everything that can fail ends in a page in
words: nobody signed in, no right, nothing there, a database that does not answer, a fault of ours.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mooring.app import App
from mooring.dashboard import preferences, session
from mooring.dashboard.call import Call, Problem
from mooring.dashboard.forms import Form, Query
from mooring.dashboard.nav import Counts, navigation
from mooring.dashboard.page import Action, Answer, Page, Redirect, Shown, allowed
from mooring.dashboard.pages import ACTIONS, PAGES
from mooring.dashboard.receive import local, read_form
from mooring.dashboard.render import html_answer
from mooring.errors import Forbidden, MooringError, NotFound, Unauthorized
from mooring.store.engine import now_ms
from mooring.web import errors
from mooring.web.services import Current

__all__ = ["SIGN_IN", "Pages"]

log = logging.getLogger(__name__)

SIGN_IN = "/sign-in"


class Pages:
    """The pages of one serving process. It keeps nothing that another process would need.

    Args:
        current: gives the platform as it is at the time of the request.
    """

    def __init__(
        self,
        current: Current,
        pages: Sequence[Page] = PAGES,
        actions: Sequence[Action] = ACTIONS,
    ) -> None:
        self.current = current
        self.pages = tuple(pages)
        self.actions = tuple(actions)
        self._counts = Counts()

    # ------------------------------------------------------------------ requests

    async def show(self, page: Page, request: Request) -> Response:
        """GET of a page."""
        loop = asyncio.get_running_loop()
        return await run_in_threadpool(self._shown, page, request, loop)

    def _shown(self, page: Page, request: Request, loop: asyncio.AbstractEventLoop) -> Response:
        try:
            call = self.open(request, Form(), loop, request.path_params)
        except Unauthorized:
            to = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"{SIGN_IN}?next={quote(to, safe='')}", 303)
        except Exception as exc:  # noqa: BLE001 - every failure is a page in words
            return self.failure(exc, request)
        return self._answer(page, call)

    async def act(self, action: Action, request: Request) -> Response:
        """POST of a form."""
        form = await read_form(request)
        loop = asyncio.get_running_loop()
        return await run_in_threadpool(self._acted, action, request, form, loop)

    def _acted(
        self, action: Action, request: Request, form: Form, loop: asyncio.AbstractEventLoop
    ) -> Response:
        try:
            session.check_origin(request)
            call = self.open(request, form, loop, request.path_params)
        except Unauthorized:
            return self.sign_in_page(
                request,
                back=request.url.path,
                held=form.encoded(),
                files=bool(form.files),
                status=HTTPStatus.UNAUTHORIZED,
            )
        except Exception as exc:  # noqa: BLE001 - every failure is a page in words
            return self.failure(exc, request)
        return self.do(action, call)

    def open(
        self,
        request: Request,
        form: Form,
        loop: asyncio.AbstractEventLoop,
        path: Mapping[str, str],
        *,
        url: str = "",
        token: str = "",
    ) -> Call:
        platform = self.current.app()
        assert isinstance(platform, App)
        if token:
            address = request.client.host if request.client else "unknown"
            who = platform.authenticate(token, address)
        else:
            who = session.who(platform, request)
        return Call(
            who=who,
            app=platform,
            path=dict(path),
            url=url or request.url.path,
            query=Query(request.query_params.multi_items()),
            form=form,
            now=now_ms(),
            zone=preferences.zone(request),
            theme=preferences.theme_of(request),
            html_target=request.headers.get("hx-target")
            if "hx-request" in request.headers
            else None,
            request=request,
            loop=loop,
        )

    # ------------------------------------------------------------------ views

    def do(self, action: Action, call: Call) -> Response:
        """Runs an action. What it rejects is shown at its form, with what was typed."""
        try:
            _require(action, call)
            return self._of_view(action.view(call), action.page, call)
        except (Forbidden, NotFound) as exc:
            return self.failure(exc, call.request, call)
        except MooringError as exc:
            if exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                log.warning("%s: %s", call.url, exc)
            call.problem = Problem.of(exc, call.url)
            return self._answer(action.page, call, exc.status)
        except Exception as exc:  # noqa: BLE001 - every failure is a page in words
            return self.failure(exc, call.request, call)

    def _answer(self, page: Page, call: Call, status: int = HTTPStatus.OK) -> Response:
        try:
            _require(page, call)
            return self._of_view(page.view(call), page, call, status)
        except Exception as exc:  # noqa: BLE001 - every failure is a page in words
            return self.failure(exc, call.request, call)

    def _of_view(
        self,
        found: Mapping[str, Any] | Answer | Redirect | Shown,
        page: Page,
        call: Call,
        status: int = HTTPStatus.OK,
    ) -> Response:
        request = call.request
        if isinstance(found, Redirect):
            response: Response = RedirectResponse(local(found.to), HTTPStatus.SEE_OTHER)
            if found.notice:
                notice = preferences.Notice(found.kind, found.notice)
                preferences.keep_notice(response, request, notice)
            return response
        if isinstance(found, Answer):
            kept = "no-store" if found.secret else "private, no-cache"
            given = {"Cache-Control": kept, **found.headers}
            return Response(found.body, found.status, given, found.media_type)
        shown = found if isinstance(found, Shown) else Shown(found, status=status)
        notice_now = preferences.notice_of(request)
        place = page.place or page.path
        title = shown.title or str(shown.values.get("title", page.title))
        frame = self.frame(request, call, place)
        taken = frame.keys() & shown.values.keys()
        if taken:
            raise RuntimeError(f"{page.path} names values as the layout does: {sorted(taken)}")
        response = html_answer(
            f"pages/{shown.template or page.template}.html",
            {
                **frame,
                **shown.values,
                "title": title,
                "notice": notice_now,
            },
            headers=request.headers,
            tiles=self._tiles(),
            status=status if shown.status == HTTPStatus.OK else shown.status,
            secret=page.secret or shown.secret,
        )
        if notice_now is not None:
            preferences.drop_notice(response)
        return response

    def frame(self, request: Request, call: Call | None, place: str = "") -> dict[str, Any]:
        """What the layout itself needs."""
        return {
            "call": call,
            "who": call.who if call else None,
            "theme": preferences.theme_of(request),
            "place": place,
            "navigation": navigation(call, self.pages, place, self._counts.of(call))
            if call
            else [],
            "notice": None,
            "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        }

    # ------------------------------------------------------------------ failures

    def failure(self, error: Exception, request: Request, call: Call | None = None) -> Response:
        """The page for an error; a fault of ours is logged under the number that the page says."""
        incident = ""
        if isinstance(error, MooringError):
            status, message, hint = error.status, error.message, error.hint
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                log.warning("%s: %s", request.url.path, error)
        else:
            incident = secrets.token_hex(4)
            errors.unexpected(error, request.url.path, incident)
            status, message = 500, "An unexpected error occurred."
            hint = "The log of `mooring serve` has the details under this number. Please report it."
        return self.error_page(request, int(status), message, hint, incident=incident, call=call)

    def rejected(
        self,
        request: Request,
        loop: asyncio.AbstractEventLoop,
        status: int,
        message: str,
        hint: str,
    ) -> Response:
        """What no page answers; with the navigation for a person who is signed in."""
        call = None
        try:
            call = self.open(request, Form(), loop, {})
        except Unauthorized:
            hint = "Sign in on the start page." if status == HTTPStatus.NOT_FOUND else hint
        except Exception as exc:  # noqa: BLE001 - an error page must not fail for its frame
            log.warning("an error page without navigation: %s", exc)
        return self.error_page(request, status, message, hint, call=call)

    def error_page(
        self,
        request: Request,
        status: int,
        message: str,
        hint: str = "",
        *,
        incident: str = "",
        call: Call | None = None,
    ) -> Response:
        """An error in words; with the navigation if it can be made."""
        frame = self.frame(request, None)
        if call is not None and status != HTTPStatus.SERVICE_UNAVAILABLE:
            try:
                frame = self.frame(request, call)
            except Exception as exc:  # noqa: BLE001 - an error page must not fail for its frame
                log.warning("an error page without navigation: %s", exc)
        values = {
            **frame,
            "title": _TITLES.get(status, HTTPStatus(status).phrase.capitalize()),
            "status": status,
            "message": message,
            "hint": hint,
            "incident": incident,
        }
        response = html_answer(
            "error.html", values, headers=request.headers, status=status, tiles=self._tiles()
        )
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = "5"
        return response

    def _tiles(self) -> str | None:
        # Every page has the same policy: that of the first one stays while htmx changes the others.
        platform = self.current.held
        assert isinstance(platform, App)
        return platform.settings.map_tiles_url

    def _provider(self) -> str:
        """The host of the sign-in provider; empty without one."""
        platform = self.current.held
        assert isinstance(platform, App)
        issuer = platform.settings.oidc_issuer
        return urlsplit(issuer).hostname or "" if issuer else ""

    def sign_in_page(
        self,
        request: Request,
        *,
        back: str = "/",
        held: str | None = None,
        files: bool = False,
        status: int = HTTPStatus.OK,
        problem: MooringError | None = None,
        name: str = "",
    ) -> Response:
        values = {
            **self.frame(request, None),
            "title": "Sign in",
            "back": back,
            "held": held,
            "files": files,
            "problem": problem,
            "name": name,
            "provider": self._provider(),
        }
        response = html_answer(
            "pages/sign_in.html",
            values,
            headers=request.headers,
            status=status,
            secret=True,
            tiles=self._tiles(),
        )
        if held is not None and problem is None:
            response.headers["Mooring-Sign-In"] = "needed"  # scripts ask for it over the page
        return response


_TITLES = {
    403: "Not allowed",
    404: "Not found",
    405: "Not supported",
    413: "Too large",
    500: "An error of the platform",
    503: "Not available now",
}


def _require(one: Page | Action, call: Call) -> None:
    """Raises ``Forbidden`` for a person who may not see this, or do it."""
    if allowed(one, call.who):
        return
    whose = f" of the tenant {call.who.tenant}" if call.who.tenant else ""
    raise Forbidden(
        f"Your role, {call.who.role.name.lower()}{whose}, does not allow this.",
        hint="Ask an administrator for the role or the change.",
    )
