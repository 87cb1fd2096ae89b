"""What a page says when something has gone, and that it is well again by itself: without a reload,
with filter, scroll position and typed text as they were. The text of the top line is noted all the
time, so that nothing depends on when a test looks."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from mooring.broker.ports import is_free
from tests.browser.conftest import PASSWORD, Site, running_site
from tests.support.browser import Tab
from tests.support.platform import Platform
from tests.support.ports import free_port
from tests.support.proxy import Cut, Proxy
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Without a simulated fleet: nothing here is about what devices send."""
    with running_site(tmp_path_factory.mktemp("site") / "data") as found:
        yield found


TYPED = "typed and kept"
#: What Chromium itself writes to the console while the server is away.
NETWORK = ["ERR_", "WebSocket connection to", "WebSocket is closed before"]

KEPT = """() => [
  window.stays,
  document.querySelector("#search").value,
  document.querySelector("main input[name=q]").value,
  new URL(location.href).searchParams.get("sort"),
  window.scrollY > 0,
]"""


def working(tab: Tab, path: str = "/devices?sort=name") -> None:
    """Somebody is in the middle of something: a filter, a place in the page, a text."""
    tab.expected += NETWORK
    page = tab.go(path)
    tab.live()
    page.evaluate("() => { window.stays = true; document.body.style.minHeight = '3000px'; }")
    page.locator("#search").fill(TYPED)
    page.locator("main input[name=q]").fill("x")
    page.evaluate("() => { window.scrollTo(0, 60); }")


def back(tab: Tab) -> None:
    """Values are live again and nothing is grey; the page is as it was."""
    tab.live()
    assert not tab.page.evaluate("() => document.documentElement.classList.contains('stale')")
    assert tab.page.evaluate(KEPT) == [True, TYPED, "x", "name", True]
    tab.check()


def says(tab: Tab, words: str) -> None:
    """The top line says it, with the time since; values are grey."""
    text = tab.said(words)
    assert re.fullmatch(rf"{words} since \d\d:\d\d.*", text), text
    assert tab.was_grey()


@contextmanager
def killed(platform: Platform, *pids: int) -> Iterator[None]:
    """Processes that are killed and not started again while the block lasts."""
    assert platform.up is not None
    os.kill(platform.up.pid, signal.SIGSTOP)
    try:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        yield
    finally:
        os.kill(platform.up.pid, signal.SIGCONT)
        port = platform.ports["http_port"]
        wait_until(lambda: not is_free(port, "127.0.0.1"), "the server to run", timeout=60)


def broker_pid(platform: Platform) -> int:
    return int((platform.data_dir / "broker" / "mosquitto.pid").read_text())


LOST: dict[str, tuple[str, Callable[[Platform], int]]] = {
    "server": ("Not connected", lambda platform: platform.pid("serve")),
    "broker": ("The broker has not answered", broker_pid),
    "ingest": ("Ingest has not answered", lambda platform: platform.pid("ingest")),
}


@pytest.mark.parametrize("what", LOST)
def test_a_process_is_lost_and_comes_back(site: Site, what: str) -> None:
    words, pid = LOST[what]
    with site.tab() as tab:
        working(tab)
        with killed(site.platform, pid(site.platform)):
            says(tab, words)
        back(tab)


def test_a_connection_that_is_half_open(site: Site) -> None:
    """Nothing arrives any more and nobody is told: the network was changed, or a laptop slept."""
    with Proxy(site.platform.ports["http_port"]) as proxy, site.tab(port=proxy.port) as tab:
        working(tab)
        assert proxy.cut(Cut.HOLE, seconds=30.0) >= 1
        says(tab, "Not connected")
        back(tab)


def test_a_laptop_that_slept(site: Site) -> None:
    """Half an hour is gone in a moment, and the connection with it."""
    with Proxy(site.platform.ports["http_port"]) as proxy, site.tab(port=proxy.port) as tab:
        tab.page.clock.install()
        working(tab)
        proxy.cut(Cut.HOLE, seconds=30.0)
        tab.page.clock.fast_forward("30:00")
        says(tab, "Not connected")
        back(tab)


def test_a_hidden_tab_watches_nothing(site: Site) -> None:
    with site.tab() as tab:
        working(tab)
        hide = """hidden => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
        with tab.page.expect_event("websocket", lambda one: one.url.endswith("/live")) as found:
            tab.page.evaluate(hide, True)
            tab.page.evaluate(hide, False)
        tab.page.wait_for_function("() => document.querySelector('#connection.ok')")
        with found.value.expect_event("close"):
            tab.page.evaluate(hide, True)
        tab.page.evaluate(hide, False)
        back(tab)
        assert not tab.was_grey()


def test_two_servers_behind_one_address(site: Site) -> None:
    """A page of the one and the socket at the other; one of them is killed."""
    port = free_port()
    second = site.platform.cli.start("serve", "--http-port", str(port))
    try:
        second.wait_for_log("serving HTTP")
        with (
            Proxy(site.platform.ports["http_port"], port) as proxy,
            site.tab(port=proxy.port) as tab,
        ):
            working(tab)
            with killed(site.platform, site.platform.pid_of_port("http_port")):
                proxy.cut(Cut.RESET)  # wherever the socket was, the other server takes it
                says(tab, "Not connected")
                back(tab)
                tab.page.locator("#nav").get_by_role("link", name="Groups").click()
                tab.page.wait_for_function("() => document.title.startsWith('Groups')")
            tab.check()
    finally:
        second.end()


def test_the_session_is_over(site: Site) -> None:
    """Signed in again over the page, which stays; a form is sent again, and a page opened."""
    token = site.token("operator")
    with site.tab(token=token) as tab:
        tab.expected += ["401"]
        working(tab)
        page = tab.page
        end_session(site, token)
        says(tab, "Signed out")
        page.get_by_role("link", name="Sign in again").click()
        sign_in(tab, "wrong password")
        page.get_by_role("dialog").get_by_role("alert").get_by_text("password").wait_for()
        sign_in(tab, PASSWORD)
        back(tab)

        page = tab.go("/groups")
        tab.live()
        page.evaluate("() => { window.stays = true; }")
        page.get_by_label("Name").first.fill("attic")
        end_session(site, tab.token())
        tab.said("Signed out")
        page.get_by_role("button", name="Create group").click()
        sign_in(tab, PASSWORD)
        page.wait_for_url("**/groups/default/attic")
        assert page.evaluate("() => window.stays")

        # The page does not know it yet: the answer says so.
        page.locator("#nav").get_by_role("link", name="Groups").click()
        page.wait_for_function("() => document.title.startsWith('Groups')")
        page.get_by_label("Name").first.fill("cellar")
        end_session(site, tab.token())
        page.get_by_role("button", name="Create group").click()
        sign_in(tab, PASSWORD)
        page.wait_for_url("**/groups/default/cellar")
        end_session(site, tab.token())
        page.locator("#nav").get_by_role("link", name="Commands").click()
        sign_in(tab, PASSWORD)
        page.wait_for_function("() => document.title.startsWith('Commands')")
        assert page.evaluate("() => window.stays")
        tab.check()


def end_session(site: Site, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    httpx.post(f"{site.base}/api/v1/logout", headers=headers, timeout=30).raise_for_status()


def sign_in(tab: Tab, password: str) -> None:
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_label("Password").fill(password)
    dialog.get_by_label("Password").press("Enter")
