"""``python -m tests.browser.screenshots [FOLDER]``: pictures of every page of the dashboard.

Each page is taken light, dark and on a phone: without any device (``empty``), with a simulated
fleet and something of everything (``full``), and with hostile texts while the server is away
(``broken``). They are to be looked at, one by one.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
from playwright.sync_api import Browser

from mooring.app import open_app
from mooring.dashboard.pages import PAGES
from mooring.settings import Settings
from tests.support import world
from tests.support.browser import Tab, chromium, opened_tab
from tests.support.platform import Platform, running_platform
from tests.support.proxy import Cut, Proxy
from tests.support.waiting import wait_until

LOOKS = {
    "light": ("light", (1280, 860)),
    "dark": ("dark", (1280, 860)),
    "phone": ("light", (390, 844)),
}
HOSTILE = (
    "<script>alert(1)</script>",
    "{{ 7 * 7 }} {% raw %}",
    "\u202egnp.elif",
    "long " * 60,
)
#: Value of a path → where one is found.
EXAMPLES = {
    "device": "SELECT d.name FROM devices d LEFT JOIN messages m ON m.device_id = d.id"
    " GROUP BY d.id ORDER BY count(m.id) DESC LIMIT 1",
    "group": "SELECT name FROM groups ORDER BY id LIMIT 1",
    "tenant": "SELECT tenant FROM groups ORDER BY id LIMIT 1",
    "job": "SELECT id FROM jobs ORDER BY id LIMIT 1",
    "rollout": "SELECT job_id FROM firmware_rollouts ORDER BY job_id LIMIT 1",
}
NUMBERS = {
    "/alerts/": "SELECT id FROM alerts ORDER BY id LIMIT 1",
    "/rules/": "SELECT id FROM rules ORDER BY id LIMIT 1",
    "/commands/": "SELECT id FROM jobs ORDER BY id LIMIT 1",
}


def addresses(platform: Platform) -> Iterator[str]:
    """Pages of what exists."""
    for page in PAGES:
        known = {}
        for name in re.findall(r"\{(\w+)\}", page.path):
            sql = EXAMPLES.get(name) or next(
                (sql for start, sql in NUMBERS.items() if page.path.startswith(start)), ""
            )
            rows = platform.rows(sql) if sql else []
            if rows:
                known[name] = str(rows[0][0])
        if page.template and set(re.findall(r"\{(\w+)\}", page.path)) <= known.keys():
            yield page.path.format(**known)


def picture(tab: Tab, path: str, folder: Path, kind: str, look: str) -> None:
    # Charts are drawn; a page without any, or without values, has nothing to wait for.
    tab.page.wait_for_timeout(250)
    if tab.page.locator("mooring-chart").count():
        tab.page.wait_for_timeout(500)
    name = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "overview"
    tab.page.screenshot(path=folder / f"{name}-{kind}-{look}.png", full_page=True)


def take(browser: Browser, platform: Platform, folder: Path, kind: str) -> None:
    """Every page in every look; while the server is away where ``kind`` is ``broken``."""
    port = platform.ports["http_port"]
    given = {"name": "admin", "password": platform.password_of_admin()}
    login = httpx.post(f"http://127.0.0.1:{port}/api/v1/login", json=given, timeout=30)
    token = login.raise_for_status().json()["token"]
    with Proxy(port) as proxy:
        base = f"http://127.0.0.1:{proxy.port}"
        for look, (theme, size) in LOOKS.items():
            with opened_tab(browser, base, token, theme=theme, size=size) as tab:
                tab.go("/sign-in")  # where a browser's time zone is noted
                for path in addresses(platform):
                    tab.go(path)
                    tab.live()
                    if kind == "broken":
                        proxy.cut(Cut.REFUSE, seconds=60.0)
                        tab.page.wait_for_selector("#connection.bad")
                    picture(tab, path, folder, kind, look)
                    proxy.welcome()


def fill(platform: Platform, tenant: str, word: str, *texts: str) -> None:
    """Something of everything, put into the database of a platform that runs; and for each text a
    device that has it in every field."""
    ports = {f"{name}": port for name, port in platform.ports.items()}
    with open_app(Settings(data_dir=platform.data_dir, **ports)) as app:  # type: ignore[arg-type]
        world.fill(app, tenant, word)
        for number, text in enumerate(texts):
            world.hostile(app, tenant, text, number)


def main(given: Sequence[str]) -> int:
    folder = Path(given[0] if given else "build/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mooring-shots-") as data, chromium() as browser:
        with running_platform(Path(data) / "empty") as platform:
            take(browser, platform, folder, "empty")
        with running_platform(Path(data) / "broken") as platform:
            fill(platform, "acme", HOSTILE[0], *HOSTILE)
            take(browser, platform, folder, "broken")
        with running_platform(Path(data) / "full", "--demo") as platform:
            fill(platform, "default", "Hall 3")
            wait_until(
                lambda: platform.rows("SELECT count(*) FROM messages")[0][0] > 300, "messages"
            )
            take(browser, platform, folder, "full")
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}: look at each of them.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
