"""A person at a browser, without a browser: cookies, forms, and the pages as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.testclient import TestClient

from mooring.app import App
from mooring.identity.actor import SYSTEM, Role
from mooring.people.model import NewUser
from tests.support.html import Html, faults

__all__ = ["ORIGIN", "PASSWORD", "Browser", "person"]

ORIGIN = "http://testserver"
PASSWORD = "correct horse battery"


class Browser:
    """Args:
    api: the application.
    token: of a session; empty: nobody is signed in.
    """

    def __init__(self, api: Any, token: str = "") -> None:
        self.client = TestClient(api, base_url=ORIGIN, follow_redirects=False)
        self.client.headers["Accept"] = "text/html"
        if token:
            self.client.cookies.set("mooring", token)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(path, headers=headers)

    def page(self, path: str, status: int = 200) -> Html:
        """A page that has to be there, and to be fine."""
        answer = self.get(path)
        assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text[:2000]}"
        assert faults(answer.text) == [], path
        return Html(answer.text)

    def post(
        self,
        path: str,
        form: Mapping[str, Any] | None = None,
        origin: str | None = ORIGIN,
        **more: Any,
    ) -> Any:
        """A form."""
        headers = {"Origin": origin} if origin is not None else {}
        return self.client.post(path, data=dict(form or {}), headers=headers, **more)

    def do(self, path: str, form: Mapping[str, Any] | None = None, **more: Any) -> Html:
        """A form that has to be accepted; the page after it."""
        answer = self.post(path, form, **more)
        assert answer.status_code in (200, 303), (
            f"{path}: {answer.status_code} {Html(answer.text).text[:1500]}"
        )
        if answer.status_code == 303:
            return self.page(answer.headers["location"])
        assert faults(answer.text) == [], path
        return Html(answer.text)


def person(platform: App, api: Any, role: str, tenant: str | None = None) -> Browser:
    """Somebody who is signed in."""
    name = f"{role}-{tenant or 'all'}"
    if not any(user.name == name for user in platform.people.users(SYSTEM, limit=500)):
        new = NewUser(name, Role.of(role), tenant, PASSWORD)
        platform.people.add(SYSTEM, new)
    return Browser(api, platform.people.login(name, PASSWORD).token)
