"""A real browser: Debian's Chromium, driven by Playwright, and what it may not do.

A test fails when a page writes an error to the console, breaks the policy, asks another host, or
loads something that is missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

__all__ = ["Tab", "chromium", "find_chromium", "opened_tab"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 20
SERIOUS = ("serious", "critical")

# Runs before the page's own code, and is not subject to its policy.
_NOTES = """
window.mooringSaid = [];
window.mooringGrey = false;
document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("connection");
  if (!place) return;
  new MutationObserver(() => window.mooringSaid.push(place.textContent))
    .observe(place, { childList: true, characterData: true, subtree: true });
  new MutationObserver(() => {
    if (document.documentElement.classList.contains("stale")) window.mooringGrey = true;
  }).observe(document.documentElement, { attributeFilter: ["class"] });
});
"""

_VIOLATIONS = """
window.mooringViolations = [];
addEventListener("securitypolicyviolation", (event) => {
  const { violatedDirective, blockedURI, sourceFile } = event;
  window.mooringViolations.push(`${violatedDirective}: ${blockedURI} ${sourceFile}`);
});
"""


def find_chromium() -> Path:
    """Raises ``LookupError``: none is installed."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    raise LookupError(
        "The browser tests need Chromium. Install it with: sudo apt-get install chromium"
    )


@contextmanager
def chromium() -> Iterator[Browser]:
    """One process of Chromium for many tabs."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A page, and what went wrong in it.

    Attributes:
        faults: what a page may not do; a test looks at them with ``check``.
        expected: parts of faults that the test itself has caused.
    """

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.base = base
        self.faults: list[str] = []
        self.expected: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(SECONDS * 1000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        context.on("request", lambda request: self._asked(request.url))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("data", "blob"):
            return
        if parts.netloc != urlsplit(self.base).netloc:
            self.faults.append(f"another host: {url}")

    def go(self, path: str) -> Page:
        """Loads an address as a person types it."""
        self.page.goto(self.base + path, wait_until="load")
        return self.page

    def check(self) -> None:
        """Fails for what a page may not do."""
        violations = self.page.evaluate("() => window.mooringViolations ?? []")
        found = [*self.faults, *(f"policy: {one}" for one in violations)]
        left = [one for one in found if not any(part in one for part in self.expected)]
        assert left == [], f"{self.page.url}: {left}"

    def live(self) -> None:
        """Waits until the page says that its values are live."""
        self.page.wait_for_function(
            "() => document.getElementById('connection')?.textContent === 'Live'"
        )

    def said(self, words: str) -> str:
        """Waits until the top line says or has said something that begins with these words."""
        found = self.page.wait_for_function(
            "words => window.mooringSaid.find((text) => text.startsWith(words))", arg=words
        )
        return str(found.json_value())

    def was_grey(self) -> bool:
        """Whether values were shown as not current."""
        return bool(self.page.evaluate("() => window.mooringGrey"))

    def token(self) -> str:
        """Of the session that the browser has now."""
        cookies = self.page.context.cookies(self.base)
        return next(str(one["value"]) for one in cookies if one["name"] == "mooring")

    def width(self) -> tuple[int, int]:
        """How wide the content is, and the window."""
        found = self.page.evaluate(
            "() => [document.scrollingElement.scrollWidth, document.documentElement.clientWidth]"
        )
        return int(found[0]), int(found[1])

    def accessibility(self, rules: Sequence[str] = ()) -> list[str]:
        """What axe reports as serious or worse, with the place.

        Args:
            rules: the only ones that are asked; empty: all.
        """
        options: dict[str, Any] = {"resultTypes": ["violations"]}  # the rest is not worked out
        if rules:
            options["runOnly"] = {"type": "rule", "values": list(rules)}
        results: dict[str, Any] = Axe().run(self.page, options=options).response
        return [
            f"{one['id']}: {node['target']} {node.get('failureSummary', '')[:200]}"
            for one in results["violations"]
            if one["impact"] in SERIOUS
            for node in one["nodes"][:3]
        ]


@contextmanager
def opened_tab(
    browser: Browser,
    base: str,
    token: str = "",
    *,
    size: tuple[int, int] = (1280, 860),
    theme: str = "light",
    permissions: Sequence[str] = (),
) -> Iterator[Tab]:
    """A tab of a fresh profile; with a token, signed in.

    Args:
        theme: ``light`` or ``dark``, as the system says.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if theme == "dark" else "light",
        timezone_id="Europe/Berlin",
        locale="en-GB",
        has_touch=size[0] < 600,
        permissions=list(permissions),
    )
    context.add_init_script(_VIOLATIONS + _NOTES)
    if token:
        context.add_cookies([{"name": "mooring", "value": token, "url": base}])
    try:
        yield Tab(context, base)
    finally:
        context.close()
