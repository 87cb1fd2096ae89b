"""``python -m tests.browser.screenshots [FOLDER]``: pictures of every page of the dashboard.

Each page is taken light, dark and on a phone: without any device (``empty``), with a simulated
fleet and something of everything (``full``), and with hostile texts while the server is away
(``broken``); and the moments that no address shows (``moments.py``): a dialog, a rejected form, the
search. They are to be looked at, one by one. ``--docs`` makes those of ``docs/images`` instead.
"""

from __future__ import annotations

import argparse
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
from tests.browser.moments import MOMENTS
from tests.support import world
from tests.support.browser import Tab, chromium, opened_tab
from tests.support.platform import Platform, running_platform
from tests.support.proxy import Cut, Proxy
from tests.support.waiting import wait_until

KINDS = ("empty", "broken", "full")
LOOKS = {
    "light": ("light", (1280, 860)),
    "dark": ("dark", (1280, 860)),
    "phone": ("light", (360, 780)),
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
    " GROUP BY d.id ORDER BY d.name = 'h0' DESC, count(m.id) DESC LIMIT 1",
    "group": "SELECT name FROM groups ORDER BY id LIMIT 1",
    "tenant": "SELECT tenant FROM groups ORDER BY id LIMIT 1",
    "job": "SELECT id FROM jobs WHERE kind != 'firmware' ORDER BY id LIMIT 1",
    "rollout": "SELECT job_id FROM firmware_rollouts ORDER BY job_id LIMIT 1",
}
NUMBERS = {
    "/alerts/": "SELECT id FROM alerts ORDER BY id LIMIT 1",
    "/rules/": "SELECT id FROM rules ORDER BY id LIMIT 1",
    "/commands/": "SELECT id FROM commands ORDER BY id LIMIT 1",
}
#: Picture of the documentation → the page.
DOCS = {
    "dashboard-overview": "/",
    "dashboard-devices": "/devices",
    "dashboard-device": "/devices/default:kiln/charts?metric=temperature&metric=humidity",
    "dashboard-flow": "/flow",
    "dashboard-alerts": "/alerts",
    "dashboard-rollout": "/rollouts/{rollout}",
}


def known(platform: Platform, path: str) -> dict[str, str]:
    """The words of a path that something exists for."""
    found = {}
    for name in re.findall(r"\{(\w+)\}", path):
        sql = EXAMPLES.get(name) or next(
            (sql for start, sql in NUMBERS.items() if path.startswith(start)), ""
        )
        rows = platform.rows(sql) if sql else []
        if rows:
            found[name] = str(rows[0][0])
    return found


def addresses(platform: Platform) -> Iterator[str]:
    """Pages of what exists."""
    for page in PAGES:
        words = known(platform, page.path)
        if page.template and set(re.findall(r"\{(\w+)\}", page.path)) <= words.keys():
            yield page.path.format(**words)


def named(path: str) -> str:
    """Of a picture, by the address."""
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "overview"


def settled(tab: Tab) -> None:
    """Charts are drawn; a page without any, or without values, has nothing to wait for."""
    tab.page.wait_for_timeout(250)
    if tab.page.locator("mooring-chart").count():
        tab.page.wait_for_timeout(500)


def picture(tab: Tab, name: str, folder: Path) -> None:
    settled(tab)
    tab.page.screenshot(path=folder / f"{name}.png", full_page=True)


def signed_in(platform: Platform) -> str:
    """The token of a new session of the administrator."""
    given = {"name": "admin", "password": platform.password_of_admin()}
    url = f"http://127.0.0.1:{platform.ports['http_port']}/api/v1/login"
    return str(httpx.post(url, json=given, timeout=30).raise_for_status().json()["token"])


def take(browser: Browser, platform: Platform, folder: Path, kind: str, asked: Asked) -> None:
    """Every page in every look; while the server is away where ``kind`` is ``broken``."""
    with Proxy(platform.ports["http_port"]) as proxy:
        base = f"http://127.0.0.1:{proxy.port}"
        for look in asked.looks:
            theme, size = LOOKS[look]
            with opened_tab(browser, base, signed_in(platform), theme=theme, size=size) as tab:
                tab.go("/sign-in")  # where a browser's time zone is noted
                for path in addresses(platform):
                    name = f"{named(path)}-{kind}-{look}"
                    if not asked.only.search(name):
                        continue
                    tab.go(path)
                    tab.live()
                    if kind == "broken":
                        proxy.cut(Cut.REFUSE, seconds=60.0)
                        tab.page.wait_for_selector("#connection.bad")
                    picture(tab, name, folder)
                    proxy.welcome()


def take_moments(
    browser: Browser, platform: Platform, folder: Path, kind: str, asked: Asked
) -> None:
    """What no address shows."""
    base = f"http://127.0.0.1:{platform.ports['http_port']}"
    for look in asked.looks:
        theme, size = LOOKS[look]
        for moment in MOMENTS:
            name = f"moment-{moment.name}-{kind}-{look}"
            if moment.kind != kind or not asked.only.search(name):
                continue
            token = signed_in(platform) if moment.signed_in else ""
            with opened_tab(browser, base, token, theme=theme, size=size) as tab:
                tab.go("/sign-in")
                moment.steps(tab)
                settled(tab)
                # A dialog lies over the window, not over the page.
                if moment.whole:
                    tab.page.evaluate("() => scrollTo(0, 0)")
                tab.page.screenshot(path=folder / f"{name}.png", full_page=moment.whole)


def fill(platform: Platform, tenant: str, word: str, *texts: str) -> None:
    """Something of everything, put into the database of a platform that runs; and for each text a
    device that has it in every field."""
    ports = {f"{name}": port for name, port in platform.ports.items()}
    with open_app(Settings(data_dir=platform.data_dir, **ports)) as app:  # type: ignore[arg-type]
        world.history(app, tenant, "kiln")  # first: it can be offered firmware
        world.passed(app)
        for number, device in enumerate(world.fill(app, tenant, word)):
            world.placed(app, device, number)
        for number, text in enumerate(texts):
            world.hostile(app, tenant, text, number)


class Asked:
    """What the command line asks for."""

    def __init__(self, given: Sequence[str]) -> None:
        parser = argparse.ArgumentParser(prog="screenshots", description=__doc__)
        parser.add_argument("folder", nargs="?", type=Path, default=Path("build/screenshots"))
        parser.add_argument("--kind", action="append", choices=KINDS, dest="kinds")
        parser.add_argument("--look", action="append", choices=LOOKS, dest="looks")
        parser.add_argument("--only", default="", help="pattern for names of pictures")
        parser.add_argument("--docs", action="store_true", help="the pictures of docs/images")
        found = parser.parse_args(given)
        self.docs = bool(found.docs)
        self.folder: Path = Path("docs/images") if self.docs else found.folder
        self.kinds = ["full"] if self.docs else (found.kinds or [*KINDS])
        self.looks = found.looks or [*LOOKS]
        self.only = re.compile(found.only)


def take_docs(browser: Browser, platform: Platform, folder: Path) -> None:
    """One window, light."""
    base = f"http://127.0.0.1:{platform.ports['http_port']}"
    with opened_tab(browser, base, signed_in(platform), size=(1200, 700)) as tab:
        tab.go("/sign-in")
        for name, path in DOCS.items():
            tab.go(path.format(**known(platform, path)))
            tab.live()
            settled(tab)
            tab.page.screenshot(path=folder / f"{name}.png")


def main(given: Sequence[str]) -> int:
    asked = Asked(given)
    asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mooring-shots-") as data, chromium() as browser:
        for kind in asked.kinds:
            words = ("--demo",) if kind == "full" else ()
            with running_platform(Path(data) / kind, *words) as platform:
                if kind == "broken":
                    fill(platform, "acme", HOSTILE[0], *HOSTILE)
                if kind == "full":
                    fill(platform, "default", "Hall 3")
                    wait_until(
                        lambda found=platform: (
                            found.rows("SELECT count(*) FROM messages")[0][0] > 600
                        ),
                        "messages",
                        timeout=120,
                    )
                if asked.docs:
                    take_docs(browser, platform, asked.folder)
                    continue
                take(browser, platform, asked.folder, kind, asked)
                take_moments(browser, platform, asked.folder, kind, asked)
    print(f"{len(list(asked.folder.glob('*.png')))} pictures in {asked.folder}: look at each.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
