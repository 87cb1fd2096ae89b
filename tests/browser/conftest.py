"""One platform with a simulated fleet and one Chromium for the tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.support.browser import Tab, chromium, opened_tab
from tests.support.platform import Platform, running_platform
from tests.support.waiting import wait_until

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Site:
    """A platform as people reach it."""

    platform: Platform
    browser: Browser
    base: str
    tokens: dict[str, str]

    def tab(
        self, role: str = "admin", *, token: str = "", port: int = 0, **options: Any
    ) -> AbstractContextManager[Tab]:
        """A tab of a fresh profile.

        Args:
            role: empty for nobody.
            token: of another session of that person.
            port: of a proxy in front of the server.
        """
        base = f"http://127.0.0.1:{port}" if port else self.base
        given = token or (self.tokens[role] if role else "")
        return opened_tab(self.browser, base, given, **options)

    def token(self, name: str, password: str = PASSWORD) -> str:
        """A new session."""
        given = {"name": name, "password": password}
        answer = httpx.post(f"{self.base}/api/v1/login", json=given, timeout=30)
        answer.raise_for_status()
        return str(answer.json()["token"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        data_dir = tmp_path_factory.mktemp("site") / "data"
        platform = stack.enter_context(running_platform(data_dir, "--demo"))
        base = f"http://127.0.0.1:{platform.ports['http_port']}"
        client = stack.enter_context(httpx.Client(base_url=base, timeout=30))

        def token(name: str, password: str) -> str:
            answer = client.post("/api/v1/login", json={"name": name, "password": password})
            answer.raise_for_status()
            return str(answer.json()["token"])

        tokens = {"admin": token("admin", platform.password_of_admin())}
        for role in ("operator", "viewer"):
            answer = client.post(
                "/api/v1/users",
                headers={"Authorization": f"Bearer {tokens['admin']}"},
                json={"name": role, "role": role, "tenant": "default", "password": PASSWORD},
            )
            answer.raise_for_status()
            tokens[role] = token(role, PASSWORD)
        wait_until(lambda: platform.rows("SELECT count(*) FROM messages")[0][0] > 20, "messages")
        yield Site(platform, stack.enter_context(chromium()), base, tokens)


@pytest.fixture
def tab(site: Site) -> Iterator[Tab]:
    """An administrator's tab, which must end without a fault."""
    with site.tab() as found:
        yield found
        found.check()


TabOf = Callable[..., AbstractContextManager[Tab]]
