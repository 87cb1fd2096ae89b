"""Saved views over HTTP, on both databases: each person's own, bounded, gone with the person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.people.model import NewKey, NewUser
from mooring.people.views import SavedViews
from mooring.store.schema import saved_views
from tests.integration.http.conftest import NO_TLS

VIEWS = "/api/v1/device-views"
PASSWORD = "a long enough one"


@pytest.fixture
def login(platform: App, url: str) -> Iterator[Callable[[str], httpx.Client]]:
    """``login("ada")``: a client of a new person."""
    with ExitStack() as stack:

        def make(name: str) -> httpx.Client:
            platform.people.add(SYSTEM, NewUser(name, Role.VIEWER, None, PASSWORD))
            headers = {"Authorization": f"Bearer {platform.people.login(name, PASSWORD).token}"}
            return stack.enter_context(
                httpx.Client(base_url=url, headers=headers, timeout=30, verify=NO_TLS)
            )

        yield make


def stored(platform: App) -> int:
    with platform.database.read() as connection:
        statement = sa.select(sa.func.count()).select_from(saved_views)
        return int(connection.execute(statement).scalar_one())


def test_views_are_saved_listed_replaced_and_removed(
    login: Callable[[str], httpx.Client],
) -> None:
    ada, bob = login("ada"), login("bob")
    made = ada.post(VIEWS, json={"name": " quiet ", "query": "?state=silent&q=a%20b"})
    assert made.status_code == 201
    assert (made.json()["name"], made.json()["query"]) == ("quiet", "state=silent&q=a+b")
    ada.post(VIEWS, json={"name": "all of it", "query": ""})
    ada.post(VIEWS, json={"name": "quiet", "query": "state=offline"})
    found = [(one["name"], one["query"]) for one in ada.get(VIEWS).json()["items"]]
    assert found == [("all of it", ""), ("quiet", "state=offline")]
    assert bob.get(VIEWS).json() == {"items": []}
    assert bob.delete(f"{VIEWS}/quiet").json()["code"] == "view_not_found"
    assert ada.delete(f"{VIEWS}/quiet").status_code == 204
    assert [one["name"] for one in ada.get(VIEWS).json()["items"]] == ["all of it"]


WRONG = (
    (" ", "q=a", "invalid_name"),
    ("..", "q=a", "invalid_name"),
    ("a\u202eb", "q=a", "invalid_name"),
    ("a", "colour=red", "invalid_view"),
    ("a", "q=a%00b", "invalid_view"),
    ("a", "q=%ff", "invalid_view"),
    ("a", "&".join(["col=label"] * 51), "invalid_view"),
)


def test_a_view_that_is_not_valid(login: Callable[[str], httpx.Client]) -> None:
    client = login("ada")
    for name, query, code in WRONG:
        answer = client.post(VIEWS, json={"name": name, "query": query})
        assert answer.status_code == 422, (name, query)
        assert answer.json()["code"] == code
    assert client.get(VIEWS).json() == {"items": []}


@pytest.mark.parametrize("name", ["attic/cellar", "/", "50 %", "7", "a/../b", "a?b#c"])
def test_a_view_of_any_name_is_removed(login: Callable[[str], httpx.Client], name: str) -> None:
    client = login("ada")
    assert client.post(VIEWS, json={"name": name, "query": ""}).status_code == 201
    assert client.delete(f"{VIEWS}/{quote(name, safe='')}").status_code == 204
    assert client.get(VIEWS).json() == {"items": []}


def test_a_key_has_none(platform: App, nobody: httpx.Client) -> None:
    key = platform.people.add_key(SYSTEM, NewKey("ci", Role.ADMIN)).secret
    headers = {"Authorization": f"Bearer {key}"}
    assert nobody.get(VIEWS, headers=headers).json() == {"items": []}
    assert nobody.delete(f"{VIEWS}/x", headers=headers).json()["code"] == "view_not_found"
    refused = nobody.post(VIEWS, headers=headers, json={"name": "x", "query": "q=x"})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_a_person")


def test_one_view_too_many_and_the_end_of_a_person(platform: App) -> None:
    platform.people.add(SYSTEM, NewUser("ada", Role.VIEWER, None, PASSWORD))
    ada, views = Actor("ada", Role.VIEWER), platform.service(SavedViews)
    most = platform.settings.saved_views_max_per_user
    for number in range(most):
        views.save(ada, f"v{number}", "q=x")
    with pytest.raises(Exception, match="limit") as caught:
        views.save(ada, "one more", "q=x")
    assert caught.value.slug == "limit_reached"  # type: ignore[attr-defined]
    views.save(ada, "v0", "q=y")  # replacing adds none
    assert stored(platform) == most
    platform.people.remove(SYSTEM, "ada")
    assert stored(platform) == 0
