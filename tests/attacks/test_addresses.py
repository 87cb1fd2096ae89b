"""The address of a request, where no proxy is trusted: the connection's, whatever it says."""

from __future__ import annotations

import secrets

import pytest

from tests.attacks.stand import Attacked

GUESSES = 10  # a minute, as documented


@pytest.mark.attack("an address of one's own for each guess, without a proxy")
def test_a_header_gives_no_address(attacked: Attacked) -> None:
    name = f"viewer-{secrets.token_hex(3)}"
    attacked.platform.cli("user", "add", name, "--role", "viewer", "--json")
    codes = []
    with attacked.http() as http:
        for number in range(2 * GUESSES):
            answer = http.post(
                "/api/v1/login",
                json={"name": name, "password": "wrong-wrong-wrong"},
                headers={"X-Forwarded-For": f"203.0.113.{number}"},
            )
            codes.append(answer.json()["code"])
        assert codes.count("login_failed") <= GUESSES
        assert codes.count("login_throttled") >= GUESSES
        elsewhere = http.get("/metrics", headers={"X-Forwarded-For": "203.0.113.1"})
        assert elsewhere.status_code == 401
    noted = attacked.platform.rows(
        "SELECT DISTINCT origin FROM audit WHERE action = ?", "login.failed"
    )
    assert not [origin for (origin,) in noted if "203.0.113" in origin]
