"""One platform with a simulated fleet and one Chromium for the tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
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

    def create(self, what: str, **given: str) -> None:
        """Over HTTP, as the administrator."""
        headers = {"Authorization": f"Bearer {self.tokens['admin']}"}
        address = f"{self.base}/api/v1/{what}"
        httpx.post(address, headers=headers, json=given, timeout=30).raise_for_status()

    def token(self, name: str, password: str = PASSWORD) -> str:
        """A new session."""
        given = {"name": name, "password": password}
        answer = httpx.post(f"{self.base}/api/v1/login", json=given, timeout=30)
        answer.raise_for_status()
        return str(answer.json()["token"])


@contextmanager
def running_site(data_dir: Path, *words: str, **options: Any) -> Iterator[Site]:
    """A platform with an administrator, an operator, a viewer and a device, and a browser."""
    with ExitStack() as stack:
        platform = stack.enter_context(running_platform(data_dir, *words, **options))
        base = f"http://127.0.0.1:{platform.ports['http_port']}"
        site = Site(platform, stack.enter_context(chromium()), base, {})
        site.tokens["admin"] = site.token("admin", platform.password_of_admin())
        site.create("devices", name="oven", dialect="mooring")
        for role in ("operator", "viewer"):
            site.create("users", name=role, role=role, tenant="default", password=PASSWORD)
            site.tokens[role] = site.token(role)
        yield site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """With a simulated fleet whose messages arrive."""
    with running_site(tmp_path_factory.mktemp("site") / "data", "--demo") as found:
        wait_until(
            lambda: found.platform.rows("SELECT count(*) FROM messages")[0][0] > 20, "messages"
        )
        yield found


@pytest.fixture
def tab(site: Site) -> Iterator[Tab]:
    """An administrator's tab, which must end without a fault."""
    with site.tab() as found:
        yield found
        found.check()


TabOf = Callable[..., AbstractContextManager[Tab]]
