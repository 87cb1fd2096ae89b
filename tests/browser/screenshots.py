"""``python -m tests.browser.screenshots [FOLDER]``: pictures of every page of the dashboard.

Each page is taken light, dark and on a phone, with a simulated fleet (``full``) and without any
device (``empty``); pages with live values also while the server is away (``broken``). They are
to be looked at, one by one.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
from playwright.sync_api import Browser

from mooring.dashboard.pages import PAGES
from tests.support.browser import chromium, opened_tab
from tests.support.platform import Platform, running_platform
from tests.support.waiting import wait_until

LOOKS = {
    "light": ("light", (1280, 860)),
    "dark": ("dark", (1280, 860)),
    "phone": ("light", (390, 844)),
}
BROKEN = ("/", "/devices", "/messages")


def addresses(platform: Platform) -> Iterator[str]:
    """Pages of something that exists."""
    known = {}
    for name, sql in (
        ("device", "SELECT name FROM devices ORDER BY id LIMIT 1"),
        ("number", "SELECT id FROM alerts ORDER BY id LIMIT 1"),
    ):
        rows = platform.rows(sql)
        if rows:
            known[name] = str(rows[0][0])
    for page in PAGES:
        names = re.findall(r"\{(\w+)\}", page.path)
        of_number = "number" not in names or page.path.startswith("/alerts")
        if page.template and set(names) <= known.keys() and of_number:
            yield page.path.format(**known)


def take(browser: Browser, platform: Platform, folder: Path, kind: str) -> None:
    """Every page in every look."""
    base = f"http://127.0.0.1:{platform.ports['http_port']}"
    given = {"name": "admin", "password": platform.password_of_admin()}
    token = httpx.post(f"{base}/api/v1/login", json=given, timeout=30).json()["token"]
    for look, (theme, size) in LOOKS.items():
        with opened_tab(browser, base, token, theme=theme, size=size) as tab:
            for path in addresses(platform):
                page = tab.go(path)
                tab.live()
                page.wait_for_timeout(700)  # charts and first values
                name = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "overview"
                page.screenshot(path=folder / f"{name}-{kind}-{look}.png", full_page=True)


def broken(browser: Browser, platform: Platform, folder: Path) -> None:
    """Pages that say that they are not connected."""
    base = f"http://127.0.0.1:{platform.ports['http_port']}"
    given = {"name": "admin", "password": platform.password_of_admin()}
    token = httpx.post(f"{base}/api/v1/login", json=given, timeout=30).json()["token"]
    for path in BROKEN:
        with opened_tab(browser, base, token) as tab:
            page = tab.go(path)
            tab.live()
            pid = platform.pid("serve")
            os.kill(pid, signal.SIGKILL)
            page.wait_for_selector("#connection.bad")
            name = path.strip("/") or "overview"
            page.screenshot(path=folder / f"{name}-broken-light.png")
            before = pid
            wait_until(lambda before=before: platform.pid("serve") != before, "serve to run again")
            tab.live()


def main(given: Sequence[str]) -> int:
    folder = Path(given[0] if given else "build/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mooring-shots-") as data, chromium() as browser:
        with running_platform(Path(data) / "empty") as platform:
            take(browser, platform, folder, "empty")
        with running_platform(Path(data) / "full", "--demo") as platform:
            wait_until(
                lambda: platform.rows("SELECT count(*) FROM messages")[0][0] > 200, "messages"
            )
            take(browser, platform, folder, "full")
            broken(browser, platform, folder)
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}: look at each of them.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
