"""Sign-in with a real OpenID Connect provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.errors import Conflict, TooMany, Unauthorized
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.oidc import provider as provider_module
from mooring.oidc import service
from mooring.oidc.provider import Provider
from mooring.oidc.service import SignIn
from mooring.people.model import NewUser, Vouched
from mooring.settings import Settings
from mooring.settings.field import Secret
from mooring.store.schema import audit, users
from tests.integration.http.conftest import NO_TLS, serving
from tests.support.oidc_provider import (
    CLIENT,
    REDIRECT,
    SECRET,
    OidcProvider,
    new_key,
    oidc_provider,
)
from tests.support.ports import free_port
from tests.support.postgres import Postgres

PASSWORD = "a password of a person"
ACCOUNTS: dict[str, dict[str, Any]] = {
    "1001": {"preferred_username": "ada", "email": "ada@example.com", "groups": ["iot-admins"]},
    "1002": {"preferred_username": "bo", "groups": ["none", "acme-ops"]},
    "1003": {"preferred_username": "eve", "groups": ["others"]},
    "1004": {"preferred_username": "<b>/#", "groups": ["acme-ops"]},
    "1005": {"preferred_username": "flo", "email": "local@example.com", "groups": ["acme-ops"]},
}


@pytest.fixture(scope="module")
def idp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with oidc_provider(tmp_path_factory.mktemp("oidc"), ACCOUNTS) as started:
        yield started


@pytest.fixture
def any_database_url(postgres_server: Postgres, migrated_postgres: str) -> str:
    """PostgreSQL alone; the statements are those of people's other logins."""
    postgres_server.empty_tables(migrated_postgres)
    return migrated_postgres


@pytest.fixture
def settings(tmp_path: Path, any_database_url: str, idp: OidcProvider) -> Settings:
    secret = tmp_path / "client-secret"
    secret.write_text(f"{SECRET}\n")
    return Settings(
        data_dir=tmp_path / "data",
        database_url=any_database_url,
        mqtt_port=free_port(),
        login_attempts_per_minute=100,
        oidc_issuer=idp.issuer,
        oidc_client_id=CLIENT,
        oidc_client_secret_file=secret,
        oidc_redirect_url=REDIRECT,
        oidc_scopes=("profile", "email", "groups"),
        oidc_roles=("iot-admins=admin", "acme-ops=operator@acme"),
    )


@pytest.fixture
def platform(settings: Settings) -> Iterator[App]:
    with open_app(settings) as app:
        app.people.add_tenant(SYSTEM, "acme")
        yield app


class Browser:
    """Keeps the cookie, as a browser does; ours is for HTTPS, which the test's server is not."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=60, verify=NO_TLS)
        self.held = ""

    def begin(self) -> str:
        answer = self.client.get("/api/v1/oidc/start")
        assert answer.status_code == 303, answer.text
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/api/v1/oidc"} <= set(
            cookie.split("; ")
        )
        self.held = cookie.split(";")[0]
        return str(answer.headers["location"])

    def end(self, parameters: Any, accept: str = "application/json") -> httpx.Response:
        headers = {"Cookie": self.held, "Accept": accept}
        return self.client.get("/api/v1/oidc/callback", params=parameters, headers=headers)

    def sign_in(self, idp: OidcProvider, subject: str) -> httpx.Response:
        return self.end(idp.code_for(self.begin(), subject))


@pytest.fixture
def browser(url: str) -> Iterator[Browser]:
    found = Browser(url)
    with found.client:
        yield found


def me(browser: Browser, token: str) -> httpx.Response:
    return browser.client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})


def rows(platform: App) -> dict[str, tuple[Any, ...]]:
    with platform.database.read() as connection:
        found = connection.execute(
            sa.select(users.c.name, users.c.subject, users.c.role, users.c.tenant)
        )
        return {name: tuple(row) for name, *row in found}


def actions(platform: App) -> list[str]:
    with platform.database.read() as connection:
        return list(connection.execute(sa.select(audit.c.action).order_by(audit.c.id)).scalars())


def test_a_sign_in_is_a_login_like_any_other(
    platform: App, browser: Browser, idp: OidcProvider
) -> None:
    answer = browser.sign_in(idp, "1001")
    assert answer.status_code == 200, answer.text
    assert 'mooring_sign_in=""' in answer.headers["set-cookie"]
    session = answer.json()
    assert (session["name"], session["role"], session["tenant"]) == ("ada", "admin", None)
    assert me(browser, session["token"]).json()["role"] == "admin"
    refreshed = browser.client.post(
        "/api/v1/login/refresh", json={"refresh_token": session["refresh_token"]}
    ).json()
    assert me(browser, refreshed["token"]).status_code == 200
    hours = platform.settings.oidc_login_hours
    assert session["refresh_expires_at"] == refreshed["refresh_expires_at"] < _later(hours + 1)
    shown = browser.client.get(
        "/api/v1/users/ada", headers={"Authorization": f"Bearer {session['token']}"}
    ).json()
    assert shown["issuer"] == idp.issuer
    assert (
        browser.client.post(
            "/api/v1/logout", headers={"Authorization": f"Bearer {session['token']}"}
        ).status_code
        == 204
    )
    assert me(browser, refreshed["token"]).status_code == 401
    leave = browser.client.get("/api/v1/oidc/logout")
    assert leave.headers["location"].startswith(f"{idp.issuer}/session/end?client_id={CLIENT}")


def _later(hours: float) -> str:
    from mooring.dialects import iso
    from mooring.store.engine import now_ms

    return iso(now_ms() + int(hours * 3_600_000))


def test_role_and_tenant_follow_the_provider(
    platform: App, browser: Browser, idp: OidcProvider
) -> None:
    session = browser.sign_in(idp, "1002").json()
    assert (session["name"], session["role"], session["tenant"]) == ("bo", "operator", "acme")
    platform.settings.__dict__["oidc_roles"] = ("none=viewer", "acme-ops=operator@acme")
    assert browser.sign_in(idp, "1002").json()["role"] == "viewer"
    assert rows(platform) == {"bo": ("1002", "viewer", None)}
    assert [one for one in actions(platform) if one.startswith("user")] == [
        "user.add",
        "user.role",
    ]
    assert me(browser, session["token"]).json()["role"] == "viewer"  # an older login, too


def test_nobody_becomes_a_user_of_this_installation(
    platform: App, browser: Browser, idp: OidcProvider
) -> None:
    """Not by the name, nor by an e-mail address that is a name here."""
    for name in ("bo", "local@example.com", "flo"):
        platform.people.add(SYSTEM, NewUser(name, Role.ADMIN, None, PASSWORD))
    for subject in ("1002", "1004", "1005"):
        session = browser.sign_in(idp, subject).json()
        assert session["name"].startswith("oidc-")
        assert (session["role"], session["tenant"]) == ("operator", "acme")
    assert len(rows(platform)) == 6
    assert rows(platform)["bo"] == (None, "admin", None)
    assert browser.sign_in(idp, "1002").json()["name"].startswith("oidc-")
    assert len(rows(platform)) == 6


def test_nobody_takes_the_name_that_somebody_would_get(platform: App) -> None:
    """An administrator of another tenant, who knows issuer and subject."""
    vouched = Vouched("https://id.example", "1006", "gil", Role.VIEWER, "acme")
    of_subject = platform.people.sign_in(replace(vouched, name="")).actor.name
    platform.people.remove(SYSTEM, of_subject)
    platform.people.add_tenant(SYSTEM, "rival")
    rival = Actor("eve", Role.ADMIN, "rival")
    for name in ("gil", of_subject):
        platform.people.add(rival, NewUser(name, Role.VIEWER, "rival", PASSWORD))
    actor = platform.people.sign_in(vouched).actor
    assert actor.name.startswith("oidc-")
    assert (actor.name != of_subject, actor.tenant) == (True, "acme")
    assert platform.people.sign_in(vouched).actor == actor


def test_no_password_opens_a_user_of_the_provider(
    platform: App, browser: Browser, idp: OidcProvider
) -> None:
    browser.sign_in(idp, "1001")
    for password in ("", "x", "!", PASSWORD):
        with pytest.raises(Unauthorized):
            platform.people.login("ada", password)
    with pytest.raises(Conflict) as caught:
        platform.people.set_password(SYSTEM, "ada", PASSWORD)
    assert caught.value.slug == "user_of_provider"


def test_a_disabled_user_stays_out(platform: App, browser: Browser, idp: OidcProvider) -> None:
    token = browser.sign_in(idp, "1002").json()["token"]
    platform.people.set_disabled(SYSTEM, "bo", disabled=True)
    assert me(browser, token).status_code == 401
    answer = browser.sign_in(idp, "1002")
    assert (answer.status_code, answer.json()["code"]) == (403, "user_disabled")
    assert actions(platform)[-1] == "login.failed"
    platform.people.set_disabled(SYSTEM, "bo", disabled=False)
    assert me(browser, token).status_code == 401
    assert browser.sign_in(idp, "1002").status_code == 200


def test_without_a_role_there_is_no_user_and_a_page_says_why(
    platform: App, browser: Browser, idp: OidcProvider
) -> None:
    answer = browser.end(idp.code_for(browser.begin(), "1003"), accept="text/html,*/*")
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert "oidc_no_role" in answer.text
    assert "no role in Mooring" in answer.text
    assert rows(platform) == {}


def test_the_provider_says_no(browser: Browser, idp: OidcProvider) -> None:
    state = httpx.URL(browser.begin()).params["state"]
    denied = browser.end({"error": "access_denied", "state": state}, accept="text/html")
    assert denied.status_code == 401
    assert "access_denied" in denied.text
    script = browser.end({"error": "<script>", "state": state}, accept="text/html")
    assert "<script>" not in script.text


def test_an_answer_of_another_browser_is_rejected(
    platform: App, browser: Browser, url: str, idp: OidcProvider
) -> None:
    """Somebody who makes a victim open the way back of their own sign-in."""
    mine = idp.code_for(browser.begin(), "1002")
    other = Browser(url)
    for held in ("", "mooring_sign_in=nonsense"):
        other.held = held
        answer = other.end(mine)
        assert (answer.status_code, answer.json()["code"]) == (401, "oidc_state_invalid")
    other.begin()
    assert other.end(mine).json()["code"] == "oidc_state_invalid"
    wrong = {**mine, "state": httpx.URL(other.begin()).params["state"]}
    assert other.end(wrong).json()["code"] == "oidc_rejected"  # its code is for another verifier
    of_another = browser.end({**mine, "iss": "https://other.example"})  # RFC 9207
    assert (of_another.status_code, of_another.json()["code"]) == (401, "oidc_state_invalid")
    assert rows(platform) == {}


def test_stray_answers_use_up_nobodys_logins(settings: Settings) -> None:
    """A page of another site makes browsers send them, and people behind one address log in."""
    most, address = 2, "192.0.2.7"
    few = settings.model_copy(update={"login_attempts_per_minute": most})
    with open_app(few) as app:
        app.people.add(SYSTEM, NewUser("local", Role.ADMIN, None, PASSWORD))
        sign_in = SignIn(app.people, Provider(few))
        _, sealed = sign_in.begin()
        for held in ("", "nonsense", sealed):
            with pytest.raises(Unauthorized) as stray:
                sign_in.end(held, "a state", "a code", origin=address)
            assert stray.value.slug == "oidc_state_invalid"
        app.people.login("local", PASSWORD, address=address)
        # What the provider has to reject counts.
        where, sealed = sign_in.begin()
        state = httpx.URL(where).params["state"]
        for _ in range(most):
            with pytest.raises(Unauthorized) as rejected:
                sign_in.end(sealed, state, "a code", origin=address)
            assert rejected.value.slug == "oidc_rejected"
        with pytest.raises(TooMany):
            sign_in.end(sealed, state, "a code", origin=address)


def test_a_sign_in_takes_ten_minutes_at_most(
    platform: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in = SignIn(platform.people, Provider(platform.settings))
    where, sealed = sign_in.begin()
    state, begun = httpx.URL(where).params["state"], service.now_ms()
    for later, code in ((-60, "oidc_rejected"), (0, "oidc_state_invalid")):
        at = begun + (service.ATTEMPT_SECONDS + later) * 1000
        monkeypatch.setattr(service, "now_ms", lambda at=at: at)
        with pytest.raises(Unauthorized) as caught:
            sign_in.end(sealed, state, "a code")
        assert caught.value.slug == code


def test_a_code_is_used_once(browser: Browser, idp: OidcProvider) -> None:
    code = idp.code_for(browser.begin(), "1002")
    assert browser.end(code).status_code == 200
    again = browser.end(code)
    assert (again.status_code, again.json()["code"]) == (401, "oidc_rejected")


def test_claims_come_from_userinfo_where_the_token_has_none(
    browser: Browser, idp: OidcProvider
) -> None:
    idp.in_token = False
    idp.restart()
    try:
        session = browser.sign_in(idp, "1002").json()
        assert (session["name"], session["role"], session["tenant"]) == ("bo", "operator", "acme")
    finally:
        idp.in_token = True
        idp.restart()


def test_keys_are_rotated(
    browser: Browser, idp: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_module, "AGAIN_MS", 0)
    assert browser.sign_in(idp, "1002").status_code == 200
    idp.keys = [new_key("two")]
    idp.restart()
    assert browser.sign_in(idp, "1002").status_code == 200


def test_without_the_provider_passwords_still_work(
    platform: App, browser: Browser, idp: OidcProvider
) -> None:
    platform.people.add(SYSTEM, NewUser("local", Role.ADMIN, None, PASSWORD))
    idp.stop()
    try:
        answer = browser.client.get("/api/v1/oidc/start")
        assert (answer.status_code, answer.json()["code"]) == (503, "oidc_unavailable")
        login = {"name": "local", "password": PASSWORD}
        assert browser.client.post("/api/v1/login", json=login).status_code == 200
    finally:
        idp.start()


def test_it_is_off_without_settings(settings: Settings) -> None:
    off = settings.model_copy(update={"oidc_issuer": None})
    with open_app(off) as app, serving(app) as url:
        for path in ("start", "callback", "logout"):
            answer = httpx.get(f"{url}/api/v1/oidc/{path}", verify=NO_TLS)
            assert (answer.status_code, answer.json()["code"]) == (404, "oidc_off")


def test_the_client_secret_is_masked() -> None:
    given = Settings(oidc_client_secret=Secret("hush"))
    assert "hush" not in f"{given!r}{given.model_dump()}"
