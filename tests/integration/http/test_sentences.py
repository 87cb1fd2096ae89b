"""What HTTP says when it rejects a request: the wording is in tests/golden/sentences.txt."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from mooring.app import App
from mooring.identity.actor import SYSTEM
from mooring.people.model import NewUser
from tests.integration.http.conftest import ClientOf
from tests.integration.http.rows import AddDevice
from tests.support.golden import check_sentences

# Role of the caller, method, address, body.
REJECTED: tuple[tuple[str, str, str, Any], ...] = (
    ("nobody", "GET", "devices", None),
    ("nobody", "POST", "login", {"name": "ada", "password": "wrong password"}),
    ("viewer", "POST", "devices", {"name": "fan", "dialect": "mooring"}),
    ("viewer", "GET", "audit", None),
    ("admin", "GET", "no-such-address", None),
    ("admin", "PUT", "devices", {}),
    ("admin", "GET", "devices/ghost", None),
    ("admin", "GET", "devices?cursor=broken", None),
    ("admin", "GET", "devices?limit=0", None),
    ("admin", "GET", "devices?where=room", None),
    ("admin", "POST", "devices", {"name": "fan"}),
    ("admin", "POST", "devices", {"name": "fan", "dialect": "mooring", "colour": "red"}),
    ("admin", "POST", "devices", {"name": "fan", "dialect": "unknown"}),
    ("admin", "POST", "devices", {"name": "a/b", "dialect": "mooring"}),
    ("admin", "POST", "devices", {"name": "lamp", "dialect": "mooring", "tenant": "a"}),
    ("admin", "GET", "devices/a:lamp/rotation", None),
    ("admin", "GET", "devices/a:lamp/history?from=whenever", None),
    ("admin", "GET", "dialects/unknown", None),
    ("admin", "GET", "users/eve", None),
    ("admin", "POST", "users", {"name": "eve", "password": "short"}),
    ("admin", "DELETE", "api-keys/00000000", None),
    ("admin", "GET", "commands/99", None),
    ("admin", "POST", "devices/a:lamp/commands", {"name": "on", "channel": "unknown"}),
    ("admin", "DELETE", "claim-codes/99", None),
    ("admin", "POST", "claims", {"code": "ABCD-EFGH-JKMN-PQRS", "hardware_id": "AA:BB"}),
    ("admin", "DELETE", "devices/a:lamp/certificates/0b0b", None),
    ("admin", "POST", "mqtt/publish", {"topic": "a/#", "payload": 1}),
)


@pytest.fixture
def any_database_url(new_sqlite_url: str) -> str:
    """The sentences do not depend on the database."""
    return new_sqlite_url


def test_sentences_of_rejections(
    platform: App, client_of: ClientOf, nobody: httpx.Client, add_device: AddDevice
) -> None:
    add_device("lamp", dialect="mooring")
    platform.people.add(SYSTEM, NewUser("ada", password="a long enough one"))
    clients = {"nobody": nobody, "viewer": client_of("viewer"), "admin": client_of("admin")}
    said = []
    for role, method, address, body in REJECTED:
        answer = clients[role].request(method, f"/api/v1/{address}", json=body)
        assert 400 <= answer.status_code < 600, f"{method} {address}: {answer.text}"
        assert answer.headers["content-type"].startswith("application/problem+json")
        said.append(f"{method} {address}: {sentence(answer.json())}")
    check_sentences("REST rejections", "\n".join(said))


def sentence(problem: dict[str, Any]) -> str:
    """Status, code and what a person reads."""
    words = [str(problem[name]) for name in ("detail", "hint") if problem.get(name)]
    words += [str(one) for one in problem.get("errors", ())]
    return f"{problem['status']} {problem['code']}: {' '.join(words)}"
