"""Without a mouse: every page of the navigation and every tab of a device is opened, and each of
its controls reached, by keyboard alone; the focus is always seen, and never lost."""

from __future__ import annotations

import re
from html import unescape

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Site
from tests.support.browser import Tab
from tests.support.waiting import wait_until

#: Notes what gets the focus, and what of it is not seen. The page itself has it after a navigation.
WATCH = """() => {
  window.reached = new Set();
  window.unseen = [];
  document.addEventListener("focusin", ({ target: one }) => {
    window.reached.add(one);
    const style = getComputedStyle(one), drawn = one.querySelector(".place");
    const lined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
    const marked = drawn && parseFloat(getComputedStyle(drawn).strokeWidth) > 2;
    if (!lined && !marked && one.id !== "page") window.unseen.push(one.outerHTML.slice(0, 120));
  });
}"""
#: Everything that somebody with a mouse could use, with what is behind each disclosure.
OPERABLE = """() => {
  for (const one of document.querySelectorAll("#page details")) one.open = true;
  window.reached.clear();
  window.operable = [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex]")].filter((one) =>
      !one.disabled && one.type !== "hidden" && one.tabIndex >= 0 && one.checkVisibility());
  return window.operable.length;
}"""
MISSED = """() => window.operable.filter((one) => one.isConnected && !window.reached.has(one) &&
  !(one.type === "radio" && [...window.reached].some((other) => other.name === one.name)))
  .map((one) => one.outerHTML.slice(0, 160))"""
DRAWN = """() => [...document.querySelectorAll("mooring-chart")].every(
  (one) => one.querySelector("figure") || one.querySelector("[role=alert], .chart-said:only-child"))
  && !document.querySelector("mooring-chart[aria-busy]")"""
FOCUSED = "selector => document.activeElement?.matches(selector) ?? false"


def tab_to(page: Page, selector: str) -> None:
    """Presses Tab until an element has the focus."""
    for _ in range(page.evaluate("() => document.querySelectorAll('*').length")):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED, selector):
            return
    pytest.fail(f"{selector} is not reached")


def reached(page: Page) -> list[str]:
    """What Tab does not reach on the page."""
    page.wait_for_function(DRAWN)
    number = page.evaluate(OPERABLE)
    missed: list[str] = []
    for _ in range(2):  # rows may come meanwhile, and the browser's own window is in the round
        for _ in range(number + 5):
            page.keyboard.press("Tab")
        missed = page.evaluate(MISSED)
        if not missed:
            break
    return missed


def points(site: Site, page: Page, address: str) -> int:
    """Points of the first curve of a device's charts."""
    found = re.search(
        r'<mooring-chart src="([^"]+)"', page.request.get(f"{site.base}{address}").text()
    )
    if found is None:
        return 0
    curves = page.request.get(f"{site.base}{unescape(found[1])}").json()["curves"]
    return len(curves[0]["ts"]) if curves else 0


def titled(page: Page, word: str) -> None:
    page.wait_for_function("word => document.title.startsWith(word)", arg=word)


def test_every_control_of_every_page(site: Site, tab: Tab) -> None:
    page = tab.go("/")
    tab.live()
    page.evaluate(WATCH)
    keys = page.locator("#nav [data-key]").evaluate_all(
        "links => links.map((one) => [one.dataset.key, one.firstChild.textContent.trim()])"
    )
    assert len(keys) == page.locator("#nav li a").count()  # each page has one
    assert len({key for key, _ in keys}) == len(keys)
    missed = {}
    for key, word in keys:
        page.keyboard.press("g")
        page.keyboard.press(key)
        titled(page, word)
        missed[word] = reached(page)
        page.keyboard.press("Escape")
        page.evaluate("() => document.getElementById('page').focus()")
    assert {word: one for word, one in missed.items() if one} == {}
    assert page.evaluate("() => window.unseen") == []
    tab.check()


def test_every_tab_of_a_device(site: Site, tab: Tab) -> None:
    page = tab.go("/devices")
    page.evaluate(WATCH)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.locator("nav.tabs").wait_for()
    places = page.locator("nav.tabs a").evaluate_all("all => all.map((one) => one.pathname)")
    missed = {}
    for place in places:
        tab_to(page, f"nav.tabs a[href='{place}']")
        page.keyboard.press("Enter")
        page.locator(f"nav.tabs a[href='{place}'][aria-current]").wait_for()
        page.wait_for_function("() => document.activeElement !== document.body")
        missed[place] = reached(page)
    assert len(places) == 9
    assert {place: one for place, one in missed.items() if one} == {}
    assert page.evaluate("() => window.unseen") == []
    tab.check()


def test_sorting_ticking_and_the_list_of_keys(site: Site, tab: Tab) -> None:
    page = tab.go("/devices")
    tab.live()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert page.locator("tbody tr:nth-child(2) input:checked").count() == 1
    page.keyboard.press("k")
    focused = page.evaluate("() => document.activeElement.outerHTML")
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.evaluate("() => document.activeElement.outerHTML") == focused

    tab_to(page, "th a[href*='sort=name']")
    page.keyboard.press("Enter")
    page.locator("th[aria-sort=ascending]").wait_for()
    page.wait_for_function(FOCUSED, arg="th[aria-sort=ascending] a")  # it is where it was
    page.keyboard.press("Enter")
    page.locator("th[aria-sort=descending]").wait_for()
    page.wait_for_function(FOCUSED, arg="th[aria-sort=descending] a")

    # The account's menu: Escape closes it and gives the focus back.
    tab_to(page, "details.account > summary")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    page.locator("details.account[open]").wait_for(state="detached")
    assert page.evaluate(FOCUSED, "details.account > summary")
    tab.check()


def test_rows_that_came_since_are_offered(site: Site, tab: Tab) -> None:
    page = tab.go("/devices")
    tab.live()
    rows = page.locator("tbody tr").count()
    site.create("devices", name="came-later", dialect="mooring")
    page.locator("a.newer").get_by_text("1 newer").wait_for()
    assert page.locator("tbody tr").count() == rows  # nothing has moved
    page.evaluate("() => document.querySelector('#search').focus()")
    tab_to(page, "a.newer")
    page.keyboard.press("Enter")
    page.locator("tbody tr").get_by_text("came-later").wait_for()
    page.wait_for_function("() => document.activeElement !== document.body")
    assert page.locator("a.newer").count() == 0
    tab.check()


def test_a_chart_is_zoomed(site: Site, tab: Tab) -> None:
    device = site.platform.rows(
        "SELECT d.name FROM devices d JOIN messages m ON m.device_id = d.id"
        " GROUP BY d.name ORDER BY count(*) DESC LIMIT 1"
    )[0][0]
    address = f"/devices/{device}/charts"
    wait_until(lambda: points(site, tab.page, address) > 2, "a curve of some points", timeout=120)
    page = tab.go(address)
    page.locator("figure.chart").first.wait_for()
    tab_to(page, "figure.chart")
    page.keyboard.press("Home")
    page.locator("figure.chart output").first.filter(has_text=":").wait_for()
    page.keyboard.press("Shift+End")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")  # nothing is selected any more
    assert "from=" not in page.url
    page.keyboard.press("Home")
    page.keyboard.press("Shift+End")
    page.keyboard.press("Enter")
    page.wait_for_url("**from=*")
    page.wait_for_function(FOCUSED, arg="figure.chart")
    tab.check()
