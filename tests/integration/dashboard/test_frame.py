"""Sessions, origins, headers, errors: what every page has in common."""

from __future__ import annotations

import gzip
from typing import Any
from urllib.parse import quote

import pytest

from mooring.app import App
from mooring.dashboard import static_files
from mooring.dashboard.render import POLICY
from mooring.errors import DatabaseUnavailable
from mooring.identity.actor import SYSTEM
from mooring.telemetry.service import Telemetry
from mooring.web.guard import Guard
from mooring.web.proxies import Proxies
from tests.integration.dashboard.conftest import BrowserOf
from tests.support.dashboard import ORIGIN, PASSWORD, Browser
from tests.support.html import HOSTILE, Html, faults


def test_nobody_is_sent_to_sign_in_and_back(browser_of: BrowserOf) -> None:
    browser_of("viewer")
    nobody = browser_of()
    answer = nobody.get("/account?x=1%202")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=" + quote("/account?x=1%202", safe="")
    form = nobody.page(answer.headers["location"]).fields("/sign-in")
    assert form["next"] == "/account?x=1%202"
    done = nobody.post("/sign-in", {**form, "name": "viewer-all", "password": PASSWORD})
    assert (done.status_code, done.headers["location"]) == (303, "/account?x=1%202")
    cookie = done.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Secure" not in cookie
    assert "viewer-all" in nobody.page("/account").text


def test_a_wrong_password_keeps_the_name_and_is_limited(browser_of: BrowserOf) -> None:
    nobody = browser_of()
    seen = []
    for _ in range(12):
        answer = nobody.post("/sign-in", {"name": "ada", "password": "wrong"})
        seen.append(answer.status_code)
        assert faults(answer.text) == []
    assert seen[0] == 401 and seen[-1] == 429  # the same limit as POST /api/v1/login
    page = Html(answer.text)
    assert page.fields("/sign-in")["name"] == "ada"
    assert page.fields("/sign-in")["password"] == ""
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("there", ["//evil.example", "https://evil.example", "/\\evil", "x", ""])
def test_after_signing_in_one_stays_on_this_server(browser_of: BrowserOf, there: str) -> None:
    browser_of("viewer")
    form = {"name": "viewer-all", "password": PASSWORD, "next": there}
    assert browser_of().post("/sign-in", form).headers["location"] == "/"


def test_signing_out_ends_the_session(browser_of: BrowserOf, platform: App) -> None:
    one = browser_of("viewer")
    other = browser_of("viewer")
    assert one.post("/sign-out").headers["location"] == "/sign-in"
    assert one.get("/").status_code == 303
    assert other.get("/").status_code == 200
    assert other.post("/sign-out", {"everywhere": "1"}).status_code == 303
    assert browser_of("viewer").get("/").status_code == 200  # a new one


def test_a_form_after_the_sessions_end_goes_through(browser_of: BrowserOf, platform: App) -> None:
    browser = browser_of("viewer")
    platform.people.end_sessions(SYSTEM, "viewer-all")
    form = {"current": PASSWORD, "new": "another long password", "again": "another long password"}
    over = browser.post("/account/password", form)
    assert over.status_code == 401
    assert over.headers["cache-control"] == "no-store"
    assert faults(over.text) == []
    kept = Html(over.text).fields("/sign-in")
    done = browser.post("/sign-in", {**kept, "name": "viewer-all", "password": PASSWORD})
    assert (done.status_code, done.headers["location"]) == (303, "/sign-in")
    platform.people.login("viewer-all", "another long password")


def test_a_held_form_has_the_rights_of_the_one_who_signs_in(
    browser_of: BrowserOf, platform: App
) -> None:
    browser_of("viewer")
    nobody = browser_of()
    held = nobody.post("/account/password", {"current": "x", "new": "y", "again": "z"})
    kept = Html(held.text).fields("/sign-in")
    shown = nobody.post("/sign-in", {**kept, "name": "viewer-all", "password": PASSWORD})
    assert shown.status_code == 422  # the form's own mistake, at its field
    assert "different" in Html(shown.text).text


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://testserver:81", None, ""]
)
def test_a_form_of_another_origin_is_rejected(browser_of: BrowserOf, origin: str | None) -> None:
    browser = browser_of("viewer")
    for path in ("/account/password", "/sign-in", "/sign-out", "/theme"):
        answer = browser.post(path, {"theme": "dark"}, origin=origin)
        assert answer.status_code == 403, path
        assert "Origin" not in Html(answer.text).text
        assert "set-cookie" not in answer.headers
    assert browser.get("/").status_code == 200


def test_the_api_takes_no_cookie(browser_of: BrowserOf) -> None:
    assert browser_of("admin").get("/api/v1/me").status_code == 401


def test_an_api_key_is_no_session(browser_of: BrowserOf, platform: App, api: Any) -> None:
    from mooring.identity.actor import Role
    from mooring.people.model import NewKey

    issued = platform.people.add_key(SYSTEM, NewKey("ci", Role.ADMIN, None))
    assert Browser(api, issued.secret).get("/").status_code == 303


def test_over_tls_the_cookie_is_bound_to_host_and_tls(browser_of: BrowserOf, api: Any) -> None:
    browser_of("viewer")
    browser = Browser(api)
    answer = browser.post(
        "/sign-in", {"name": "viewer-all", "password": PASSWORD}, origin="https://testserver"
    )
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-mooring=") and "Secure" in cookie and "Path=/" in cookie


def test_over_tls_a_plain_cookie_does_not_count(
    browser_of: BrowserOf, platform: App, api: Any
) -> None:
    plain = browser_of("viewer").client.cookies["mooring"]
    browser = Browser(Guard(api, proxies=Proxies(["0.0.0.0/0"])), plain)
    browser.client.headers["X-Forwarded-Proto"] = "https"
    # The test client has no address: give it one that is a trusted proxy's.
    browser.client._transport.client = ("127.0.0.1", 1)  # type: ignore[attr-defined]
    assert browser.get("/").status_code == 303
    browser.client.cookies.set("__Host-mooring", plain)
    assert browser.get("/").status_code == 200


def test_pages_have_the_policy_and_are_not_kept_by_others(admin: Browser) -> None:
    answer = admin.get("/")
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["referrer-policy"] == "same-origin"  # else browsers send Origin: null
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.content) < 100_000


def test_static_files_are_immutable_and_compressed(admin: Browser) -> None:
    page = admin.page("/")
    sheets = [t.attributes["href"] for t in page.all("link") if "stylesheet" in t.attributes["rel"]]
    assert len(sheets) >= 5
    for address in [*sheets, *(t.attributes["src"] for t in page.all("script"))]:
        answer = admin.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["cache-control"] == static_files.FOREVER
        assert answer.headers["content-encoding"] == "gzip"
    other = admin.get(sheets[0].replace(static_files.tree_hash(), "0" * 16))
    assert (other.status_code, other.headers["cache-control"]) == (200, "no-cache")
    for name in ("../page.py", "%2e%2e/page.py", "css/none.css", ""):
        assert admin.get(f"/static/{static_files.tree_hash()}/{name}").status_code == 404
    assert static_files._compressed("css/base.css")[:2] == gzip.compress(b"")[:2]


def test_the_theme_is_kept_in_this_browser(admin: Browser) -> None:
    assert admin.page("/").all("html")[0].attributes["class"] == "theme-system"
    done = admin.post("/theme", {"theme": "dark", "next": "/account"})
    assert done.headers["location"] == "/account"
    assert admin.page("/account").all("html")[0].attributes["class"] == "theme-dark"
    assert admin.post("/theme", {"theme": "pink<"}).status_code == 303
    assert admin.page("/").all("html")[0].attributes["class"] == "theme-dark"


def test_a_browser_reads_errors_in_words_and_a_program_gets_a_problem(admin: Browser) -> None:
    page = admin.page("/no-such-page", 404)
    assert "no page at this address" in page.text and "/devices" in page.links
    program = admin.client.get("/no-such-page", headers={"Accept": "*/*"})
    assert program.json()["code"] == "no_such_route"
    assert admin.get("/api/v1/none").json()["code"] == "no_such_route"
    assert admin.get("/account/password").status_code == 405


def test_a_database_that_is_gone_is_said_in_words(
    admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> Any:
        raise DatabaseUnavailable("The database does not answer.", hint="Start it.")

    monkeypatch.setattr(Telemetry, "overview", gone)
    page = admin.page("/", 503)
    assert "does not answer" in page.text
    monkeypatch.setattr(App, "authenticate", gone)
    answer = admin.get("/account")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert faults(answer.text) == []


def test_a_fault_of_ours_has_a_number_and_no_details(
    admin: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("secret-detail")

    monkeypatch.setattr(Telemetry, "overview", broken)
    page = admin.page("/", 500)
    number = next(word for word in page.text.split() if f"incident {word}" in caplog.text)
    assert len(number) == 8
    assert "secret-detail" not in page.source


def test_mistakes_are_said_at_their_field_and_nothing_secret_comes_back(admin: Browser) -> None:
    form = {"current": "old-secret", "new": "one-secret", "again": "two-secret"}
    answer = admin.post("/account/password", form)
    assert answer.status_code == 422
    assert faults(answer.text) == []
    assert 'aria-invalid="true"' in answer.text
    assert "secret" not in answer.text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_in_what_everybody_can_send(browser_of: BrowserOf, text: str) -> None:
    nobody = browser_of()
    form = {"name": text, "password": "x", "next": text, "held": text}
    answer = nobody.post("/sign-in", form)
    assert answer.status_code in (401, 429)
    assert faults(answer.text) == []
    assert Html(answer.text).fields("/sign-in")["name"] == text.strip()[:128]
    assert faults(nobody.get(f"/{quote(text)}").text) == []
    nobody.client.cookies.set("mooring-notice", quote(text))
    nobody.client.cookies.set("mooring-theme", quote(text))
    nobody.client.cookies.set("mooring-zone", quote(text))
    assert nobody.get("/sign-in").status_code == 200


def test_a_notice_is_said_once(browser_of: BrowserOf, api: Any, platform: App) -> None:
    viewer = browser_of("viewer")
    new = "another long password"
    viewer.post("/account/password", {"current": PASSWORD, "new": new, "again": new})
    viewer.client.cookies.set("mooring", platform.people.login("viewer-all", new).token)
    assert "The password was changed" in viewer.page("/").text
    assert "The password was changed" not in viewer.page("/").text


def test_htmx_gets_the_whole_page_too(admin: Browser) -> None:
    whole = admin.get("/account")
    part = admin.get("/account", **{"HX-Request": "true", "HX-Target": "page"})
    assert part.text == whole.text
    assert ORIGIN not in part.text


def test_somebody_who_signed_in_with_a_provider_has_a_session(
    browser_of: BrowserOf, platform: App, api: Any
) -> None:
    browser_of("viewer")
    session = platform.people.login("viewer-all", PASSWORD)

    async def arrive(request: Any) -> Any:
        return api.state.keep_login(request, session, secure=True)

    api.add_route("/arrive", arrive, ["GET"])
    answer = browser_of().get("/arrive")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-mooring=") and "Secure" in cookie
    assert "oidc" not in browser_of().page("/sign-in").source  # no provider is set
